"""The tags that a Machine itself asks for, while its VM runs: polled, put back, and taken off when asked for no more.

They are people's tags: they must exist, and only what status says was attached for this Machine is ever taken off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.conditions import find
from vsphere_operator.api.machine import Machine, MachineTag
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers import drift, settings
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.drift import Difference
from vsphere_operator.controllers.faults import problem_of
from vsphere_operator.controllers.lifecycle import is_deleting
from vsphere_operator.controllers.machine.actions import Work
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.machine.plan_create import TAGS_ATTACHED
from vsphere_operator.controllers.machine.steps import NameTags, Retag
from vsphere_operator.controllers.tag_watches import TagWatches
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.faults import Fault

_PAUSE = 60.0
"""Seconds until what was refused, or is not there, is looked for again: no watch tells of tags."""
_DRIFTED = "Drifted"

Named = Sequence[MachineTag] | Problem | None


@dataclass(frozen=True, slots=True)
class _Hindrance:
    condition: Condition
    generation: int
    until: float


class TagKeeper:
    """Remembers what stood in the way, and whose record has to be looked up anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watches = TagWatches()
        self._hindrances: dict[Key, _Hindrance] = {}
        self._doubted: set[Key] = set()

    def forget(self, key: Key) -> None:
        """The Machine is gone, or has no VM that runs."""
        self._watches.unwatch(key)
        self._hindrances.pop(key, None)
        self._doubted.discard(key)

    def look(self, work: Work, cluster: Cluster, seen: Observed, named: Named) -> Observed:
        """What is seen, with what has to be done about the VM's tags; tells the rest."""
        key, machine = key_of(work.obj), work.machine
        wanted = settings.tags_of(work.access.offer, machine.spec.vsphere.tags)
        if not _keeps(work, seen) or not (wanted or machine.status.tags) or seen.vm is None:
            self.forget(key)
            return seen
        tags, moref = work.access.vcenter.tags, seen.vm.moref
        before = _attached_before(machine)
        self._watches.watch(key, tags, {moref: {t.id for t in machine.status.tags} if before else ()})
        attached = tags.attached_last(moref)
        if not isinstance(attached, Present) or self._hindered(key, work):
            return seen
        if isinstance(named, Problem):
            self._hinder(work, named.as_condition())
            return seen
        if named is None and key not in self._doubted:
            named = _recorded(machine, wanted)
        if named is None:
            return replace(seen, tags=NameTags())
        self._doubted.discard(key)
        of_cluster = {t.id for t in cluster.status.tags if t.vms}
        change = changes(machine, named, attached.value, keep=of_cluster, attached_before=before)
        if drift.only_told(cluster):
            change = _told(work, change)
        return replace(seen, tags=change if _differs(machine, change) else None)

    def refuse(self, work: Work, fault: Fault) -> None:
        """A tag could not be attached or detached; it may be gone, and another one have its name."""
        self._doubted.add(key_of(work.obj))
        self._hinder(work, problem_of(fault, TAGS_ATTACHED).as_condition())

    def _hinder(self, work: Work, told: Condition) -> None:
        told = replace(told, type=TAGS_ATTACHED, status="False")
        generation = int(work.obj["metadata"].get("generation", 0))
        self._hindrances[key_of(work.obj)] = _Hindrance(told, generation, self._clock() + _PAUSE)
        self._tell(work, told, _PAUSE)

    def _hindered(self, key: Key, work: Work) -> bool:
        hindrance = self._hindrances.get(key)
        if hindrance is None:
            return False
        left = hindrance.until - self._clock()
        if left <= 0 or hindrance.generation != work.obj["metadata"].get("generation", 0):
            del self._hindrances[key]
            return False
        self._tell(work, hindrance.condition, left)
        return True

    def _tell(self, work: Work, told: Condition, after: float) -> None:
        work.concerns = (*work.concerns, told)
        work.look_after = after


def changes(
    machine: Machine,
    named: Sequence[MachineTag],
    attached: frozenset[str],
    *,
    keep: set[str],
    attached_before: bool,
) -> Retag:
    """What to attach and detach. ``keep`` are the Cluster's own tags, which stay whatever the Machine asks for."""
    wanted = {t.id for t in named}
    records = machine.status.tags
    unwanted = [t.id for t in records if t.id not in wanted]
    return Retag(
        records=tuple(named),
        attach=tuple(t.id for t in named if t.id not in attached),
        detach=tuple(i for i in unwanted if i in attached and i not in keep),
        lost=tuple(t.name for t in records if attached_before and t.id in wanted - attached),
    )


def _told(work: Work, change: Retag) -> Retag:
    """A person wants to hear of lost tags and put them back without the operator."""
    if not change.lost:
        return change
    names = ", ".join(f'"{name}"' for name in change.lost)
    difference = Difference(drift.VM_TAGS, f"somebody took the tags {names} off the VM")
    told = drift.condition([difference])
    assert told is not None  # noqa: S101 - there is one
    words = f"driftPolicy is Report, so nothing is changed: {difference.message}"
    work.concerns = (*work.concerns, told, Condition(TAGS_ATTACHED, "False", _DRIFTED, words))
    lost = {t.id for t in change.records if t.name in change.lost}
    return replace(change, attach=tuple(i for i in change.attach if i not in lost), lost=())


def _differs(machine: Machine, change: Retag) -> bool:
    return bool(change.attach or change.detach) or list(change.records) != list(machine.status.tags)


def _keeps(work: Work, seen: Observed) -> bool:
    """Only on a VM that has run and is known to be ours; before that its tags are part of its making."""
    running = seen.vm is not None and seen.vm.power_state == "poweredOn"
    known = seen.vm is not None and seen.vm.moref == seen.recorded and not seen.recorded_elsewhere
    return running and known and not is_deleting(work.obj) and seen.machine.spec.provider_id is not None


def _attached_before(machine: Machine) -> bool:
    condition = find(list(machine.status.conditions), TAGS_ATTACHED)
    return condition is not None and (condition.status.value == "True" or condition.reason == _DRIFTED)


def _recorded(machine: Machine, wanted: Sequence[EffectiveTag]) -> list[MachineTag] | None:
    """The wanted tags by the record alone; None when it does not know all of them."""
    known = {(t.name, t.category): t for t in machine.status.tags}
    found = [known.get((one.name, one.category or "")) for one in wanted]
    return None if any(t is None for t in found) else [t for t in found if t is not None]
