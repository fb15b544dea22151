"""What the deletion of a Cluster asks of its user cluster, beside the workers: one that hangs holds up nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vsphere_operator.controllers.cluster.deliveries import Deliveries
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.queue import Clock

LOOK_AGAIN = 5.0
"""Seconds: nothing watches user clusters for this, and a claim takes about so long to go."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The user cluster answered: what is waited for there, None when nothing is."""

    waits_for: Problem | None


Act = Callable[[], Awaitable[Problem | None]]


class UserClusterLooks:
    """The last look for each Cluster that goes. The end of one wakes its Cluster."""

    def __init__(self, wake: Callable[[Key], None], clock: Clock) -> None:
        self._tries = Deliveries(wake, clock)
        self._seen: dict[Key, Looked] = {}

    def look(self, key: Key, what: object, act: Act) -> Looked | Problem | None:
        """What the last look at this came to: an answer, why there is none, or None while the first is under way.

        ``what`` names what is asked and whom; ``act`` may raise KubeErrors. Looks again every few seconds, and ever
        more rarely while there is no answer.
        """

        async def remembered() -> None:
            self._seen[key] = Looked(await act())

        outcome = self._tries.look(key, what, remembered, interval=LOOK_AGAIN)
        if outcome is None:
            return None
        return outcome.problem or self._seen[key]

    def next_look(self, key: Key) -> float | None:
        """Seconds until a look is due, None while one is under way."""
        return self._tries.next_look(key)

    def forget(self, key: Key) -> None:
        """The Cluster is gone."""
        self._tries.forget(key)
        self._seen.pop(key, None)
