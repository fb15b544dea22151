from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsphere_operator.runtime.engine import Engine, Expected, Result, Retry
from vsphere_operator.runtime.keys import Key, working_on
from vsphere_operator.runtime.queue import Priority, WorkQueue

from .virtual_time import now, run_virtually

Action = Callable[[Key], Awaitable[Result]]


def a_key(name: str) -> Key:
    return Key("Machine", "team", name)


A, B = a_key("a"), a_key("b")


class Worked:
    """A controller that notes when it was called, and does what the test says."""

    kind = "Machine"

    def __init__(self, action: Action | None = None) -> None:
        self.calls: list[tuple[Key, float]] = []
        self._action = action

    async def reconcile(self, key: Key) -> Result:
        self.calls.append((key, now()))
        return await self._action(key) if self._action else Result()


def an_engine(
    controller: Worked,
    workers: int = 4,
    urgent: Callable[[Key], bool] = lambda key: False,
    lane_of: Callable[[Key], str] = lambda key: "",
) -> Engine:
    queue = WorkQueue(clock=now, rng=random.Random(3), lane_of=lane_of)  # noqa: S311
    return Engine(queue, [controller], workers, urgent=urgent, clock=now)


def test_an_enqueued_key_is_reconciled_when_the_gate_opens_and_not_before() -> None:
    async def scenario() -> None:
        controller = Worked()
        engine = an_engine(controller)
        engine.start()
        engine.enqueue(A)
        await asyncio.sleep(5)
        assert controller.calls == []
        engine.open()
        await asyncio.sleep(1)
        assert controller.calls == [(A, 5)]
        await engine.drain(1)

    run_virtually(scenario())


def test_after_the_gate_closed_nothing_new_is_begun_and_nothing_is_forgotten() -> None:
    async def scenario() -> None:
        controller = Worked()
        engine = an_engine(controller)
        engine.start()
        engine.open()
        await asyncio.sleep(1)  # the workers wait for a key now
        engine.close()
        engine.enqueue(A)
        await asyncio.sleep(5)
        assert controller.calls == []
        engine.open()
        await asyncio.sleep(1)
        assert [key for key, _ in controller.calls] == [A]
        await engine.drain(1)

    run_virtually(scenario())


def test_a_gate_that_closes_during_the_work_lets_it_end_and_begins_no_more() -> None:
    async def scenario() -> None:
        async def slowly(_: Key) -> Result:
            await asyncio.sleep(10)
            return Result()

        controller = Worked(slowly)
        engine = an_engine(controller, workers=1)
        engine.start()
        engine.open()
        engine.enqueue(A)
        engine.enqueue(B)
        await asyncio.sleep(1)
        engine.close()
        await asyncio.sleep(60)
        assert controller.calls == [(A, 0)]
        engine.open()
        await asyncio.sleep(60)
        assert controller.calls == [(A, 0), (B, 61)]
        await engine.drain(1)

    run_virtually(scenario())


def test_a_result_brings_the_key_back_after_its_time() -> None:
    async def scenario() -> list[float]:
        results = iter([Result(requeue_after=30), Result()])

        async def answer(_: Key) -> Result:
            return next(results)

        controller = Worked(answer)
        engine = an_engine(controller)
        engine.start()
        engine.open()
        engine.enqueue(A, after=2)
        await asyncio.sleep(100)
        await engine.drain(1)
        return [at for _, at in controller.calls]

    assert run_virtually(scenario()) == [2, 32]


def test_a_retry_says_itself_when() -> None:
    async def scenario() -> list[float]:
        async def answer(_: Key) -> Result:
            if len(controller.calls) == 1:
                raise Retry(7, "the task still runs")
            return Result()

        controller = Worked(answer)
        engine = an_engine(controller)
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(100)
        await engine.drain(1)
        return [at for _, at in controller.calls]

    assert run_virtually(scenario()) == [0, 7]


class Disturbed(Expected):
    pass


def test_an_expected_error_backs_off_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> list[float]:
        async def answer(_: Key) -> Result:
            raise Disturbed("somebody else was faster")

        controller = Worked(answer)
        engine = an_engine(controller)
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(3600)
        await engine.drain(1)
        return [at for _, at in controller.calls]

    times = run_virtually(scenario())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(1 <= pause <= 300 for pause in pauses)
    assert max(pauses) > 100
    assert all(record.exc_info is None for record in caplog.records)
    assert "somebody else was faster" in caplog.text


def test_a_bug_shows_its_traceback_once_for_each_key_and_again_after_a_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        failing = True

        async def answer(_: Key) -> Result:
            if failing:
                raise ValueError(f"at {now()}")  # other words each time, one place in the code
            return Result()

        controller = Worked(answer)
        engine = an_engine(controller)
        engine.start()
        engine.open()
        for key in (A, B):
            engine.enqueue(key)
        await asyncio.sleep(60)
        assert len([r for r in caplog.records if r.exc_info]) == 2
        assert len(caplog.records) > 4
        failing = False
        await asyncio.sleep(600)
        failing = True
        engine.enqueue(A)
        await asyncio.sleep(1)
        assert len([r for r in caplog.records if r.exc_info]) == 3
        await engine.drain(1)

    run_virtually(scenario())


def test_two_different_bugs_of_one_key_both_show_their_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async def answer(_: Key) -> Result:
            if len(controller.calls) % 2:
                raise ValueError("odd")
            raise KeyError("even")

        controller = Worked(answer)
        engine = an_engine(controller)
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(600)
        await engine.drain(1)

    run_virtually(scenario())
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [ValueError, KeyError]


def test_the_keys_of_deleted_objects_jump_the_line() -> None:
    async def scenario() -> list[Key]:
        controller = Worked()
        engine = an_engine(controller, workers=1, urgent=lambda key: key == B)
        engine.enqueue(A)
        engine.enqueue(B, priority=Priority.RESYNC)
        engine.start()
        engine.open()
        await asyncio.sleep(1)
        await engine.drain(1)
        return [key for key, _ in controller.calls]

    assert run_virtually(scenario()) == [B, A]


def test_while_a_key_is_worked_on_its_name_is_in_the_context() -> None:
    async def scenario() -> Key | None:
        seen: list[Key | None] = []

        async def look(_: Key) -> Result:
            seen.append(working_on.get())
            return Result()

        engine = an_engine(Worked(look))
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(1)
        await engine.drain(1)
        assert working_on.get() is None
        return seen[0]

    assert run_virtually(scenario()) == A


def test_draining_lets_work_end_and_begins_no_more() -> None:
    async def scenario() -> None:
        ended: list[Key] = []

        async def slowly(key: Key) -> Result:
            await asyncio.sleep(10)
            ended.append(key)
            return Result()

        engine = an_engine(Worked(slowly), workers=1)
        engine.start()
        engine.open()
        engine.enqueue(A)
        engine.enqueue(B)
        await asyncio.sleep(1)
        assert await engine.drain(25) == []
        assert ended == [A]
        assert now() == 10

    run_virtually(scenario())


def test_draining_gives_up_at_its_deadline_and_names_what_it_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async def forever(_: Key) -> Result:
            await asyncio.sleep(1e6)
            return Result()

        engine = an_engine(Worked(forever))
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(1)
        assert await engine.drain(25) == [A]
        assert now() == 26

    run_virtually(scenario())
    assert [record.levelname for record in caplog.records] == [
        "WARNING"
    ]  # to be cut off is no bug of its own


def test_draining_does_not_wait_for_ever_for_work_that_holds_out_against_its_cancellation() -> None:
    async def scenario() -> None:
        async def stubbornly(_: Key) -> Result:
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(600)
            return Result()

        engine = an_engine(Worked(stubbornly))
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(1)
        assert await engine.drain(25) == [A]
        assert now() == 31

    run_virtually(scenario())


def by_name(key: Key) -> str:
    return key.name[0]


class Hanging:
    """Everything in lane a hangs until it is let go; everything else is done at once."""

    def __init__(self) -> None:
        self.begun: list[Key] = []
        self.go_on = asyncio.Event()

    async def __call__(self, key: Key) -> Result:
        self.begun.append(key)
        if by_name(key) == "a":
            await self.go_on.wait()
        return Result()

    def of(self, lane: str) -> list[Key]:
        return [key for key in self.begun if by_name(key) == lane]


async def turns(count: int) -> None:
    """Let the event loop turn that often."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_lane_that_hangs_holds_up_nobody_else() -> None:
    async def scenario() -> None:
        hanging = Hanging()
        engine = an_engine(Worked(hanging), workers=16, urgent=lambda k: k.name == "b2", lane_of=by_name)
        engine.start()
        engine.open()
        for number in range(1000):
            engine.enqueue(a_key(f"a{number}"))
        await turns(50)
        assert len(hanging.begun) == 16
        engine.enqueue(a_key("b1"))
        await turns(3)
        assert hanging.of("b") == [a_key("b1")]
        for name in ("b3", "b2"):
            engine.enqueue(a_key(name))
        engine.enqueue(a_key("c"), after=5)
        await asyncio.sleep(6)
        assert hanging.of("b") == [a_key("b1"), a_key("b2"), a_key("b3")]
        assert hanging.of("c") == [a_key("c")]
        assert len(hanging.begun) == 20
        hanging.go_on.set()
        await asyncio.sleep(1)
        assert len(set(hanging.of("a"))) == 1000
        await engine.drain(1)

    run_virtually(scenario())


def test_keys_that_a_standby_collected_get_workers_in_all_their_lanes() -> None:
    async def scenario() -> None:
        hanging = Hanging()
        engine = an_engine(Worked(hanging), workers=2, lane_of=by_name)
        engine.start()
        for number in range(5):
            engine.enqueue(a_key(f"a{number}"))
            engine.enqueue(a_key(f"b{number}"))
        engine.open()
        await asyncio.sleep(1)
        assert len(hanging.of("a")) == 2
        assert len(hanging.of("b")) == 5
        await engine.drain(1)

    run_virtually(scenario())


def test_failures_in_a_lane_back_off_while_another_hangs() -> None:
    async def scenario() -> list[float]:
        hanging = Hanging()

        async def answer(key: Key) -> Result:
            await hanging(key)
            if key == B and len(hanging.of("b")) < 4:
                raise Disturbed("away")
            return Result()

        controller = Worked(answer)
        engine = an_engine(controller, workers=1, lane_of=by_name)
        engine.start()
        engine.open()
        engine.enqueue(A)
        engine.enqueue(B)
        await asyncio.sleep(1000)
        assert list(engine.in_flight) == [A]
        assert await engine.drain(1) == [A]
        return [at for key, at in controller.calls if key == B]

    times = run_virtually(scenario())
    assert len(times) == 4
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


def test_a_key_that_changes_lanes_during_the_work_waits_for_its_end() -> None:
    async def scenario() -> None:
        hanging, lane = Hanging(), "one"
        engine = an_engine(Worked(hanging), lane_of=lambda key: lane)
        engine.start()
        engine.open()
        engine.enqueue(A)
        await turns(3)
        lane = "two"
        engine.enqueue(A)
        await asyncio.sleep(60)
        assert hanging.begun == [A]
        hanging.go_on.set()
        await turns(3)
        assert hanging.begun == [A, A]
        await engine.drain(1)

    run_virtually(scenario())


def test_workers_go_when_there_is_nothing_to_do() -> None:
    async def scenario() -> None:
        before = len(asyncio.all_tasks())
        engine = an_engine(Worked(), workers=16, lane_of=by_name)
        engine.start()
        engine.open()
        for name in "abcdefgh":
            engine.enqueue(a_key(name))
        assert len(asyncio.all_tasks()) == before + 9
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == before + 1  # who keeps the time
        await engine.drain(1)
        assert len(asyncio.all_tasks()) == before

    run_virtually(scenario())


def test_many_short_works_in_a_row_leave_the_loop_to_others() -> None:
    async def scenario() -> None:
        controller = Worked()
        engine = an_engine(controller, workers=1)
        engine.start()
        engine.open()
        for number in range(1000):
            engine.enqueue(a_key(str(number)))
        await turns(10)
        assert 0 < len(controller.calls) < 20
        await engine.drain(1)

    run_virtually(scenario())


def test_a_cancelled_future_that_a_controller_waits_for_costs_neither_the_key_nor_the_worker() -> None:
    async def scenario() -> list[Key]:
        async def answer(_: Key) -> Result:
            if len(controller.calls) == 1:
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                await future
            return Result()

        controller = Worked(answer)
        engine = an_engine(controller, workers=1)
        engine.start()
        engine.open()
        engine.enqueue(A)
        engine.enqueue(B)
        await asyncio.sleep(10)
        await engine.drain(1)
        return [key for key, _ in controller.calls]

    assert run_virtually(scenario()) == [A, B, A]


def test_a_worker_does_not_begin_in_the_name_of_who_enqueued_its_key() -> None:
    async def scenario() -> list[Key | None]:
        names: list[Key | None] = []

        class Metrics:
            def reconciled(self, kind: str, result: str, seconds: float) -> None:
                names.append(working_on.get())

            def workers_busy(self, busy: int) -> None: ...

        async def answer(key: Key) -> Result:
            if key == A:
                engine.enqueue(B)
            return Result()

        queue = WorkQueue(clock=now, lane_of=by_name)
        engine = Engine(queue, [Worked(answer)], metrics=Metrics(), clock=now)
        engine.start()
        engine.open()
        engine.enqueue(A)
        await asyncio.sleep(1)
        await engine.drain(1)
        return names

    assert run_virtually(scenario()) == [None, None]


def test_a_kind_without_controller_is_ignored() -> None:
    async def scenario() -> None:
        queue = WorkQueue(clock=now)
        Engine(queue, [Worked()]).enqueue(Key("Secret", "team", "a"))
        assert len(queue) == 0

    run_virtually(scenario())


def test_two_controllers_of_one_kind_are_refused() -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="Machine"):
            Engine(WorkQueue(), [Worked(), Worked()])

    run_virtually(scenario())


@settings(max_examples=60, deadline=None)
@given(
    adds=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 5)), max_size=25),
    workers=st.integers(1, 5),
)
def test_no_key_is_lost_or_worked_on_twice_at_once(adds: list[tuple[int, int, int]], workers: int) -> None:
    """Each (key, moment, delay) must be followed by a reconciliation that began no earlier than asked for,
    though all keys change their lanes every second."""

    async def scenario() -> None:
        busy: set[Key] = set()

        async def work(key: Key) -> Result:
            assert key not in busy
            busy.add(key)
            await asyncio.sleep(3)
            busy.remove(key)
            return Result()

        controller = Worked(work)
        engine = an_engine(controller, workers, lane_of=lambda key: str(int(now()) % 3))
        engine.start()
        engine.open()
        loop = asyncio.get_running_loop()
        for number, moment, delay in adds:
            loop.call_at(moment, engine.enqueue, a_key(str(number)), float(delay))
        await asyncio.sleep(1000)
        await engine.drain(1)
        for number, moment, _ in adds:
            began = [at for key, at in controller.calls if key == a_key(str(number))]
            assert max(began) >= moment

    run_virtually(scenario())
