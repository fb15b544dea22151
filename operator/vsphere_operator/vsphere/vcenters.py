"""The vCenters that this process talks to: one connection a credential version, shared by all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Fault, VSphereError
from vsphere_operator.vsphere.files import Files
from vsphere_operator.vsphere.folders import Folders
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.inventory.scope import Scope
from vsphere_operator.vsphere.inventory.watch import About, EntityUpdate, TaskUpdate, Watch
from vsphere_operator.vsphere.metrics import NoMetrics, VCenterMetrics
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.choice import Placement
from vsphere_operator.vsphere.placement.reservations import ReservationBook, Reservations
from vsphere_operator.vsphere.placement.storage_drs import StorageDrs
from vsphere_operator.vsphere.policies import Policies
from vsphere_operator.vsphere.recovery import Recovery
from vsphere_operator.vsphere.rights import Rights
from vsphere_operator.vsphere.session import naming
from vsphere_operator.vsphere.session.automation import Automation
from vsphere_operator.vsphere.session.breaker import NOT_SENT, Breaker, Circuit
from vsphere_operator.vsphere.session.checks import LoginChecks
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.session.soap import SoapSession
from vsphere_operator.vsphere.tags import Tags
from vsphere_operator.vsphere.tasks import Tasks
from vsphere_operator.vsphere.vms import VirtualMachines

logger = logging.getLogger(__name__)

RETIRE_SECONDS = 60.0
"""How long a connection that nobody wants any more is kept for what still runs on it."""
_SWEEP = 200


@dataclass(frozen=True, slots=True)
class VCenterId:
    """Which vCenter, as whom: safe to log."""

    host: str
    endpoint_key: str
    username: str
    credentials_version: str


@dataclass(frozen=True, slots=True)
class Connecting:
    pass


@dataclass(frozen=True, slots=True)
class Connected:
    """MoRefs mean something on this `instance_uuid` only."""

    instance_uuid: str
    version: str
    build: str
    api_type: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    fault: Fault


ConnectionState: TypeAlias = Connecting | Connected | Unavailable


class VCenter:
    """One vCenter as one user. Reads never block; operations are `async` and raise `VSphereError`."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        on_change: Callable[[VCenter, Sequence[Change]], None],
        user_agent: str,
        gate: LoginGate,
        reservations: ReservationBook,
        breaker: Breaker,
        metrics: VCenterMetrics,
        scope: Scope = None,
    ) -> None:
        self.id = VCenterId(endpoint.authority, endpoint.key, credentials.username, credentials.version)
        self.endpoint = endpoint
        self._state: ConnectionState = Connecting()
        self._breaker = breaker
        self.inventory = Inventory()
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._instance_uuid = ""
        self._reservations = reservations
        self._seen: set[MoRef] | None = None
        self._muted = False
        self._session = SoapSession(
            endpoint, credentials, user_agent=user_agent, gate=gate, breaker=breaker, metrics=metrics
        )
        self._automation = Automation(
            endpoint, credentials, user_agent=user_agent, gate=gate, vcenter=breaker, metrics=metrics
        )
        self._calls = Calls(
            self._session,
            self._automation,
            breaker=breaker,
            metrics=metrics,
            instance_uuid=lambda: self._instance_uuid,
        )
        self._watch = Watch(self._session, self, self._loop, scope=scope)
        self.tasks = Tasks(self, notify=self._emit, later=self._loop.call_later, destroying=self._destroying)
        self.vms = VirtualMachines(self._calls, self.inventory, self.tasks, lambda: self._instance_uuid)
        self.storage_drs = StorageDrs(self._calls, self.tasks)
        self.placement = Placement(self.inventory, self.storage_drs, self.vms, lambda: self.reservations)
        self.policies = Policies(self._calls)
        self.folders = Folders(self._calls, self.tasks, lambda: self._instance_uuid)
        self.tags = Tags(self._calls, notify=self._emit)
        self.rights = Rights(self._calls, self.inventory)
        self.files = Files(self._calls, self.tasks, self.inventory)
        self._watch.start()

    def __repr__(self) -> str:
        return f"<VCenter {self.id.host} as {self.id.username}, {type(self.state).__name__}>"

    @property
    def state(self) -> ConnectionState:
        """What the watch last told, unless vCenter has stopped to answer since."""
        cause = self._breaker.cause
        if cause is not None and not isinstance(self._state, Unavailable):
            return Unavailable(cause)
        return self._state

    @property
    def instance_uuid(self) -> str | None:
        """`about.instanceUuid` of the vCenter that was last connected; `None` before the first time."""
        return self._instance_uuid or None

    @property
    def reservations(self) -> Reservations:
        """Space promised on this vCenter, by all of its users here."""
        return self._reservations.of(self._instance_uuid)

    @property
    def ready(self) -> bool:
        """Connected, and the inventory is a current copy."""
        return isinstance(self.state, Connected) and self.inventory.synced

    def scope(self, datacenters: Scope) -> None:
        """Read only these datacenters, by name or inventory path; `None`: everything. Never blocks.

        Costs nothing when unchanged. Else everything in them is read anew, and only differences are told.
        """
        if self._watch.scope(datacenters):
            self._calls.background(self._watch.nudge)

    # The tasks ask

    def subscribe(self, ref: MoRef) -> None:
        self._calls.background(lambda: self._watch.follow(ref), failed=lambda: self.tasks.not_asked(ref))

    def unsubscribe(self, ref: MoRef) -> None:
        self._calls.background(lambda: self._watch.unfollow(ref))

    def _destroying(self, moref: MoRef, failed: bool) -> None:
        """A followed task destroys a VM: an earlier process may have started it."""
        if failed:
            self.inventory.expect_no_more(moref)
        else:
            self.inventory.expect_gone(moref)
        if self._seen is None:
            self._emit(self.inventory.settle())

    # The watch tells (on the event loop)

    def begin(
        self, about: About, root: MoRef, datacenters: frozenset[MoRef] | None, *, rescoped: bool
    ) -> None:
        self._breaker.record(None)
        # With another scope only, the copy of what was in the old one too stays as good as it was.
        kept = rescoped and self.ready and about.instance_uuid == self._instance_uuid
        self._instance_uuid = about.instance_uuid
        self.inventory.root = root
        self.inventory.synced = kept
        self.inventory.begin_reading(datacenters)
        self._seen = set()
        self.tasks.restart()
        self._set_state(Connected(about.instance_uuid, about.version, about.build, about.api_type))

    def entities(self, updates: Sequence[EntityUpdate]) -> None:
        if self._seen is not None:
            self._seen.update(moref for moref, entity in updates if entity is not None)
        self._emit(self.inventory.apply(updates))
        # A full read is judged as a whole, at its end.
        if self._seen is None:
            self._emit(self.inventory.settle())

    def recent_tasks(self, updates: Sequence[TaskUpdate]) -> None:
        self._emit(self.tasks.apply_recent(updates))

    def followed_tasks(self, updates: Sequence[TaskUpdate]) -> None:
        self._emit(self.tasks.apply_followed(updates))

    def complete(self) -> None:
        self._breaker.record(None)
        self.inventory.seen_at = self._loop.time()
        if self._seen is None:
            return
        gone = [moref for moref in self.inventory.morefs() if moref not in self._seen]
        self._seen = None
        for start in range(0, len(gone), _SWEEP):
            self._emit(self.inventory.apply([(moref, None) for moref in gone[start : start + _SWEEP]]))
        self.tasks.caught_up()
        self.inventory.end_reading()
        self.inventory.synced = True
        self._emit([*self.inventory.settle(), Change("state")])

    def accept_losses(self, doubt_id: str) -> bool:
        """A person confirms that the VMs in doubt are gone; False if `inventory.doubt` has another id by now."""
        changes = self.inventory.accept_losses(doubt_id)
        self._emit(changes)
        return bool(changes)

    def failed(self, fault: Fault) -> None:
        self.inventory.synced = False
        self._breaker.lost(fault)
        if fault.kind != NOT_SENT:
            self._set_state(Unavailable(fault))
        elif not isinstance(self._state, Unavailable):
            self._set_state(Unavailable(self._breaker.cause or fault))

    def circuit_changed(self, state: Circuit) -> None:
        """vCenter has stopped to answer, or answers again."""
        if state is Circuit.CLOSED:
            self._watch.hurry()
        else:
            self._calls.refuse_waiting()
        self._emit([Change("state")])

    def _set_state(self, state: ConnectionState) -> None:
        if state != self._state:
            logger.info("vCenter %s as %s: %s", self.id.host, self.id.username, _words(state))
        self._state = state
        self._emit([Change("state")])

    def _emit(self, changes: Sequence[Change]) -> None:
        if changes and not self._muted:
            self._on_change(self, changes)

    def mute(self) -> None:
        """Tell no more changes: a successor does."""
        self._muted = True

    def unmute(self) -> None:
        """Tell changes again; what was missed shows in the inventory."""
        self._muted = False
        self._loop.call_soon(self._emit, [Change("state")])

    async def close(self) -> None:
        """End the wait, let running calls end, log out of both sessions."""
        self.mute()
        self.tags.close()
        self._session.hurry()
        await asyncio.to_thread(self._watch.stop)
        await self._calls.close()
        self.files.close()
        await asyncio.to_thread(self._automation.close, op_id=naming.SESSION)
        await asyncio.to_thread(self._session.close, op_id=naming.SESSION)


def _words(state: ConnectionState) -> str:
    if isinstance(state, Unavailable):
        return state.fault.message
    if isinstance(state, Connected):
        return f"connected, version {state.version}"
    return "connecting"


class VCenters:
    """All of them. Belongs to one event loop."""

    def __init__(
        self,
        *,
        on_change: Callable[[VCenter, Sequence[Change]], None],
        user_agent: str,
        metrics: VCenterMetrics | None = None,
        retire_seconds: float = RETIRE_SECONDS,
        gate: LoginGate | None = None,
    ) -> None:
        self._on_change = on_change
        self._user_agent = user_agent
        self._metrics = metrics or NoMetrics()
        self._retire_seconds = retire_seconds
        self._gate = gate or LoginGate(metrics=self._metrics)
        self._reservations = ReservationBook()
        self._pool: dict[tuple[Endpoint, Credentials], VCenter] = {}
        self._scopes: dict[str, Scope] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._retiring: dict[tuple[Endpoint, Credentials], tuple[VCenter, asyncio.TimerHandle]] = {}
        self._recoveries: dict[str, Recovery] = {}
        self._checks = LoginChecks(self._try_login)

    def __iter__(self) -> Iterator[VCenter]:
        return iter(list(self._pool.values()))

    def get(self, endpoint: Endpoint, credentials: Credentials) -> VCenter:
        """The connection of these credentials. Never blocks: a new one connects in its own threads."""
        key = (endpoint, credentials)
        found = self._pool.get(key) or self._bring_back(key)
        if found is None:
            found = self._pool[key] = VCenter(
                endpoint,
                credentials,
                on_change=self._on_change,
                user_agent=self._user_agent,
                gate=self._gate,
                reservations=self._reservations,
                breaker=self._breaker(endpoint),
                metrics=self._metrics,
                scope=self._scopes.get(endpoint.authority),
            )
            self._tell_insecure(endpoint.host)
        return found

    def scope(self, authority: str, datacenters: Scope) -> None:
        """Which datacenters of the vCenter at `host:port` are read, by the connections there are and will be."""
        self._scopes[authority] = datacenters
        retiring = (vcenter for vcenter, _ in self._retiring.values())
        for vcenter in (*self._pool.values(), *retiring):
            if vcenter.endpoint.authority == authority:
                vcenter.scope(datacenters)

    def _breaker(self, endpoint: Endpoint) -> Breaker:
        """One for all users of a vCenter."""
        found = self._recoveries.get(endpoint.authority)
        if found is None:
            found = self._recoveries[endpoint.authority] = Recovery(
                endpoint,
                user_agent=self._user_agent,
                metrics=self._metrics,
                changed=lambda state: self._circuit_changed(endpoint.authority, state),
            )
        return found.breaker

    def _circuit_changed(self, authority: str, state: Circuit) -> None:
        for vcenter in (*self._pool.values(), *(kept for kept, _ in self._retiring.values())):
            if vcenter.endpoint.authority == authority:
                vcenter.circuit_changed(state)

    def _tell_insecure(self, host: str) -> None:
        insecure = any(e.allow_insecure for e, _ in (*self._pool, *self._retiring) if e.host == host)
        self._metrics.insecure(vcenter=host, insecure=insecure)

    def _bring_back(self, key: tuple[Endpoint, Credentials]) -> VCenter | None:
        vcenter, timer = self._retiring.pop(key, (None, None))
        if vcenter is None or timer is None:
            return None
        timer.cancel()
        self._pool[key] = vcenter
        vcenter.unmute()
        return vcenter

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        """Whether a user for whom no session is kept can log in: one login and logout a credential version.

        A success is remembered for good, a refusal for 15 minutes, anything else for the fault's
        `retry_after`.
        """
        kept = self._pool.get((endpoint, credentials))
        if kept is not None and isinstance(kept.state, Connected):
            return None
        self._breaker(endpoint)
        return await self._checks.check(endpoint, credentials)

    def _try_login(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        # In a thread: whoever was the last to use this vCenter may have left meanwhile.
        recovery = self._recoveries.get(endpoint.authority)
        breaker = recovery.breaker if recovery is not None else Breaker(endpoint.authority)
        session = SoapSession(
            endpoint,
            credentials,
            user_agent=self._user_agent,
            gate=self._gate,
            breaker=breaker,
            metrics=self._metrics,
            pool_size=1,
        )
        try:
            with naming.operation_id(naming.SESSION):
                session.open()
        except VSphereError as error:
            return error.fault
        finally:
            session.close(op_id=naming.SESSION)
        return None

    def retain(self, in_use: set[VCenterId]) -> None:
        """Let go of all others: no more changes from them, and a logout when what runs there had time."""
        for key, vcenter in list(self._pool.items()):
            if vcenter.id in in_use:
                continue
            del self._pool[key]
            vcenter.mute()
            timer = asyncio.get_running_loop().call_later(self._retire_seconds, self._retire, key)
            self._retiring[key] = (vcenter, timer)

    def _retire(self, key: tuple[Endpoint, Credentials]) -> None:
        vcenter, timer = self._retiring.pop(key)
        timer.cancel()
        task = asyncio.ensure_future(self._end(vcenter))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._tell_insecure(vcenter.endpoint.host)

    async def _end(self, vcenter: VCenter) -> None:
        """Close it; a vCenter that nobody uses any more is not asked either whether it is back."""
        await vcenter.close()
        authority = vcenter.endpoint.authority
        left = (*self._pool, *self._retiring)
        if any(endpoint.authority == authority for endpoint, _ in left):
            return
        recovery = self._recoveries.pop(authority, None)
        if recovery is not None:
            await recovery.close()

    async def close(self) -> None:
        """Log out everywhere. Waits for running calls, which all have time limits."""
        for key in list(self._retiring):
            self._retire(key)
        vcenters, self._pool = list(self._pool.values()), {}
        await asyncio.gather(*(vcenter.close() for vcenter in vcenters), *self._closing)
        await self._checks.close()
        await asyncio.gather(*(recovery.close() for recovery in self._recoveries.values()))
