"""Full reads: what is due is read once more, and a read that fails is not forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from vsphere_operator.cli import reading
from vsphere_operator.cli.reading import FullReads
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.kube.kinds import KINDS, WATCHED
from vsphere_operator.observability.metrics import Metrics
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.store import Store

CLUSTER = KINDS["Cluster"]


def cluster(name: str, version: int) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"apiVersion": CLUSTER.api_version, "kind": "Cluster", "metadata": metadata}


class FakeApi:
    """Lists what it holds; the next lists can be told to fail."""

    def __init__(self) -> None:
        self.clusters: list[dict[str, Any]] = []
        self.version = 100
        self.listed: list[str] = []
        self.failures = 0

    async def pages(self, kind: str) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        self.listed.append(kind)
        if self.failures:
            self.failures -= 1
            raise KubeError(404, "NotFound", "the server could not find the requested resource")
        yield list(self.clusters) if kind == "Cluster" else [], str(self.version)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def store() -> Store:
    return Store()


async def reads(store: Store, api: Any) -> FullReads:
    return FullReads(store, api, Metrics())


async def settled(ready: Any) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.001)


async def test_what_went_while_nobody_watched_is_gone_after_the_watch_begins_anew(
    store: Store, api: FakeApi
) -> None:
    store.observe(cluster("gone", 50))
    full = await reads(store, api)
    working = asyncio.create_task(full.keep_up(on_sweep=lambda: None))
    full.due(CLUSTER)
    await settled(lambda: store.get(Key("Cluster", "team", "gone")) is None)
    assert api.listed == ["Cluster"], "the other kinds lost nothing"
    working.cancel()


async def test_a_read_begun_after_the_watch_is_enough(store: Store, api: FakeApi) -> None:
    full = await reads(store, api)
    for _ in range(3):
        full.due(CLUSTER)
    await full.everything()
    assert sorted(api.listed) == sorted(WATCHED)
    working = asyncio.create_task(full.keep_up(on_sweep=lambda: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(api.listed) == len(WATCHED)
    working.cancel()


async def test_a_read_that_fails_drops_nothing_and_is_tried_again(
    store: Store, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "RETRY", 0.01)
    store.observe(cluster("kept", 50))
    store.observe(cluster("gone", 51))
    api.clusters, api.failures = [cluster("kept", 50)], 2
    full = await reads(store, api)
    working = asyncio.create_task(full.keep_up(on_sweep=lambda: None))
    full.due(CLUSTER)
    await settled(lambda: len(api.listed) == 2)
    assert store.count("Cluster") == 2, "a kind that is not served proves nothing about its objects"
    await settled(lambda: len(api.listed) == 3 and store.count("Cluster") == 1)
    assert store.get(Key("Cluster", "team", "kept")) is not None
    working.cancel()


async def test_what_came_after_the_list_stays(store: Store, api: FakeApi) -> None:
    full = await reads(store, api)
    store.observe(cluster("new", 101))
    full.due(CLUSTER)
    await full.everything()
    assert store.get(Key("Cluster", "team", "new")) is not None
