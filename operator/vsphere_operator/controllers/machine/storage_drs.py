"""Who may move a worker's disks: Storage DRS by itself may not, because CSI loses volumes that are moved.

A clone that Storage DRS recommended is exempt from its first moment. Others are made so by a call of their own, and
where that is refused the worker runs all the same, with a condition that says what may happen to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from vsphere_operator.api.conditions import find
from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers.conditions import Condition
from vsphere_operator.controllers.lifecycle import is_deleting
from vsphere_operator.controllers.machine.actions import POD, Work
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.machine.status import STORAGE_DRS_OFF
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.faults import Fault, FaultClass
from vsphere_operator.vsphere.inventory.entities import Datastore, StoragePod
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

_PAUSE = 300.0
"""Seconds until a refused call is made again: the worker runs on, and a person has to do something first."""
_SHOWN_WITHIN = 30.0
"""Seconds in which what was switched off shows in the inventory."""

_Refused = tuple[str, str, MoRef, MoRef | None]


class StorageDrsGuard:
    """Remembers what was refused, by datastore cluster, so that its thousand workers do not all ask again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: dict[_Refused, tuple[Condition, float]] = {}

    def look(self, work: Work, seen: Observed) -> Observed:
        """What is seen, with the datastore cluster that is to be kept from moving the disks; tells the rest."""
        work.concerns = ()
        vm = seen.vm.moref if seen.vm is not None else None
        if vm is None or is_deleting(work.obj):
            return seen
        pods = pods_of(work.access.vcenter.inventory, seen)
        moving = [pod for pod in pods if pod.moves(vm)]
        told = [self._standing(work, pod.moref, vm) for pod in moving]
        free = next((pod for pod, refused in zip(moving, told, strict=True) if refused is None), None)
        if not moving:
            exempt = any(pod.drs_enabled and pod.automated for pod in pods)
            work.concerns = (Condition(STORAGE_DRS_OFF, "True", "Manual"),) if exempt else ()
        else:
            work.concerns = (next((one for one in told if one), None) or _as_before(work),)
        return replace(seen, moved_by=free)

    def refuse(self, work: Work, pod: MoRef, vm: MoRef, fault: Fault) -> None:
        """It could not be switched off. A missing right is missing for all VMs of the datastore cluster."""
        missing = fault.fault_class is FaultClass.PERMISSION
        name = _name(work, pod)
        remedy = (
            "Grant StoragePod.Config on it to the infrastructure user, or set it to manual"
            if missing
            else "It is tried again; else set it to manual"
        )
        words = (
            f'Storage DRS of the datastore cluster "{name}" may move the disks of this worker by itself, CSI volumes '
            f"among them, which CSI does not support, and could not be kept from it: {fault.message} {remedy}."
        )
        told = Condition(STORAGE_DRS_OFF, "False", fault.reason, words)
        self._remember(work, pod, None if missing else vm, told, _PAUSE)

    def refuse_operation(self, work: Work, operation: Operation, fault: Fault) -> None:
        """As `refuse`, for a task that failed."""
        self.refuse(work, MoRef(operation.details[POD]), MoRef(operation.target or ""), fault)

    def done(self, work: Work, operation: Operation) -> None:
        """The task ended well; the inventory shows it soon, and nothing has to wait for that."""
        words = "vCenter has switched it off; waits until the datastore cluster shows it."
        told = Condition(STORAGE_DRS_OFF, "Unknown", "SwitchedOff", words)
        self._remember(
            work, MoRef(operation.details[POD]), MoRef(operation.target or ""), told, _SHOWN_WITHIN
        )

    def _remember(self, work: Work, pod: MoRef, vm: MoRef | None, told: Condition, pause: float) -> None:
        now = self._clock()
        self._refused = {key: one for key, one in self._refused.items() if one[1] > now}
        self._refused[_key(work, pod, vm)] = (told, now + pause)

    def _standing(self, work: Work, pod: MoRef, vm: MoRef) -> Condition | None:
        now = self._clock()
        for key in (_key(work, pod, vm), _key(work, pod, None)):
            told, until = self._refused.get(key, (None, now))
            if told is not None and until > now:
                return told
        return None


def pods_of(inventory: Inventory, seen: Observed) -> list[StoragePod]:
    """The datastore clusters that the VM has disks on, by the freshest look at it."""
    datastores = (
        seen.details.value.datastores
        if isinstance(seen.details, Present)
        else (seen.vm.datastores if seen.vm is not None else ())
    )
    found: dict[MoRef, StoragePod] = {}
    for moref in datastores:
        datastore = inventory.get(moref)
        parent = (
            inventory.get(datastore.parent) if isinstance(datastore, Datastore) and datastore.parent else None
        )
        if isinstance(parent, StoragePod):
            found[parent.moref] = parent
    return list(found.values())


def _key(work: Work, pod: MoRef, vm: MoRef | None) -> _Refused:
    """A refusal ends when somebody else asks: another user, or other rights under a new password."""
    return (work.access.instance_uuid, work.access.login.credentials.version, pod, vm)


def _name(work: Work, pod: MoRef) -> str:
    entity = work.access.vcenter.inventory.get(pod)
    return (entity.name if entity is not None else None) or pod


def _as_before(work: Work) -> Condition:
    """What was told last stands until the next try has ended."""
    before = find(list(work.machine.status.conditions), STORAGE_DRS_OFF)
    if before is None or before.status.value == "True":
        return Condition(STORAGE_DRS_OFF, "False", "NotYet", "Storage DRS may move the disks of this worker.")
    return Condition(before.type, before.status.value, before.reason, before.message)
