"""Conditions: dates move only with the status, and kstatus reads them right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.conditions import Condition, Problem

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
THEN = "2026-01-02T03:04:05Z"


def test_a_new_condition_is_dated_now() -> None:
    (written,) = conditions.dated([], [Condition("Ready", "True", "Good")], generation=3, now=NOW)
    assert written == {
        "type": "Ready",
        "status": "True",
        "reason": "Good",
        "message": "",
        "lastTransitionTime": THEN,
        "observedGeneration": 3,
    }


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        (Condition("Ready", "False", "A", "a"), Condition("Ready", "False", "B", "b"), THEN),
        (Condition("Ready", "False", "A", "a"), Condition("Ready", "True", "A", "a"), "2026-01-02T04:04:05Z"),
        (Condition("Other", "True", "A"), Condition("Ready", "True", "A"), "2026-01-02T04:04:05Z"),
    ],
)
def test_the_transition_time_changes_with_the_status_only(
    before: Condition, after: Condition, since: str
) -> None:
    old = conditions.dated([], [before], generation=1, now=NOW)
    (new,) = conditions.dated(old, [after], generation=2, now=LATER)
    assert (new["lastTransitionTime"], new["observedGeneration"]) == (since, 2)


def test_a_condition_without_a_date_is_dated_anew() -> None:
    old = [{"type": "Ready", "status": "True", "lastTransitionTime": None}]
    (new,) = conditions.dated(old, [Condition("Ready", "True", "A")], generation=1, now=NOW)
    assert new["lastTransitionTime"] == THEN


@pytest.mark.parametrize(
    ("stalled", "expected"),
    [(True, {"Ready": "False", "Stalled": "True"}), (False, {"Ready": "False", "Reconciling": "True"})],
)
def test_a_problem_is_summed_up(stalled: bool, expected: dict[str, str]) -> None:
    found = conditions.summary(Problem("FolderReady", "NoParent", "words", stalled=stalled))
    assert {c.type: c.status for c in found} == expected
    assert {(c.reason, c.message) for c in found} == {("NoParent", "words")}


def test_a_passing_problem_leaves_its_concern_unknown() -> None:
    assert Problem("X", "R", "m", stalled=False).as_condition().status == "Unknown"
    assert Problem("X", "R", "m").as_condition().status == "False"


def test_paused_is_neither_good_nor_bad() -> None:
    assert [(c.type, c.status) for c in conditions.paused()] == [("Ready", "Unknown")]


def test_timestamps_are_in_utc() -> None:
    assert conditions.timestamp(NOW.astimezone(timezone(timedelta(hours=5)))) == THEN
