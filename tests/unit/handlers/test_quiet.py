from __future__ import annotations

import logging

import pytest

from vsphere_operator.handlers.quiet import Condense, tame


class Time:
    now = 0.0


def test_a_complaint_of_kopf_is_one_short_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    condense = Condense(clock=lambda: time.now)
    record = logging.LogRecord(
        "kopf.clients", logging.ERROR, "api.py", 7, "attempt %s failed\nmore", ("#1",), None
    )
    for time.now in (0.0, 5.0, 59.0, 61.0):
        condense.handle(record)
    assert [r.getMessage() for r in caplog.records] == [
        "watching Kubernetes is disturbed: attempt #1 failed",
        "watching Kubernetes is disturbed: attempt #1 failed",
    ]
    assert all(r.exc_info is None for r in caplog.records)


def test_kopf_itself_says_nothing() -> None:
    logger = logging.getLogger("kopf")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        tame()
        tame()
        assert not logger.propagate
        assert len([h for h in logger.handlers if isinstance(h, Condense)]) == 1
        assert not logging.getLogger("kopf.objects").isEnabledFor(logging.WARNING)
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
