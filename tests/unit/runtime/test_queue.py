from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.queue import Priority, WorkQueue

from .virtual_time import now, run_virtually


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_key(name: str) -> Key:
    return Key("Machine", "team", name)


A, B, C = a_key("a"), a_key("b"), a_key("c")


def a_queue() -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock=clock, rng=random.Random(1)), clock  # noqa: S311


def drained(queue: WorkQueue) -> list[Key]:
    found = []
    while (key := queue.pop()) is not None:
        found.append(key)
        queue.done(key)
    return found


def test_a_key_is_queued_once_however_often_it_is_added() -> None:
    queue, _ = a_queue()
    for _ in range(5):
        queue.add(A)
    assert len(queue) == 1
    assert drained(queue) == [A]


def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue, _ = a_queue()
    for key in (B, A, C):
        queue.add(key)
    queue.add(B)
    assert drained(queue) == [B, A, C]


def test_deletions_go_first_and_resyncs_last() -> None:
    queue, _ = a_queue()
    queue.add(A, Priority.RESYNC)
    queue.add(B)
    queue.add(C, Priority.DELETE)
    assert drained(queue) == [C, B, A]


def test_a_more_urgent_wish_moves_a_waiting_key_forward_and_a_lesser_one_not_back() -> None:
    queue, _ = a_queue()
    queue.add(A, Priority.NORMAL)
    queue.add(B, Priority.RESYNC)
    queue.add(B, Priority.DELETE)
    queue.add(B, Priority.RESYNC)
    assert drained(queue) == [B, A]


def test_a_key_that_changes_while_it_is_worked_on_is_worked_on_once_more() -> None:
    queue, _ = a_queue()
    queue.add(A)
    assert queue.pop() == A
    queue.add(A)
    queue.add(A)
    assert queue.pop() is None
    queue.done(A)
    assert drained(queue) == [A]


def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    queue, clock = a_queue()
    queue.add_after(A, 10)
    clock.now = 9.9
    assert queue.pop() is None
    clock.now = 10
    assert drained(queue) == [A]


@pytest.mark.parametrize("delays", [(10, 3), (3, 10)])
def test_of_two_delays_the_shorter_one_counts(delays: tuple[int, int]) -> None:
    queue, clock = a_queue()
    for delay in delays:
        queue.add_after(A, delay)
    assert queue.next_due() == 3
    clock.now = 3
    assert drained(queue) == [A]
    clock.now = 20
    assert drained(queue) == []


def test_a_delayed_key_that_is_due_while_it_is_worked_on_comes_after() -> None:
    queue, clock = a_queue()
    queue.add(A)
    queue.pop()
    queue.add_after(A, 5)
    clock.now = 6
    assert queue.pop() is None
    queue.done(A)
    assert drained(queue) == [A]


def test_pauses_after_failures_grow_from_one_second_to_five_minutes_and_differ() -> None:
    queue, _ = a_queue()
    ceilings = [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    pauses = [queue.retry(A) for _ in ceilings]
    assert all(1 <= pause <= ceiling for pause, ceiling in zip(pauses, ceilings, strict=True))
    many = [queue.retry(A) for _ in range(200)]
    assert max(many) > 250
    assert min(many) < 50
    assert all(1 <= pause <= 300 for pause in many)


def test_success_makes_the_next_failure_the_first() -> None:
    queue, _ = a_queue()
    for _ in range(9):
        queue.retry(A)
    queue.forget(A)
    assert queue.failures(A) == 0
    assert queue.retry(A) <= 2


def test_a_million_failures_are_no_overflow() -> None:
    queue, _ = a_queue()
    queue._failures[A] = 1_000_000
    assert 1 <= queue.retry(A) <= 300


def test_delayed_keys_are_announced_when_their_time_has_come_also_sooner_ones_that_came_later() -> None:
    async def scenario() -> list[tuple[Key | None, float]]:
        queue = WorkQueue(clock=now)
        ready: list[tuple[Key | None, float]] = []
        queue.on_ready(lambda lane: ready.append((queue.pop(lane), now())))
        keeping = asyncio.create_task(queue.keep_time())
        queue.add_after(A, 60)
        asyncio.get_running_loop().call_later(1, queue.add_after, B, 4)
        asyncio.get_running_loop().call_later(7, queue.add, C)
        await asyncio.sleep(100)
        keeping.cancel()
        return ready

    assert run_virtually(scenario()) == [(B, 5), (C, 7), (A, 60)]


def test_time_is_kept_without_looking_at_the_clock_all_the_time() -> None:
    async def scenario() -> int:
        asked = 0

        def clock() -> float:
            nonlocal asked
            asked += 1
            return now()

        queue = WorkQueue(clock=clock)
        keeping = asyncio.create_task(queue.keep_time())
        queue.add_after(A, 10)
        for number in range(1000):
            queue.add_after(a_key(str(number)), 20 + number)
        before = asked
        await asyncio.sleep(9)
        assert asked - before < 10
        keeping.cancel()
        return len(queue)

    assert run_virtually(scenario()) == 0


def by_name(key: Key) -> str:
    return key.name[0]


def test_each_lane_is_taken_from_by_itself_and_keeps_its_order() -> None:
    queue = WorkQueue(lane_of=by_name)
    keys = [a_key(name) for name in ("a1", "b1", "a2", "b2")]
    for key in keys:
        queue.add(key)
    queue.add(keys[3], Priority.DELETE)
    assert queue.lanes == {"a": 2, "b": 2}
    assert len(queue) == 4
    assert [queue.pop("b"), queue.pop("b"), queue.pop("b")] == [keys[3], keys[1], None]
    assert [queue.pop("a"), queue.pop("a"), queue.pop("a")] == [keys[0], keys[2], None]
    assert queue.pop("nobody's") is None
    assert queue.lanes == {}


def test_a_key_that_is_added_again_follows_to_its_new_lane_and_loses_nothing() -> None:
    lane = "old"
    queue = WorkQueue(lane_of=lambda key: lane)
    queue.add(A, Priority.DELETE)
    lane = "new"
    queue.add(B)
    queue.add(A, Priority.RESYNC)
    assert queue.pop("old") is None
    assert [queue.pop("new"), queue.pop("new"), queue.pop("new")] == [A, B, None]


def test_a_key_whose_lane_changes_during_the_work_is_still_worked_on_by_one_alone() -> None:
    lane = "old"
    queue = WorkQueue(lane_of=lambda key: lane)
    ready: list[str] = []
    queue.on_ready(ready.append)
    queue.add(A)
    assert queue.pop("old") == A
    lane = "new"
    queue.add(A)
    assert [queue.pop("old"), queue.pop("new")] == [None, None]
    queue.done(A)
    assert ready == ["old", "new"]
    assert queue.pop("new") == A


KEYS = [a_key(str(n)) for n in range(4)]


LANES = ("a", "b")


class QueueMachine(RuleBasedStateMachine):
    """Any interleaving of adds, delays, failures, workers and changes of lanes: nothing is lost, nothing runs
    twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.lanes = dict.fromkeys(KEYS, "a")
        self.queue = WorkQueue(clock=self.clock, rng=random.Random(7), lane_of=self.lanes.__getitem__)  # noqa: S311
        self.working: list[Key] = []
        self.owed: set[Key] = set()
        self.due: dict[Key, float] = {}

    def take(self) -> Key | None:
        for key in [key for key, due in self.due.items() if due <= self.clock.now]:
            del self.due[key]  # its time has come: from now on it is owed like what was added
            self.owed.add(key)
        return self.popped()

    def popped(self) -> Key | None:
        key = self.queue.pop("a") or self.queue.pop("b")
        if key is None:
            assert self.owed <= set(self.working), "a key whose time has come is not given out"
        else:
            assert key not in self.working, "a key is worked on twice at once"
            self.working.append(key)
            self.owed.discard(key)
        return key

    @rule(key=st.sampled_from(KEYS), lane=st.sampled_from(LANES))
    def move(self, key: Key, lane: str) -> None:
        self.lanes[key] = lane

    @rule(key=st.sampled_from(KEYS), priority=st.sampled_from(Priority))
    def add(self, key: Key, priority: Priority) -> None:
        self.queue.add(key, priority)
        self.owed.add(key)

    @rule(key=st.sampled_from(KEYS), delay=st.integers(1, 20))
    def add_after(self, key: Key, delay: int) -> None:
        self.queue.add_after(key, delay)
        self.due[key] = min(self.due.get(key, float("inf")), self.clock.now + delay)

    @rule(key=st.sampled_from(KEYS))
    def fail(self, key: Key) -> None:
        pause = self.queue.retry(key)
        self.due[key] = min(self.due.get(key, float("inf")), self.clock.now + pause)

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def pop(self) -> None:
        self.take()

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.working))
        self.working.remove(key)
        self.queue.done(key)

    @invariant()
    def what_is_processed_is_what_workers_hold(self) -> None:
        assert self.queue.processing == frozenset(self.working)

    def teardown(self) -> None:
        self.clock.now += 1000
        for key in list(self.working):
            self.working.remove(key)
            self.queue.done(key)
        while (taken := self.take()) is not None:
            self.working.remove(taken)
            self.queue.done(taken)
        assert self.owed == set(), "a key was lost"
        assert self.due == {}, "a delayed key was lost"
        assert self.queue.delayed == 0


QueueMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestAnyInterleaving = QueueMachine.TestCase
