"""Clones as the double's log shows them: how many ran at once, and how long all of them took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

STARTS_A_CLONE = {"CloneVM_Task", "ApplyStorageDrsRecommendation_Task"}


def starts(log: Iterable[Mapping[str, Any]]) -> list[float]:
    """When each clone was asked for, in seconds since the epoch; refused ones are left out."""
    return sorted(
        datetime.fromisoformat(str(call["time"])).timestamp()
        for call in log
        if call["method"] in STARTS_A_CLONE and not call.get("fault")
    )


def peak(began: Iterable[float], seconds: float) -> int:
    """The most clones at once when each takes that long."""
    edges = sorted([(at, 1) for at in began] + [(at + seconds, -1) for at in began])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most
