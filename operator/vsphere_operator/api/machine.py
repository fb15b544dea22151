"""Machine: one worker VM."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Definition,
    Model,
    Resource,
    Rule,
    cel,
    map_list,
    name_limit,
)
from vsphere_operator.api.conditions import Status
from vsphere_operator.api.machinetemplate import MachineTemplateSpec
from vsphere_operator.api.operations import Operation
from vsphere_operator.api.references import NodeReference
from vsphere_operator.api.vspheresettings import EffectiveSettings
from vsphere_operator.api.workerspec import ClusterName


class MachineSpec(MachineTemplateSpec):
    """One worker."""

    rules = (
        Rule(
            "!has(oldSelf.providerID) || (has(self.providerID) && self.providerID == oldSelf.providerID)",
            "providerID cannot be changed once set; it tells which VM is this Machine's",
        ),
    )

    cluster_name: ClusterName
    """The Cluster, in the same namespace, that the Machine belongs to."""
    provider_id: (
        Annotated[
            str,
            Field(min_length=1, max_length=64),
            cel(
                (
                    "self.matches('^vsphere://[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')",
                    "providerID is vsphere:// and the VM's BIOS UUID in lower case; leave it to the operator",
                )
            ),
        ]
        | None
    ) = None
    """The Node's providerID, once the VM is there; set by the operator."""


class MachinePhase(StrEnum):
    """Where a Machine is in its life."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    RUNNING = "Running"
    DELETING = "Deleting"
    FAILED = "Failed"


class AddressType(StrEnum):
    """What an address is, as on Nodes."""

    HOSTNAME = "Hostname"
    INTERNAL_IP = "InternalIP"
    EXTERNAL_IP = "ExternalIP"
    INTERNAL_DNS = "InternalDNS"
    EXTERNAL_DNS = "ExternalDNS"


class MachineAddress(Model):
    """An address of the machine."""

    type: AddressType
    """Hostname, InternalIP, ExternalIP, InternalDNS or ExternalDNS."""
    address: str
    """The address."""


class StaticAddress(Model):
    """An address that was taken from the Cluster's machineNetworks for this Machine."""

    address: str
    """The address."""
    cidr: str
    """The pool that it was taken from."""
    gateway: str | None = None
    """The pool's gateway."""
    dns_servers: list[str] = Field(default_factory=list)
    """The pool's DNS servers."""
    mac: str | None = None
    """The MAC of the NIC that has it: the VM's first."""
    network: str | None = None
    """The MoRef of that NIC's network."""
    vcenter: str | None = None
    """The instance UUID of the vCenter that the MoRef belongs to."""


class VirtualMachineStatus(Model):
    """The Machine's VM."""

    mo_ref: str | None = None
    """The VM's MoRef."""
    instance_uuid: str | None = None
    """The VM's instance UUID, derived from the Machine's portable id."""
    bios_uuid: str | None = None
    """The VM's BIOS UUID."""
    name: str | None = None
    """The VM's name."""
    inventory_path: str | None = None
    """Where it lies in vCenter, as `/datacenter/vm/folder/name`; it stays this Machine's when a person moves it."""
    vcenter: str | None = None
    """The instance UUID of the vCenter that the MoRef belongs to."""
    host: str | None = None
    """The host that it runs on."""
    power_state: str | None = None
    """poweredOn, poweredOff or suspended."""
    hardware_version: str | None = None
    """The virtual hardware's version, for example vmx-19."""
    datastore: str | None = None
    """The datastore of its files."""
    path: str | None = None
    """The directory of its files, as `[datastore] directory`."""
    iso_path: str | None = None
    """The bootstrap ISO that was uploaded, as `[datastore] directory/cloud-init.iso`."""
    disks: list[str] = Field(default_factory=list)
    """The backing UUIDs of its own disks; all others are somebody else's."""


class MachineTag(Model):
    """A tag that was attached for this Machine; only such are ever taken off its VM."""

    name: str
    """The tag's name."""
    category: str
    """The category as it was asked for: its name or its id."""
    id: str
    """The tag's id in vCenter."""


class MachineStatus(Status):
    """One worker as it is."""

    phase: MachinePhase | None = None
    """Pending, Provisioning, Running, Deleting or Failed."""
    vm: VirtualMachineStatus | None = None
    """The VM."""
    operation: Operation | None = None
    """The change of vCenter that is intended or under way."""
    addresses: list[MachineAddress] = Field(default_factory=list)
    """The machine's addresses."""
    tags: Annotated[list[MachineTag], map_list("id")] = Field(default_factory=list)
    """The tags that the Machine itself asks for, as they are or will be on the VM."""
    static_addresses: list[StaticAddress] = Field(default_factory=list)
    """Addresses taken from the Cluster's machineNetworks."""
    node_ref: NodeReference | None = None
    """The Node, once it has joined."""
    failure_reason: str | None = None
    """Why the Machine will never run, as one word for programs."""
    failure_message: str | None = None
    """Why the Machine will never run, for people."""
    effective: EffectiveSettings | None = None
    """The settings in force, and where each came from."""


class Machine(Resource):
    """One worker VM."""

    rules = (name_limit(63, "it becomes the host's name"),)
    definition: ClassVar = Definition(
        plural="machines",
        singular="machine",
        short_names=("ma",),
        scope="Namespaced",
        columns=(
            Column("Cluster", ".spec.clusterName"),
            Column("Phase", ".status.phase"),
            READY_COLUMN,
            REASON_COLUMN,
            Column("Node", ".status.nodeRef.name"),
            Column("Address", '.status.addresses[?(@.type=="InternalIP")].address', priority=1),
            Column("OS", ".spec.operatingSystem", priority=1),
            Column("Host", ".status.vm.host", priority=1),
            Column("Datastore", ".status.vm.datastore", priority=1),
            Column("ProviderID", ".spec.providerID", priority=1),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
        selectable_fields=(".spec.clusterName",),
    )

    kind: Literal["Machine"] = "Machine"
    spec: MachineSpec
    """What shall be."""
    status: MachineStatus = Field(default_factory=MachineStatus)
    """What is."""
