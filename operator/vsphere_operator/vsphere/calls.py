"""How a call gets from the event loop to vCenter: a few threads, an opID, time limits, one kind of error.

A call that cannot begin soon is refused: what was decided half a minute ago may be wrong by now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.metrics import NoMetrics, VCenterMetrics
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.automation import Automation
from vsphere_operator.vsphere.session.breaker import NOT_SENT, Breaker, not_sent
from vsphere_operator.vsphere.session.soap import CLOSED, SoapSession
from vsphere_operator.vsphere.vmomi import vmodl

logger = logging.getLogger(__name__)

R = TypeVar("R")

THREADS = 4
"""SOAP calls at once to one vCenter. More gain little: the answers are decoded under one lock."""
OTHER_THREADS = 2
"""The same of the Automation API and of files: each has its own, so that one that hangs holds up no other."""
QUEUE_SECONDS = 30.0
"""How long a call may wait until it is sent: for a thread, for a login."""
MOST_QUEUED = 500
"""Calls that may wait for a thread; far more than the operator has workers."""
_PATIENCE = 10.0
"""Seconds that a call may take to its end when this process stops."""


class Calls:
    """One vCenter's worker threads and sessions, for the groups of operations. Belongs to one event loop."""

    def __init__(
        self,
        session: SoapSession,
        automation: Automation,
        *,
        breaker: Breaker | None = None,
        metrics: VCenterMetrics | None = None,
        instance_uuid: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`instance_uuid`: of the vCenter that MoRefs are known from now; empty while none are."""
        self.session = session
        self._instance_uuid = instance_uuid
        self._automation = automation
        self._breaker = breaker or Breaker(session.where)
        self._metrics = metrics or NoMetrics()
        self._clock = clock
        self._waiting: set[Future[Any]] = set()
        self._refused: dict[Future[Any], Fault] = {}
        self._closed = False
        self._threads = {
            api: ThreadPoolExecutor(number, thread_name_prefix=f"{api}-{session.where}")
            for api, number in (("soap", THREADS), ("automation", OTHER_THREADS), ("files", OTHER_THREADS))
        }

    async def soap(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(service_content)` in a worker thread; `VSphereError` is all that it raises.

        Not if another vCenter answers by then, after a login: there the MoRefs are somebody else's.
        """
        timely = self._timely(self._at_home(function))
        return await self._run(
            "soap", lambda: self.session.call(timely, op_id=op_id, mutating=mutating), mutating=mutating
        )

    async def automation(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(stub_configuration)` of the Automation SDK in a worker thread."""
        timely = self._timely(function)
        return await self._run(
            "automation",
            lambda: self._automation.call(timely, op_id=op_id, mutating=mutating),
            mutating=mutating,
        )

    async def files(self, function: Callable[[], R]) -> R:
        """Run a transfer of a datastore file in a worker thread."""
        timely = self._timely(lambda _: function())
        return await self._run("files", lambda: timely(None), mutating=True)

    def background(self, function: Callable[[], None], *, failed: Callable[[], None] = lambda: None) -> None:
        """Run something that nobody waits for; a failure is logged and told to `failed`, on the event loop."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            try:
                function()
                return
            except VSphereError as error:
                logger.info("A background call to %s failed: %s", self.session.where, error)
            except Exception:
                logger.exception("A background call to %s failed", self.session.where)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(failed)

        with contextlib.suppress(RuntimeError):
            self._threads["soap"].submit(run)

    def refuse_waiting(self) -> None:
        """vCenter does not answer: what still waits for a thread fails now."""
        try:
            self._breaker.check()
        except VSphereError as error:
            for future in list(self._waiting):
                self._refuse(future, error.fault)

    def _timely(self, function: Callable[[Any], R]) -> Callable[[Any], R]:
        """Looks at the clock at the last moment: waiting for a thread or a login takes time as well."""
        deadline = self._clock() + QUEUE_SECONDS

        def run(stub: Any) -> R:
            if self._clock() > deadline:
                raise VSphereError(self._late())
            return function(stub)

        return run

    def _at_home(self, function: Callable[[Any], R]) -> Callable[[Any], R]:
        home = self._instance_uuid()

        def run(content: Any) -> R:
            if home and (content.about.instanceUuid or "") != home:
                words = f"Another vCenter answers at {self.session.where} than before; its inventory is read first."
                raise VSphereError(not_sent("OtherVCenter", words, retry_after=5.0))
            return function(content)

        return run

    def _late(self) -> Fault:
        words = f"A call to {self.session.where} could not be sent in time because others took too long."
        return not_sent("TooManyCalls", words, retry_after=5.0)

    async def _run(self, api: str, function: Callable[[], R], *, mutating: bool) -> R:
        try:
            return await self._queued(api, partial(self._timed, api, function), mutating=mutating)
        except VSphereError as error:
            if error.fault.kind == NOT_SENT:
                host = self.session.endpoint.host
                self._metrics.call_refused(vcenter=host, api=api, reason=error.fault.reason)
            raise

    async def _queued(self, api: str, function: Callable[[], R], *, mutating: bool) -> R:
        if self._closed:
            raise VSphereError(CLOSED)
        self._breaker.check()
        if len(self._waiting) >= MOST_QUEUED + THREADS:
            raise VSphereError(self._late())
        future = self._threads[api].submit(function)
        self._waiting.add(future)
        timer = asyncio.get_running_loop().call_later(QUEUE_SECONDS, self._give_up, future)
        try:
            return await (_to_its_end(future) if mutating else asyncio.wrap_future(future))
        except asyncio.CancelledError:
            fault = self._refused.get(future)
            task = asyncio.current_task()
            if fault is None or (task is not None and task.cancelling()):
                raise
            raise VSphereError(fault) from None
        finally:
            timer.cancel()
            self._waiting.discard(future)
            self._refused.pop(future, None)

    def _give_up(self, future: Future[Any]) -> None:
        self._refuse(future, self._late())

    def _refuse(self, future: Future[Any], fault: Fault) -> None:
        """Take a call out of the queue; one that a thread has begun goes on to its end."""
        if future.cancel():
            self._refused[future] = fault

    def _timed(self, api: str, function: Callable[[], R]) -> R:
        began, outcome = time.monotonic(), "ok"
        sent = True
        try:
            return function()
        except VSphereError as error:
            outcome, sent = error.fault.reason, error.fault.kind != NOT_SENT
            raise
        finally:
            if sent:
                self._metrics.observe_call(
                    vcenter=self.session.endpoint.host,
                    api=api,
                    outcome=outcome,
                    seconds=time.monotonic() - began,
                )

    async def close(self) -> None:
        """Let running calls end, drop what has not begun. After a while calls without an answer are cut."""
        self._closed = True
        for future in list(self._waiting):
            self._refuse(future, CLOSED)
        ended = asyncio.gather(
            *(asyncio.to_thread(t.shutdown, wait=True, cancel_futures=True) for t in self._threads.values())
        )
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
    """Properties of one object, read now, in one call. Unset ones are missing, unreadable ones raise.

    `VSphereError` when vCenter says nothing of the object at all: that is no proof of anything.
    """
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=target)],
        propSet=[collector.PropertySpec(type=type(target), pathSet=list(paths))],
    )
    result = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
    if result is None or not result.objects:
        raise VSphereError(_untold(morefs.of(target)))
    found = result.objects[0]
    for missing in found.missingSet or ():
        # Whatever the reason: what decisions rest on was not told, which is not the same as not there.
        raise missing.fault
    return {p.name: p.val for p in found.propSet or ()}


def _untold(moref: MoRef) -> Fault:
    words = f"vCenter told nothing about {moref}; it is asked again."
    return Fault(FaultClass.TRANSIENT, "NothingTold", words, 5.0, "NothingTold")


async def answer(reading: Callable[[], Awaitable[R]], *, moref: MoRef, instance_uuid: str) -> Answer[R]:
    """Run a fresh read and sort its outcome: only `ManagedObjectNotFound` for the very MoRef proves an
    absence.
    """
    try:
        return Present(await reading())
    except VSphereError as error:
        fault = error.fault
        if fault.kind == "ManagedObjectNotFound" and fault.object == moref:
            return Absent(f"vCenter {instance_uuid} knows no {morefs.kind_of(moref)} {morefs.id_of(moref)}")
        if fault.fault_class is FaultClass.GONE:
            return Unknown(f"{moref} could not be read: {fault.message}", fault)
        return Unknown(fault.message, fault)
