"""Three answers to "is it there?": present, proven absent, or unknown.

Only the first two may lead to an action. A time-out, a missing permission or a lost session is never an
absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from vsphere_operator.vsphere.faults import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Present(Generic[T]):
    """The thing is there; this is what was read."""

    value: T


@dataclass(frozen=True, slots=True)
class Absent:
    """The thing is not there, and `proof` says how that was established (in words for a condition)."""

    proof: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell at the moment; `why` says what stood in the way, `fault` which call failed."""

    why: str
    fault: Fault | None = None


Answer: TypeAlias = Present[T] | Absent | Unknown
