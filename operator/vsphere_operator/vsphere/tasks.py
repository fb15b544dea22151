"""Tasks in flight, read from memory: nobody waits for a task, its end arrives as a change.

vCenter forgets a task about ten minutes after its end; then the object itself has to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.faults import Fault
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.morefs import MoRef

TaskRef: TypeAlias = MoRef
"""The MoRef of a task, `Task:task-17`."""


@dataclass(frozen=True, slots=True)
class Running:
    """Queued or running; progress in percent where vCenter tells it."""

    progress: int | None = None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file or directory in a listing; `size` in bytes."""

    name: str
    size: int = 0
    directory: bool = False


@dataclass(frozen=True, slots=True)
class FileListing:
    """What a search found in `directory`, `[datastore] dir/`. `complete`: false for one that was too long to keep."""

    directory: str
    entries: tuple[FileEntry, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The task ended well; `result` is the object that it made, if it makes one, `listing` what a search found."""

    result: MoRef | None = None
    listing: FileListing | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    fault: Fault


@dataclass(frozen=True, slots=True)
class Forgotten:
    """vCenter no longer knows the task: look at the object."""


TaskState: TypeAlias = Running | Succeeded | Failed | Forgotten


@dataclass(frozen=True, slots=True)
class PowerOnResult:
    """What a power-on of several VMs came to: a task for each that was tried, else a fault."""

    attempted: tuple[tuple[MoRef, TaskRef | None], ...] = ()
    not_attempted: tuple[tuple[MoRef, Fault], ...] = ()


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as the watch sees it."""

    ref: TaskRef
    description_id: str = ""
    entity: MoRef | None = None
    state: str = "queued"
    queued_at: datetime | None = None
    progress: int | None = None
    result: MoRef | PowerOnResult | FileListing | None = None
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("success", "error")


CLOCK_TOLERANCE = timedelta(hours=1)
"""How far the clocks of vCenter and of this cluster may be apart, with the time that a call may wait."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a task from the record of an earlier process.

    A vCenter that was restored from a backup gives task numbers again: `task-17` may be somebody else's now.
    `started_at`: when the call was intended; `entity`: the object of the call; `method`: the last part of its
    `descriptionId`, `clone`. What is `None` is not compared.
    """

    started_at: datetime | None = None
    entity: MoRef | None = None
    method: str | None = None

    def fits(self, task: TaskInfo) -> bool:
        """Whether this can be the task; what vCenter does not tell speaks for it."""
        if not _same_entity(task.entity, self.entity):
            return False
        if self.method is not None and task.description_id:
            kind, _, method = task.description_id.rpartition(".")
            if kind and method.lower() != self.method.lower():
                return False
        if self.started_at is None or task.queued_at is None:
            return True
        return abs(task.queued_at - self.started_at) <= CLOCK_TOLERANCE


def _same_entity(told: MoRef | None, known: MoRef | None) -> bool:
    """A task for several VMs is told of their datacenter: other kinds of objects are not compared."""
    if told is None or known is None or morefs.kind_of(told) != morefs.kind_of(known):
        return True
    return told == known


@dataclass
class _Followed:
    expected: Expected | None = None
    seen: tuple[MoRef | None, datetime | None] | None = None
    state: TaskState | None = None
    subscribed: bool = False
    children: dict[TaskRef, None] = field(default_factory=dict)
    parents: set[TaskRef] = field(default_factory=set)


class TaskWatch(Protocol):
    """What the tasks need from the watch. Neither method blocks."""

    def subscribe(self, ref: TaskRef) -> None:
        """Ask for this very task; it is told to be unknown if vCenter has forgotten it."""

    def unsubscribe(self, ref: TaskRef) -> None: ...


_DESTROY = "VirtualMachine.destroy"
_APPLYING = "StorageResourceManager.applyRecommendation"

_MOST_FOLLOWED = 10_000
GRACE_SECONDS = 2.0
"""How long a task may take to show among the recent ones before vCenter is asked for it by itself."""
ASK_AGAIN_SECONDS = 10.0
"""After a question for a task that did not reach vCenter."""


class Tasks:
    """The tasks of one vCenter. Lives on the event loop.

    Following costs no call: vCenter's recent tasks are in the wait anyway. Only what has left that list (a
    busy vCenter keeps a few hundred) is asked for by itself.
    """

    def __init__(
        self,
        watch: TaskWatch,
        *,
        notify: Callable[[Sequence[Change]], None],
        later: Callable[[float, Callable[[], None]], object],
        destroying: Callable[[MoRef, bool], None] = lambda _moref, _failed: None,
    ) -> None:
        """`destroying(moref, failed)` hears which VMs followed tasks destroy, or could not."""
        self._watch = watch
        self._destroying = destroying
        self._notify = notify
        self._later = later
        self._followed: dict[TaskRef, _Followed] = {}
        self._recent: dict[TaskRef, TaskInfo] = {}

    def follow(self, ref: TaskRef, expected: Expected | None = None) -> None:
        """Watch this task, also one that an earlier process started. Its end comes as a `task` change.

        `expected`: what the record of an earlier process says of it; a task that does not fit is another one,
        and ours counts as forgotten.
        """
        if ref in self._followed:
            return
        self._make_room()
        self._followed[ref] = _Followed(expected)
        if ref in self._recent:
            # Not at once: the caller has yet to write down that it waits for this task.
            self._later(0.0, lambda: self._retell(ref))
        else:
            self._later(GRACE_SECONDS, lambda: self._ask_for(ref))

    def begun(self, ref: TaskRef) -> None:
        """Follow a task that was started just now. What is known of its number is of one before a restore."""
        if isinstance(self.state(ref), Succeeded | Failed | Forgotten):
            self.unfollow(ref)
        self.follow(ref)

    def _make_room(self) -> None:
        """Nobody has to unfollow: the oldest ends go when there are very many."""
        if len(self._followed) < _MOST_FOLLOWED:
            return
        ended = [r for r, e in self._followed.items() if isinstance(e.state, Succeeded | Failed | Forgotten)]
        for ref in ended[: _MOST_FOLLOWED // 10]:
            self.unfollow(ref)

    def unfollow(self, ref: TaskRef) -> None:
        """Forget what is known of a task whose end has been dealt with. Unknown ones are ignored."""
        entry = self._followed.pop(ref, None)
        if entry is None:
            return
        if entry.subscribed:
            self._watch.unsubscribe(ref)
        for child in entry.children:
            child_entry = self._followed.get(child)
            if child_entry is not None:
                child_entry.parents.discard(ref)
                if not child_entry.parents:
                    self.unfollow(child)

    def state(self, ref: TaskRef) -> TaskState | None:
        """What is known of a followed task; `None` until told. A power-on counts its sub-tasks in."""
        entry = self._followed.get(ref)
        if entry is None:
            return None
        if not isinstance(entry.state, Succeeded) or not entry.children:
            return entry.state
        states = [self.state(child) for child in entry.children]
        failed = next((s for s in states if isinstance(s, Failed)), None)
        if failed is not None:
            return failed
        if any(s is None or isinstance(s, Running) for s in states):
            return Running(None)
        if any(isinstance(s, Forgotten) for s in states):
            return Forgotten()
        return entry.state

    def clones_in_flight(self, source: MoRef | None = None) -> list[TaskInfo]:
        """Clones that have not ended, whoever started them, of one template or VM or of all.

        What Storage DRS is about to carry out counts, too: until its inner task begins nobody can tell what
        it is a clone of.
        """
        return [task for task in self._recent.values() if not task.ended and _may_clone(task, source)]

    @property
    def followed(self) -> list[TaskRef]:
        return list(self._followed)

    # By the watch only

    def apply_recent(self, updates: Iterable[tuple[TaskRef, TaskInfo | None]]) -> list[Change]:
        """Take over what the watch saw; `None`: not recent any more. Returns the followed ends."""
        told: list[tuple[TaskRef, TaskInfo | None]] = []
        for ref, task in updates:
            if task is not None:
                self._recent[ref] = task
                told.append((ref, task))
                continue
            self._recent.pop(ref, None)
            self._ask_for(ref)
        return self.apply_followed(told)

    def apply_followed(self, updates: Iterable[tuple[TaskRef, TaskInfo | None]]) -> list[Change]:
        """Take over what the watch saw; `None`: vCenter does not know the task. Returns the ends."""
        changes: dict[TaskRef, None] = {}
        for ref, task in updates:
            entry = self._followed.get(ref)
            if entry is None or isinstance(entry.state, Succeeded | Failed):
                continue
            if task is not None and task.entity is not None and task.description_id == _DESTROY:
                self._destroying(task.entity, task.state == "error")
            ours = task is not None and self._is_ours(entry, task)
            state = self._judge(ref, entry, task) if task is not None and ours else Forgotten()
            if state == entry.state:
                continue
            entry.state = state
            if not isinstance(state, Running):
                changes[ref] = None
                changes.update(dict.fromkeys(entry.parents))
        return [Change("task", ref) for ref in changes if not isinstance(self.state(ref), Running | None)]

    def restart(self) -> None:
        """A new session begins: the recent tasks will be told anew."""
        self._recent.clear()
        for entry in self._followed.values():
            entry.subscribed = False

    def caught_up(self) -> None:
        """The recent tasks have been told: ask for the followed ones that are not among them."""
        for ref in list(self._followed):
            if ref not in self._recent:
                self._ask_for(ref)

    def not_asked(self, ref: TaskRef) -> None:
        """The question for a task did not reach vCenter: it is put again."""
        entry = self._followed.get(ref)
        if entry is None or not entry.subscribed:
            return
        entry.subscribed = False
        self._later(ASK_AGAIN_SECONDS, lambda: self._ask_for(ref))

    def _retell(self, ref: TaskRef) -> None:
        task = self._recent.get(ref)
        changes = self.apply_followed([(ref, task)]) if task is not None else []
        if changes:
            self._notify(changes)

    def _ask_for(self, ref: TaskRef) -> None:
        entry = self._followed.get(ref)
        if entry is None or entry.subscribed or isinstance(entry.state, Succeeded | Failed | Forgotten):
            return
        if ref in self._recent:
            return
        entry.subscribed = True
        self._watch.subscribe(ref)

    def _is_ours(self, entry: _Followed, task: TaskInfo) -> bool:
        """Whether the number still means the same task: after a restore it may be given again."""
        if entry.seen is None:
            if entry.expected is not None and not entry.expected.fits(task):
                return False
            entry.seen = (task.entity, task.queued_at)
        entity, queued_at = entry.seen
        return _same_entity(task.entity, entity) and (queued_at is None or task.queued_at == queued_at)

    def _judge(self, ref: TaskRef, entry: _Followed, task: TaskInfo) -> TaskState:
        if task.state == "error" and task.fault is not None:
            return Failed(task.fault)
        if task.state != "success":
            return Running(task.progress)
        if isinstance(task.result, FileListing):
            return Succeeded(listing=task.result)
        if not isinstance(task.result, PowerOnResult):
            return Succeeded(task.result)
        if task.result.not_attempted:
            return Failed(task.result.not_attempted[0][1])
        for _, child in task.result.attempted:
            if child is not None:
                entry.children[child] = None
                self.follow(child)
                self._followed[child].parents.add(ref)
        return Succeeded(None)


def _may_clone(task: TaskInfo, source: MoRef | None) -> bool:
    if task.description_id.startswith(_APPLYING):
        return True
    return task.description_id.startswith("VirtualMachine.clone") and source in (None, task.entity)
