"""The whole operator with controllers of the test's own: what reaches them, when, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vsphere_operator.cli.run import Options, Parts, operate
from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.credentials import KubeconfigFile
from vsphere_operator.kube.events import Events
from vsphere_operator.kube.objects import Objects
from vsphere_operator.runtime.engine import Controller, Result
from vsphere_operator.runtime.intake import Intake, Router
from vsphere_operator.runtime.keys import Key, Object
from vsphere_operator.runtime.queue import LaneOf
from vsphere_operator.runtime.store import IndexFunction

from .conftest import a_cluster, a_config_map, install_crds, kubeconfig_with, remove_crds, until

pytestmark = pytest.mark.testbed


@dataclass
class Seen:
    """A controller of Clusters that notes what it is shown."""

    objects: Objects
    kind: str = "Cluster"
    calls: list[tuple[Key, Object | None]] = field(default_factory=list)

    async def reconcile(self, key: Key) -> Result:
        self.calls.append((key, self.objects.get("Cluster", key.namespace, key.name)))
        return Result()

    def saw(self, test: Callable[[Key, Object | None], bool]) -> Callable[[], Any]:
        async def look() -> bool:
            return any(test(key, obj) for key, obj in self.calls)

        return look


@dataclass
class Built:
    controllers: Sequence[Controller]
    router: Router
    indexes: Iterable[tuple[str, str, IndexFunction]]
    on_vcenter_change: Callable[..., None]
    lane_of: LaneOf


class NoVCenters:
    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


def to_clusters(kind: str, old: Object | None, new: Object | None) -> Iterable[Key]:
    metadata = (new or old or {})["metadata"]
    if kind in ("Cluster", "Secret", "ConfigMap"):
        yield Key("Cluster", metadata["namespace"], metadata["name"])


class Running:
    """An operator in this process."""

    def __init__(self, options: Options) -> None:
        self.stop = asyncio.Event()
        self.vcenters = NoVCenters()
        self.seen: Seen | None = None
        parts = Parts(connect=lambda **_: self.vcenters, build=self._build)
        self.task = asyncio.create_task(operate(options, self.stop, parts))

    def _build(self, *, objects: Objects, **_: Any) -> Built:
        self.seen = Seen(objects)
        return Built([self.seen], to_clusters, [], lambda *_: None, lambda key: "")

    async def controller(self) -> Seen:
        async def built() -> Seen | None:
            return self.seen

        seen: Seen = await until(built, "the operator starts")
        return seen


@asynccontextmanager
async def running(kubeconfig: Path, namespace: str) -> AsyncIterator[Running]:
    operator = Running(Options(kubeconfig=kubeconfig, namespace=namespace, health_port=0))
    try:
        yield operator
    finally:
        operator.stop.set()
        assert await asyncio.wait_for(operator.task, 40) == 0


def gone(namespace: str, name: str = "shop") -> Callable[[Key, Object | None], bool]:
    return lambda key, obj: key == Key("Cluster", namespace, name) and obj is None


def there(namespace: str, name: str = "shop") -> Callable[[Key, Object | None], bool]:
    return lambda key, obj: key == Key("Cluster", namespace, name) and obj is not None


async def test_objects_reach_their_controller_from_the_list_and_from_the_watch(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    await api.create(a_cluster(namespace, "early"))
    async with running(kubeconfig, namespace) as operator:
        seen = await operator.controller()
        await until(seen.saw(there(namespace, "early")), "what was there before")
        await api.create(a_cluster(namespace, "late"))
        await until(seen.saw(there(namespace, "late")), "what came after", seconds=10)
        await api.delete("Cluster", namespace, "late")
        await until(seen.saw(gone(namespace, "late")), "what went", seconds=10)
    assert operator.vcenters.closed
    lease = await api.get("Lease", namespace, "vsphere-operator")
    assert not lease["spec"].get("holderIdentity"), "the lease is given back"


async def test_a_secret_is_noticed_without_its_content_being_kept(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    secret = {**a_config_map(namespace, "shop"), "kind": "Secret", "data": {"password": "aHVudGVyMjI="}}
    async with running(kubeconfig, namespace) as operator:
        seen = await operator.controller()
        await api.create(secret)
        await until(seen.saw(lambda key, _: key == Key("Cluster", namespace, "shop")), "the Secret's owner")
        known = seen.objects.get("Secret", namespace, "shop")
        assert known is not None
        assert "data" not in known
        assert await seen.objects.secret(namespace, "shop") == {"password": b"hunter22"}


async def test_the_rights_that_the_operator_ships_with_are_enough(
    api: KubeApi, namespace: str, operator_kubeconfig: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All that this layer does: id, lease, lists, watches, status, events."""
    await api.create(a_cluster(namespace))
    own = KubeApi(KubeconfigFile(operator_kubeconfig))
    events = Events(own, "test")
    posting = asyncio.create_task(events.run())
    async with running(operator_kubeconfig, "vsphere-operator") as operator:
        seen = await operator.controller()
        await until(seen.saw(there(namespace)), "the object")
        await seen.objects.apply_status("Cluster", namespace, "shop", {"observedGeneration": 1})
        cluster = seen.objects.get("Cluster", namespace, "shop")
        assert cluster is not None
        events.normal(cluster, "Tested", "the rights are enough")
        await events.flush(10)
        listed = await api.request("GET", f"/api/v1/namespaces/{namespace}/events")
        assert "Tested" in {event["reason"] for event in listed["items"]}
        await api.create(a_cluster(namespace, "late"))
        await until(seen.saw(there(namespace, "late")), "what the watch brings", seconds=10)
    posting.cancel()
    await own.close()
    assert "forbidden" not in caplog.text.lower()


async def test_a_standby_knows_everything_and_touches_nothing_until_the_leader_goes(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    await api.create(a_cluster(namespace))
    async with running(kubeconfig, namespace) as leader:
        first = await leader.controller()
        await until(first.saw(there(namespace)), "the leader works")
        async with running(kubeconfig, namespace) as standby:
            second = await standby.controller()

            async def warm() -> bool:
                return second.objects.get("Cluster", namespace, "shop") is not None

            await until(warm, "the standby's store")
            assert second.calls == []
            leader.stop.set()
            await asyncio.wait_for(leader.task, 40)
            await until(second.saw(there(namespace)), "the standby takes over", seconds=10)


def deaf_to_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = Intake.observe

    def deaf(self: Intake, event_type: str | None, obj: dict[str, Any]) -> None:
        if event_type != "DELETED":
            observe(self, event_type, obj)

    monkeypatch.setattr(Intake, "observe", deaf)


async def test_a_deletion_that_no_event_told_of_is_found_by_the_sweep(
    api: KubeApi, namespace: str, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsphere_operator.cli import reading as module

    monkeypatch.setattr(module, "SWEEP", 0.5)
    deaf_to_deletions(monkeypatch)
    await api.create(a_cluster(namespace))
    async with running(kubeconfig, namespace) as operator:
        seen = await operator.controller()
        await until(seen.saw(there(namespace)), "the object")
        await api.delete("Cluster", namespace, "shop")
        await until(seen.saw(gone(namespace)), "its end", seconds=10)


async def test_kinds_that_are_missing_are_named_once_and_waited_for(
    bare_kubeconfig: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api = KubeApi(KubeconfigFile(bare_kubeconfig))
    await remove_crds(api)
    try:
        async with running(bare_kubeconfig, "default") as operator:

            async def said() -> bool:
                return "does not know seeds, presets, clusters" in caplog.text

            await until(said, "what is missing")
            assert operator.seen is None
            await install_crds(api)
            seen = await operator.controller()
            await api.create(a_cluster("default"))
            await until(seen.saw(there("default")), "an object of the new kind")
            await api.delete("Cluster", "default", "shop")
        assert caplog.text.count("apply crds/") <= 6, "one line for each set of missing kinds"
        assert not [record for record in caplog.records if record.exc_info]
    finally:
        await remove_crds(api)
        await api.close()


async def test_a_kind_that_is_taken_away_and_comes_back_is_watched_again(
    bare_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch may end before it has told of the last deletions: then nobody does."""
    deaf_to_deletions(monkeypatch)

    async def noticed() -> bool:
        return "watching Kubernetes ended" in caplog.text

    api = KubeApi(KubeconfigFile(bare_kubeconfig))
    await install_crds(api)
    try:
        async with running(bare_kubeconfig, "default") as operator:
            seen = await operator.controller()
            await api.create(a_cluster("default", "before"))
            await until(seen.saw(there("default", "before")), "an object before")
            await remove_crds(api)
            await until(noticed, "the end of the watch")
            await install_crds(api)
            await api.create(a_cluster("default", "after"))
            await until(seen.saw(there("default", "after")), "an object after", seconds=60)
            await until(seen.saw(gone("default", "before")), "the end of the one before", seconds=60)
    finally:
        await remove_crds(api)
        await api.close()


async def test_without_rights_the_operator_says_which_and_waits(
    kubeconfig: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = kubeconfig_with(kubeconfig, tmp_path, {"token": "nobody-knows-me"})
    async with running(stranger, "default"):

        async def said() -> bool:
            return "does not know these credentials" in caplog.text

        await until(said, "the cause")
    assert not [record for record in caplog.records if record.exc_info]
    assert "nobody-knows-me" not in caplog.text
