"""A circuit breaker: a vCenter that does not answer is left alone, and asked now and then whether it is back.

Only silence counts (`UNREACHABLE`): a slow answer and a refusal are answers. While open, calls fail at once with
a fault that says they were never sent.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError

FAILURES = 3
"""Calls in a row without an answer that open it."""
WINDOW_SECONDS = 120.0
"""Failures further apart than this do not count together; a read time-out alone takes a minute."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the first question whether it is back, and between two of them at the most."""
STEADY_SECONDS = 60.0
"""Open again sooner than this after closing: the pauses go on where they were."""
_PROBE_SECONDS = 120.0
"""Longer than any call may take: a probe that never reported is given up."""
_ASKING_SECONDS = 4.0
"""After which those who are refused while one asks look again."""
NOT_SENT = "NotSent"
"""The `kind` of the faults of calls that never left this process."""


class Circuit(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """One breaker. Safe for threads; `changed` is called outside its lock, in whichever thread it was."""

    def __init__(
        self,
        where: str,
        *,
        lets_calls_try: bool = False,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - spreads questions
        changed: Callable[[Circuit], None] = lambda _: None,
    ) -> None:
        """`lets_calls_try`: an ordinary call is the probe; else only `begin_probe` half-opens it."""
        self._where = where
        self._lets_calls_try = lets_calls_try
        self._clock = clock
        self._jitter = jitter
        self._changed = changed
        self._lock = threading.Lock()
        self._state = Circuit.CLOSED
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._cause: Fault | None = None
        self._pause = FIRST_PAUSE
        self._next_try = 0.0
        self._closed_at = float("-inf")

    @property
    def state(self) -> Circuit:
        return self._state

    @property
    def cause(self) -> Fault | None:
        """What opened it; `None` while closed."""
        return self._cause

    @property
    def seconds_to_next_try(self) -> float:
        return max(0.0, self._next_try - self._clock())

    def check(self) -> None:
        """Return if a call may go out, else raise the `VSphereError` of a call that was not sent."""
        if self._state is Circuit.CLOSED:
            return
        if self._lets_calls_try and self.begin_probe():
            return
        raise VSphereError(self._refusal())

    def begin_probe(self) -> bool:
        """Whether it is time for one more try; then nobody else gets one until its outcome is told."""
        with self._lock:
            if self._state is Circuit.CLOSED or self.seconds_to_next_try > 0:
                return False
            self._state = Circuit.HALF_OPEN
            self._next_try = self._clock() + _PROBE_SECONDS
        self._changed(Circuit.HALF_OPEN)
        return True

    def record(self, fault: Fault | None) -> None:
        """The outcome of a call that went out."""
        if fault is None or fault.fault_class is not FaultClass.UNREACHABLE:
            self._answered(fault)
        elif fault.kind != NOT_SENT:
            self._silent(fault, lost=False)

    def lost(self, fault: Fault) -> None:
        """The connection that is always there has gone: no need to wait for more signs."""
        if fault.fault_class is FaultClass.UNREACHABLE and fault.kind != NOT_SENT:
            self._silent(fault, lost=True)

    def _answered(self, fault: Fault | None) -> None:
        if fault is not None and fault.kind == NOT_SENT:
            return
        with self._lock:
            self._failures.clear()
            if self._state is Circuit.CLOSED:
                return
            self._state, self._cause = Circuit.CLOSED, None
            self._closed_at = self._clock()
        self._changed(Circuit.CLOSED)

    def _silent(self, fault: Fault, *, lost: bool) -> None:
        with self._lock:
            now = self._clock()
            if self._state is Circuit.OPEN:
                return
            self._failures.append(now)
            enough = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
            if self._state is Circuit.CLOSED and not (lost or enough):
                return
            if self._state is Circuit.HALF_OPEN or now - self._closed_at < STEADY_SECONDS:
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            else:
                self._pause = FIRST_PAUSE
            self._state, self._cause = Circuit.OPEN, fault
            self._next_try = now + self._pause * self._jitter()
        self._changed(Circuit.OPEN)

    def _refusal(self) -> Fault:
        wait = self.seconds_to_next_try
        if self._state is Circuit.HALF_OPEN:
            # As far off as the one who asks may take; most know much sooner.
            wait = min(wait, _ASKING_SECONDS)
        cause = self._cause
        why = f" {cause.message}" if cause is not None else ""
        return not_sent(
            "VCenterUnavailable",
            f"{self._where} is not asked at the moment, because it did not answer.{why}",
            retry_after=wait + 1.0,
            fault_class=FaultClass.UNREACHABLE,
        )


def not_sent(
    reason: str,
    message: str,
    *,
    retry_after: float,
    fault_class: FaultClass = FaultClass.TRANSIENT,
) -> Fault:
    """The fault of a call that did not leave this process."""
    return Fault(fault_class, reason, message, retry_after, NOT_SENT, executed=Executed.NO)
