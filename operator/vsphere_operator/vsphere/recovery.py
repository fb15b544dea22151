"""Asks a vCenter that has stopped answering whether it is back: one cheap question at a time.

The question needs no login, so that it is the same for all users of a vCenter and costs no password try.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vsphere_operator.vsphere.endpoint import Endpoint
from vsphere_operator.vsphere.faults import Fault, VSphereError, from_transport
from vsphere_operator.vsphere.metrics import VCenterMetrics
from vsphere_operator.vsphere.session.breaker import Breaker, Circuit
from vsphere_operator.vsphere.session.soap import probe

logger = logging.getLogger(__name__)


class Recovery:
    """The breaker of one vCenter and its way back. Belongs to one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        user_agent: str,
        metrics: VCenterMetrics,
        changed: Callable[[Circuit], None],
    ) -> None:
        """`changed` is called on the event loop."""
        self._endpoint = endpoint
        self._user_agent = user_agent
        self._metrics = metrics
        self._tell = changed
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._told = Circuit.CLOSED
        self._closed = False
        self.breaker = Breaker(endpoint.authority, changed=self._changed)
        self._metrics.circuit(vcenter=endpoint.host, api="soap", state=Circuit.CLOSED)

    def _changed(self, _: Circuit) -> None:
        """In any thread."""
        try:
            self._loop.call_soon_threadsafe(self._take_note)
        except RuntimeError:
            # The loop is closed: nobody is left to tell.
            return

    def _take_note(self) -> None:
        if self._closed:
            return
        state = self.breaker.state
        self._metrics.circuit(vcenter=self._endpoint.host, api="soap", state=state)
        if (state is Circuit.CLOSED) == (self._told is Circuit.CLOSED):
            return
        self._told = state
        if state is Circuit.CLOSED:
            logger.info("vCenter %s answers again", self._endpoint.authority)
        else:
            cause = self.breaker.cause
            logger.warning("vCenter %s is left alone: %s", self._endpoint.authority, cause and cause.message)
            if self._task is None or self._task.done():
                self._task = asyncio.ensure_future(self._ask_until_back())
        self._tell(state)

    async def _ask_until_back(self) -> None:
        while self.breaker.state is not Circuit.CLOSED:
            await asyncio.sleep(self.breaker.seconds_to_next_try)
            if not self.breaker.begin_probe():
                continue
            self._thread = self._thread or ThreadPoolExecutor(1, f"probe-{self._endpoint.authority}")
            self.breaker.record(await self._loop.run_in_executor(self._thread, self._ask))

    def _ask(self) -> Fault | None:
        try:
            probe(self._endpoint, user_agent=self._user_agent)
        except VSphereError as error:
            return error.fault
        except Exception as error:
            # Whoever stopped asking here would leave this vCenter alone for ever.
            logger.exception("The question to vCenter %s failed", self._endpoint.authority)
            return from_transport(error, where=self._endpoint.authority)
        return None

    async def close(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        # Nobody is refused any more.
        self._metrics.circuit(vcenter=self._endpoint.host, api="soap", state=Circuit.CLOSED)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
