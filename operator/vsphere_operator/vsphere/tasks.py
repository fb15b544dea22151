"""Tasks in flight, read from memory: nobody waits for a task, its end arrives as a change.

vCenter forgets a task about ten minutes after its end; then the object itself has to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

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
class Succeeded:
    """The task ended well; `result` is the object that it made, if it makes one."""

    result: MoRef | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    fault: Fault


@dataclass(frozen=True, slots=True)
class Forgotten:
    """vCenter no longer knows the task: look at the object."""


TaskState: TypeAlias = Running | Succeeded | Failed | Forgotten


@dataclass(frozen=True, slots=True)
class PowerOnResult:
    """What a power-on of several VMs came to: one task a VM that was tried, one fault for each that was
    not.
    """

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
    result: MoRef | PowerOnResult | None = None
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("success", "error")


@dataclass
class _Followed:
    state: TaskState | None = None
    children: dict[TaskRef, None] = field(default_factory=dict)
    parents: set[TaskRef] = field(default_factory=set)


class Tasks:
    """The tasks of one vCenter. Lives on the event loop."""

    def __init__(self, subscribe: Callable[[TaskRef], None], unsubscribe: Callable[[TaskRef], None]) -> None:
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._followed: dict[TaskRef, _Followed] = {}
        self._recent: dict[TaskRef, TaskInfo] = {}

    def follow(self, ref: TaskRef) -> None:
        """Watch this task, also one that an earlier process started. Its end comes as a `task` change."""
        if ref not in self._followed:
            self._followed[ref] = _Followed()
            self._subscribe(ref)

    def unfollow(self, ref: TaskRef) -> None:
        """Forget what is known of a task whose end has been dealt with. Unknown ones are ignored."""
        entry = self._followed.pop(ref, None)
        if entry is None:
            return
        self._unsubscribe(ref)
        for child in entry.children:
            child_entry = self._followed.get(child)
            if child_entry is not None:
                child_entry.parents.discard(ref)
                if not child_entry.parents:
                    self.unfollow(child)

    def state(self, ref: TaskRef) -> TaskState | None:
        """What is known of a followed task; `None` until the watch has told. A power-on counts its sub-tasks
        in.
        """
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
        """Clones that have not ended, whoever started them, of one template or VM or of all."""
        return [
            task
            for task in self._recent.values()
            if task.description_id.startswith("VirtualMachine.clone")
            and not task.ended
            and (source is None or task.entity == source)
        ]

    @property
    def followed(self) -> list[TaskRef]:
        return list(self._followed)

    # By the watch only

    def apply_recent(self, updates: Iterable[tuple[TaskRef, TaskInfo | None]]) -> None:
        for ref, task in updates:
            if task is None:
                self._recent.pop(ref, None)
            else:
                self._recent[ref] = task

    def apply_followed(self, updates: Iterable[tuple[TaskRef, TaskInfo | None]]) -> list[Change]:
        """Take over what the watch saw; `None`: vCenter does not know the task. Returns the ends."""
        changes: dict[TaskRef, None] = {}
        for ref, task in updates:
            entry = self._followed.get(ref)
            if entry is None or isinstance(entry.state, Succeeded | Failed):
                continue
            state = Forgotten() if task is None else self._judge(ref, entry, task)
            if state == entry.state:
                continue
            entry.state = state
            if not isinstance(state, Running):
                changes[ref] = None
                changes.update(dict.fromkeys(entry.parents))
        return [Change("task", ref) for ref in changes if not isinstance(self.state(ref), Running | None)]

    def restart_recent(self) -> None:
        """A new session begins: the recent tasks will be told anew."""
        self._recent.clear()

    def _judge(self, ref: TaskRef, entry: _Followed, task: TaskInfo) -> TaskState:
        if task.state == "error" and task.fault is not None:
            return Failed(task.fault)
        if task.state != "success":
            return Running(task.progress)
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
