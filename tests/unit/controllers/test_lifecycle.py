"""An object's first and last acts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from tests.unit.controllers.fakes.kubernetes import ApiServer, FakeObjects
from tests.unit.controllers.fakes.samples import NAMESPACE
from vsphere_operator.controllers import lifecycle
from vsphere_operator.kube.errors import Conflict

FINALIZER = "userclusters.io/vsphere"


def _site(clock: Clock, **meta: Any) -> tuple[ApiServer, FakeObjects]:
    api = ApiServer(clock)
    objects = FakeObjects(api, Outgoing())
    api.put(samples.a_machine(meta=meta))
    return api, objects


def _machine(objects: FakeObjects) -> Any:
    return objects.get("Machine", NAMESPACE, "worker-1")


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"finalizers": ["other/one"], "annotations": {"a/b": "c"}, "labels": {"x": "y"}},
        {"finalizers": [FINALIZER], "annotations": {"userclusters.io/id": "first"}},
    ],
)
async def test_adoption_adds_and_takes_nothing_away(clock: Clock, meta: dict[str, Any]) -> None:
    _, objects = _site(clock, **meta)
    labels = {"userclusters.io/cluster-name": "shop"}
    obj = await lifecycle.adopt(objects, _machine(objects), extra_labels=labels)
    found = obj["metadata"]
    assert found["finalizers"] == [f for f in meta.get("finalizers", []) if f != FINALIZER] + [FINALIZER]
    assert found["labels"] == meta.get("labels", {}) | labels
    identity = meta.get("annotations", {}).get("userclusters.io/id", found["uid"])
    assert found["annotations"] == meta.get("annotations", {}) | {"userclusters.io/id": identity}
    assert await lifecycle.adopt(objects, obj, extra_labels=labels) is obj


async def test_adoption_and_release_refuse_an_object_that_has_changed(clock: Clock) -> None:
    api, objects = _site(clock, finalizers=[FINALIZER])
    stale = _machine(objects)
    api.edit("Machine", NAMESPACE, "worker-1", metadata={"labels": {"new": "one"}})
    with pytest.raises(Conflict):
        await lifecycle.adopt(objects, stale)
    with pytest.raises(Conflict):
        await lifecycle.release(objects, stale)
    assert lifecycle.has_finalizer(_machine(objects))


async def test_release_takes_only_our_finalizer_off(clock: Clock) -> None:
    _, objects = _site(clock, finalizers=["a/b", FINALIZER, "c/d"])
    await lifecycle.release(objects, _machine(objects))
    assert _machine(objects)["metadata"]["finalizers"] == ["a/b", "c/d"]
    await lifecycle.release(objects, _machine(objects))


@pytest.mark.parametrize(
    ("text", "folder", "tags"),
    [
        ("all", True, True),
        ("folder", True, False),
        (" Tags , folder", True, True),
        ("", False, False),
        ("nonsense", False, False),
    ],
)
def test_what_a_person_lets_go_of(text: str, folder: bool, tags: bool) -> None:
    obj = samples.a_cluster(meta={"annotations": {"userclusters.io/orphan": text}})
    assert (lifecycle.lets_go(obj, "folder"), lifecycle.lets_go(obj, "tags")) == (folder, tags)


def test_an_identity_outlives_a_restored_backup() -> None:
    assert lifecycle.identity(samples.a_machine(meta={"uid": "new"})) == "new"
    annotated = {"uid": "new", "annotations": {"userclusters.io/id": "old"}}
    assert lifecycle.identity(samples.a_machine(meta=annotated)) == "old"
