"""From a VM to none, with everything foreign as it was: one decision at a time, from a fresh look. Pure."""

from __future__ import annotations

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine import pending_questions
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.machine.operations import DESTROY, other_vcenter, resolve
from vsphere_operator.controllers.machine.plan_create import claim, not_ours
from vsphere_operator.controllers.machine.steps import (
    Block,
    DeleteIso,
    Destroy,
    DetachDisks,
    Inspect,
    PowerOff,
    ProveAbsence,
    Release,
    Step,
    Wait,
)
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import NotOurs
from vsphere_operator.vsphere.tasks import Succeeded
from vsphere_operator.vsphere.vm_details import Disk, VmDetails


def plan(seen: Observed) -> Step:
    """The next step towards proven absence."""
    operation = seen.machine.status.operation
    if seen.recorded_elsewhere:
        return Block(other_vcenter())
    answer = pending_questions.answer(seen)
    if answer is not None:
        return answer
    if operation is not None:
        if operation.type == DESTROY and isinstance(seen.task, Succeeded):
            return Release("vCenter's own task destroyed it")
        return resolve(seen, operation)
    if seen.setback:
        return Block(seen.setback[0])
    return _look(seen)


def _look(seen: Observed) -> Step:
    if seen.vm is not None and seen.recorded is not None and seen.vm.moref != seen.recorded:
        return claim(seen, seen.vm.moref)
    moref = seen.recorded or (seen.vm.moref if seen.vm else None)
    if moref is None:
        return _gone(seen, None)
    match seen.details:
        case None:
            return Inspect(moref)
        case Absent():
            return _gone(seen, moref)
        case Unknown(why=why):
            return Wait(
                "VMUnknown", f"Waits until vCenter can tell whether the VM is still there: {why}", after=10.0
            )
        case Present(value=details):
            return _take_down(seen, details)


def _gone(seen: Observed, moref: MoRef | None) -> Step:
    """Nothing is known by the MoRef, or there is none, or it is another machine's VM now: asked for by the UUID."""
    match seen.absence:
        case None:
            return ProveAbsence(moref)
        case Absent(proof=proof):
            # Whoever destroyed the VM left the ISO, which was never one of its own files.
            vm = seen.machine.status.vm
            return DeleteIso(vm.iso_path) if vm and vm.iso_path else Release(proof)
        case Present():
            return Wait("VMUnknown", "Waits until the inventory shows where the VM is now.", after=2.0)
        case Unknown(why=why):
            words = f"Waits until vCenter can tell whether the VM is still there: {why}"
            return Wait("VMUnknown", words, after=10.0)


def _take_down(seen: Observed, details: VmDetails) -> Step:
    if not details.config_ready:
        return Wait("Cloning", "Waits until the VM's clone has ended.", after=2.0)
    if isinstance(seen.ownership, NotOurs):
        if seen.ownership.anothers:
            return _gone(seen, None)
        return Block(not_ours(details, seen.ownership))
    if details.connection_state != "connected":
        return Wait("HostDisconnected", "Waits until the VM's host answers vCenter again.", after=10.0)
    if details.power_state != "poweredOff":
        return PowerOff(details)
    foreign = foreign_disks(seen, details)
    if foreign:
        if details.has_snapshot:
            return Block(_snapshot(details, foreign))
        return DetachDisks(details, tuple(d.key for d in foreign))
    vm = seen.machine.status.vm
    if vm and vm.iso_path:
        return DeleteIso(vm.iso_path)
    return Destroy(details)


def foreign_disks(seen: Observed, details: VmDetails) -> list[Disk]:
    """The disks that Destroy must not take along.

    Own are those that were recorded before the first boot. A VM that was never recorded never ran: its own are
    then those in its own directory that are no first-class disks.
    """
    vm = seen.machine.status.vm
    if vm and vm.disks:
        own = set(vm.disks)
        return [d for d in details.disks if d.fcd_id or d.backing_uuid not in own]
    directory = details.directory
    return [d for d in details.disks if d.fcd_id or not directory or d.file.rpartition("/")[0] != directory]


def _snapshot(details: VmDetails, foreign: list[Disk]) -> Problem:
    files = ", ".join(sorted(d.file for d in foreign))
    words = (
        f'the VM "{details.name}" has a snapshot and disks that are not its own ({files}); destroying it would take '
        "them along. Delete the snapshot, or detach the disks"
    )
    return Problem("ForeignDisksSafe", "SnapshotHoldsForeignDisks", words)
