"""One of several operators leads: it holds a lease, renews it well before it runs out, and knows when it
lost it.

Time is only ever compared with this process' own monotonic clock, never with another machine's: a lease
counts as abandoned when it was seen unchanged for as long as its holder said it would last.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from .queue import Clock

logger = logging.getLogger(__name__)

LEASE_DURATION = 15.0
"""Seconds after which others may take a lease that is not renewed."""
RENEW_DEADLINE = 10.0
"""Seconds without a renewal after which the holder itself stops: 5 s before anyone else may begin."""
RETRY_PERIOD = 2.0
"""Seconds between two looks at the lease."""


class LeaseConflict(Exception):  # noqa: N818 - the loser's normal answer
    """Somebody else wrote the lease first."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease as its store keeps it. `holder` is "" when nobody holds it, `duration` is in seconds,
    `version` is the store's and is given back with an update. The store stamps the times."""

    holder: str
    duration: float
    transitions: int = 0
    version: str = ""


class LeaseStore(Protocol):
    """Keeps one lease. Any error but LeaseConflict means that the store could not be asked."""

    async def get(self) -> LeaseRecord | None:
        """The lease, None when there is none."""

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Write a lease where there is none; LeaseConflict if there is."""

    async def update(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        """Write over the lease of `record.version`; LeaseConflict if it is another by now.

        `acquired` is set when the holder changes.
        """


class Elector:
    """Takes part in the election until it is stopped or has led and lost.

    `on_started` runs as a task of its own once this process leads; `on_stopped` is called at once, and must
    not block, when it does not lead any more, whatever the cause.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        *,
        on_started: Callable[[], Awaitable[None]],
        on_stopped: Callable[[], None],
        lease_duration: float = LEASE_DURATION,
        renew_deadline: float = RENEW_DEADLINE,
        retry_period: float = RETRY_PERIOD,
        clock: Clock = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        if not retry_period < renew_deadline < lease_duration:
            raise ValueError("a lease needs retry period < renew deadline < lease duration")
        self._store = store
        self._identity = identity
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._stop = asyncio.Event()
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None
        self._complained = ""

    @property
    def leading(self) -> bool:
        """Whether nobody else can hold the lease at this moment; true only while a renewal is fresh."""
        return self._renewed_at is not None and self._clock() < self._renewed_at + self._renew_deadline

    def stop(self) -> None:
        """Leave the election; `run` then gives the lease back and returns."""
        self._stop.set()

    async def run(self) -> bool:
        """Wait for the lease, lead, and return True after `stop`, or False when the lease was lost.

        An error of `on_started` ends the leadership and is raised.
        """
        if not await self._until_acquired():
            return True
        logger.info("leading as %s", self._identity)
        started = asyncio.ensure_future(self._on_started())
        try:
            kept = await self._keep(started)
        finally:
            self._on_stopped()
            if not started.done():
                started.cancel()
            await asyncio.gather(started, return_exceptions=True)
        if kept:
            await self.release()
        return kept

    async def release(self) -> None:
        """Give the lease back, if it is ours, so that the next one needs not wait for its end. Best
        effort."""
        self._renewed_at = None
        if self._seen is None or self._seen.holder != self._identity:
            return
        try:
            async with asyncio.timeout(self._renew_deadline):
                self._seen = await self._store.update(
                    replace(self._seen, holder="", duration=1.0), acquired=False
                )
            logger.info("gave the lease back")
        except Exception as error:
            logger.warning("could not give the lease back, it runs out by itself: %s", error)

    async def _until_acquired(self) -> bool:
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(self._renew_deadline):
                    if await self._try_to_acquire():
                        return True
            except LeaseConflict:
                pass
            except Exception as error:
                self._complain("cannot reach the lease: %s", error)
            await self._pause(self._retry_period * (1 + 0.2 * self._random.random()))
        return False

    async def _try_to_acquire(self) -> bool:
        asked_at = self._clock()
        record = await self._store.get()
        if record is None:
            mine = LeaseRecord(self._identity, self._lease_duration)
            self._hold(await self._store.create(mine), asked_at)
            return True
        if self._seen is None or record.version != self._seen.version:
            self._seen, self._seen_at = record, self._clock()
        if record.holder not in ("", self._identity) and self._clock() < self._seen_at + record.duration:
            self._complain("standing by: %s leads", record.holder)
            return False
        mine = replace(
            record, holder=self._identity, duration=self._lease_duration, transitions=record.transitions + 1
        )
        self._hold(await self._store.update(mine, acquired=True), asked_at)
        return True

    async def _keep(self, started: asyncio.Future[None]) -> bool:
        while True:
            await self._pause(self._retry_period, started)
            if started.done() and (error := started.exception()) is not None:
                raise error
            if self._stop.is_set():
                return True
            if not await self._renew():
                return False

    async def _renew(self) -> bool:
        """Renew the lease, trying until the deadline; False when it is lost."""
        if self._renewed_at is None or self._seen is None:
            return False
        deadline = self._renewed_at + self._renew_deadline
        while (left := deadline - self._clock()) > 0:
            asked_at = self._clock()
            try:
                async with asyncio.timeout(min(left, self._renew_deadline / 2)):
                    self._hold(await self._store.update(self._seen, acquired=False), asked_at)
                return True
            except LeaseConflict:
                if not await self._still_mine(left):
                    logger.error("somebody else took the lease")
                    return False
            except Exception as error:
                logger.warning(
                    "could not renew the lease, %.0f s left: %s", left, error or type(error).__name__
                )
            await self._pause(min(self._retry_period, max(0.0, deadline - self._clock())))
            if self._stop.is_set():
                return True
        logger.error("the lease was not renewed for %.0f s", self._renew_deadline)
        return False

    async def _still_mine(self, left: float) -> bool:
        # An update whose answer got lost also conflicts with the next one: look who holds the lease.
        try:
            async with asyncio.timeout(left):
                record = await self._store.get()
        except Exception:
            return True  # not known; the deadline decides
        if record is None or record.holder != self._identity:
            return False
        self._seen = record
        return True

    def _hold(self, record: LeaseRecord, asked_at: float) -> None:
        # Counted from before the request: another elector's clock for this lease starts later, when it sees
        # it.
        self._seen, self._renewed_at, self._complained = record, asked_at, ""

    def _complain(self, message: str, detail: object) -> None:
        text = message % detail
        if text != self._complained:
            logger.info(text)
        self._complained = text

    async def _pause(self, seconds: float, started: asyncio.Future[None] | None = None) -> None:
        """Sleep, but not past `stop`, and not past the end of `started` by an error."""
        stop = asyncio.ensure_future(self._stop.wait())
        watched: set[asyncio.Future[object]] = {stop}  # type: ignore[arg-type]
        if started is not None and not started.done():
            watched.add(started)  # type: ignore[arg-type]
        try:
            await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
