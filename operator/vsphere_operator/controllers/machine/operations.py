"""What to do about an operation that status speaks of: its task runs, ended, failed, or is known to nobody."""

from __future__ import annotations

from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.intents import seconds_until_shown
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.machine.steps import (
    Block,
    LookIntoFolder,
    OperationDone,
    OperationFailed,
    Step,
    Wait,
)
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Running, Succeeded

CLONE = "CloneVM"
DELIVER_ISO = "DeliverISO"
SWITCH_STORAGE_DRS_OFF = "SwitchStorageDrsOff"
POWER_ON = "PowerOn"
POWER_OFF = "PowerOff"
DETACH_DISKS = "DetachDisks"
DELETE_ISO = "DeleteISO"
DESTROY = "Destroy"

_DOING = {
    CLONE: ("Cloning", "The VM is being cloned."),
    DELIVER_ISO: ("DeliveringBootstrapData", "The bootstrap ISO is being put into the VM's CD-ROM drive."),
    SWITCH_STORAGE_DRS_OFF: (
        "SwitchingStorageDrsOff",
        "Storage DRS is told not to move the VM's disks by itself.",
    ),
    POWER_ON: ("PoweringOn", "The VM is being powered on."),
    POWER_OFF: ("PoweringOff", "The VM is being powered off."),
    DETACH_DISKS: ("DetachingDisks", "Disks that are not the VM's own are being detached."),
    DELETE_ISO: ("DeletingBootstrapISO", "The bootstrap ISO is being deleted."),
    DESTROY: ("Destroying", "The VM is being destroyed."),
}


def entity_of(operation: Operation) -> MoRef | None:
    """The object that the operation's task is about; None where that is not the target (a clone, a power-on)."""
    about_the_vm = operation.type in (POWER_OFF, DETACH_DISKS, DESTROY)
    return MoRef(operation.target) if about_the_vm and operation.target else None


def doing(operation: Operation) -> tuple[str, str]:
    """Reason and message for a condition while it goes on."""
    return _DOING.get(operation.type, ("Working", "vCenter is at work."))


def no_effect(type_: str) -> Problem:
    """vCenter reported success and the VM is as before; doing it at once again would go on for ever."""
    _, message = _DOING[type_]
    words = f"vCenter reported success, but the VM does not show it ({message.rstrip('.')}); look at it in vCenter"
    return Problem("VMReady", "NoEffect", words, stalled=False)


def resolve(seen: Observed, operation: Operation) -> Step:
    """The next step about an operation that has not been struck off yet."""
    if operation.vcenter and operation.vcenter != seen.vcenter:
        return Block(other_vcenter())
    if operation.task_ref is None:
        return _intent(seen, operation)
    reason, message = doing(operation)
    match seen.task:
        case Succeeded(result=result):
            return OperationDone(operation, result, succeeded=True)
        case Failed(fault=fault):
            return OperationFailed(operation, fault)
        case Forgotten() if _clone_unclear(seen, operation):
            return Wait(reason, message, after=2.0)
        case Forgotten():
            return OperationDone(operation)
        case Running() | None:
            return Wait(reason, message)


def other_vcenter() -> Problem:
    """Status was written about another vCenter: every MoRef in it may now be somebody else's."""
    words = (
        "the vCenter at this address is not the one that the status speaks of; nothing is touched. Point the "
        "Seed back to it, or annotate the object with userclusters.io/orphan to let go of what is there"
    )
    return Problem("VCenterAvailable", "OtherVCenter", words)


def _intent(seen: Observed, operation: Operation) -> Step:
    """The call may or may not have arrived. Only looking tells; until then the status says why."""
    reason, message = doing(operation)
    if seen.setback is not None:
        unanswered, _ = seen.setback
        reason, message = unanswered.reason, f"{message} {unanswered.message}"
    if _clone_unclear(seen, operation):
        return Wait(reason, message, after=2.0)
    grace = seconds_until_shown(operation, now=seen.now, looked_at=seen.now)
    if grace > 0:
        return Wait(reason, message, after=grace)
    if operation.type != CLONE or seen.vm is not None:
        return OperationDone(operation)  # what it did shows when the VM is read afresh
    quiet = seconds_until_shown(operation, now=seen.now, looked_at=seen.inventory_at)
    if quiet > 0:
        return _past_a_quiet_watch(seen, operation, Wait(reason, message, after=quiet))
    return OperationDone(operation)


def _clone_unclear(seen: Observed, operation: Operation) -> bool:
    """Whether a clone that nobody can name now may be ours, still on its way."""
    if operation.type != CLONE or seen.vm is not None:
        return False
    return seen.clone_running or any(not vm.config_ready for vm in seen.namesakes)


def _past_a_quiet_watch(seen: Observed, operation: Operation, wait: Wait) -> Step:
    """A watch may be quiet for half a minute because nothing happens: one fresh look tells, without that wait."""
    if seen.folder is None:
        return wait
    match seen.folder_unseen:
        case None:
            return LookIntoFolder(seen.folder)
        case Present(value=unseen) if not unseen:
            return OperationDone(operation)
        case _:
            return wait
