"""The queue before a vCenter's threads: bounded in length and in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from vsphere_operator.vsphere import calls
from vsphere_operator.vsphere.calls import THREADS, Calls
from vsphere_operator.vsphere.endpoint import Endpoint
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError, from_transport
from vsphere_operator.vsphere.metrics import NoMetrics
from vsphere_operator.vsphere.session.breaker import FAILURES, NOT_SENT, Breaker

SILENCE = from_transport(TimeoutError(), where="vc:443")


class Session:
    """Runs what it is given; hangs before that while told so."""

    where = "vc:443"
    endpoint = Endpoint("https://vc")

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self._begun = threading.Semaphore(0)

    def wait_until_busy(self) -> None:
        """Until each thread is in a call."""
        for _ in range(THREADS):
            assert self._begun.acquire(timeout=10)

    def call(self, function: Callable[[Any], Any], *, op_id: str, mutating: bool) -> Any:
        self._begun.release()
        assert self.free.wait(30)
        return function(None)

    def abort(self) -> None: ...


class Refusals(NoMetrics):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def call_refused(self, *, vcenter: str, api: str, reason: str) -> None:
        self.seen.append(reason)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.session = Session()
        self.breaker = Breaker("vc:443")
        self.metrics = Refusals()
        self.sent: list[str] = []
        session: Any = self.session
        self.calls = Calls(
            session, session, breaker=self.breaker, metrics=self.metrics, clock=lambda: self.now
        )

    def begin(self, name: str, *, mutating: bool = True) -> asyncio.Task[None]:
        call = self.calls.soap(lambda _: self.sent.append(name), op_id="test", mutating=mutating)
        return asyncio.create_task(call)

    async def hang(self) -> list[asyncio.Task[None]]:
        """All threads are busy."""
        self.session.free.clear()
        running = [self.begin(f"hung-{n}") for n in range(THREADS)]
        await asyncio.to_thread(self.session.wait_until_busy)
        return running


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.session.free.set()
    await made.calls.close()


async def refusal(task: asyncio.Task[None]) -> Fault:
    with pytest.raises(VSphereError) as caught:
        await asyncio.wait_for(task, 10)
    assert (caught.value.fault.kind, caught.value.fault.executed) == (NOT_SENT, Executed.NO)
    return caught.value.fault


async def test_a_call_that_waits_too_long_is_never_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "QUEUE_SECONDS", 0.05)
    running = await world.hang()
    fault = await refusal(world.begin("late"))
    assert (fault.fault_class, fault.reason) == (FaultClass.TRANSIENT, "TooManyCalls")
    assert world.metrics.seen == ["TooManyCalls"]
    world.session.free.set()
    await asyncio.gather(*running)
    assert sorted(world.sent) == [f"hung-{n}" for n in range(THREADS)]


async def test_a_call_that_waited_for_a_login_in_its_thread_is_not_sent_either(world: World) -> None:
    running = await world.hang()
    world.now += calls.QUEUE_SECONDS + 1
    world.session.free.set()
    for task in running:
        await refusal(task)
    assert world.sent == []


async def test_a_queue_that_is_full_takes_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_QUEUED", 3)
    running = await world.hang()
    queued = [world.begin(f"queued-{n}") for n in range(3)]
    await asyncio.sleep(0)
    await refusal(world.begin("one too many"))
    world.session.free.set()
    await asyncio.gather(*running, *queued)
    assert "one too many" not in world.sent


async def test_what_waits_fails_at_once_when_vcenter_stops_to_answer(world: World) -> None:
    running = await world.hang()
    queued = [world.begin("change"), world.begin("look", mutating=False)]
    await asyncio.sleep(0)
    for _ in range(FAILURES):
        world.breaker.record(SILENCE)
    world.calls.refuse_waiting()
    for task in queued:
        assert (await refusal(task)).reason == "VCenterUnavailable"
    assert (await refusal(world.begin("later"))).reason == "VCenterUnavailable"
    world.session.free.set()
    await asyncio.gather(*running)
    assert sorted(world.sent) == [f"hung-{n}" for n in range(THREADS)]


async def test_what_waits_when_the_session_ends_is_told_so(world: World) -> None:
    running = await world.hang()
    queued = world.begin("queued")
    await asyncio.sleep(0)
    closing = asyncio.create_task(world.calls.close())
    assert (await refusal(queued)).reason == "SessionClosed"
    world.session.free.set()
    await asyncio.gather(closing, *running)
    assert (await refusal(world.begin("later"))).reason == "SessionClosed"


@pytest.mark.parametrize("mutating", [True, False])
async def test_a_cancelled_caller_s_call_is_taken_out_of_the_queue(world: World, mutating: bool) -> None:
    running = await world.hang()
    queued = world.begin("cancelled", mutating=mutating)
    await asyncio.sleep(0)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    world.session.free.set()
    await asyncio.gather(*running)
    assert "cancelled" not in world.sent


async def test_a_background_call_that_fails_is_told(world: World) -> None:
    failed = asyncio.Event()

    def fail() -> None:
        raise VSphereError(SILENCE)

    world.calls.background(fail, failed=failed.set)
    await asyncio.wait_for(failed.wait(), 10)


async def test_an_automation_api_that_hangs_holds_up_no_other_call(world: World) -> None:
    hung = threading.Event()

    class Hanging(Session):
        def call(self, function: Callable[[Any], Any], *, op_id: str, mutating: bool) -> Any:
            assert hung.wait(30)
            return function(None)

    session, automation = Session(), Hanging()
    both: Any = (session, automation)
    apart = Calls(*both)
    waiting = [
        asyncio.create_task(apart.automation(lambda _: None, op_id="tags", mutating=False))
        for _ in range(THREADS + 1)
    ]
    await asyncio.sleep(0)
    power_off = apart.soap(lambda _: "off", op_id="test", mutating=True)
    assert await asyncio.wait_for(power_off, 10) == "off"
    hung.set()
    await asyncio.gather(*waiting)
    await apart.close()
