"""Where events come in: what was seen goes into the store, and what it concerns into the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from .engine import Engine
from .keys import Key, Object, key_of
from .queue import Priority
from .store import Changed, Store

logger = logging.getLogger(__name__)

Router = Callable[[str, Object | None, Object | None], Iterable[Key]]
"""(kind, old, new) -> the keys that have to look at this change, the object's own included."""


class Intake:
    """Feeds store and engine.

    It hears of every change of the store, also of those that controllers make by their own writes: the
    event that follows a write shows nothing new and would wake nobody.
    """

    def __init__(self, store: Store, engine: Engine, router: Router) -> None:
        self._store = store
        self._engine = engine
        self._router = router
        store.subscribe(self._route)

    def observe(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take over one watch event: ADDED, MODIFIED, DELETED, or None for an object of the first listing."""
        if event_type == "DELETED":
            self._store.forget(key_of(obj), obj["metadata"].get("resourceVersion"))
        else:
            self._store.observe(obj)

    def resync(self, kinds: Iterable[str]) -> int:
        """Have every known object of these kinds looked at, after what is more urgent; how many they are."""
        count = 0
        for kind in kinds:
            for key in self._store.keys(kind):
                self._engine.enqueue(key, priority=Priority.RESYNC)
                count += 1
        return count

    def _route(self, change: Changed) -> None:
        # A router that fails on one object must neither stop the intake nor undo what the store has taken over.
        try:
            keys = list(self._router(change.key.kind, change.old, change.new))
        except Exception:
            logger.exception("cannot tell whom a change of %s concerns", change.key)
            keys = [change.key]
        for key in keys:
            self._engine.enqueue(key)
