"""`vsphere-operator run`: puts the rooms of the house together, runs them, and takes them down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vsphere_operator.handlers.watching import Watcher
from vsphere_operator.kube.client import USER_AGENT, KubeApi
from vsphere_operator.kube.credentials import CredentialsError, source_for
from vsphere_operator.kube.events import Events
from vsphere_operator.kube.kinds import KINDS, OURS, WATCHED
from vsphere_operator.kube.leases import KubeLease
from vsphere_operator.kube.objects import Objects
from vsphere_operator.kube.user_clusters import UserClusters
from vsphere_operator.observability import logs
from vsphere_operator.observability.health import Health, watch_loop_lag
from vsphere_operator.observability.metrics import Metrics
from vsphere_operator.runtime.engine import Controller, Engine
from vsphere_operator.runtime.intake import Intake, Router
from vsphere_operator.runtime.keys import being_deleted
from vsphere_operator.runtime.leadership import Elector
from vsphere_operator.runtime.queue import LaneOf, WorkQueue
from vsphere_operator.runtime.store import IndexFunction, Store

from .memory import calm_collector, keep_settling, settle
from .reading import FullReads
from .startup import kinds_served, prepare

logger = logging.getLogger(__name__)

T = TypeVar("T")

DRAIN = 25.0
"""Seconds that work in flight gets to reach its end when the operator stops; the kubelet gives 60 in all."""
WATCH_SILENCE = 120.0
"""Seconds without a sign of life of the watching thread after which the process is not alive any more."""
LOGOUT = 15.0
"""Seconds for the farewell to all vCenters."""
GOODBYE = 5.0
"""Seconds that each farewell to the API server may take at the most."""

BAD_USAGE = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `kubeconfig` None is the Pod's service account; `health_port` 0 is off."""

    kubeconfig: Path | None = None
    namespace: str = "vsphere-operator"
    workers: int = 16
    log_level: str = "info"
    log_format: logs.LogFormat = "plain"
    health_port: int = 8080
    leader_elect: bool = True
    lease_name: str = "vsphere-operator"


class Controllers(Protocol):
    """What the controllers' registry builds."""

    @property
    def controllers(self) -> Sequence[Controller]: ...

    @property
    def router(self) -> Router: ...

    @property
    def indexes(self) -> Iterable[tuple[str, str, IndexFunction]]:
        """(kind, index, function): what controllers look up in the store."""

    @property
    def on_vcenter_change(self) -> Callable[..., None]:
        """Called in the event loop with whatever the vCenters' `on_change` is called with."""

    @property
    def lane_of(self) -> LaneOf:
        """Which keys wait for the same vCenter, and must not make others wait."""


class VCenters(Protocol):
    """All vCenters that Seeds name."""

    async def close(self) -> None:
        """Log out everywhere."""


def connect_vcenters(**ports: Any) -> VCenters:
    """The real vCenters, imported only when the operator runs."""
    from vsphere_operator.vsphere import vcenters

    return vcenters.VCenters(**ports)


def build_controllers(**ports: Any) -> Controllers:
    """The real controllers."""
    from vsphere_operator.controllers import registry

    return registry.build(**ports)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the operator is for; tests give others."""

    connect: Callable[..., VCenters] = connect_vcenters
    build: Callable[..., Controllers] = build_controllers


def run(options: Options) -> int:
    """Run until a signal; the exit code: 0 stopped, 1 lost the lease or failed, 2 cannot start with these
    options."""
    logs.setup(options.log_level, options.log_format)
    calm_collector()
    code = asyncio.run(_run(options))
    logging.shutdown()
    return code


async def _run(options: Options) -> int:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    return await operate(options, stop)


async def operate(options: Options, stop: asyncio.Event, parts: Parts | None = None) -> int:
    """Run the operator in this loop until `stop` is set; the exit code as `run` gives it."""
    source = source_for(options.kubeconfig)
    try:
        (await source.current()).tls()
    except CredentialsError as error:
        logger.error("%s", error)
        return BAD_USAGE
    api, metrics, state = KubeApi(source), Metrics(), State()
    health = Health(metrics, live=state.live, ready=state.ready)
    try:
        if not await _serve(health, options.health_port):
            return BAD_USAGE
        identity = await _unless(stop, prepare(api, options.namespace))
        if identity is None:
            return 0
        logger.info("this installation is %s", identity)
        operator = Operator(options, api, identity, metrics, state, parts or Parts())
        return await operator.run(stop)
    finally:
        await health.stop()
        await api.close()


async def _serve(health: Health, port: int) -> bool:
    if port == 0:
        return True
    try:
        await health.start(port)
    except OSError as error:
        logger.error("cannot serve health on port %d: %s", port, error.strerror or error)
        return False
    return True


class State:
    """What the health pages say."""

    def __init__(self) -> None:
        self.problem: str | None = "waiting for the API server or the CustomResourceDefinitions"
        self.watcher: Watcher | None = None

    def ready(self) -> str | None:
        return self.problem

    def live(self) -> str | None:
        if self.watcher is not None and self.watcher.silent_for > WATCH_SILENCE:
            return f"watching shows no sign of life for {self.watcher.silent_for:.0f} s"
        return None


class Operator:
    """Everything that runs, from the first event to the last log line."""

    def __init__(
        self, options: Options, api: KubeApi, installation: str, metrics: Metrics, state: State, parts: Parts
    ) -> None:
        self._options, self._api, self._metrics, self._state = options, api, metrics, state
        self._identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self._store = Store()
        self._engine = Engine(
            # Not asked before the controllers are built: nothing is enqueued until then.
            WorkQueue(metrics=metrics, lane_of=lambda key: self._controllers.lane_of(key)),
            workers=options.workers,
            urgent=lambda key: being_deleted(self._store.get(key)),
            metrics=metrics,
        )
        self._objects = Objects(self._store, api)
        self._events = Events(api, self._identity)
        loop = asyncio.get_running_loop()
        self._vcenters = parts.connect(
            # From whichever thread, and never before the controllers are built.
            on_change=lambda *args, **words: loop.call_soon_threadsafe(self._vcenter_changed, args, words),
            user_agent=USER_AGENT,
            metrics=metrics,
        )
        self._user_clusters = UserClusters()
        self._controllers = parts.build(
            objects=self._objects,
            vcenters=self._vcenters,
            enqueue=self._engine.enqueue,
            installation=installation,
            events=self._events,
            user_clusters=self._user_clusters,
            admission_metrics=metrics,
            drift_metrics=metrics,
        )
        for controller in self._controllers.controllers:
            self._engine.register(controller)
        for kind, index, function in self._controllers.indexes:
            self._store.add_index(kind, index, function)
        self._intake = Intake(self._store, self._engine, self._controllers.router)
        watched = [KINDS[kind] for kind in WATCHED]
        self._reads = FullReads(self._store, api, metrics)
        self._watcher = Watcher(
            source_for(options.kubeconfig),
            watched,
            self._intake.observe,
            relisted=self._reads.due,
            served=lambda: kinds_served(api),
        )
        state.watcher = self._watcher

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop`, or until something ends that should not; the exit code."""
        self._engine.start()
        tasks = {
            name: asyncio.create_task(work, name=name)
            for name, work in (
                ("stop", _wait(stop)),
                ("watching", self._watcher.run()),
                ("events", self._events.run()),
                ("loop lag", watch_loop_lag(self._metrics)),
                ("memory", keep_settling()),
            )
        }
        elector = self._elector()
        tasks["election"] = asyncio.create_task(self._lead_until(elector), name="election")
        done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        if tasks["stop"] in done:
            await self._shut_down(elector, tasks["election"])
            code = 0
        else:
            # After a lost lease somebody else may begin in 5 s. Waiting as a standby is no choice: a thread
            # that is in a call to a vCenter cannot be stopped, only the process can.
            self._report(done)
            code = 1
        self._watcher.stop()
        await asyncio.wait([tasks["watching"]], timeout=GOODBYE if code == 0 else 0)
        await _cancelled(tasks.values())
        return code

    def _elector(self) -> Elector | None:
        if not self._options.leader_elect:
            return None
        lease = KubeLease(self._api, self._options.namespace, self._options.lease_name)
        self._state.problem = None  # a standby that waits for the lease is as ready as it can be
        return Elector(lease, self._identity, on_started=self._lead, on_stopped=self._stop_leading)

    async def _lead_until(self, elector: Elector | None) -> None:
        if elector is None:
            await self._lead()
        elif not await elector.run():
            raise LeaseLost("lost the lease: exiting, so that nothing of this process goes on")

    async def _lead(self) -> None:
        """Read everything, then work, and read everything again now and then."""
        self._state.problem = "reading the objects"
        self._metrics.leading(True)
        await self._reads.everything()
        settle()
        count = self._intake.resync(OURS)
        self._state.problem = None
        self._engine.open()
        logger.info("working on %d objects with up to %d workers a datacenter", count, self._options.workers)
        await self._reads.keep_up(on_sweep=self._on_sweep)

    def _stop_leading(self) -> None:
        self._engine.close()
        self._metrics.leading(False)

    def _on_sweep(self) -> None:
        self._objects.drop_unused()
        self._metrics.watch_restarts(self._watcher.restarts)

    async def _shut_down(self, elector: Elector | None, election: asyncio.Task[None]) -> None:
        """Stop in the order that loses least: intake, work, sessions, and the lease when nothing can act on
        it."""
        logger.info("stopping")
        self._watcher.stop()
        await self._engine.drain(DRAIN)
        await self._events.flush(2.0)
        try:
            async with asyncio.timeout(LOGOUT):
                await self._vcenters.close()
        except TimeoutError:
            logger.warning("a vCenter gives no answer: its session is left to run out")
        await self._user_clusters.close()
        if elector is not None:
            elector.stop()
            await asyncio.wait([election], timeout=GOODBYE)
        logger.info("stopped")

    def _vcenter_changed(self, args: tuple[Any, ...], words: dict[str, Any]) -> None:
        self._controllers.on_vcenter_change(*args, **words)

    @staticmethod
    def _report(done: Iterable[asyncio.Task[Any]]) -> None:
        for task in done:
            error = task.exception()
            if isinstance(error, LeaseLost):
                logger.error("%s", error)
            else:
                logger.error("%s ended, and should not have", task.get_name(), exc_info=error)


class LeaseLost(Exception):  # noqa: N818 - a state, and the end
    """This process led, and does not any more."""


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of the work, or None when `stop` was set before."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    await _cancelled([working])
    return None


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _stop_on_signals(stop: asyncio.Event) -> None:
    def handle() -> None:
        if stop.is_set():
            os._exit(1)  # a second signal: the person does not want to wait
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle)
