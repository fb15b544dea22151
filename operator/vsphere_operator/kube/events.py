"""Kubernetes Events: what happened to an object, told once, in the background, and never at the work's
cost."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from vsphere_operator.runtime.keys import Object, key_of
from vsphere_operator.runtime.queue import Clock

from .errors import Forbidden, KubeError, Unavailable

logger = logging.getLogger(__name__)

COMPONENT = "vsphere-operator"
CAPACITY = 1000
"""Events that wait to be posted; beyond that the newest are dropped."""
QUIET = 3600.0
"""Seconds for which the same event is not told again: as long as the API server keeps Events by default."""
REMEMBERED = 10_000
"""Events that are remembered as told."""
MESSAGE_LENGTH = 1024
"""Characters that the API takes for an Event's message."""


class EventApi(Protocol):
    """The one call that posting needs."""

    async def create(self, obj: dict[str, Any], /) -> dict[str, Any]: ...


class Events:
    """Tells what happens as Events of the objects. `normal` and `warning` return at once; `run` posts."""

    def __init__(
        self,
        api: EventApi,
        instance: str,
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._instance = instance[:128]
        self._clock = clock
        self._now = now
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(CAPACITY)
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self.dropped = 0

    def normal(self, obj: Object, reason: str, message: str, *, action: str = "Reconcile") -> None:
        """Something went as it should. `reason` and `action` are CamelCase words."""
        self._tell("Normal", obj, reason, message, action)

    def warning(self, obj: Object, reason: str, message: str, *, action: str = "Reconcile") -> None:
        """Something needs attention."""
        self._tell("Warning", obj, reason, message, action)

    async def run(self) -> None:
        """Post what was told, until cancelled. An Event that the API does not take is dropped, with a log
        line."""
        while True:
            event = await self._queue.get()
            try:
                await self._post(event)
            finally:
                self._queue.task_done()

    async def flush(self, seconds: float) -> None:
        """Wait until everything told is posted, for so many seconds at the most."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            logger.info("%d events were not posted", self._queue.qsize())

    async def _post(self, event: dict[str, Any]) -> None:
        for pause in (1.0, 5.0, 0.0):
            try:
                await self._api.create(event)
                return
            except Unavailable:
                await asyncio.sleep(pause)
            except Forbidden as error:  # a namespace on its way out takes none, and that is no news
                logger.debug("event %s was not taken: %s", event["reason"], error)
                return
            except KubeError as error:
                logger.info("event %s was not taken: %s", event["reason"], error)
                return
        self.dropped += 1

    def _tell(self, kind: str, obj: Object, reason: str, message: str, action: str) -> None:
        identity = obj["metadata"].get("uid") or str(key_of(obj))
        if self._was_told((identity, reason, message)):
            return
        try:
            self._queue.put_nowait(self._event(kind, obj, reason, message, action))
        except asyncio.QueueFull:
            self.dropped += 1

    def _was_told(self, what: tuple[str, str, str]) -> bool:
        now = self._clock()
        told_at = self._told.get(what)
        if told_at is not None and now - told_at < QUIET:
            return True
        self._told[what] = now
        self._told.move_to_end(what)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return False

    def _event(self, kind: str, obj: Object, reason: str, message: str, action: str) -> dict[str, Any]:
        metadata = obj["metadata"]
        key = key_of(obj)
        involved = {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": key.kind,
            "name": key.name,
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if key.namespace:
            involved["namespace"] = key.namespace
        moment = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # Events of cluster scoped objects live in `default`: that is where kubectl looks for them.
            "metadata": {
                "name": f"{key.name[:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": key.namespace or "default",
            },
            "involvedObject": involved,
            "type": kind,
            "reason": reason[:128],
            "message": message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…",
            "action": action[:128],
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }
