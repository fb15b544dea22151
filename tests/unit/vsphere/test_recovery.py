"""A vCenter that is left alone is asked until it is back, whatever it answers meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from vsphere_operator.vsphere import recovery
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import VSphereError, from_transport
from vsphere_operator.vsphere.metrics import NoMetrics
from vsphere_operator.vsphere.recovery import Recovery
from vsphere_operator.vsphere.session import breaker
from vsphere_operator.vsphere.session.breaker import Circuit
from vsphere_operator.vsphere.vcenters import VCenters


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


async def test_a_vcenter_that_nobody_uses_any_more_is_not_asked_whether_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.01)
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    asking: list[threading.Thread] = []

    def probe(_: Endpoint, *, user_agent: str) -> None:
        asking.append(threading.current_thread())
        loop.call_soon_threadsafe(asked.set)
        raise VSphereError(from_transport(TimeoutError(), where="127.0.0.1:1"))

    monkeypatch.setattr(recovery, "probe", probe)
    pool = VCenters(on_change=lambda *_: None, user_agent="test/1", retire_seconds=0.01)
    pool.get(Endpoint("https://127.0.0.1:1"), Credentials("user", "password"))
    await asyncio.wait_for(asked.wait(), 10)
    pool.retain(set())
    await asyncio.to_thread(asking[0].join, 20)
    assert not asking[0].is_alive()
    await pool.close()
