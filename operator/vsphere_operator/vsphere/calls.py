"""How a call gets from the event loop to vCenter: a few threads, an opID, time limits, one kind of error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.automation import Automation
from vsphere_operator.vsphere.session.soap import SoapSession
from vsphere_operator.vsphere.vmomi import vim, vmodl

logger = logging.getLogger(__name__)

R = TypeVar("R")

THREADS = 4
"""Calls at once to one vCenter. More gain little: the answers are decoded under one lock."""
_PATIENCE = 10.0
"""Seconds that a call may take to its end when this process stops."""


_CLOSED = Fault(
    FaultClass.TRANSIENT,
    "SessionClosed",
    "The session with vCenter was closed because its credentials changed; the new one is used next time.",
    1.0,
    "SessionClosed",
)


class CallMetrics(Protocol):
    """Where the duration of calls is counted. Called from worker threads."""

    def observe_call(self, *, vcenter: str, api: str, outcome: str, seconds: float) -> None:
        """`api`: soap, automation or files; `outcome`: ok or the fault's reason."""


class Calls:
    """One vCenter's worker threads and sessions, for the groups of operations."""

    def __init__(self, session: SoapSession, automation: Automation, metrics: CallMetrics | None) -> None:
        self.session = session
        self._automation = automation
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix=f"vcenter-{session.where}")

    async def soap(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(service_content)` in a worker thread; `VSphereError` is all that it raises."""
        return await self._run(
            "soap", lambda: self.session.call(function, op_id=op_id, mutating=mutating), mutating=mutating
        )

    async def automation(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(stub_configuration)` of the Automation SDK in a worker thread."""
        return await self._run(
            "automation",
            lambda: self._automation.call(function, op_id=op_id, mutating=mutating),
            mutating=mutating,
        )

    async def files(self, function: Callable[[], R]) -> R:
        """Run a transfer of a datastore file in a worker thread."""
        return await self._run("files", function, mutating=True)

    def background(self, function: Callable[[], None]) -> None:
        """Run something that nobody waits for; a failure is logged, never raised."""

        def run() -> None:
            try:
                function()
            except VSphereError as error:
                logger.info("A background call to %s failed: %s", self.session.where, error)
            except Exception:
                logger.exception("A background call to %s failed", self.session.where)

        with contextlib.suppress(RuntimeError):
            self._executor.submit(run)

    async def _run(self, api: str, function: Callable[[], R], *, mutating: bool) -> R:
        try:
            future = self._executor.submit(self._timed, api, function)
        except RuntimeError:
            raise VSphereError(_CLOSED) from None
        if mutating:
            return await _to_its_end(future)
        return await asyncio.wrap_future(future)

    def _timed(self, api: str, function: Callable[[], R]) -> R:
        began, outcome = time.monotonic(), "ok"
        try:
            return function()
        except VSphereError as error:
            outcome = error.fault.reason
            raise
        finally:
            if self._metrics is not None:
                self._metrics.observe_call(
                    vcenter=self.session.endpoint.host,
                    api=api,
                    outcome=outcome,
                    seconds=time.monotonic() - began,
                )

    async def close(self) -> None:
        """Let running calls end, drop what has not begun. After a while calls without an answer are cut."""
        shutdown = asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        ended = asyncio.ensure_future(shutdown)
        done, _ = await asyncio.wait([ended], timeout=_PATIENCE)
        if not done:
            self.session.abort()
            await asyncio.wait([ended], timeout=_PATIENCE)


async def _to_its_end(future: Future[R]) -> R:
    """Wait for a call that changes something even when cancelled: its task reference must not be lost.

    A cancellation that came too late is taken up again at the caller's next await.
    """
    waiting = asyncio.wrap_future(future)
    cancelled = False
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            if future.cancel():
                raise
            cancelled = True
    task = asyncio.current_task()
    if cancelled and task is not None:
        task.cancel()
    return waiting.result()


def properties(content: Any, target: Any, paths: tuple[str, ...]) -> dict[str, Any]:
    """Properties of one object, read now, in one call. Unset ones are missing, unreadable ones raise."""
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=target)],
        propSet=[collector.PropertySpec(type=type(target), pathSet=list(paths))],
    )
    result = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
    if result is None or not result.objects:
        raise vmodl.fault.ManagedObjectNotFound(obj=target)
    found = result.objects[0]
    for missing in found.missingSet or ():
        if isinstance(missing.fault, vim.fault.NoPermission | vim.fault.NotAuthenticated):
            raise missing.fault
    return {p.name: p.val for p in found.propSet or ()}


async def answer(reading: Callable[[], Awaitable[R]], *, moref: MoRef, instance_uuid: str) -> Answer[R]:
    """Run a fresh read and sort its outcome: only `ManagedObjectNotFound` for the very MoRef proves an
    absence.
    """
    try:
        return Present(await reading())
    except VSphereError as error:
        fault = error.fault
        if fault.kind == "ManagedObjectNotFound" and fault.object in (None, moref):
            return Absent(f"vCenter {instance_uuid} knows no {morefs.kind_of(moref)} {morefs.id_of(moref)}")
        if fault.fault_class is FaultClass.GONE:
            return Unknown(f"{moref} could not be read: {fault.message}", fault)
        return Unknown(fault.message, fault)
