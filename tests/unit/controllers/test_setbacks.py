"""What went wrong lately is left alone for a while."""

from __future__ import annotations

import pytest

from tests.unit.controllers.fakes.interruptions import Clock
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.setbacks import Setbacks
from vsphere_operator.runtime.keys import Key

KEY, PROBLEM = Key("Machine", "team", "one"), Problem("VMCloned", "Busy", "words")


@pytest.fixture
def setbacks(clock: Clock) -> Setbacks:
    return Setbacks(clock.monotonic)


def test_a_setback_stands_for_its_time(setbacks: Setbacks, clock: Clock) -> None:
    setbacks.record(KEY, PROBLEM, inputs="a", delay=30.0)
    clock.advance(29.0)
    assert setbacks.current(KEY, inputs="a") == (PROBLEM, 1.0)
    clock.advance(1.0)
    assert setbacks.current(KEY, inputs="a") is None


def test_pauses_double_up_to_five_minutes(setbacks: Setbacks, clock: Clock) -> None:
    pauses = []
    for _ in range(6):
        setbacks.record(KEY, PROBLEM, inputs="a", delay=30.0)
        found = setbacks.current(KEY, inputs="a")
        assert found is not None
        pauses.append(found[1])
        clock.advance(found[1])
    assert pauses == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]


def test_a_pause_stays_bounded_however_often_it_went_wrong(setbacks: Setbacks) -> None:
    for _ in range(2000):
        setbacks.record(KEY, PROBLEM, inputs="a", delay=30.0)
    assert setbacks.current(KEY, inputs="a") == (PROBLEM, 300.0)


def test_changed_inputs_may_be_tried_at_once_and_start_afresh(setbacks: Setbacks) -> None:
    for _ in range(5):
        setbacks.record(KEY, PROBLEM, inputs="a", delay=30.0)
    assert setbacks.current(KEY, inputs="b") is None
    setbacks.record(KEY, PROBLEM, inputs="b", delay=30.0)
    assert setbacks.current(KEY, inputs="b") == (PROBLEM, 30.0)


def test_what_was_never_asked_does_not_make_the_pause_longer(setbacks: Setbacks, clock: Clock) -> None:
    pauses = []
    for asked, delay in ((True, 30.0), (False, 5.0), (False, 5.0), (True, 30.0), (False, 5.0)):
        setbacks.record(KEY, PROBLEM, inputs="a", delay=delay, asked=asked)
        found = setbacks.current(KEY, inputs="a")
        assert found is not None
        pauses.append(found[1])
        clock.advance(found[1])
    assert pauses == [30.0, 5.0, 5.0, 60.0, 5.0]


def test_a_cleared_setback_is_forgotten(setbacks: Setbacks) -> None:
    setbacks.record(KEY, PROBLEM, inputs="a", delay=30.0)
    setbacks.clear(KEY)
    assert setbacks.current(KEY, inputs="a") is None
    setbacks.clear(KEY)
