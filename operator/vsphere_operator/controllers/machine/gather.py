"""What memory knows about a Machine: the store and the inventory's copy. No call leaves the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine, MachineStatus, MachineTag
from vsphere_operator.controllers import conditions, status
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.intents import expected, inventory_at
from vsphere_operator.controllers.lifecycle import identity
from vsphere_operator.controllers.machine import operations
from vsphere_operator.controllers.machine import status as machine_status
from vsphere_operator.controllers.machine.actions import Work
from vsphere_operator.controllers.machine.observed import Observed, Prepared
from vsphere_operator.controllers.machine.steps import TakeAddresses
from vsphere_operator.vsphere import ownership
from vsphere_operator.vsphere.answers import Answer, Present
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import NotOurs, Proof
from vsphere_operator.vsphere.vm_details import VmDetails


@dataclasses.dataclass
class Looks:
    """What has been read and looked up on the way through one reconcile."""

    prepared: Prepared | TakeAddresses | Problem | None = None
    details: Answer[VmDetails] | None = None
    absence: Answer[MoRef] | None = None
    folder_content: Answer[list[MoRef]] | None = None
    tags: Sequence[MachineTag] | Problem | None = None


def observe(work: Work, looks: Looks) -> Observed:
    """One look at memory."""
    machine, vcenter = work.machine, work.access.vcenter
    operation = machine.status.operation
    task = None
    if operation is not None and operation.task_ref:
        reference = MoRef(operation.task_ref)
        vcenter.tasks.follow(reference, expected(operation, operations.entity_of(operation)))
        task = vcenter.tasks.state(reference)
    return Observed(
        machine=machine,
        now=status.now(),
        vcenter=work.access.instance_uuid,
        vm=_our_vm(work, machine),
        namesakes=_namesakes(work, machine),
        clone_running=_clone_running(work, machine),
        task=task,
        inventory_at=inventory_at(vcenter.inventory),
        folder=work.folder,
        absence=looks.absence,
        folder_unseen=_unseen(vcenter.inventory, looks.folder_content),
        prepared=looks.prepared,
        details=looks.details,
    )


def with_setback(seen: Observed, setback: tuple[Problem, float] | None) -> Observed:
    return dataclasses.replace(seen, setback=setback)


def with_ownership(seen: Observed, verdict: Proof | NotOurs) -> Observed:
    return dataclasses.replace(seen, ownership=verdict)


def cluster_hindrance(cluster: Cluster) -> Problem | None:
    """Why a Cluster can take no new VM now."""
    if cluster.metadata.deletion_timestamp is not None:
        return Problem(
            "ClusterReady", "ClusterDeleting", "the Cluster is being deleted; no VM is made for it"
        )
    folder = cluster.status.folder
    states = [c.to_json() for c in cluster.status.conditions]
    if folder is None or folder.mo_ref is None or not conditions.is_true(states, "FolderReady"):
        words = f'waits until the Cluster "{cluster.metadata.name}" has its folder; see its conditions'
        return Problem("ClusterReady", "ClusterNotReady", words, stalled=False)
    return None


def kept_conditions(machine: Machine) -> list[Condition]:
    """What a look without vCenter says nothing new about: how far the VM has come."""
    return [
        Condition(c.type, c.status.value, c.reason, c.message)
        for c in machine.status.conditions
        if c.type in machine_status.KEPT
    ]


def macs(details: Answer[VmDetails] | None) -> Sequence[str]:
    """The MACs of a VM that has been looked at, in the order of its networks."""
    if not isinstance(details, Present):
        return ()
    return tuple(n.mac for n in sorted(details.value.nics, key=lambda n: n.key) if n.mac)


def seen_status(work: Work) -> MachineStatus:
    """The status with what the inventory shows of place, host, datastore, power and addresses."""
    inventory, vm = work.access.vcenter.inventory, work.vm
    host = inventory.get(vm.host) if vm and vm.host else None
    datastore = inventory.get(vm.datastores[0]) if vm and vm.datastores else None
    return machine_status.observed(
        work.machine,
        vm,
        path=inventory.path(vm.moref) if vm else None,
        host=host.name if host else None,
        datastore=datastore.name if datastore else None,
    )


def _unseen(inventory: Inventory, content: Answer[list[MoRef]] | None) -> Answer[list[MoRef]] | None:
    if not isinstance(content, Present):
        return content
    return Present([moref for moref in content.value if inventory.get(moref) is None])


def _our_vm(work: Work, machine: Machine) -> VmEntity | None:
    """By the recorded MoRef, else by the UUID that the Machine's portable id gives.

    A host that is added to vCenter again brings its VMs with new MoRefs, and a restored vCenter gives old ones to
    others.
    """
    inventory, recorded = work.access.vcenter.inventory, machine.status.vm
    if recorded and recorded.mo_ref and recorded.vcenter == work.access.instance_uuid:
        known = inventory.vm(MoRef(recorded.mo_ref))
        if known is not None and not ownership.is_anothers(known, machine_id=identity(work.obj)):
            return known
    matches = inventory.vms_by_instance_uuid(work.instance_uuid)
    return matches[0] if len(matches) == 1 else None


def _namesakes(work: Work, machine: Machine) -> list[VmEntity]:
    """VMs of this name in the Cluster's folder that are not known to be ours."""
    if work.folder is None:
        return []
    ours = work.instance_uuid
    return [
        child
        for child in work.access.vcenter.inventory.children(work.folder)
        if isinstance(child, VmEntity)
        and child.name == machine.metadata.name
        and (child.instance_uuid or "").lower() != ours
    ]


def _clone_running(work: Work, machine: Machine) -> bool:
    """Whether a clone task that may be the one we do not know is still under way."""
    operation = machine.status.operation
    if operation is None or operation.type != operations.CLONE:
        return False
    source = operation.details.get("template")
    return bool(work.access.vcenter.tasks.clones_in_flight(MoRef(source) if source else None))
