"""What ends the demo: an exception wherever it is, from its first line on."""

from __future__ import annotations

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


class StopRequested(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived; not an Exception, so that no handler of those swallows it."""


def raise_on_signals() -> None:
    """Turn signals into StopRequested."""
    for number in _SIGNALS:
        signal.signal(number, _request_stop)


def ignore_signals() -> None:
    """Let nothing disturb the cleaning up."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _request_stop(number: int, frame: FrameType | None) -> None:
    raise StopRequested
