"""What the copy of the inventory holds: one frozen record a managed object, leaf properties only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vsphere_operator.vsphere.devices import Devices
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.questions import Question


@dataclass(frozen=True, slots=True)
class Entity:
    """Any inventory object. `name` is as people know it, `a/b`; `None` when it may not be read."""

    moref: MoRef
    name: str | None = None
    parent: MoRef | None = None


@dataclass(frozen=True, slots=True)
class Folder(Entity):
    pass


@dataclass(frozen=True, slots=True)
class Datacenter(Entity):
    vm_folder: MoRef | None = None
    host_folder: MoRef | None = None
    datastore_folder: MoRef | None = None
    network_folder: MoRef | None = None


@dataclass(frozen=True, slots=True)
class GuestNic:
    """What VMware Tools report of one network card."""

    network: str | None
    mac: str | None
    ips: tuple[str, ...]
    device_key: int = -1
    """The virtual card's key, or -1 for an interface that only the guest knows (a bridge, a tunnel)."""


@dataclass(frozen=True, slots=True)
class VmEntity(Entity):
    """A virtual machine or template.

    Guest addresses, marks, devices and questions are kept only for VMs that may be ours.
    """

    template: bool = False
    instance_uuid: str | None = None
    bios_uuid: str | None = None
    power_state: str = "poweredOff"
    """Stale unless `connection_state` is `connected`."""
    connection_state: str = "connected"
    tools_running: bool = False
    guest_nics: tuple[GuestNic, ...] = ()
    host: MoRef | None = None
    resource_pool: MoRef | None = None
    datastores: tuple[MoRef, ...] = ()
    extra_config: Mapping[str, str] = field(default_factory=dict)
    """The ownership marks (`ownership.KEYS`) and nothing else."""
    marks_read: bool = False
    """Whether the marks have been looked for; before, none known does not mean none there."""
    devices: Devices | None = None
    """`None` before the close look, and where the hardware may not be read."""
    question: Question | None = None
    """What the VM waits to be told; known after the close look."""

    @property
    def config_ready(self) -> bool:
        """False while the VM is being cloned, and for one whose configuration may not be read."""
        return self.instance_uuid is not None

    @property
    def addresses(self) -> tuple[str, ...]:
        """All guest addresses in the order of the cards, those of virtual cards only."""
        nics = sorted((n for n in self.guest_nics if n.device_key >= 0), key=lambda n: n.device_key)
        return tuple(ip for nic in nics for ip in nic.ips)


@dataclass(frozen=True, slots=True)
class Datastore(Entity):
    """Sizes in bytes."""

    accessible: bool = False
    maintenance_mode: str = "normal"
    """`normal`, `enteringMaintenance`, `inMaintenance`."""
    capacity: int = 0
    free_space: int = 0
    url: str = ""
    shared: bool = False
    """Whether more than one host mounts it."""
    hosts: tuple[MoRef, ...] = ()
    """Those that mount it and can write to it."""


VmAutomation = Literal["excluded", "manual", "automated", "inherited"]
"""How Storage DRS treats one VM. `excluded`: not at all; `manual`: recommends moves; `inherited`: as the pod says."""


@dataclass(frozen=True, slots=True)
class StoragePod(Entity):
    """A datastore cluster; its datastores are its children."""

    drs_enabled: bool = False
    """Storage DRS is on; False also where that may not be read."""
    automated: bool = False
    """Whether Storage DRS moves disks by itself; its initial placements are recommendations either way."""
    vm_automation: Mapping[MoRef, VmAutomation] = field(default_factory=dict)
    """What is set for single VMs; all others are treated as `automated` says."""

    def moves(self, vm: MoRef) -> bool:
        """Whether Storage DRS may move this VM's disks without asking anybody."""
        own = self.vm_automation.get(vm, "inherited")
        return self.drs_enabled and (own == "automated" or (own == "inherited" and self.automated))


@dataclass(frozen=True, slots=True)
class Network(Entity):
    accessible: bool = True
    hosts: tuple[MoRef, ...] = ()


@dataclass(frozen=True, slots=True)
class DistributedPortgroup(Network):
    key: str = ""
    switch: MoRef | None = None


@dataclass(frozen=True, slots=True)
class OpaqueNetwork(Network):
    opaque_id: str = ""
    opaque_type: str = ""


@dataclass(frozen=True, slots=True)
class DistributedSwitch(Entity):
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class ComputeCluster(Entity):
    """A cluster, or a single host outside of one (`ComputeResource`)."""

    hosts: tuple[MoRef, ...] = ()
    root_pool: MoRef | None = None
    drs_enabled: bool = False
    networks: tuple[MoRef, ...] = ()
    datastores: tuple[MoRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Host(Entity):
    connection_state: str = "disconnected"
    in_maintenance: bool = False
    datastores: tuple[MoRef, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourcePool(Entity):
    owner: MoRef | None = None
    """The compute cluster that it belongs to."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was seen. `state`: the connection or `synced` changed; `task`: a followed task ended; `tags`: a watched
    object carries others than before.
    """

    kind: Literal["entered", "changed", "left", "state", "task", "tags"]
    moref: MoRef | None = None
    old: Entity | None = None
    new: Entity | None = None
