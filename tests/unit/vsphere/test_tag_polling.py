"""One look a minute at the tags of all watched objects, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vsphere_operator.vsphere.answers import Present, Unknown
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags.polling import INTERVAL, TagPoll

ONE, TWO = MoRef("Folder:one"), MoRef("Folder:two")
DOWN = Fault(FaultClass.UNREACHABLE, "TimedOut", "No answer.", 30.0, "TimeoutError")


class Timer:
    def __init__(self, at: float, callback: Callable[[], object]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Bench:
    """vCenter's answer, the calls that asked for it, and time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []
        self.on: dict[MoRef, list[str]] = {}
        self.calls: list[list[MoRef]] = []
        self.down = False
        self.gate: asyncio.Event | None = None
        self.told: list[MoRef | None] = []
        self.poll = TagPoll(
            self.read,
            notify=self._notify,
            later=self._later,
            clock=lambda: self.now,
            jitter=lambda: 1.0,
        )

    async def read(self, morefs: Sequence[MoRef], op_id: str) -> dict[MoRef, list[str]]:
        self.calls.append(list(morefs))
        found = {m: list(self.on.get(m, [])) for m in morefs}
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise VSphereError(DOWN)
        return found

    def _notify(self, changes: Sequence[Change]) -> None:
        assert {c.kind for c in changes} == {"tags"}
        self.told += [c.moref for c in changes]

    def _later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        self.timers.append(Timer(self.now + delay, callback))
        return self.timers[-1]

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            await self.settle()
            due = [t for t in self.timers if not t.cancelled and t.at <= until]
            if not due:
                break
            timer = min(due, key=lambda t: t.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            timer.callback()
        self.now = until

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def look(self, moref: MoRef, max_age: float = INTERVAL) -> Any:
        asking = asyncio.ensure_future(self.poll.look(moref, max_age=max_age))
        await self.advance(0.1)
        return await asking


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_nothing_watched_is_no_call(bench: Bench) -> None:
    await bench.advance(10 * INTERVAL)
    assert bench.calls == []
    bench.poll.watch(ONE)
    bench.poll.unwatch(ONE)
    await bench.advance(10 * INTERVAL)
    assert bench.calls == []


async def test_all_watched_objects_share_one_look_a_minute(bench: Bench) -> None:
    morefs = [MoRef(f"Folder:{n}") for n in range(1000)]
    for moref in morefs:
        bench.poll.watch(moref)
    await bench.advance(10 * (INTERVAL + 1.0))
    assert len(bench.calls) == 10
    assert set(bench.calls[0]) == set(morefs)


async def test_a_difference_is_told_once_and_a_first_look_is_none(bench: Bench) -> None:
    bench.poll.watch(ONE)
    bench.poll.watch(TWO)
    bench.on[ONE] = ["a"]
    await bench.advance(INTERVAL + 1.0)
    assert bench.told == []
    assert bench.poll.last(ONE) == Present(frozenset({"a"}))
    assert bench.poll.last(TWO) == Present(frozenset())
    bench.on[TWO] = ["b"]
    await bench.advance(3 * (INTERVAL + 1.0))
    assert bench.told == [TWO]


async def test_a_failed_look_leaves_unknown_and_never_no_tags(bench: Bench) -> None:
    bench.poll.watch(ONE)
    assert isinstance(bench.poll.last(ONE), Unknown)
    bench.on[ONE] = ["a"]
    await bench.advance(INTERVAL + 1.0)
    bench.down = True
    await bench.advance(INTERVAL + 1.0)
    assert bench.poll.last(ONE) == Unknown("No answer.", DOWN)
    assert bench.told == []
    bench.down = False
    await bench.advance(INTERVAL + 1.0)
    assert bench.poll.last(ONE) == Present(frozenset({"a"}))
    assert bench.told == []
    bench.down, bench.on[ONE] = True, []
    await bench.advance(INTERVAL + 1.0)
    bench.down = False
    await bench.advance(INTERVAL + 1.0)
    assert bench.told == [ONE]


async def test_a_good_look_is_enough_for_whoever_asks_within_its_age(bench: Bench) -> None:
    bench.poll.watch(ONE)
    bench.on[ONE] = ["a"]
    assert await bench.look(ONE) == Present(frozenset({"a"}))
    bench.down = True
    await bench.advance(INTERVAL + 1.0)
    calls = len(bench.calls)
    assert await bench.look(ONE, max_age=10 * INTERVAL) == Present(frozenset({"a"}))
    assert len(bench.calls) == calls
    assert await bench.look(ONE, max_age=1.0) == Unknown("No answer.", DOWN)


async def test_a_hundred_who_ask_at_once_are_answered_by_one_call(bench: Bench) -> None:
    morefs = [MoRef(f"Folder:{n}") for n in range(100)]
    for moref in morefs:
        bench.poll.watch(moref)
    asking = [asyncio.ensure_future(bench.poll.look(m, max_age=1.0)) for m in morefs]
    await bench.advance(0.1)
    assert all(isinstance(answer, Present) for answer in await asyncio.gather(*asking))
    assert len(bench.calls) == 1


async def test_what_we_attach_ourselves_is_no_news_even_while_a_look_is_on_its_way(bench: Bench) -> None:
    bench.poll.watch(ONE)
    bench.on[ONE] = ["theirs"]
    await bench.look(ONE)
    bench.gate = asyncio.Event()
    await bench.advance(INTERVAL + 1.0)
    bench.poll.changed(ONE, add=["ours"])
    bench.gate.set()
    await bench.settle()
    assert bench.poll.last(ONE) == Present(frozenset({"ours", "theirs"}))
    bench.on[ONE] = ["theirs", "ours"]
    await bench.advance(INTERVAL + 1.0)
    bench.poll.changed(ONE, remove=["ours"])
    bench.on[ONE] = ["theirs"]
    await bench.advance(INTERVAL + 1.0)
    assert bench.told == []


async def test_two_who_watch_need_two_to_stop(bench: Bench) -> None:
    for _ in range(2):
        bench.poll.watch(ONE)
    bench.poll.unwatch(ONE)
    await bench.advance(INTERVAL + 1.0)
    assert len(bench.calls) == 1
    bench.poll.unwatch(ONE)
    await bench.advance(5 * INTERVAL)
    assert len(bench.calls) == 1


async def test_whoever_waits_when_it_closes_learns_nothing(bench: Bench) -> None:
    asking = asyncio.ensure_future(bench.poll.look(ONE, max_age=1.0))
    await bench.settle()
    bench.poll.close()
    assert isinstance(await asking, Unknown)
    assert isinstance(await bench.poll.look(ONE, max_age=1.0), Unknown)
    bench.poll.watch(ONE)
    await bench.advance(5 * INTERVAL)
    assert bench.calls == []


async def test_what_a_record_says_is_believed_until_the_next_round_and_what_differs_is_told() -> None:
    bench = Bench()
    bench.on = {ONE: ["a"], TWO: ["a"]}
    bench.poll.watch(ONE, {"a"})
    bench.poll.watch(TWO, {"a"})
    bench.poll.watch(TWO, {"b"})
    assert bench.poll.last(TWO) == Present(frozenset({"a", "b"}))
    await bench.advance(1.0)
    assert bench.calls == []
    await bench.advance(INTERVAL + 1.0)
    assert bench.calls == [[ONE, TWO]]
    assert bench.told == [TWO]
    bench.poll.watch(ONE, {"z"})
    assert bench.poll.last(ONE) == Present(frozenset({"a"})), "what was seen is worth more than a record"
