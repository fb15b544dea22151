"""Deliveries under way, beside the workers: however long a user cluster lets us wait, no Cluster's work waits for it.

A reconcile says what it wants and gets what the last try came to; the end of a try wakes the Cluster again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vsphere_operator.controllers import user_clusters
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.queue import Clock

logger = logging.getLogger(__name__)

AT_ONCE = 256
"""User clusters that are talked to at the same time."""
LONGEST = 60.0
"""Seconds for one delivery in all."""
SHORTEST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between tries while one fails; doubled with each."""

Act = Callable[[], Awaitable[Problem | None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last try came to; a `problem` of None is success."""

    problem: Problem | None


@dataclass(slots=True)
class _State:
    wanted: object
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    tried: object = None
    due: float = 0.0
    failures: int = 0


class Deliveries:
    """One for each Cluster that names a kubeconfig."""

    def __init__(self, wake: Callable[[Key], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._states: dict[Key, _State] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def look(self, key: Key, wanted: object, act: Act, *, interval: float) -> Outcome | None:
        """The last outcome for this fingerprint of what is wanted, None while the first try is under way.

        Tries again when ``wanted`` is another one, after ``interval`` seconds, and after a pause when it failed.
        """
        state = self._states.setdefault(key, _State(wanted))
        if state.wanted != wanted:
            state.wanted, state.failures = wanted, 0
        if state.task is None and (state.tried != wanted or self._clock() >= state.due):
            state.task = asyncio.get_running_loop().create_task(
                self._try(key, state, wanted, act, interval), name=f"deliver for {key}"
            )
            state.task.add_done_callback(_ended)
        return state.outcome if state.tried == wanted else None

    def was_done(self, key: Key, wanted: object) -> bool:
        """Whether the last try was for the same and succeeded."""
        state = self._states.get(key)
        return state is not None and state.tried == wanted and state.outcome == Outcome(None)

    def next_look(self, key: Key) -> float | None:
        """Seconds until a try is due, None while one is under way: its end wakes the Cluster."""
        state = self._states.get(key)
        return None if state is None or state.task is not None else max(0.0, state.due - self._clock())

    def forget(self, key: Key) -> None:
        """The Cluster is gone, goes, or names no kubeconfig any more; a try under way is given up."""
        state = self._states.pop(key, None)
        if state is not None and state.task is not None:
            state.task.cancel()

    async def _try(self, key: Key, state: _State, wanted: object, act: Act, interval: float) -> None:
        try:
            async with self._slots, asyncio.timeout(LONGEST):
                problem = await act()
        except TimeoutError:
            words = f"the user cluster took more than {LONGEST:.0f} s; tries again"
            problem = Problem(
                user_clusters.USER_CLUSTER_REACHABLE, "Timeout", words, stalled=False, certain=True
            )
        except KubeError as error:
            problem = user_clusters.explain(error)
        except Exception:
            logger.exception("the delivery for %s failed", key)
            words = "a fault in the operator, see its log; tries again"
            problem = Problem(user_clusters.USER_CLUSTER_REACHABLE, "InternalError", words, stalled=False)
        state.outcome, state.tried, state.task = Outcome(problem), wanted, None
        state.failures = 0 if problem is None else state.failures + 1
        pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(state.failures - 1, 16))
        # Spread, so that the user clusters of a start are not all asked at the same moment for ever.
        wait = (interval if problem is None else pause) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        state.due = self._clock() + wait
        self._wake(key)


def _ended(task: asyncio.Task[None]) -> None:
    """Only the end of the process itself comes out of a try: nobody waits for it here."""
    if not task.cancelled():
        task.exception()
