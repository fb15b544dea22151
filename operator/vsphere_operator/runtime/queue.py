"""A work queue of keys: each at most once, never two workers on one, the urgent first, failures with
growing pauses.

The model is client-go's (set, dirty mark while processing, delayed adds in a heap); the queue itself never
sleeps except in `get`, and takes its clock from outside.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from .keys import Key

Clock = Callable[[], float]

BASE_DELAY = 1.0
"""Seconds: the shortest pause after a failure."""
MAX_DELAY = 300.0
"""Seconds: the longest one. Nothing that heals by itself should wait longer for being looked at."""


class Priority(IntEnum):
    """Who goes first; a key that is wanted twice goes with the more urgent wish."""

    DELETE = 0
    NORMAL = 1
    RESYNC = 2


class QueueMetrics(Protocol):
    """What a queue tells about itself; all times in seconds."""

    def queue_depth(self, depth: int) -> None: ...

    def queue_waited(self, kind: str, seconds: float) -> None: ...

    def queue_added(self, kind: str) -> None: ...

    def queue_retried(self, kind: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Wish:
    """A key that waits for a worker. `number` tells the live heap entry from those that a better wish
    replaced."""

    priority: Priority
    number: int
    since: float


@dataclass(frozen=True, slots=True)
class _Timer:
    due: float
    number: int
    priority: Priority


class WorkQueue:
    """Keys to be worked on. Not thread-safe: it belongs to the event loop.

    Every `add` is followed by at least one processing that starts after it; every `add_after` by one that
    starts no later than its delay asks for (an earlier wish of the same key replaces a later one). A key
    that is added while it is worked on is worked on once more when that is `done`.
    """

    def __init__(
        self,
        *,
        clock: Clock = time.monotonic,
        rng: random.Random | None = None,
        metrics: QueueMetrics | None = None,
    ) -> None:
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics
        self._number = itertools.count()
        self._waiting: dict[Key, _Wish] = {}
        self._heap: list[tuple[Priority, int, Key]] = []
        self._processing: set[Key] = set()
        self._dirty: dict[Key, _Wish] = {}
        self._timers: dict[Key, _Timer] = {}
        self._timer_heap: list[tuple[float, int, Key]] = []
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """How many keys could be worked on now, were there workers enough."""
        self._fire_timers()
        return len(self._waiting)

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._timers)

    @property
    def processing(self) -> frozenset[Key]:
        """The keys that somebody works on."""
        return frozenset(self._processing)

    def add(self, key: Key, priority: Priority = Priority.NORMAL) -> None:
        """Have this key worked on as soon as a worker is free."""
        if self._metrics:
            self._metrics.queue_added(key.kind)
        target = self._dirty if key in self._processing else self._waiting
        present = target.get(key)
        if present is not None and present.priority <= priority:
            return
        since = present.since if present is not None else self._clock()
        target[key] = wish = _Wish(priority, next(self._number), since)
        if target is self._waiting:
            self._push(key, wish)

    def add_after(self, key: Key, delay: float, priority: Priority = Priority.NORMAL) -> None:
        """Have this key worked on in `delay` seconds at the latest."""
        if delay <= 0:
            self.add(key, priority)
            return
        due = self._clock() + delay
        present = self._timers.get(key)
        if present is not None:
            priority = min(priority, present.priority)
            if present.due <= due:
                self._timers[key] = _Timer(present.due, present.number, priority)
                return
        self._timers[key] = timer = _Timer(due, next(self._number), priority)
        heapq.heappush(self._timer_heap, (due, timer.number, key))
        self._changed.set()

    def retry(self, key: Key, priority: Priority = Priority.NORMAL) -> float:
        """Have a failed key worked on again after a pause, which is returned in seconds.

        The pause is drawn evenly between 1 s and a ceiling that doubles with each failure, up to 5 min.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        ceiling = min(MAX_DELAY, BASE_DELAY * 2.0 ** min(failures, 32))
        delay = self._random.uniform(BASE_DELAY, ceiling)
        if self._metrics:
            self._metrics.queue_retried(key.kind)
        self.add_after(key, delay, priority)
        return delay

    def forget(self, key: Key) -> None:
        """A key went well: its next failure is the first again."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """How often in a row this key has failed."""
        return self._failures.get(key, 0)

    def pop(self) -> Key | None:
        """The most urgent key, now being processed until `done` is called for it; None when there is none."""
        self._fire_timers()
        while self._heap:
            _, number, key = heapq.heappop(self._heap)
            wish = self._waiting.get(key)
            if wish is None or wish.number != number:
                continue  # a better wish replaced this entry
            del self._waiting[key]
            self._processing.add(key)
            if self._metrics:
                self._metrics.queue_waited(key.kind, self._clock() - wish.since)
                self._metrics.queue_depth(len(self._waiting))
            return key
        return None

    def done(self, key: Key) -> None:
        """The work on this key has ended; if it was wanted meanwhile, it waits again."""
        self._processing.discard(key)
        wish = self._dirty.pop(key, None)
        if wish is not None:
            self._waiting[key] = wish
            self._push(key, wish)

    async def get(self) -> Key:
        """Wait for a key as `pop` would give it."""
        while True:
            key = self.pop()
            if key is not None:
                return key
            self._changed.clear()
            due = self.next_due()
            delay = None if due is None else max(0.0, due - self._clock())
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def next_due(self) -> float | None:
        """When, on the queue's clock, the next delayed key is due."""
        self._drop_stale_timers()
        return self._timer_heap[0][0] if self._timer_heap else None

    def _push(self, key: Key, wish: _Wish) -> None:
        heapq.heappush(self._heap, (wish.priority, wish.number, key))
        if self._metrics:
            self._metrics.queue_depth(len(self._waiting))
        self._changed.set()

    def _fire_timers(self) -> None:
        now = self._clock()
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._timer_heap)
            self.add(key, self._timers.pop(key).priority)

    def _drop_stale_timers(self) -> None:
        while self._timer_heap:
            _, number, key = self._timer_heap[0]
            timer = self._timers.get(key)
            if timer is not None and timer.number == number:
                return
            heapq.heappop(self._timer_heap)
