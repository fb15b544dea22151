"""Full reads into the store: before working, now and then, and of a kind whose watch has begun anew.

A watch tells what comes and what changes. What was deleted while it was down only a list can show that is read
after the watch has begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.kube.kinds import KINDS, WATCHED, Kind
from vsphere_operator.observability.metrics import Metrics
from vsphere_operator.runtime.store import Store

from .startup import patiently

logger = logging.getLogger(__name__)

SWEEP = 900.0
"""Seconds between two full reads of everything, which find what no event told of."""
RETRY = 30.0
"""Seconds before a kind is read again that could not be, while something may be missing of it."""


class FullReads:
    """Reads kinds completely; belongs to the event loop that it is made in."""

    def __init__(self, store: Store, api: KubeApi, metrics: Metrics) -> None:
        self._store, self._api, self._metrics = store, api, metrics
        self._due: set[str] = set()
        self._wake = asyncio.Event()

    def due(self, kind: Kind) -> None:
        """The watch of this kind begins anew: what has gone meanwhile has to be found, as soon as `everything` or
        `keep_up` run. Any number of these before the next read of the kind are one read.
        """
        self._due.add(kind.kind)
        self._wake.set()

    async def everything(self) -> None:
        """Read all kinds, each for as often as it takes."""
        for kind in WATCHED:
            await patiently(lambda kind=kind: self._read(kind), f"list {KINDS[kind].plural}")  # type: ignore[misc]

    async def keep_up(self, *, on_sweep: Callable[[], None]) -> None:
        """Read what is due, and now and then everything; never returns."""
        sweep_at = time.monotonic() + SWEEP
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sweep_at - time.monotonic()):
                    await self._wake.wait()
            self._wake.clear()
            if time.monotonic() < sweep_at:
                await self._close_gaps()
                continue
            on_sweep()
            for kind in WATCHED:
                missed = await self._try(kind)
                if missed is not None:
                    self._metrics.missed(kind, missed)
            sweep_at = time.monotonic() + SWEEP

    async def _close_gaps(self) -> None:
        for kind in WATCHED:
            if kind in self._due:
                await self._try(kind)

    async def _try(self, kind: str) -> int | None:
        was_due = kind in self._due
        try:
            return await self._read(kind)
        except KubeError as error:
            logger.warning("cannot list %s: %s", KINDS[kind].plural, error)
        if was_due:
            self._due.add(kind)
            asyncio.get_running_loop().call_later(RETRY, self._wake.set)
        return None

    async def _read(self, kind: str) -> int:
        """How many changes a full read brought."""
        self._due.discard(kind)  # before it: a watch that begins while we read may begin after what we read
        listing, listed_at = self._store.listing(kind), "0"
        async for objects, version in self._api.pages(kind):
            listing.add(objects)
            listed_at = version
        changes = listing.finish(listed_at)
        self._metrics.objects(kind, self._store.count(kind))
        return len(changes)
