"""Garbage collection that does not stall the loop.

The store is a few million small objects without cycles. A full collection looks through all of them (0.5 s for
10,000 Machines, with every thread waiting), finds nothing, and Python begins one whenever the heap has grown by a
quarter: ten times while a first list is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc

THRESHOLDS = (2_000, 10, 10_000)
"""Allocations before a young collection, young ones before a middle one, middle ones before a full one."""
FIRST = 60.0
"""Seconds after which the first lists have been read."""
PERIOD = 600.0
"""Seconds between two full collections of what is new."""


def calm_collector() -> None:
    """Let Python begin full collections rarely; `settle` and `keep_settling` make up for it."""
    gc.set_threshold(*THRESHOLDS)


def settle() -> None:
    """Collect what is garbage now, and never look again through what is left: reference counts free it."""
    gc.collect()
    gc.freeze()
    # glibc keeps what a first list needed for a moment (25 MB with 10,000 objects) until it is told to let go.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def keep_settling() -> None:
    """Settle once the first lists are read, and every ten minutes after that, for ever."""
    await asyncio.sleep(FIRST)
    while True:
        settle()
        await asyncio.sleep(PERIOD)
