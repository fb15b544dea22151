"""Waiting for something that others bring about: ask again until a deadline, then tell what was seen instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.1
"""Seconds between two looks."""


def eventually(
    look: Callable[[], T | None],
    what: str,
    *,
    seconds: float = 25.0,
    pause: float = PAUSE,
    explain: Callable[[], str] = str,
) -> T:
    """The first answer that is not None and not False; AssertionError with `explain()` after the time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{explain()}")
        time.sleep(pause)
