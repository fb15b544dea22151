"""A vCenter that is left alone is asked until it is back, whatever it answers meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from vsphere_operator.vsphere import recovery
from vsphere_operator.vsphere.endpoint import Endpoint
from vsphere_operator.vsphere.faults import from_transport
from vsphere_operator.vsphere.metrics import NoMetrics
from vsphere_operator.vsphere.recovery import Recovery
from vsphere_operator.vsphere.session import breaker
from vsphere_operator.vsphere.session.breaker import Circuit


async def test_an_answer_that_nobody_can_make_sense_of_does_not_end_the_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.01)
    answers: list[Callable[[], None]] = [lambda: None, lambda: [][1]]

    def probe(_: Endpoint, *, user_agent: str) -> None:
        answers.pop()()

    monkeypatch.setattr(recovery, "probe", probe)
    back = asyncio.Event()
    made = Recovery(
        Endpoint("https://vc"),
        user_agent="test/1",
        metrics=NoMetrics(),
        changed=lambda state: back.set() if state is Circuit.CLOSED else None,
    )
    made.breaker.lost(from_transport(TimeoutError(), where="vc:443"))
    await asyncio.wait_for(back.wait(), 10)
    assert answers == []
    await made.close()
