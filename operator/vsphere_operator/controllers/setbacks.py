"""What went wrong lately, so that the same call is not made again at once.

A status write wakes its own object; without this memory a refused clone would be asked for in a loop. It is lost on a
restart, on purpose: the first look after one may try again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.lifecycle import is_deleting, metadata
from vsphere_operator.controllers.ports import Object
from vsphere_operator.runtime.keys import Key

_LONGEST = 300.0  # seconds; beyond that a person who has mended something waits in vain
_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Setback:
    """A problem that stands until a moment of the monotonic clock, or until what led to it changes."""

    problem: Problem
    inputs: str
    until: float
    attempts: int


class Setbacks:
    """The last setback of each object."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[Key, Setback] = {}

    def record(self, key: Key, problem: Problem, *, inputs: str, delay: float, asked: bool = True) -> None:
        """``inputs`` is a fingerprint of what was tried; ``delay`` (seconds) doubles with every repetition.

        Not ``asked``: vCenter never heard of it, so that it is no repetition, and the delay is as told.
        """
        before = self._last.get(key)
        attempts = before.attempts if before and before.inputs == inputs else 0
        if asked:
            attempts += 1
        # The exponent is bounded because a float is not: a thousand repetitions would overflow it.
        doublings = min(attempts - 1, _DOUBLINGS) if asked else 0
        pause = min(_LONGEST, delay * 2.0**doublings)
        self._last[key] = Setback(problem, inputs, self._clock() + pause, attempts)

    def current(self, key: Key, *, inputs: str) -> tuple[Problem, float] | None:
        """The problem that still stands, and for how many seconds."""
        setback = self._last.get(key)
        if setback is None or setback.inputs != inputs:
            return None
        remaining = setback.until - self._clock()
        return (setback.problem, remaining) if remaining > 0 else None

    def clear(self, key: Key) -> None:
        self._last.pop(key, None)


def inputs_of(access: Access, obj: Object, *generations: int) -> str:
    """A fingerprint of what a call is made from: specs, the wish to go, datacenter and preset, and the session."""
    offer, specs = access.offer, (metadata(obj)["generation"], is_deleting(obj), *generations)
    preset = offer.preset.spec.model_dump_json() if offer.preset else ""
    return f"{specs}/{hash((offer.vsphere.model_dump_json(), preset))}/{access.login.credentials.version}"
