"""Whether users can log in for whom no session is kept: one try a credential version, remembered.

Each vCenter has threads of its own for this: one that hangs delays nobody's checks elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Fault

_THREADS = 2
_MOST_REMEMBERED = 10_000

_Key = tuple[str, str]


class LoginChecks:
    """Belongs to one event loop. `try_login` blocks, within its time limits."""

    def __init__(
        self,
        try_login: Callable[[Endpoint, Credentials], Fault | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._try_login = try_login
        self._clock = clock
        self._answers: OrderedDict[_Key, tuple[Fault | None, float]] = OrderedDict()
        self._running: dict[_Key, asyncio.Task[Fault | None]] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}

    async def check(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        """The fault of the login, or `None`. A success is remembered, a fault for its `retry_after`."""
        key = (endpoint.key, credentials.version)
        fault, until = self._answers.get(key, (None, 0.0))
        if until > self._clock():
            return fault
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._ask(key, endpoint, credentials))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        # Whoever gives up waiting must not take the answer from the others.
        return await asyncio.shield(running)

    async def _ask(self, key: _Key, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        threads = self._threads.get(endpoint.authority)
        if threads is None:
            threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"login-check-{endpoint.authority}")
            self._threads[endpoint.authority] = threads
        loop = asyncio.get_running_loop()
        fault = await loop.run_in_executor(threads, self._try_login, endpoint, credentials)
        remember = float("inf") if fault is None else fault.retry_after
        self._answers[key] = (fault, self._clock() + remember)
        while len(self._answers) > _MOST_REMEMBERED:
            self._answers.popitem(last=False)
        return fault

    async def close(self) -> None:
        """Let running checks end, drop the others."""
        for task in self._running.values():
            task.cancel()
        threads, self._threads = list(self._threads.values()), {}
        for executor in threads:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
