"""What is promised to clones in flight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.reservations import (
    LONGEST,
    Reservation,
    ReservationBook,
    Reservations,
)

X, Y = MoRef("Datastore:x"), MoRef("Datastore:y")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(clock: Clock) -> Reservations:
    return Reservations(clock)


def test_promises_add_up_by_datastore(held: Reservations) -> None:
    held.reserve("one", X, 10)
    held.reserve("two", X, 5)
    held.reserve("three", Y, 7)
    assert (held.promised(X), held.promised(Y), len(held)) == (15, 7, 3)
    assert held.promised(X, besides="one") == 5


def test_the_same_key_again_replaces_its_promise(held: Reservations) -> None:
    held.reserve("one", X, 10)
    held.reserve("one", X, 10)
    assert held.promised(X) == 10
    held.reserve("one", Y, 20)
    assert (held.promised(X), held.promised(Y)) == (0, 20)
    assert held.get("one") == Reservation(Y, 20)


def test_a_released_promise_is_gone(held: Reservations) -> None:
    held.reserve("one", X, 10)
    held.release("one")
    held.release("one")
    held.release("never")
    assert (held.promised(X), len(held), held.get("one")) == (0, 0, None)


def test_a_promise_that_came_true_counts_until_free_space_can_show_it(
    held: Reservations, clock: Clock
) -> None:
    held.reserve("one", X, 10)
    held.release("one", after=30.0)
    clock.now += 20.0
    held.release("one", after=30.0)
    assert held.promised(X) == 10
    clock.now += 10.0
    assert (held.promised(X), len(held), held.get("one")) == (0, 0, None)


def test_a_lapsing_promise_can_be_renewed_or_dropped(held: Reservations, clock: Clock) -> None:
    for key in ("renewed", "dropped"):
        held.reserve(key, X, 10)
        held.release(key, after=1.0)
    held.reserve("renewed", X, 10)
    held.release("dropped")
    clock.now += 2.0
    assert held.promised(X) == 10


def test_a_promise_whose_owner_is_gone_does_not_count_for_ever(held: Reservations, clock: Clock) -> None:
    held.reserve("clones on", X, 10)
    held.reserve("gone", X, 10)
    clock.now += LONGEST - 1.0
    held.reserve("clones on", X, 10)
    assert held.promised(X) == 20
    clock.now += 2.0
    assert (held.promised(X), len(held)) == (10, 1)


def test_each_vcenter_has_its_own_and_all_its_users_share_it() -> None:
    book = ReservationBook()
    book.of("vc-1").reserve("one", X, 10)
    assert book.of("vc-1").promised(X) == 10
    assert book.of("vc-2").promised(X) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([X, Y, None]), st.integers(0, 100))))
def test_the_sum_is_always_that_of_the_last_word_of_each_key(
    told: list[tuple[str, MoRef | None, int]],
) -> None:
    held, last = Reservations(), dict[str, tuple[MoRef, int]]()
    for key, datastore, size in told:
        if datastore is None:
            held.release(key)
            last.pop(key, None)
        else:
            held.reserve(key, datastore, size)
            last[key] = (datastore, size)
    for datastore in (X, Y):
        assert held.promised(datastore) == sum(size for one, size in last.values() if one == datastore)
