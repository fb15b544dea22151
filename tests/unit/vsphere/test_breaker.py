"""When a vCenter is left alone, and how it is found again."""

from __future__ import annotations

import pytest

from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError, from_transport
from vsphere_operator.vsphere.session.breaker import (
    FAILURES,
    LONGEST_PAUSE,
    NOT_SENT,
    STEADY_SECONDS,
    WINDOW_SECONDS,
    Breaker,
    Circuit,
)

SILENCE = from_transport(TimeoutError(), where="vc:443")
REFUSAL = Fault(FaultClass.PERMISSION, "NoPermission", "No.", 300.0, "NoPermission")


class World:
    def __init__(self, *, lets_calls_try: bool = False) -> None:
        self.now = 0.0
        self.told: list[Circuit] = []
        self.breaker = Breaker(
            "vc:443",
            lets_calls_try=lets_calls_try,
            clock=lambda: self.now,
            jitter=lambda: 1.0,
            changed=self.told.append,
        )

    def fail(self, times: int = FAILURES) -> None:
        for _ in range(times):
            self.breaker.record(SILENCE)

    def refused(self) -> Fault:
        with pytest.raises(VSphereError) as caught:
            self.breaker.check()
        return caught.value.fault


@pytest.fixture
def world() -> World:
    return World()


def test_calls_go_out_until_several_in_a_row_get_no_answer(world: World) -> None:
    world.fail(FAILURES - 1)
    world.breaker.check()
    world.fail(1)
    assert world.breaker.state is Circuit.OPEN
    assert world.told == [Circuit.OPEN]


def test_a_refused_call_says_that_it_was_not_sent_and_why(world: World) -> None:
    world.fail()
    fault = world.refused()
    assert (fault.kind, fault.executed) == (NOT_SENT, Executed.NO)
    assert (fault.fault_class, fault.reason) == (FaultClass.UNREACHABLE, "VCenterUnavailable")
    assert SILENCE.message in fault.message
    assert fault.retry_after > 0


@pytest.mark.parametrize("answer", [None, REFUSAL])
def test_any_answer_ends_the_row(world: World, answer: Fault | None) -> None:
    for _ in range(10):
        world.fail(FAILURES - 1)
        world.breaker.record(answer)
    assert world.breaker.state is Circuit.CLOSED


def test_failures_far_apart_do_not_count_together(world: World) -> None:
    for _ in range(10):
        world.fail(1)
        world.now += WINDOW_SECONDS
    assert world.breaker.state is Circuit.CLOSED


def test_a_connection_that_is_gone_opens_it_at_once(world: World) -> None:
    world.breaker.lost(REFUSAL)
    assert world.breaker.state is Circuit.CLOSED
    world.breaker.lost(SILENCE)
    assert (world.breaker.state, world.breaker.cause) == (Circuit.OPEN, SILENCE)


def test_what_it_refused_itself_is_no_sign_of_anything(world: World) -> None:
    world.fail()
    refused = world.refused()
    world.breaker.record(refused)
    world.breaker.lost(refused)
    assert world.breaker.cause == SILENCE
    world.breaker.record(None)
    for _ in range(FAILURES):
        world.breaker.record(refused)
    assert world.breaker.state is Circuit.CLOSED


def test_one_probe_at_a_time_with_growing_pauses(world: World) -> None:
    world.fail()
    pauses = []
    for _ in range(9):
        pauses.append(world.breaker.seconds_to_next_try)
        assert not world.breaker.begin_probe()
        world.now += pauses[-1]
        assert world.breaker.begin_probe()
        assert not world.breaker.begin_probe()
        assert world.refused().kind == NOT_SENT
        world.breaker.record(SILENCE)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert max(pauses) == LONGEST_PAUSE


def test_a_probe_with_an_answer_closes_it(world: World) -> None:
    world.fail()
    world.now += 1.0
    assert world.breaker.begin_probe()
    world.breaker.record(REFUSAL)
    world.breaker.check()
    assert world.told == [Circuit.OPEN, Circuit.HALF_OPEN, Circuit.CLOSED]
    assert world.breaker.cause is None


def test_pauses_go_on_growing_for_a_vcenter_that_comes_and_goes(world: World) -> None:
    world.fail()
    world.breaker.record(None)
    world.now += STEADY_SECONDS - 1
    world.fail()
    assert world.breaker.seconds_to_next_try == 2.0
    world.breaker.record(None)
    world.now += STEADY_SECONDS
    world.fail()
    assert world.breaker.seconds_to_next_try == 1.0


def test_a_call_may_be_the_probe_where_nobody_else_asks() -> None:
    world = World(lets_calls_try=True)
    world.fail()
    world.refused()
    world.now += 1.0
    world.breaker.check()
    world.refused()
    world.breaker.record(None)
    world.breaker.check()


def test_who_is_refused_while_another_asks_comes_back_soon(world: World) -> None:
    world.fail()
    world.now += 1.0
    assert world.breaker.begin_probe()
    assert world.refused().retry_after <= 5.0


def test_a_probe_that_never_tells_its_outcome_is_given_up(world: World) -> None:
    world.fail()
    world.now += 1.0
    assert world.breaker.begin_probe()
    world.now += 3600.0
    assert world.breaker.begin_probe()
