"""What is known about a Machine at the moment of a decision. Plans read this and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vsphere_operator.api.machine import Machine, MachineTag
from vsphere_operator.api.vspheresettings import EffectiveSettings
from vsphere_operator.bootstrap.delivery import Delivery
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine.steps import NameTags, Retag, TakeAddresses
from vsphere_operator.controllers.policies import PolicyChoice
from vsphere_operator.vsphere.answers import Answer
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datacenter,
    Datastore,
    ResourcePool,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import NotOurs, Proof
from vsphere_operator.vsphere.tasks import TaskState
from vsphere_operator.vsphere.vm_details import VmDetails


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a clone and a first boot need, looked up and checked.

    ``tags`` are the Machine's own; ``tag_ids`` are all that the VM shall carry.
    """

    template: VmDetails
    folder: MoRef
    datacenter: Datacenter
    pool: ResourcePool
    compute: ComputeCluster
    storage: Datastore | StoragePod
    networks: tuple[NetworkRef, ...] | None
    delivery: Delivery
    tags: tuple[MachineTag, ...]
    tag_ids: tuple[str, ...]
    effective: EffectiveSettings
    policy: PolicyChoice | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One look. ``prepared``, ``details`` and ``ownership`` are None until a step has asked for them.

    ``vm`` is the inventory's copy of our VM. ``namesakes`` are other VMs of the Machine's name in the folder,
    ``clone_running`` says that a clone of which we do not know the end may be ours. ``inventory_at`` is when the watch
    last answered. ``folder`` is the Cluster's, if it has one; ``folder_unseen`` what a fresh look into it shows and the
    inventory does not. ``absence`` is the proof that the VM is gone, or where it is. ``moved_by`` is a datastore
    cluster whose Storage DRS may move the VM's disks by itself and has not refused lately to be kept from it.
    ``tags`` is what has to be done about the tags of a VM that runs. ``only_told``: what others changed stays so.
    """

    machine: Machine
    now: datetime
    vcenter: str
    vm: VmEntity | None = None
    namesakes: Sequence[VmEntity] = ()
    clone_running: bool = False
    task: TaskState | None = None
    inventory_at: datetime | None = None
    folder: MoRef | None = None
    absence: Answer[MoRef] | None = None
    folder_unseen: Answer[list[MoRef]] | None = None
    setback: tuple[Problem, float] | None = None
    prepared: Prepared | TakeAddresses | Problem | None = None
    details: Answer[VmDetails] | None = None
    ownership: Proof | NotOurs | None = None
    moved_by: StoragePod | None = None
    tags: NameTags | Retag | None = None
    only_told: bool = False

    @property
    def recorded(self) -> MoRef | None:
        """The VM's MoRef from status; means something only on the vCenter that it was recorded on."""
        vm = self.machine.status.vm
        return MoRef(vm.mo_ref) if vm and vm.mo_ref else None

    @property
    def recorded_elsewhere(self) -> bool:
        """Whether status speaks of another vCenter than the one that answers."""
        vm = self.machine.status.vm
        return bool(vm and vm.mo_ref and vm.vcenter and vm.vcenter != self.vcenter)
