"""Which MachineSet is the current one, and what starts a rollout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from vsphere_operator.controllers.machinedeployment import sets

Json = dict[str, Any]


def _deployment() -> Json:
    obj = samples.a_deployment(minReadySeconds=5)
    obj["metadata"]["uid"] = "uid"
    return obj


def _made(deployment: Json) -> Json:
    digest = sets.template_hash(deployment["spec"]["template"])
    return copy.deepcopy(dict(sets.new_set(deployment, digest=digest, replicas=1, revision=1)))


def _default_on_both(deployment: Json, made: Json) -> None:
    for obj in (deployment, made):
        obj["spec"]["template"]["spec"]["newField"] = "default"


def _reorder(deployment: Json, made: Json) -> None:
    spec = deployment["spec"]["template"]["spec"]
    deployment["spec"]["template"]["spec"] = dict(reversed(spec.items()))


def _empty(deployment: Json, made: Json) -> None:
    deployment["spec"]["template"]["metadata"]["annotations"] = {}
    deployment["spec"]["template"]["spec"]["nodeMetadata"] = {"labels": {}}
    deployment["spec"]["template"]["spec"]["taints"] = None


def _label(deployment: Json, made: Json) -> None:
    deployment["spec"]["template"]["metadata"]["labels"]["new"] = "one"


def _cpus(deployment: Json, made: Json) -> None:
    deployment["spec"]["template"]["spec"]["vsphere"]["cpus"] = 8


def _empty_list(deployment: Json, made: Json) -> None:
    deployment["spec"]["template"]["spec"]["vsphere"]["networks"] = []


@pytest.mark.parametrize(
    ("change", "rolls"),
    [
        (_default_on_both, False),
        (_reorder, False),
        (_empty, False),
        (_label, True),
        (_cpus, True),
        (_empty_list, True),
    ],
)
def test_what_starts_a_rollout(change: Callable[[Json, Json], None], rolls: bool) -> None:
    deployment = _deployment()
    made = _made(deployment)
    before = sets.template_hash(deployment["spec"]["template"])
    assert sets.current_set(deployment, [made]) is made
    change(deployment, made)
    assert (sets.current_set(deployment, [made]) is None) == rolls
    if change is not _default_on_both:
        assert (sets.template_hash(deployment["spec"]["template"]) != before) == rolls


def test_the_oldest_of_equal_sets_is_the_current_one() -> None:
    deployment = _deployment()
    one, two = _made(deployment), _made(deployment)
    one["metadata"] |= {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"}
    two["metadata"] |= {"name": "a", "creationTimestamp": "2026-01-02T00:00:00Z"}
    assert sets.current_set(deployment, [two, one]) is one


def test_what_is_carried_over_starts_no_rollout() -> None:
    deployment = _deployment()
    made = _made(deployment)
    assert sets.carried_changes(deployment, made) == {}
    deployment["spec"]["minReadySeconds"] = 9
    assert sets.carried_changes(deployment, made) == {"minReadySeconds": 9}
    del deployment["spec"]["minReadySeconds"]
    assert sets.carried_changes(deployment, made) == {"minReadySeconds": None}
    assert sets.current_set(deployment, [made]) is made


def test_a_set_selects_its_own_machines_only() -> None:
    made = _made(_deployment())
    labels = made["spec"]["template"]["metadata"]["labels"]
    match = made["spec"]["selector"]["matchLabels"]
    assert match.items() <= labels.items()
    assert len(match) == 2


def test_only_the_newest_empty_sets_are_kept() -> None:
    made = []
    for number in range(4):
        one = _made(_deployment())
        one["metadata"]["name"] = f"set-{number}"
        one["metadata"]["annotations"] = {"machinedeployment.clusters.x-k8s.io/revision": str(number)}
        one["spec"]["replicas"] = 1 if number == 0 else 0
        made.append(one)
    assert [s["metadata"]["name"] for s in sets.history_to_drop(made, 1)] == ["set-2", "set-1"]
    assert sets.history_to_drop(made, 3) == []
