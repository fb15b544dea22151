from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from vsphere_operator.kube import events as module
from vsphere_operator.kube.errors import Forbidden
from vsphere_operator.kube.events import Events

from .api import a_cluster


class Recorder:
    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.error: Exception | None = None

    async def create(self, obj: dict[str, Any], /) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.posted.append(obj)
        return obj


class Time:
    now = 0.0


@asynccontextmanager
async def posting(events: Events) -> AsyncIterator[None]:
    task = asyncio.create_task(events.run())
    yield
    await events.flush(5)
    task.cancel()


SHOP = a_cluster(uid="u1", resourceVersion="5")


async def test_an_event_names_its_object_its_reason_and_who_says_it() -> None:
    api = Recorder()
    events = Events(api, "pod-1")
    async with posting(events):
        events.warning(SHOP, "CredentialsRejected", "vCenter refused the password of shop-vsphere")
    (event,) = api.posted
    assert event["involvedObject"]["name"] == "shop"
    assert event["involvedObject"]["uid"] == "u1"
    assert event["metadata"]["namespace"] == "team"
    assert (event["type"], event["reason"]) == ("Warning", "CredentialsRejected")
    assert (event["source"]["component"], event["reportingInstance"]) == ("vsphere-operator", "pod-1")


async def test_the_same_event_is_told_once_an_hour() -> None:
    api, time = Recorder(), Time()
    events = Events(api, "pod-1", clock=lambda: time.now)
    async with posting(events):
        for time.now in (0.0, 10.0, 3599.0, 3700.0):
            events.normal(SHOP, "FolderCreated", "made the folder")
        events.normal(SHOP, "FolderCreated", "made another folder")
    assert [event["message"] for event in api.posted] == [
        "made the folder",
        "made the folder",
        "made another folder",
    ]


async def test_telling_never_waits_however_many_are_told() -> None:
    api = Recorder()
    events = Events(api, "pod-1")
    for number in range(module.CAPACITY + 5):
        events.normal(SHOP, "Counted", f"number {number}")
    assert events.dropped == 5
    assert api.posted == []


async def test_an_event_that_is_refused_stops_nothing() -> None:
    api = Recorder()
    api.error = Forbidden(403, "Forbidden", "events is forbidden")
    events = Events(api, "pod-1")
    async with posting(events):
        events.normal(SHOP, "One", "lost")
        await events.flush(5)
        api.error = None
        events.normal(SHOP, "Two", "kept")
    assert [event["reason"] for event in api.posted] == ["Two"]


async def test_a_long_message_is_cut_to_what_the_api_takes() -> None:
    api = Recorder()
    events = Events(api, "pod-1")
    async with posting(events):
        events.normal(SHOP, "Long", "x" * 5000)
    assert len(api.posted[0]["message"]) == 1024


@pytest.mark.parametrize("length", [1, 253])
async def test_the_events_of_a_cluster_scoped_object_of_any_name_live_in_default(length: int) -> None:
    api = Recorder()
    events = Events(api, "pod-1")
    seed = {"kind": "Seed", "apiVersion": "x/v1", "metadata": {"name": "e" * length, "uid": "u"}}
    async with posting(events):
        events.normal(seed, "Ready", "checked")
    assert api.posted[0]["metadata"]["namespace"] == "default"
    assert len(api.posted[0]["metadata"]["name"]) <= 253
