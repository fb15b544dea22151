"""Tries beside the workers: none waits for another, and each comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from vsphere_operator.controllers.cluster import deliveries
from vsphere_operator.controllers.cluster.deliveries import Deliveries, Outcome
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.kube.errors import Unavailable
from vsphere_operator.runtime.keys import Key

SHOP = Key("Cluster", "team", "shop")
PROBLEM = Problem("CloudConfigDelivered", "ObjectTaken", "words")


class Bench:
    def __init__(self) -> None:
        self.time = 0.0
        self.woken: asyncio.Queue[Key] = asyncio.Queue()
        self.deliveries = Deliveries(self.woken.put_nowait, lambda: self.time)

    def look(
        self, act: Callable[[], Awaitable[Problem | None]], wanted: object = "a", key: Key = SHOP
    ) -> Outcome | None:
        return self.deliveries.look(key, wanted, act, interval=100.0)

    async def woke(self) -> Key:
        async with asyncio.timeout(5):
            return await self.woken.get()


async def fine() -> None:
    return None


async def taken() -> Problem:
    return PROBLEM


async def away() -> None:
    raise Unavailable(0, "Timeout", "gave no answer")


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_the_end_of_a_try_wakes_and_tells_what_it_came_to() -> None:
    bench = Bench()
    assert bench.look(fine) is None
    assert await bench.woke() == SHOP
    assert bench.look(fine) == Outcome(None)
    assert 80 <= (bench.deliveries.next_look(SHOP) or 0) <= 120


async def test_a_hung_one_delays_no_other() -> None:
    bench = Bench()
    for number in range(50):
        bench.look(for_ever, key=Key("Cluster", "team", f"hung-{number}"))
    bench.look(fine)
    assert await bench.woke() == SHOP


async def test_a_try_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "LONGEST", 0.05)
    bench = Bench()
    bench.look(for_ever)
    await bench.woke()
    outcome = bench.look(for_ever)
    assert outcome is not None
    assert outcome.problem is not None
    assert outcome.problem.reason == "Timeout"


async def test_failures_pause_longer_and_longer_and_success_ends_that() -> None:
    bench = Bench()
    pauses = []
    for _ in range(9):
        bench.look(away)
        await bench.woke()
        pauses.append(bench.deliveries.next_look(SHOP) or 0.0)
        bench.time += pauses[-1]
    assert pauses[0] < 7
    assert 240 <= pauses[-1] <= 360
    bench.look(fine)
    await bench.woke()
    bench.time += 130
    bench.look(taken)
    await bench.woke()
    assert (bench.deliveries.next_look(SHOP) or 0.0) < 7


async def test_nothing_is_tried_again_before_it_is_due() -> None:
    bench = Bench()
    bench.look(taken)
    await bench.woke()
    assert bench.look(for_ever) == Outcome(PROBLEM)
    assert bench.deliveries.next_look(SHOP) is not None


async def test_another_wish_is_tried_at_once_and_the_old_outcome_says_nothing_of_it() -> None:
    bench = Bench()
    bench.look(taken)
    await bench.woke()
    assert bench.look(fine, wanted="b") is None
    await bench.woke()
    assert bench.look(fine, wanted="b") == Outcome(None)


async def test_a_wish_that_changes_under_a_try_is_tried_after_it() -> None:
    bench = Bench()
    go_on = asyncio.Event()

    async def slow() -> None:
        await go_on.wait()

    bench.look(slow, wanted="a")
    assert bench.look(taken, wanted="b") is None
    go_on.set()
    await bench.woke()
    assert bench.look(taken, wanted="b") is None
    await bench.woke()
    assert bench.look(taken, wanted="b") == Outcome(PROBLEM)


async def test_who_is_forgotten_is_not_woken() -> None:
    bench = Bench()
    bench.look(for_ever)
    await asyncio.sleep(0)
    bench.deliveries.forget(SHOP)
    await asyncio.sleep(0)
    assert bench.woken.empty()
    assert bench.deliveries.next_look(SHOP) is None


async def test_a_fault_of_our_own_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise KeyError("metadata")

    bench = Bench()
    bench.look(broken)
    await bench.woke()
    outcome = bench.look(broken)
    assert outcome is not None
    assert outcome.problem is not None
    assert outcome.problem.reason == "InternalError"
    assert "failed" in caplog.text
