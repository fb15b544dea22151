"""Workers that take keys from the queue and hand them to the controller of their kind.

An error never ends a worker: what is expected backs off quietly, anything else is a bug and shows its
traceback once. Each lane of the queue has workers of its own, so that one that hangs holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Protocol

from .keys import Key, working_on
from .queue import Clock, Priority, WorkQueue

logger = logging.getLogger(__name__)

CANCEL = 5.0
"""Seconds that cancelled work gets to notice."""


class Expected(Exception):  # noqa: N818 - not an error to those who meet it
    """Base of errors that are part of life (a conflict, an API that is away): back off, no traceback."""


class Retry(Expected):
    """The controller wants to be called again.

    `after` is in seconds; None leaves the pause to the queue's backoff. `reason` is for the log.
    """

    def __init__(self, after: float | None, reason: str) -> None:
        super().__init__(reason)
        self.after = after
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconciliation that went well wants next: to be called again in `requeue_after` seconds, or
    not."""

    requeue_after: float | None = None


class Controller(Protocol):
    """Brings the objects of one kind closer to what their specs say."""

    @property
    def kind(self) -> str:
        """The kind whose keys it gets."""

    async def reconcile(self, key: Key) -> Result:
        """Look at the object as it is now and do the next step; the object may be gone. Must be safe to
        repeat."""


class EngineMetrics(Protocol):
    """What the engine tells about itself."""

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """One reconciliation ended; `result` is success, requeue_after, retry or error."""

    def workers_busy(self, busy: int) -> None: ...


class Engine:
    """Runs controllers on the queue's keys, `workers` at a time in each lane, while its gate is open.

    Behind a closed gate keys are collected and not worked on: that is what a standby does. `urgent` names
    the keys that go first (objects that are being deleted).

    A worker comes when its lane has a key for it and goes when there is none. There is no bound on all
    workers together: whatever its size, a few lanes that hang would use it up, and all others would wait
    again. A worker is a coroutine that waits, and costs little; what it uses up elsewhere (threads and
    sessions of a vCenter, its tokens for operations) is bounded there, for each vCenter by itself.
    """

    def __init__(
        self,
        queue: WorkQueue,
        controllers: Iterable[Controller] = (),
        workers: int = 16,
        *,
        urgent: Callable[[Key], bool] = lambda key: False,
        metrics: EngineMetrics | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._queue = queue
        self._controllers: dict[str, Controller] = {}
        self._workers = workers
        self._urgent = urgent
        self._metrics = metrics
        self._clock = clock
        self._open = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._staffed: Counter[str] = Counter()
        self._context = Context()
        self._in_flight: dict[Key, float] = {}
        self._shown: dict[Key, set[str]] = {}
        for controller in controllers:
            self.register(controller)
        queue.on_ready(self._staff)

    def register(self, controller: Controller) -> None:
        """Add a controller; ValueError if its kind has one."""
        if controller.kind in self._controllers:
            raise ValueError(f"two controllers for {controller.kind}")
        self._controllers[controller.kind] = controller

    def enqueue(self, key: Key, after: float = 0.0, *, priority: Priority = Priority.NORMAL) -> None:
        """Have this key reconciled now, or in `after` seconds at the latest. A kind without controller is
        ignored."""
        if key.kind not in self._controllers:
            return
        self._queue.add_after(key, after, Priority.DELETE if self._urgent(key) else priority)

    @property
    def is_open(self) -> bool:
        """Whether keys are worked on."""
        return self._open

    @property
    def in_flight(self) -> dict[Key, float]:
        """The keys that are worked on, each with the seconds since its start."""
        now = self._clock()
        return {key: now - since for key, since in self._in_flight.items()}

    def open(self) -> None:
        """Let workers take keys; without effect once draining began."""
        if self._draining:
            return
        self._open = True
        for lane, keys in self._queue.lanes.items():
            for _ in range(min(keys, self._workers)):
                self._staff(lane)

    def close(self) -> None:
        """Let workers take no more keys; what they work on goes on."""
        self._open = False

    def start(self) -> None:
        """Let delayed keys come at their time. Call it before the gate opens."""
        self._context = copy_context()
        self._run(self._queue.keep_time(), "timers")

    async def drain(self, seconds: float) -> Sequence[Key]:
        """Take no more keys, let work in flight end within `seconds`, then cancel it; the keys that were
        cancelled."""
        self._draining = True
        self.close()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("stopping while work goes on: %s", ", ".join(map(str, sorted(self._in_flight))))
        left = sorted(self._in_flight)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # Not for ever: a call that changes something may hold out against its cancellation.
            await asyncio.wait(tasks, timeout=CANCEL)
        return left

    def _staff(self, lane: str) -> None:
        """A key waits in this lane: one more worker for it, unless it has enough."""
        if not self._open or self._staffed[lane] >= self._workers:
            return
        self._staffed[lane] += 1
        self._run(self._work(lane), f"worker of {lane}" if lane else "worker")

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        # Not in the caller's context: a worker does not begin as part of the work that enqueued its first key.
        task = asyncio.create_task(work, name=name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: str) -> None:
        try:
            # Nothing may wait between a look that finds nothing and the end: a key that came then would
            # find its lane staffed, and nobody there.
            while self._open and (key := self._queue.pop(lane)) is not None:
                try:
                    await self._process(key)
                finally:
                    self._queue.done(key)
                await asyncio.sleep(0)  # many short ones in a row leave the loop to others, too
        finally:
            self._staffed[lane] -= 1
            if not self._staffed[lane]:
                del self._staffed[lane]

    async def _process(self, key: Key) -> None:
        token = working_on.set(key)
        started = self._in_flight[key] = self._clock()
        self._count_busy()
        outcome = "cancelled"
        try:
            outcome = await self._reconcile(key)
        finally:
            del self._in_flight[key]
            self._count_busy()
            working_on.reset(token)
            if self._metrics:
                self._metrics.reconciled(key.kind, outcome, self._clock() - started)

    async def _reconcile(self, key: Key) -> str:
        try:
            result = await self._controllers[key.kind].reconcile(key)
        except Retry as error:
            logger.debug("again later: %s", error.reason)
            self._again(key, error.after)
            return "retry"
        except Expected as error:
            delay = self._again(key, None)
            logger.info("%s; trying again in %.0f s", error, delay)
            return "retry"
        except asyncio.CancelledError as error:
            if _is_stopped():
                raise
            return self._failed(key, error)  # not this worker was cancelled, but what it waited for
        except Exception as error:
            return self._failed(key, error)
        self._queue.forget(key)
        self._shown.pop(key, None)
        if result.requeue_after is None:
            return "success"
        self.enqueue(key, result.requeue_after)
        return "requeue_after"

    def _again(self, key: Key, after: float | None) -> float:
        if after is None:
            return self._queue.retry(key, Priority.DELETE if self._urgent(key) else Priority.NORMAL)
        self.enqueue(key, after)
        return after

    def _failed(self, key: Key, error: BaseException) -> str:
        """Log a bug: with its traceback the first time for this key, one line after that."""
        delay = self._again(key, None)
        print_of = _fingerprint(error)
        shown = self._shown.setdefault(key, set())
        known = print_of in shown
        shown.add(print_of)
        words = "%s: %s; trying again in %.0f s"
        logger.error(words, type(error).__name__, error, delay, exc_info=None if known else error)
        return "error"

    def _count_busy(self) -> None:
        if self._in_flight:
            self._idle.clear()
        else:
            self._idle.set()
        if self._metrics:
            self._metrics.workers_busy(len(self._in_flight))


def _is_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fingerprint(error: BaseException) -> str:
    """The same for errors of one type from one line of code, whatever their words say."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__qualname__}@" + ">".join(f"{frame.filename}:{frame.lineno}" for frame in frames)
