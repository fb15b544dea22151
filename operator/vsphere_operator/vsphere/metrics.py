"""What the vSphere layer counts. Filled from outside; without anybody listening nothing is counted."""

from __future__ import annotations

from typing import Protocol


class VCenterMetrics(Protocol):
    """Called from any thread. `vcenter` is a host name, `api` one of soap, automation and files."""

    def observe_call(self, *, vcenter: str, api: str, outcome: str, seconds: float) -> None:
        """A call ended; `outcome`: ok or the fault's reason."""

    def call_refused(self, *, vcenter: str, api: str, reason: str) -> None:
        """A call was not sent at all: vCenter is known not to answer, or the call waited too long."""

    def observe_login(self, *, vcenter: str, api: str, outcome: str) -> None:
        """A login was tried; `outcome`: ok or the fault's reason."""

    def session_opened(self, *, vcenter: str, api: str) -> None: ...

    def session_ended(self, *, vcenter: str, api: str) -> None: ...

    def insecure(self, *, vcenter: str, insecure: bool) -> None:
        """Whether a connection is in use that does not verify the certificate."""

    def circuit(self, *, vcenter: str, api: str, state: int) -> None:
        """0: closed, calls go out; 1: one call tries; 2: open, calls are refused at once."""


class NoMetrics:
    """Counts nothing."""

    def observe_call(self, *, vcenter: str, api: str, outcome: str, seconds: float) -> None: ...
    def call_refused(self, *, vcenter: str, api: str, reason: str) -> None: ...
    def observe_login(self, *, vcenter: str, api: str, outcome: str) -> None: ...
    def session_opened(self, *, vcenter: str, api: str) -> None: ...
    def session_ended(self, *, vcenter: str, api: str) -> None: ...
    def insecure(self, *, vcenter: str, insecure: bool) -> None: ...
    def circuit(self, *, vcenter: str, api: str, state: int) -> None: ...
