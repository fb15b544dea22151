"""Conditions as kstatus reads them: Ready always, Reconciling and Stalled only while true, then one a concern.

A message holds no timestamp and no counter, so that an unchanged situation is an unchanged status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition before it is dated; ``reason`` is CamelCase, ``message`` is for a person."""

    type: str
    status: Status
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step cannot be taken now.

    ``condition`` names the concern that it belongs to. ``stalled`` problems need a person; the others heal by
    themselves, and ``retry_after`` (seconds) says when a look is worth while without an event. ``certain``: the
    condition is known to be false, although it heals by itself. ``waits_for`` names the objects that have to go first.
    """

    condition: str
    reason: str
    message: str
    stalled: bool = True
    retry_after: float | None = None
    certain: bool = False
    waits_for: tuple[str, ...] = ()

    def as_condition(self) -> Condition:
        state: Status = "False" if self.stalled or self.certain else "Unknown"
        return Condition(self.condition, state, self.reason, self.message)


def ready(reason: str, message: str = "") -> list[Condition]:
    """All is as asked for."""
    return [Condition(READY, "True", reason, message)]


def reconciling(reason: str, message: str) -> list[Condition]:
    """Work goes on without a person."""
    return [Condition(READY, "False", reason, message), Condition(RECONCILING, "True", reason, message)]


def stalled(reason: str, message: str) -> list[Condition]:
    """Nothing moves until a person changes something."""
    return [Condition(READY, "False", reason, message), Condition(STALLED, "True", reason, message)]


def paused() -> list[Condition]:
    """A person asked for a stop; neither good nor bad."""
    return [Condition(READY, "Unknown", "Paused", "Nothing is changed while this object is paused.")]


def summary(problem: Problem) -> list[Condition]:
    """Ready and its companions for an object that has this problem."""
    make = stalled if problem.stalled else reconciling
    return make(problem.reason, problem.message)


def named(things: Sequence[str], most: int = 5) -> str:
    """The first few of many things, for a message."""
    rest = len(things) - most
    return ", ".join(things[:most]) + (f" and {rest} more" if rest > 0 else "")


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with seconds, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dated(
    previous: Sequence[Mapping[str, Any]],
    wanted: Iterable[Condition],
    *,
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """The conditions to write: a transition time changes only when the status of that type does."""
    before = {c.get("type"): c for c in previous}
    result = []
    for condition in wanted:
        old = before.get(condition.type)
        same = old is not None and old.get("status") == condition.status
        since = (
            str(old["lastTransitionTime"])
            if same and old and old.get("lastTransitionTime")
            else timestamp(now)
        )
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return result


def find(conditions: Sequence[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type, if there."""
    return next((c for c in conditions if c.get("type") == type_), None)


def is_true(conditions: Sequence[Mapping[str, Any]], type_: str) -> bool:
    condition = find(conditions, type_)
    return condition is not None and condition.get("status") == "True"


def hindrance(conditions: Sequence[Mapping[str, Any]]) -> str | None:
    """Why an object does not come on: it is stalled, or what it needs cannot be reached; in its own words."""
    ready = find(conditions, READY)
    if ready is None or ready.get("status") == "True":
        return None
    about = find(conditions, "VCenterAvailable")
    away = about is not None and about.get("status") != "True" and about.get("reason") == ready.get("reason")
    return str(ready.get("message") or ready["reason"]) if away or is_true(conditions, STALLED) else None
