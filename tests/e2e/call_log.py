"""What the operator asks of a vCenter, read from the double's log.

The long poll of the inventory and its lists of watched objects are counted apart: they belong to no VM.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed import VCenter
from tests.e2e.world import INFRA

BOOKKEEPING = {"WaitForUpdatesEx", "CancelWaitForUpdates", "ModifyListView", "ResetListView"}


@dataclass(frozen=True)
class Calls:
    """Calls by method: those for what the operator does, and the bookkeeping of its one watch."""

    work: Counter[str]
    bookkeeping: Counter[str]

    @classmethod
    def of(cls, log: Iterable[Mapping[str, Any]]) -> Calls:
        methods = [str(call["method"]) for call in log]
        work = Counter(method for method in methods if method not in BOOKKEEPING)
        return cls(work, Counter(method for method in methods if method in BOOKKEEPING))

    @property
    def tasks(self) -> int:
        """How many of them started a task in vCenter."""
        return sum(count for method, count in self.work.items() if method.endswith("_Task"))


def last_call(double: VCenter) -> int:
    """The sequence number of the latest call."""
    return max((int(call["sequence"]) for call in double.calls()), default=0)


def own_calls(double: VCenter, since: int) -> Calls:
    """The operator's calls after the one with that sequence number."""
    return Calls.of(double.calls(since=since, user=INFRA))
