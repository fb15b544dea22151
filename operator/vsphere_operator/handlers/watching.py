"""Kopf as an informer: it lists and watches, and every event is handed to the main loop.

It runs in a thread with a loop of its own. In ours it would replace the signal handlers, take every task made
after its start for its own and cancel it when it ends, and its decoding would delay reconciliations; and so
it can fail and be started again while work goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

import kopf

from vsphere_operator.kube.credentials import CredentialSource
from vsphere_operator.kube.kinds import Kind

from .login import login_handler
from .quiet import tame
from .relisting import Relisting

logger = logging.getLogger(__name__)

Sink = Callable[[str | None, dict[str, Any]], None]
"""(event type, object): ADDED, MODIFIED, DELETED, or None for an object of the first listing."""

SLICE = 0.01
"""Seconds that handed over events may hold the main loop at a time."""
BEAT = 5.0
"""Seconds between two signs of life of Kopf's loop."""
RESTART_PAUSES = (1.0, 30.0)
"""Seconds between two starts of Kopf: the first, and the longest."""
LEAVING = 5.0
"""Seconds that Kopf's tasks get to end after one of them has."""
SETTLED_AFTER = 300.0
"""Seconds of running after which the next failure counts as the first."""


class Backoffs:
    """Endless pauses between attempts to reach the API, 1 s to 30 s, with jitter; each iteration begins anew.

    Kopf's own list ends after 54 s of outage, and the operator with it.
    """

    def __iter__(self) -> Iterator[float]:
        ceiling = 1.0
        while True:
            yield random.uniform(0.5, 1.0) * ceiling  # noqa: S311 - spreads load, guards nothing
            ceiling = min(30.0, ceiling * 2)


class Watcher:
    """Watches kinds in all namespaces for as long as it runs; `sink` is called in the loop that `run` was
    called in. `served` returns when the API serves all the kinds.

    `relisted` is called there, too, with each kind that is listed anew, at the start and after what a watch does
    not survive: what was deleted until then no event tells of, only a list that is read from then on.
    """

    def __init__(
        self,
        source: CredentialSource,
        kinds: Sequence[Kind],
        sink: Sink,
        *,
        relisted: Callable[[Kind], None],
        served: Callable[[], Awaitable[None]],
    ) -> None:
        self._source = source
        self._served = served
        self._relisted = relisted
        self._kinds = kinds
        self._sink = sink
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._thread_stop: asyncio.Event | None = None
        self._stopping = threading.Event()
        self._beat_at = time.monotonic()
        self.restarts = 0

    @property
    def silent_for(self) -> float:
        """Seconds since the watching loop showed a sign of life."""
        return time.monotonic() - self._beat_at

    async def run(self) -> None:
        """Watch until `stop`, starting Kopf again when it gives up (facts: a watch error other than 410
        ends it)."""
        tame()
        pause, longest = RESTART_PAUSES
        while not self._stopping.is_set():
            # Kopf looks for the kinds once, when it starts: what is missing then would never be watched.
            await self._served()
            self._beat_at = started = time.monotonic()
            error = await self._run_once()
            if self._stopping.is_set():
                return
            self.restarts += 1
            if time.monotonic() - started > SETTLED_AFTER:
                pause = RESTART_PAUSES[0]
            words = "watching Kubernetes ended (%s); starting it again in %.0f s"
            logger.warning(words, error or "no reason given", pause)
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)

    def stop(self) -> None:
        """End watching; `run` returns when Kopf has ended."""
        self._stopping.set()
        loop, stop = self._thread_loop, self._thread_stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may have closed just now
                loop.call_soon_threadsafe(stop.set)

    async def _run_once(self) -> BaseException | None:
        """One life of Kopf; the error that ended it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def finish(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def live() -> None:
            error = run_to_its_end(self._operate(loop))
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, error)

        threading.Thread(target=live, name="watching", daemon=True).start()
        return await ended

    async def _operate(self, main: asyncio.AbstractEventLoop) -> None:
        self._thread_loop, self._thread_stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping.is_set():
            return
        beat = asyncio.create_task(self._beat())
        try:
            tasks = await kopf.spawn_tasks(
                registry=self._registry(main),
                settings=_settings(),
                clusterwide=True,
                stop_flag=self._thread_stop,
            )
            # Each of them runs for ever; when one has ended, Kopf as a whole is deaf. Its own run_tasks waits
            # without limit for the others, which may wait for credentials that nobody brings any more.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            beat.cancel()
            self._thread_loop = self._thread_stop = None

    async def _beat(self) -> None:
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT)

    def _registry(self, main: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry, inbox = kopf.OperatorRegistry(), Inbox(main, self._sink)
        lists = Relisting(self._kinds, lambda kind: self._tell(main, kind))
        kopf.on.login(registry=registry)(login_handler(self._source, trace=lists.trace))
        for kind in self._kinds:
            names = (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)
            kopf.on.event(*names, registry=registry, id=kind.plural)(_forward(kind, inbox))
        return registry

    def _tell(self, main: asyncio.AbstractEventLoop, kind: Kind) -> None:
        with contextlib.suppress(RuntimeError):  # the main loop has closed
            main.call_soon_threadsafe(self._relisted, kind)


class Inbox:
    """Events on their way from Kopf's thread to the main loop, a few at a time: a first listing would otherwise
    be one single step of that loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink
        self._events: deque[tuple[str | None, dict[str, Any]]] = deque()
        self._scheduled = False

    def put(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Hand over an event; called in Kopf's thread."""
        self._events.append((event_type, obj))
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the main loop has closed
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        until = time.monotonic() + SLICE
        while self._events and time.monotonic() < until:
            event_type, obj = self._events.popleft()
            try:
                self._sink(event_type, obj)
            except Exception:  # one odd object must not make us deaf
                logger.exception("cannot take over an event of %s", obj.get("kind"))
        self._scheduled = False
        # An event that came just before that line found it scheduled: looked for after it, none is left behind.
        if self._events:
            self._scheduled = True
            self._loop.call_soon(self._take)


def run_to_its_end(life: Coroutine[Any, Any, None]) -> BaseException | None:
    """Run it in a new loop of this thread; the error that ended it. Its tasks get LEAVING seconds to end.

    `asyncio.run` would wait for them without limit, and a task of Kopf's that swallows its cancellation would
    leave us deaf for ever.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: logger.debug("in Kopf's loop: %s", context["message"]))
    try:
        loop.run_until_complete(life)
    except (Exception, asyncio.CancelledError) as error:
        return error
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=LEAVING))
        loop.close()
    return None


def _forward(kind: Kind, inbox: Inbox) -> Callable[..., Any]:
    async def forward(event: Any, **_: Any) -> None:
        # A return value would be written into the object's status; items of a list may not say what they are.
        obj = {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind}
        inbox.put(event["type"], obj)

    return forward


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # the Lease decides who works; no stranger's peering may pause us
    settings.posting.enabled = False
    # Which kinds exist is waited for before Kopf starts, so that it needs no right to watch CRDs.
    settings.scanning.disabled = True
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoffs()
    settings.watching.chunk_size = 500
    # Kopf has a task for each object, which holds the last event for as long as it waits for the next one: with its
    # default of 5 s a first list of 10,000 Machines is in memory twice, and what the store keeps of it lies in
    # between and holds on to the rest (measured: 324 MiB instead of 193).
    settings.queueing.idle_timeout = 0.05
    settings.watching.server_timeout = 600
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 0.5
    settings.process.ultimate_exiting_timeout = None  # it would kill the process that this thread is part of
    return settings
