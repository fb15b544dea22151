"""A refused password is tried once, then rarely: directories lock users who fail too often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import REJECTED_LOGIN_PAUSE, Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.metrics import NoMetrics, VCenterMetrics

R = TypeVar("R")


@dataclass
class _Door:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    fault: Fault | None = None
    closed_until: float = 0.0


class LoginGate:
    """Every login of this process passes here, whichever session or check it is for."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, metrics: VCenterMetrics | None = None
    ) -> None:
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._lock = threading.Lock()
        self._doors: dict[tuple[str, str], _Door] = {}

    def attempt(
        self, endpoint: Endpoint, credentials: Credentials, login: Callable[[], R], *, api: str = "soap"
    ) -> R:
        """Run `login`, or raise the refusal of the last 15 minutes again if there was one.

        Two threads never try the same pair at once: the second waits for the first one's answer. How the
        certificate is judged makes no other pair: the directory behind vCenter counts all the same.
        """
        key = (endpoint.authority, credentials.version)
        with self._lock:
            door = self._doors.setdefault(key, _Door())
            door.users += 1
        try:
            with door.lock:
                return self._through(door, endpoint, login, api)
        finally:
            with self._lock:
                door.users -= 1
                self._forget_open_doors()

    def _forget_open_doors(self) -> None:
        """A password that was refused once and replaced is never asked about again."""
        now = self._clock()
        for key, door in list(self._doors.items()):
            if not door.users and (door.fault is None or door.closed_until <= now):
                del self._doors[key]

    def _through(self, door: _Door, endpoint: Endpoint, login: Callable[[], R], api: str) -> R:
        wait = door.closed_until - self._clock()
        if door.fault is not None and wait > 0:
            raise VSphereError(replace(door.fault, retry_after=wait))
        outcome = "ok"
        try:
            result = login()
        except VSphereError as error:
            outcome = error.fault.reason
            if error.fault.fault_class is FaultClass.CREDENTIALS:
                door.fault = error.fault
                door.closed_until = self._clock() + REJECTED_LOGIN_PAUSE
            raise
        finally:
            self._metrics.observe_login(vcenter=endpoint.host, api=api, outcome=outcome)
        door.fault = None
        return result
