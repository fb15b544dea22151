"""Garbage collection that does not stall the loop.

The store is a few million small objects without cycles. A full collection looks through all of them (0.5 s for
10,000 Machines, with every thread waiting), finds nothing, and Python begins one whenever the heap has grown by a
quarter: ten times while a first list is read.
"""

from __future__ import annotations

import asyncio
import gc

THRESHOLDS = (2_000, 10, 10_000)
"""Allocations before a young collection, young ones before a middle one, middle ones before a full one."""
PERIOD = 600.0
"""Seconds between two full collections of what is new."""


def calm_collector() -> None:
    """Let Python begin full collections rarely; `settle` and `keep_settling` make up for it."""
    gc.set_threshold(*THRESHOLDS)


def settle() -> None:
    """Collect what is garbage now, and never look again through what is left: reference counts free it."""
    gc.collect()
    gc.freeze()


async def keep_settling() -> None:
    """Settle every ten minutes, for ever."""
    while True:
        await asyncio.sleep(PERIOD)
        settle()
