"""Is it alive, is it ready, and how is it: three pages for the kubelet and for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from .metrics import Metrics

Check = Callable[[], str | None]
"""None when all is well, else what is wrong, in a line."""

LAG_PERIOD = 0.5
"""Seconds between two looks at the event loop's delay."""


class Health:
    """Serves /healthz, /readyz and /metrics."""

    def __init__(self, metrics: Metrics, *, live: Check, ready: Check) -> None:
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, host: str | None = None) -> int:
        """Serve on all addresses (or on `host`); the port, which is a free one if 0 was asked for. OSError if
        it is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._answer(self._live))
        app.router.add_get("/readyz", self._answer(self._ready))
        app.router.add_get("/metrics", self._render)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Serve no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _answer(self, check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_: web.Request) -> web.Response:
            problem = check()
            if problem is None:
                return web.Response(text="ok\n")
            return web.Response(text=f"{problem}\n", status=503)

        return answer

    async def _render(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._metrics.render(), headers=headers)


async def watch_loop_lag(metrics: Metrics) -> None:
    """Measure for ever how much later than asked for the event loop wakes a sleeper."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_PERIOD
        await asyncio.sleep(LAG_PERIOD)
        metrics.loop_lag(max(0.0, loop.time() - due))
