"""What a worker is made from: the part of the spec that deployments, sets and machines share."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vsphere_operator.api.base import (
    Annotations,
    DNSLabel,
    Duration,
    Int64,
    InventoryName,
    LabelKey,
    Labels,
    LabelValue,
    Model,
    ObjectName,
    Rule,
    Text,
    cel,
    map_list,
)
from vsphere_operator.api.vspheresettings import DATASTORE_XOR_CLUSTER, Networks, OperatingSystem, Tags


class Delivery(StrEnum):
    """How bootstrap data reaches the VM."""

    ISO = "iso"
    GUESTINFO = "guestinfo"


class UpdatePolicy(StrEnum):
    """How a Machine's VM follows a change of its settings."""

    REPLACE = "Replace"
    IN_PLACE = "InPlace"


class CloneMode(StrEnum):
    """How the template's disks are used."""

    FULL = "Full"
    LINKED = "Linked"


class DiskProvisioning(StrEnum):
    """How a disk takes its space."""

    THIN = "Thin"
    THICK = "Thick"
    EAGER_ZEROED = "EagerZeroed"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(Model):
    """A taint of the Node."""

    key: LabelKey
    """The taint's key."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: TaintEffect
    """NoSchedule, PreferNoSchedule or NoExecute."""


class NodeMetadata(Model):
    """What is written onto the Node."""

    labels: Labels = Field(default_factory=dict)
    """The Node's labels."""
    annotations: Annotations = Field(default_factory=dict)
    """The Node's annotations."""


class Bootstrap(Model):
    """What the VM boots with."""

    data_secret_name: ObjectName
    """A Secret in the same namespace whose key `value` is the user data, with <MACHINE_NAME> filled in."""


class Reservations(Model):
    """Resources that the host keeps free for the VM."""

    cpu_mhz: Annotated[Int64, Field(ge=0)] | None = None
    """CPU in MHz. Default: none."""
    memory_mb: Annotated[Int64, Field(ge=0)] | None = None
    """Memory in MiB. Default: none."""


DiskSizeGB = Annotated[int, Field(ge=1, le=63488)]
"""GiB; vSphere's largest virtual disk has 62 TiB."""


class ExtraDisk(Model):
    """A further empty disk of the VM, deleted with it."""

    name: DNSLabel
    """The disk's name within the Machine."""
    size_gb: DiskSizeGB
    """The size in GiB."""
    provisioning: DiskProvisioning | None = None
    """Thin, Thick or EagerZeroed. Default: Thin."""


_RESERVED_CONFIG = (
    "k.startsWith('userclusters') || k.startsWith('guestinfo.userdata') || "
    "k.startsWith('guestinfo.metadata') || k.startsWith('guestinfo.vendordata') "
    "|| k.startsWith('guestinfo.ignition') || k.startsWith('guestinfo.coreos')"
)


class MachineVSphere(Model):
    """The VM."""

    rules = (
        DATASTORE_XOR_CLUSTER,
        Rule(
            "!has(self.coresPerSocket) || self.cpus % self.coresPerSocket == 0",
            "cpus must be a multiple of coresPerSocket; change one of them",
        ),
    )

    cpus: Annotated[int, Field(ge=1, le=768)]
    """Virtual CPUs."""
    cores_per_socket: Annotated[int, Field(ge=1, le=256)] | None = None
    """Cores per virtual socket; `cpus` must be a multiple of it. Default: the template's."""
    memory_mb: Annotated[
        Int64,
        Field(ge=128, le=25165824),
        cel(("self % 4 == 0", "vSphere wants memoryMB to be a multiple of 4")),
    ]
    """Memory in MiB."""
    disk_size_gb: DiskSizeGB | None = None
    """The root disk in GiB; never smaller than the template's. Default: the template's."""
    disk_provisioning: DiskProvisioning | None = None
    """Thin, Thick or EagerZeroed. Default: the template's or the storage policy's."""
    extra_disks: Annotated[list[ExtraDisk], Field(max_length=16), map_list("name")] | None = None
    """Further disks, deleted with the VM."""
    template: InventoryName | None = None
    """The VM template: name, inventory path or MoRef. Default: the datacenter's for the operating system."""
    clone_mode: CloneMode | None = None
    """Full, or Linked (needs a snapshot of the template). Default: Full."""
    datastore: InventoryName | None = None
    """The datastore for the VM's files. Default: the cluster's. Excludes `datastoreCluster`."""
    datastore_cluster: InventoryName | None = None
    """The datastore cluster for the VM's files. Default: the cluster's. Excludes `datastore`."""
    resource_pool: InventoryName | None = None
    """The resource pool. Default: the cluster's."""
    networks: Networks | None = None
    """The networks, a NIC each, in order. Default: the cluster's."""
    storage_policy: Text | None = None
    """The storage policy of the VM and its disks, by name or id. Default: the cluster's."""
    reservations: Reservations | None = None
    """Resources that the host keeps free for the VM."""
    tags: Tags | None = None
    """Tags that must exist; attached to the VM, and only ever detached."""
    disable_network_offload: bool | None = None
    """Turn off vmxnet3's UDP-tunnel offloads, which break overlays. Default: true from hardware 14 on."""
    anti_affinity: bool | None = None
    """Keep the Machines of one MachineDeployment on different hosts. Default: false."""
    vm_group: Text | None = None
    """An existing DRS VM group to put the VM into."""
    extra_config: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=4096)]],
            Field(max_length=64),
            cel(
                (
                    f"self.all(k, !({_RESERVED_CONFIG}))",
                    "keys that begin with userclusters or carry bootstrap data are the operator's; "
                    "remove them from extraConfig",
                ),
            ),
        ]
        | None
    ) = None
    """Further VMX settings."""
    custom_attributes: (
        Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] | None
    ) = None
    """Custom attributes by name; they must be defined in vCenter."""


class MachineTemplateSpec(Model):
    """How a worker is made and unmade."""

    operating_system: OperatingSystem
    """The guest's operating system; it chooses the template and how bootstrap data is delivered."""
    bootstrap: Bootstrap
    """What the VM boots with."""
    delivery: Delivery | None = None
    """iso or guestinfo. Default: iso, and guestinfo for Flatcar."""
    taints: Annotated[list[Taint], Field(max_length=32), map_list("key", "effect")] | None = None
    """The Node's taints."""
    node_metadata: NodeMetadata | None = None
    """The Node's labels and annotations."""
    update_policy: UpdatePolicy | None = None
    """Replace, or InPlace where vSphere can change a running VM. Default: Replace."""
    failure_domain: DNSLabel | None = None
    """The datacenter's failure domain to run in. Default: spread over all."""
    node_drain_timeout: Duration | None = None
    """How long draining the Node may take before the Machine goes anyway; 0s and absent: without limit."""
    node_volume_detach_timeout: Duration | None = None
    """How long to wait for volumes to detach before the Machine goes anyway; 0s and absent: without limit."""
    power_off_timeout: Duration | None = None
    """How long the guest may take to shut down before its power is cut; 0s cuts it at once. Default: 5m."""
    vsphere: MachineVSphere
    """The VM."""


class TemplateMetadata(Model):
    """What is written onto each Machine."""

    labels: Annotated[dict[str, LabelValue], Field(min_length=1, max_length=64)]
    """The Machine's labels; the selector must match them."""
    annotations: Annotations = Field(default_factory=dict)
    """The Machine's annotations."""


class MachineTemplate(Model):
    """What Machines are made from."""

    metadata: TemplateMetadata
    """What is written onto each Machine."""
    spec: MachineTemplateSpec
    """How each Machine is made."""
