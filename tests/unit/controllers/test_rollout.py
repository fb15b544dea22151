"""The arithmetic of a rolling update: never above, never below, and always to its end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.controllers.machinedeployment.rollout import (
    Limits,
    SetView,
    limits,
    on_delete,
    resolve,
    rolling_update,
)


@pytest.mark.parametrize(
    ("value", "desired", "up", "expected"),
    [(2, 10, True, 2), ("25%", 10, True, 3), ("25%", 10, False, 2), ("0%", 10, True, 0), ("100%", 3, False, 3),
     ("1%", 1, True, 1), ("1%", 1, False, 0), ("50%", 0, True, 0), ("30%", 10, True, 3)],
)  # fmt: skip
def test_percentages_round_a_surge_up_and_absence_down(
    value: int | str, desired: int, up: bool, expected: int
) -> None:
    assert resolve(value, desired, up=up) == expected


def test_two_limits_of_zero_would_never_move() -> None:
    assert limits(4, 0, "0%") == Limits(0, 1)
    assert limits(4, "25%", "25%") == Limits(1, 1)


@dataclass
class Sim:
    """A set with Machines that become available when they are told to."""

    told: int
    alive: int
    available: int

    def obey(self) -> None:
        if self.alive > self.told:
            gone = self.alive - self.told
            unready = self.alive - self.available
            self.available -= max(0, gone - unready)
        self.alive = self.told
        self.available = min(self.available, self.alive)

    def view(self, name: str, revision: int) -> SetView:
        return SetView(name, self.told, self.alive, self.available, f"2026-01-0{revision + 1}", revision)


sets = st.integers(0, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(
    desired=st.integers(0, 8),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    old=st.lists(sets, max_size=3),
    luck=st.lists(st.booleans(), min_size=1, max_size=12),
)
def test_a_rollout_keeps_its_limits_and_comes_to_its_end(
    desired: int, surge: int, unavailable: int, old: list[tuple[int, int]], luck: list[bool]
) -> None:
    bounds = limits(desired, surge, unavailable)
    sims = [Sim(n, n, available) for n, available in old]
    new = Sim(0, 0, 0)
    for turn in range(200):
        views = [s.view(f"old-{i}", i) for i, s in enumerate(sims)]
        before = new.told + sum(s.told for s in sims)
        healthy = new.available + sum(s.available for s in sims)
        steps = rolling_update(desired=desired, new=new.view("new", 9), old=views, limits=bounds)
        if not steps and new.told == new.available == desired and not any(s.told for s in sims):
            return
        for step in steps:
            target = new if step.name == "new" else sims[int(step.name.removeprefix("old-"))]
            assert step.replicas >= 0
            target.told = step.replicas
        total = new.told + sum(s.told for s in sims)
        assert total <= max(before, desired + bounds.max_surge)
        for sim in (new, *sims):
            sim.obey()
        after = new.available + sum(s.available for s in sims)
        assert after >= min(healthy, desired - bounds.max_unavailable)
        # Sooner or later every Machine becomes available.
        if turn >= len(luck) or luck[turn]:
            for sim in (new, *sims):
                sim.available = sim.alive
    raise AssertionError("the rollout never ended")


def _set(name: str, told: int, alive: int, revision: int = 0) -> SetView:
    return SetView(name, told, alive, alive, f"2026-01-0{revision + 1}", revision)


@pytest.mark.parametrize(("held", "expected"), [(3, {}), (2, {"new": 2})])
def test_the_next_machine_waits_until_the_one_before_is_gone(held: int, expected: dict[str, int]) -> None:
    old = replace(_set("a", 2, 2), held=held)
    steps = rolling_update(desired=3, new=_set("new", 1, 1), old=[old], limits=Limits(1, 0))
    assert {s.name: s.replicas for s in steps} == expected


@pytest.mark.parametrize(
    ("desired", "new", "old", "expected"),
    [
        (3, _set("new", 0, 0), [_set("a", 3, 3)], {}),
        (3, _set("new", 0, 0), [_set("a", 3, 2)], {"a": 2, "new": 1}),
        (5, _set("new", 0, 0), [_set("a", 3, 3)], {"new": 2}),
        (2, _set("new", 1, 1), [_set("a", 3, 3)], {"new": 0, "a": 2}),
        (3, _set("new", 0, 0), [_set("a", 5, 4)], {"a": 3}),
        (0, _set("new", 2, 2), [], {"new": 0}),
        (2, _set("new", 0, 0), [_set("a", 2, 2), _set("b", 2, 2, 1)], {"a": 0}),
    ],
)
def test_on_delete_only_fills_what_others_no_longer_hold(
    desired: int, new: SetView, old: list[SetView], expected: dict[str, int]
) -> None:
    steps = on_delete(desired=desired, new=new, old=old)
    assert {s.name: s.replicas for s in steps} == expected
    assert len(steps) == len({s.name for s in steps})
