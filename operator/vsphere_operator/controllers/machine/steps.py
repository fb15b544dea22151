"""What can be done next about a Machine: the typed steps that its plans are made of, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vsphere_operator.api.machine import MachineTag, StaticAddress
from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.vsphere.faults import Fault
from vsphere_operator.vsphere.inventory.entities import StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import VmDetails


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something changes; ``after`` (seconds) when no event will tell."""

    reason: str
    message: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Something stands in the way."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Fail:
    """This Machine will never run; its owner replaces it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Settle:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Look up what the clone and the first boot need."""


@dataclass(frozen=True, slots=True)
class TakeAddresses:
    """Take static addresses from the Cluster's pools for the VM that is to be made: they are in what it boots with.

    ``network`` is the first NIC's, None when it is not known. ``with_mac``: the boot data have to name the NIC before
    vCenter has given it a MAC.
    """

    network: MoRef | None
    with_mac: bool = False


@dataclass(frozen=True, slots=True)
class Inspect:
    """Read the VM afresh: before every change, so that the decision rests on what is there now."""

    moref: MoRef


@dataclass(frozen=True, slots=True)
class ProveAbsence:
    """Ask for the VM by its MoRef and its UUID, where we may see it: only then is it proven to be gone."""

    moref: MoRef | None


@dataclass(frozen=True, slots=True)
class LookIntoFolder:
    """Read afresh what is in the Cluster's folder: a quiet watch may have missed what an interrupted clone made."""

    moref: MoRef


@dataclass(frozen=True, slots=True)
class OperationDone:
    """The operation is over; ``result`` is what its task made. ``succeeded`` only when vCenter said so.

    Otherwise its call may never have arrived, or its end was missed: what it did is seen by looking at the object.
    """

    operation: Operation
    result: MoRef | None = None
    succeeded: bool = False


@dataclass(frozen=True, slots=True)
class OperationFailed:
    """The operation's task ended with a fault."""

    operation: Operation
    fault: Fault


@dataclass(frozen=True, slots=True)
class Clone:
    """Make the VM, powered off."""


@dataclass(frozen=True, slots=True)
class RecordVm:
    """Write down which VM it is, and which addresses it was given: a status that was lost is had again."""

    moref: MoRef
    addresses: tuple[StaticAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordDetails:
    """Write down the VM's directory and its own disks, before anybody else can add one."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class AttachTags:
    """Attach the tags that the template names."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class NameTags:
    """Look up the tags that the Machine asks for and status does not know."""


@dataclass(frozen=True, slots=True)
class Retag:
    """Set right which tags a running VM carries. ``records`` is what status says then; ``lost`` was taken off."""

    records: tuple[MachineTag, ...]
    attach: tuple[str, ...]
    detach: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeliverIso:
    """Upload the bootstrap ISO into the VM's directory and put it into its CD-ROM drive."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class SwitchStorageDrsOff:
    """Keep Storage DRS from moving the VM's disks by itself, CSI volumes among them, which CSI does not support."""

    details: VmDetails
    pod: StoragePod


@dataclass(frozen=True, slots=True)
class PowerOn:
    """Start the VM; planned only for details that show its bootstrap data."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class AnswerQuestion:
    """Let the VM go on, which stands still until somebody says whether a locked CD may be taken away."""

    moref: MoRef
    question_id: str
    choice: str


@dataclass(frozen=True, slots=True)
class SetProviderId:
    """Write the VM's identity where Cluster API's clients read it."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Cut the power before the VM is destroyed."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class DetachDisks:
    """Take off the disks that are not the VM's own, with their files kept."""

    details: VmDetails
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeleteIso:
    """Delete the ISO that was uploaded, by its recorded path."""

    path: str


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy the VM with its own disks."""

    details: VmDetails


@dataclass(frozen=True, slots=True)
class Release:
    """Take the finalizer off; ``proof`` says how it is known that nothing is left."""

    proof: str


Step = (
    Wait
    | Block
    | Fail
    | Settle
    | Prepare
    | TakeAddresses
    | Inspect
    | ProveAbsence
    | LookIntoFolder
    | OperationDone
    | OperationFailed
    | Clone
    | RecordVm
    | RecordDetails
    | AttachTags
    | NameTags
    | Retag
    | DeliverIso
    | SwitchStorageDrsOff
    | PowerOn
    | AnswerQuestion
    | SetProviderId
    | PowerOff
    | DetachDisks
    | DeleteIso
    | Destroy
    | Release
)


_OPERATIONS: Mapping[type, str] = {
    Clone: "CloneVM",
    DeliverIso: "DeliverISO",
    SwitchStorageDrsOff: "SwitchStorageDrsOff",
    PowerOn: "PowerOn",
    PowerOff: "PowerOff",
    DetachDisks: "DetachDisks",
    DeleteIso: "DeleteISO",
    Destroy: "Destroy",
}


def operation_type(step: Step) -> str | None:
    """The type of the operation that the step begins; None when it begins none."""
    return _OPERATIONS.get(type(step))
