"""Which Machines a MachineSet makes and which it lets go: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineView:
    """A Machine as its set sees it; ``created`` is RFC 3339 and so sorts as text."""

    name: str
    uid: str
    created: str
    deleting: bool = False
    marked: bool = False
    failed: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """How many to make, and whom to delete."""

    create: int
    delete: tuple[MachineView, ...]


def plan(*, replicas: int, machines: Sequence[MachineView], delete_policy: str | None = None) -> Changes:
    """The difference between what is asked for and what lives.

    A failed Machine is deleted whatever the count says; its place is then filled. Among the others a person's
    mark goes first, then what is not ready, then as ``delete_policy`` says: ``Newest``, ``Oldest`` or (also when
    nothing is said) ``Random``, which is by UID, so that a second look does not choose others.
    """
    living = [m for m in machines if not m.deleting]
    failed = [m for m in living if m.failed]
    sound = [m for m in living if not m.failed]
    surplus = max(0, len(sound) - replicas)
    chosen = sorted(sound, key=lambda m: _rank(m, delete_policy))[:surplus]
    # A failed Machine still holds its name and perhaps a VM, but it serves nobody: its successor need not wait.
    return Changes(create=max(0, replicas - len(sound)), delete=(*failed, *chosen))


def _rank(machine: MachineView, policy: str | None) -> tuple[bool, bool, tuple[int, ...] | str]:
    return (not machine.marked, machine.ready, _age_rank(machine, policy))


def _age_rank(machine: MachineView, policy: str | None) -> tuple[int, ...] | str:
    if policy == "Oldest":
        return machine.created + machine.name
    if policy == "Newest":
        return tuple(-ord(c) for c in machine.created + machine.name)
    return machine.uid
