"""A refused password is tried once, then rarely: directories lock users who fail too often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import REJECTED_LOGIN_PAUSE, Fault, FaultClass, VSphereError

R = TypeVar("R")


@dataclass
class _Door:
    lock: threading.Lock = field(default_factory=threading.Lock)
    fault: Fault | None = None
    closed_until: float = 0.0


class LoginGate:
    """Every login of this process passes here, whichever session or check it is for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._doors: dict[tuple[str, str], _Door] = {}

    def attempt(self, endpoint: Endpoint, credentials: Credentials, login: Callable[[], R]) -> R:
        """Run `login`, or raise the refusal of the last 15 minutes again if there was one.

        Two threads never try the same pair at once: the second waits for the first one's answer.
        """
        key = (endpoint.key, credentials.version)
        with self._lock:
            door = self._doors.setdefault(key, _Door())
        with door.lock:
            wait = door.closed_until - self._clock()
            if door.fault is not None and wait > 0:
                raise VSphereError(replace(door.fault, retry_after=wait))
            try:
                result = login()
            except VSphereError as error:
                if error.fault.fault_class is FaultClass.CREDENTIALS:
                    door.fault = error.fault
                    door.closed_until = self._clock() + REJECTED_LOGIN_PAUSE
                raise
            door.fault = None
            return result
