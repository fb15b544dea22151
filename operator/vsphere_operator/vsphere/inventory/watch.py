"""One thread a vCenter: logs in, reads everything once, waits for changes, decodes, hands over.

It owns the connection's life: whatever goes wrong is told as a fault and tried again, and a lost session
means a full read that only reports what is different.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from vsphere_operator.vsphere import identity, morefs, ownership
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError, from_transport, from_vim
from vsphere_operator.vsphere.inventory import filters
from vsphere_operator.vsphere.inventory.collector import Collector, give_back, set_up
from vsphere_operator.vsphere.inventory.entities import Datacenter, Entity, Folder, VmEntity
from vsphere_operator.vsphere.inventory.scope import Scope, select
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.naming import operation_id
from vsphere_operator.vsphere.session.soap import TRANSPORT_ERRORS, SoapSession
from vsphere_operator.vsphere.tasks import FileEntry, FileListing, PowerOnResult, TaskInfo, TaskRef
from vsphere_operator.vsphere.vmomi import vim, vmodl

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30
"""How long vCenter holds an answer back when nothing changes. Keeps the session alive as well."""
_READ_TIMEOUT = WAIT_SECONDS + 60.0
_PAGE = 500
"""Objects an answer."""
_CHUNK = 200
"""Entities handed to the event loop at once: applying that many takes about a millisecond."""
_AHEAD = 16
"""Chunks that may wait for the loop; then this thread waits for it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_AT_ONCE = 2
"""Times in a row that a read begins anew without a pause, while none comes to its end."""
_NEVER_READ = Fault(
    FaultClass.TRANSIENT,
    "InventoryUnreadable",
    "vCenter lets us log in, and ends the session or the reading before its inventory has been read.",
    30.0,
    "InventoryUnreadable",
)
_OP_ID = "userclusters-watch"

EntityUpdate = tuple[MoRef, Entity | None]
TaskUpdate = tuple[TaskRef, TaskInfo | None]


@dataclass(frozen=True, slots=True)
class About:
    instance_uuid: str
    version: str
    build: str
    api_type: str


class Sink(Protocol):
    """The receiving side, called on the event loop only, in order."""

    def begin(
        self, about: About, root: MoRef, datacenters: frozenset[MoRef] | None, *, rescoped: bool
    ) -> None:
        """A full read begins, of these datacenters or of everything; `rescoped`: nothing else is its reason."""

    def entities(self, updates: Sequence[EntityUpdate]) -> None: ...
    def recent_tasks(self, updates: Sequence[TaskUpdate]) -> None: ...
    def followed_tasks(self, updates: Sequence[TaskUpdate]) -> None: ...
    def complete(self) -> None: ...
    def failed(self, fault: Fault) -> None: ...


class Watch:
    def __init__(
        self, session: SoapSession, sink: Sink, loop: asyncio.AbstractEventLoop, *, scope: Scope = None
    ) -> None:
        self._session = session
        self._scope = scope
        self._rescoped = False
        self._sink = sink
        self._loop = loop
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._slots = threading.Semaphore(_AHEAD)
        self._lock = threading.Lock()
        self._current: Collector | None = None
        self._synced = False
        self._mishap: Fault | None = None
        self._entities: dict[MoRef, Entity] = {}
        self._datacenters: set[MoRef] = set()
        self._tasks: dict[tuple[str, TaskRef], dict[str, Any]] = {}
        self._candidates: set[MoRef] = set()
        self._before: dict[MoRef, VmEntity] = {}
        self._thread = threading.Thread(target=self._run, name=f"watch-{session.where}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # From other threads

    def follow(self, ref: TaskRef) -> None:
        """Add a task to the wait, in one call; tells it as unknown if vCenter has forgotten it.

        `VSphereError` if the call fails; after a new login whoever follows has to ask again.
        """
        current = self._current
        if current is None:
            return
        task = self._session.object(ref)
        unresolved = self._session.call(
            lambda _: self._list_view(current.tasks).ModifyListView(add=[task]), op_id=_OP_ID, mutating=False
        )
        if unresolved:
            self._post(self._sink.followed_tasks, [(ref, None)])

    def unfollow(self, ref: TaskRef) -> None:
        current = self._current
        if current is None:
            return
        task = self._session.object(ref)
        self._session.call(
            lambda _: self._list_view(current.tasks).ModifyListView(remove=[task]),
            op_id=_OP_ID,
            mutating=False,
        )

    def scope(self, scope: Scope) -> bool:
        """Read only these datacenters from now on. True: `nudge` has to be called for that to begin at once."""
        changed, self._scope = scope != self._scope, scope
        return changed and self._current is not None

    def nudge(self) -> None:
        """End the wait, in one call. A new filter does so whenever it comes; a cancellation could come too early."""
        current = self._current
        if current is None:
            return
        collector = self._session.object(morefs.of(current.collector))
        self._session.call(
            lambda content: collector.CreateFilter(filters.root_filter(content.rootFolder), False),
            op_id=_OP_ID,
            mutating=False,
        )

    def _list_view(self, view: Any) -> Any:
        return self._session.object(morefs.of(view))

    def hurry(self) -> None:
        """vCenter answers again: a pause before the next try ends now."""
        self._wake.set()

    def stop(self) -> None:
        """End the wait and the thread; blocks until it has ended or ten seconds are over."""
        self._stop.set()
        self._wake.set()
        current = self._current
        if current is not None:
            collector = self._session.object(morefs.of(current.collector))
            with contextlib.suppress(VSphereError):
                self._session.call(lambda _: collector.CancelWaitForUpdates(), op_id=_OP_ID, mutating=False)
        self._thread.join(timeout=5)
        if self._thread.is_alive():
            # Without a collector it is at the login, and then nobody else can be in a call.
            (current.stub if current is not None else self._session).abort()
            self._thread.join(timeout=5)

    # The thread

    def _run(self) -> None:
        pause, anew = _FIRST_PAUSE, 0
        while not self._stop.is_set():
            self._synced = False
            fault = self._until_interrupted()
            if self._stop.is_set():
                break
            if self._synced and self._mishap is None:
                pause, anew = _FIRST_PAUSE, 0
            if fault is None:
                anew += 1
                if anew <= _AT_ONCE:
                    continue
                fault = _NEVER_READ
            self._rescoped = False
            self._post(self._sink.failed, fault)
            slow = fault.fault_class in (FaultClass.CREDENTIALS, FaultClass.UNTRUSTED)
            self._rest(fault.retry_after if slow else pause * random.uniform(0.5, 1.0), deaf=slow)  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._discard()

    def _until_interrupted(self) -> Fault | None:
        """One session's watch; what ended it, or `None` where all is well and it only has to begin anew."""
        try:
            with operation_id(_OP_ID):
                self._watch()
        except vim.fault.NotAuthenticated:
            return self._relogin()
        except VSphereError as error:
            return error.fault
        except Exception as error:
            return self._fault_of(error)
        return None

    def _rest(self, seconds: float, *, deaf: bool) -> None:
        """A pause; one after a refused password lasts, whoever wants to hurry."""
        if deaf:
            self._stop.wait(seconds)
            return
        self._wake.wait(seconds)
        if not self._stop.is_set():
            self._wake.clear()

    def _relogin(self) -> Fault | None:
        """The session is gone: one login, and on with a full read."""
        with self._lock:
            lost, self._current = self._current, None
        if lost is not None:
            lost.stub.DropConnections()
        self._rescoped = False
        try:
            self._session.renew(lost.generation if lost is not None else self._session.generation)
        except VSphereError as error:
            return error.fault
        return None

    def _fault_of(self, error: Exception) -> Fault:
        if isinstance(error, vmodl.MethodFault):
            return from_vim(error)
        if isinstance(error, TRANSPORT_ERRORS):
            return from_transport(error, where=self._session.where)
        logger.error("The watch of %s failed (%s)", self._session.where, type(error).__name__, exc_info=error)
        words = f"The inventory of {self._session.where} cannot be read because of an error in the operator."
        return Fault(FaultClass.TRANSIENT, "InternalError", words, 30.0, type(error).__name__)

    def _watch(self) -> None:
        content = self._session.open()
        current = self._set_up(content)
        rescoped, self._rescoped = self._rescoped, False
        root = morefs.of(content.rootFolder)
        try:
            self._begin(_about(content), root, current.datacenters, rescoped)
            version, complete = "", False
            while not self._stop.is_set() and not self._rescoped:
                version, complete = self._next(current, version, complete)
                self._synced = self._synced or complete
                self._rescoped = complete and self._out_of_scope(current, root)
                if self._mishap is not None:
                    raise VSphereError(self._mishap)
        except vmodl.query.InvalidCollectorVersion:
            # The server lost track of what it told; the caller begins anew, with views and filters of its
            # own.
            logger.info("vCenter %s wants the inventory to be read anew", self._session.where)
        except vmodl.fault.RequestCanceled:
            if not self._stop.is_set():
                raise

    def _begin(self, about: About, root: MoRef, datacenters: frozenset[MoRef] | None, rescoped: bool) -> None:
        def begin() -> None:
            self._mishap = None
            self._sink.begin(about, root, datacenters, rescoped=rescoped)

        self._post(begin)

    def _out_of_scope(self, current: Collector, root: MoRef) -> bool:
        """Whether other datacenters are to be read than are: then all begins anew."""
        scope = self._scope
        if current.settled and scope == current.scope:
            return False
        current.settled, current.scope = True, scope
        known = [e for m in self._datacenters if isinstance(e := self._entities.get(m), Datacenter)]
        return select(known, self._entities, root, scope) != current.datacenters

    def _next(self, current: Collector, version: str, complete: bool) -> tuple[str, bool]:
        """One answer: the version it brings, and whether all that there is has been told. `complete`: so before."""
        options = vmodl.query.PropertyCollector.WaitOptions(
            maxWaitSeconds=WAIT_SECONDS, maxObjectUpdates=_PAGE
        )
        update = current.collector.WaitForUpdatesEx(version, options)
        if update is None:
            # Nothing new. In the middle of a full read that does not mean that there is no more.
            if complete:
                self._post(self._sink.complete)
            return version, complete
        self._take_over(current, update)
        complete = not update.truncated
        if complete:
            self._before.clear()
            self._post(self._sink.complete)
        return update.version, complete

    # Setting up

    def _set_up(self, content: Any) -> Collector:
        self._discard()
        self._forget_everything()
        current = set_up(self._session, content, self._scope, read_timeout=_READ_TIMEOUT)
        with self._lock:
            self._current = current
        return current

    def _discard(self) -> None:
        with self._lock:
            old, self._current = self._current, None
        if old is not None:
            with operation_id(_OP_ID):
                give_back(old, self._session)

    def _forget_everything(self) -> None:
        # A read that was interrupted has not got to all of them: what was known of the others still holds.
        looked_at = {m: e for m, e in self._entities.items() if isinstance(e, VmEntity) and e.marks_read}
        self._before = {**self._before, **looked_at}
        self._entities.clear()
        self._datacenters.clear()
        self._tasks.clear()
        self._candidates.clear()

    # Decoding

    def _take_over(self, current: Collector, update: Any) -> None:
        entities: dict[MoRef, Entity | None] = {}
        tasks: dict[str, dict[TaskRef, TaskInfo | None]] = {"recent": {}, "followed": {}}
        for filter_update in update.filterSet:
            role = current.roles.get(filter_update.filter._moId)
            if role is None:
                # A nudge has done its work.
                current.settled = False
                vmodl.query.PropertyCollector.Filter(
                    filter_update.filter._moId, current.stub
                ).DestroyPropertyFilter()
                continue
            for item in filter_update.objectSet:
                moref = morefs.of(item.obj)
                changes = {change.name: change.val for change in item.changeSet}
                if role in tasks:
                    tasks[role][moref] = self._task(role, moref, item.kind, changes)
                elif role == "narrow":
                    self._close_look(moref, item.kind, changes, entities)
                else:
                    entities[moref] = self._entity(moref, item.kind, changes)
                    current.settled = current.settled and not isinstance(entities[moref], Datacenter | Folder)
        for chunk in _chunks(list(entities.items())):
            self._post(self._sink.entities, chunk)
        for role, receive in (("recent", self._sink.recent_tasks), ("followed", self._sink.followed_tasks)):
            if tasks[role]:
                self._post(receive, list(tasks[role].items()))
        self._look_closer(current, entities)

    def _entity(self, moref: MoRef, kind: str, changes: dict[str, Any]) -> Entity | None:
        if kind == "leave":
            self._entities.pop(moref, None)
            self._candidates.discard(moref)
            self._datacenters.discard(moref)
            return None
        entity = filters.decoded(moref, self._entities.get(moref), changes)
        if isinstance(entity, Datacenter):
            self._datacenters.add(moref)
        if isinstance(entity, VmEntity) and not entity.marks_read:
            entity = self._as_before(entity)
        self._entities[moref] = entity
        return entity

    def _as_before(self, vm: VmEntity) -> VmEntity:
        """In a full read the last close look holds until the next: else each VM seems to change twice."""
        old = self._before.get(vm.moref)
        if old is None or old.instance_uuid != vm.instance_uuid:
            return vm
        close = {name: getattr(old, name) for name in filters.close_look_defaults()}
        return replace(vm, **close, extra_config=old.extra_config, marks_read=True)

    def _close_look(
        self, moref: MoRef, kind: str, changes: dict[str, Any], entities: dict[MoRef, Entity | None]
    ) -> None:
        vm = self._entities.get(moref)
        if kind == "leave" or not isinstance(vm, VmEntity):
            return
        fields = filters.field_changes("VirtualMachine", changes)
        if kind == "enter":
            # What enters the filter is told whole: what is not there now has gone.
            fields = {**filters.close_look_defaults(), **fields}
        marks = {filters.MARK_PATHS[p]: v for p, v in changes.items() if p in filters.MARK_PATHS}
        if marks or kind == "enter":
            merged = {**({} if kind == "enter" else vm.extra_config), **marks}
            fields["extra_config"] = {key: str(merged[key]) for key in ownership.KEYS if merged.get(key)}
        entities[moref] = self._entities[moref] = replace(vm, **fields, marks_read=True)

    def _task(self, role: str, ref: TaskRef, kind: str, changes: dict[str, Any]) -> TaskInfo | None:
        if kind == "leave":
            self._tasks.pop((role, ref), None)
            return None
        known = self._tasks.setdefault((role, ref), {})
        known.update(changes)
        return decode_task(ref, known)

    def _look_closer(self, current: Collector, entities: dict[MoRef, Entity | None]) -> None:
        """VMs that may be ours join the narrow filter."""
        new = [
            moref
            for moref, entity in entities.items()
            if isinstance(entity, VmEntity)
            and moref not in self._candidates
            and entity.instance_uuid is not None
            and identity.may_be_ours(entity.instance_uuid)
        ]
        if new:
            self._candidates.update(new)
            current.narrow.ModifyListView(add=[self._session.object(moref, current.stub) for moref in new])

    # Handing over

    def _post(self, receive: Callable[..., None], *arguments: Any) -> None:
        while not self._slots.acquire(timeout=1):
            if self._stop.is_set():
                return
        try:
            self._loop.call_soon_threadsafe(self._deliver, receive, arguments)
        except RuntimeError:
            # The loop is closed: there is nobody left to tell.
            self._stop.set()

    def _deliver(self, receive: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._slots.release()
        try:
            receive(*arguments)
        except Exception as error:
            # The copy lacks something now, and nobody knows what: it counts for nothing until all is read again.
            self._mishap = self._fault_of(error)
            self._loop.run_in_executor(None, self._end_wait)
            self._sink.failed(self._mishap)

    def _end_wait(self) -> None:
        with contextlib.suppress(VSphereError):
            self.nudge()


def _about(content: Any) -> About:
    about = content.about
    return About(about.instanceUuid or "", about.version, about.build, about.apiType)


def decode_task(ref: TaskRef, properties: dict[str, Any]) -> TaskInfo:
    entity, error = properties.get("info.entity"), properties.get("info.error")
    return TaskInfo(
        ref=ref,
        description_id=properties.get("info.descriptionId") or "",
        entity=None if entity is None else morefs.of(entity),
        state=str(properties.get("info.state") or "queued"),
        queued_at=properties.get("info.queueTime"),
        progress=properties.get("info.progress"),
        result=_result(properties.get("info.result")),
        fault=None if error is None else from_vim(error),
    )


_MOST_ENTRIES = 1000
"""Entries of a listing that are kept: other people's searches, too, pass here."""


def _result(result: Any) -> MoRef | PowerOnResult | FileListing | None:
    if isinstance(result, vim.host.DatastoreBrowser.SearchResults):
        return _listing(result)
    if isinstance(result, vim.cluster.PowerOnVmResult):
        return PowerOnResult(
            tuple(
                (morefs.of(a.vm), None if a.task is None else morefs.of(a.task))
                for a in result.attempted or ()
            ),
            tuple((morefs.of(n.vm), from_vim(n.fault)) for n in result.notAttempted or ()),
        )
    if isinstance(result, vim.storageDrs.ApplyRecommendationResult):
        result = result.vm
    return morefs.of(result) if getattr(result, "_moId", None) else None


def _chunks(items: list[EntityUpdate]) -> Iterator[list[EntityUpdate]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _listing(result: Any) -> FileListing:
    files = list(result.file or ())
    folder = vim.host.DatastoreBrowser.FolderInfo
    entries = tuple(
        FileEntry(str(f.path), int(f.fileSize or 0), isinstance(f, folder)) for f in files[:_MOST_ENTRIES]
    )
    return FileListing(str(result.folderPath), entries, complete=len(files) <= _MOST_ENTRIES)
