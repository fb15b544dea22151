from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from vsphere_operator.observability.health import Health, watch_loop_lag
from vsphere_operator.observability.metrics import Metrics


class Checks:
    live: str | None = None
    ready: str | None = "reading the objects"


async def page(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_health_says_what_is_wrong_until_nothing_is() -> None:
    checks = Checks()
    health = Health(Metrics(), live=lambda: checks.live, ready=lambda: checks.ready)
    port = await health.start(0, "127.0.0.1")
    try:
        assert await page(port, "/healthz") == (200, "ok\n")
        assert await page(port, "/readyz") == (503, "reading the objects\n")
        checks.ready, checks.live = None, "watching hangs"
        assert await page(port, "/readyz") == (200, "ok\n")
        assert await page(port, "/healthz") == (503, "watching hangs\n")
    finally:
        await health.stop()


async def test_metrics_carry_what_was_counted() -> None:
    metrics = Metrics()
    metrics.reconciled("Machine", "success", 0.1)
    metrics.queue_depth(3)
    metrics.observe_call(vcenter="vc.example.com", api="soap", outcome="ok", seconds=0.2)
    metrics.missed("Secret", 1)
    metrics.admission_in_use("vc.example.com", "provisioning", 20)
    metrics.admission_waiting("vc.example.com", "provisioning", 80)
    metrics.admission_waited("vc.example.com", "provisioning", "create", 400)
    health = Health(metrics, live=lambda: None, ready=lambda: None)
    port = await health.start(0, "127.0.0.1")
    try:
        _, text = await page(port, "/metrics")
    finally:
        await health.stop()
    assert 'reconcile_total{kind="Machine",result="success"} 1.0' in text
    assert "workqueue_depth 3.0" in text
    assert 'api="soap"' in text
    assert 'watch_missed_changes_total{kind="Secret"} 1.0' in text
    labels = 'pool="provisioning",scope="vc.example.com"'
    assert f"vsphere_operator_admission_tokens_in_use{{{labels}}} 20.0" in text
    assert f"vsphere_operator_admission_waiting{{{labels}}} 80.0" in text
    waits = 'pool="provisioning",priority="create",scope="vc.example.com"'
    assert f'vsphere_operator_admission_wait_seconds_bucket{{le="300.0",{waits}}} 0.0' in text
    assert f'vsphere_operator_admission_wait_seconds_bucket{{le="900.0",{waits}}} 1.0' in text


async def test_a_taken_port_is_an_os_error() -> None:
    one, two = (Health(Metrics(), live=lambda: None, ready=lambda: None) for _ in range(2))
    port = await one.start(0, "127.0.0.1")
    try:
        with pytest.raises(OSError, match="in use"):
            await two.start(port, "127.0.0.1")
    finally:
        await one.stop()
        await two.stop()


async def test_a_blocked_loop_shows_as_lag() -> None:
    seen: asyncio.Queue[float] = asyncio.Queue()

    class Noting(Metrics):
        def loop_lag(self, seconds: float) -> None:
            seen.put_nowait(seconds)

    task = asyncio.create_task(watch_loop_lag(Noting()))
    await asyncio.sleep(0)
    time.sleep(0.7)  # noqa: ASYNC251 - blocking the loop is the subject
    lag = await asyncio.wait_for(seen.get(), 10)
    task.cancel()
    assert lag > 0.15
