from __future__ import annotations

import asyncio
import threading
import time
from itertools import islice
from typing import Any

import pytest

from vsphere_operator.handlers import watching
from vsphere_operator.handlers.watching import SLICE, Backoffs, Inbox, _settings, run_to_its_end


def test_kopf_never_gives_up_reaching_the_api() -> None:
    backoffs = Backoffs()
    pauses = list(islice(backoffs, 500))
    assert all(0.5 <= pause <= 30 for pause in pauses)
    assert pauses[0] <= 1
    assert next(iter(backoffs)) <= 1, "each outage begins with a short pause"


def test_kopf_writes_nothing_and_obeys_no_peer() -> None:
    settings = _settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.process.ultimate_exiting_timeout is None


async def test_events_of_another_thread_arrive_in_order_and_none_is_lost() -> None:
    got: list[Any] = []
    everything = asyncio.Event()

    def sink(_: str | None, obj: dict[str, Any]) -> None:
        got.append(obj["number"])
        if len(got) == 20_000:
            everything.set()

    inbox = Inbox(asyncio.get_running_loop(), sink)

    def send() -> None:
        for number in range(20_000):
            inbox.put("ADDED", {"number": number})

    thread = threading.Thread(target=send)
    thread.start()
    await asyncio.wait_for(everything.wait(), 30)
    thread.join()
    assert got == list(range(20_000))


async def test_a_flood_of_events_lets_others_in_between() -> None:
    turns = 0
    done = asyncio.Event()

    def sink(_: str | None, obj: dict[str, Any]) -> None:
        time.sleep(0.002)
        if obj["last"]:
            done.set()

    inbox = Inbox(asyncio.get_running_loop(), sink)
    for number in range(100):
        inbox.put("ADDED", {"last": number == 99})
    while not done.is_set():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 100 * 0.002 / SLICE / 2


async def test_an_event_that_cannot_be_taken_over_does_not_make_deaf_for_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = asyncio.Event()

    def sink(_: str | None, obj: dict[str, Any]) -> None:
        if obj["odd"]:
            raise ValueError("no name")
        done.set()

    inbox = Inbox(asyncio.get_running_loop(), sink)
    inbox.put("ADDED", {"odd": True, "kind": "Machine"})
    await asyncio.sleep(0)
    inbox.put("ADDED", {"odd": False, "kind": "Machine"})
    await asyncio.wait_for(done.wait(), 5)
    assert "event of Machine" in caplog.text


def test_a_task_that_swallows_its_cancellation_does_not_keep_a_dead_watch_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LEAVING", 0.05)
    stubborn: list[asyncio.Task[None]] = []

    async def never_ends() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    async def life() -> None:
        stubborn.append(asyncio.create_task(never_ends()))
        await asyncio.sleep(0)
        raise RuntimeError("a watcher has failed")

    error = run_to_its_end(life())
    assert str(error) == "a watcher has failed"
    assert not stubborn[0].done()


def test_a_watch_that_was_asked_to_end_has_no_error() -> None:
    async def life() -> None:
        await asyncio.sleep(0)

    assert run_to_its_end(life()) is None
