"""Kopf's log, condensed: what disturbs watching is one line a minute of ours, all else is left out."""

from __future__ import annotations

import logging
import time

from vsphere_operator.runtime.queue import Clock

logger = logging.getLogger(__name__)

REPEAT_AFTER = 60.0
"""Seconds before the same kind of complaint is shown again."""


class Condense(logging.Handler):
    """Turns Kopf's errors into short warnings, each kind once a minute."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__(logging.ERROR)
        self._clock = clock
        self._shown: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind = f"{record.name}:{record.funcName}:{record.lineno}"
        now = self._clock()
        if now - self._shown.get(kind, float("-inf")) < REPEAT_AFTER:
            return
        self._shown[kind] = now
        logger.warning("watching Kubernetes is disturbed: %s", _first_line(record))


def tame() -> None:
    """Let Kopf log only errors, and those through Condense. May be called again."""
    kopf_logger = logging.getLogger("kopf")
    kopf_logger.setLevel(logging.ERROR)
    kopf_logger.propagate = False
    if not any(isinstance(handler, Condense) for handler in kopf_logger.handlers):
        kopf_logger.addHandler(Condense())


def _first_line(record: logging.LogRecord) -> str:
    lines = record.getMessage().splitlines() or [""]
    if record.exc_info and record.exc_info[1] is not None:
        return f"{lines[0]} ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
    return lines[0]
