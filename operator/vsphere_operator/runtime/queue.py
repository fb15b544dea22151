"""A work queue of keys: each at most once, never two workers on one, the urgent first, failures with
growing pauses, and a lane for each thing that could hold up the others.

The model is client-go's (set, dirty mark while processing, delayed adds in a heap); the queue itself never
sleeps except in `keep_time`, and takes its clock from outside.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from .keys import Key

Clock = Callable[[], float]
LaneOf = Callable[[Key], str]
"""The lane that a key belongs to now; must not raise."""

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
    """A key that waits for a worker. `number` tells the live heap entry from those that a better wish, or
    one in another lane, replaced."""

    priority: Priority
    number: int
    since: float
    lane: str


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

    Order is kept inside a lane, and each lane is taken from by itself; all else belongs to the key. Which
    lane that is, `lane_of` is asked at each `add`, so that a waiting key that is added again follows what it
    is about.
    """

    def __init__(
        self,
        *,
        clock: Clock = time.monotonic,
        rng: random.Random | None = None,
        metrics: QueueMetrics | None = None,
        lane_of: LaneOf = lambda key: "",
    ) -> None:
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics
        self._lane_of = lane_of
        self._ready: Callable[[str], None] | None = None
        self._number = itertools.count()
        self._waiting: dict[Key, _Wish] = {}
        self._heaps: dict[str, list[tuple[Priority, int, Key]]] = {}
        self._processing: set[Key] = set()
        self._dirty: dict[Key, tuple[Priority, float]] = {}
        self._timers: dict[Key, _Timer] = {}
        self._timer_heap: list[tuple[float, int, Key]] = []
        self._failures: dict[Key, int] = {}
        self._sooner = asyncio.Event()

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

    @property
    def lanes(self) -> Mapping[str, int]:
        """How many keys could be worked on now in each lane that has any."""
        self._fire_timers()
        return Counter(wish.lane for wish in self._waiting.values())

    def on_ready(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the lane of each key that could be worked on from now on."""
        self._ready = listener

    def add(self, key: Key, priority: Priority = Priority.NORMAL) -> None:
        """Have this key worked on as soon as a worker is free."""
        if self._metrics:
            self._metrics.queue_added(key.kind)
        if key in self._processing:
            present, since = self._dirty.get(key, (priority, self._clock()))
            self._dirty[key] = min(present, priority), since
        else:
            self._wait(key, priority, self._clock())

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
        if self._timer_heap[0][1] == timer.number:
            self._sooner.set()

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

    def pop(self, lane: str = "") -> Key | None:
        """The lane's most urgent key, now being processed until `done` is called for it; None when there is
        none."""
        self._fire_timers()
        heap = self._heaps.get(lane, [])
        while heap:
            _, number, key = heapq.heappop(heap)
            wish = self._waiting.get(key)
            if wish is None or wish.number != number:
                continue  # another wish replaced this entry
            del self._waiting[key]
            self._processing.add(key)
            if self._metrics:
                self._metrics.queue_waited(key.kind, self._clock() - wish.since)
                self._metrics.queue_depth(len(self._waiting))
            return key
        self._heaps.pop(lane, None)
        return None

    def done(self, key: Key) -> None:
        """The work on this key has ended; if it was wanted meanwhile, it waits again."""
        self._processing.discard(key)
        wanted = self._dirty.pop(key, None)
        if wanted is not None:
            self._wait(key, *wanted)

    async def keep_time(self) -> None:
        """Let delayed keys come when their time has come, for ever."""
        while True:
            self._sooner.clear()
            self._fire_timers()
            due = self.next_due()
            delay = None if due is None else max(0.0, due - self._clock())
            try:
                async with asyncio.timeout(delay):
                    await self._sooner.wait()
            except TimeoutError:
                continue

    def next_due(self) -> float | None:
        """When, on the queue's clock, the next delayed key is due."""
        self._drop_stale_timers()
        return self._timer_heap[0][0] if self._timer_heap else None

    def _wait(self, key: Key, priority: Priority, since: float) -> None:
        lane, present = self._lane_of(key), self._waiting.get(key)
        if present is not None:
            if present.priority <= priority and present.lane == lane:
                return
            priority, since = min(priority, present.priority), present.since
        self._waiting[key] = wish = _Wish(priority, next(self._number), since, lane)
        heapq.heappush(self._heaps.setdefault(lane, []), (priority, wish.number, key))
        if self._metrics:
            self._metrics.queue_depth(len(self._waiting))
        if self._ready:
            self._ready(lane)

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
