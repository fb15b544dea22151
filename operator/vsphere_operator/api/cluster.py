"""Cluster: a user cluster's vSphere side."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    SET_LIST,
    AbsolutePath,
    Column,
    Definition,
    DNSLabel,
    FolderPath,
    Int64,
    InventoryName,
    Model,
    Resource,
    Rule,
    Text,
    cel,
    map_list,
    name_limit,
)
from vsphere_operator.api.conditions import Status
from vsphere_operator.api.operations import Operation, Origin
from vsphere_operator.api.references import KubeconfigReference, LocalInfraManagementUser, LocalReference
from vsphere_operator.api.vspheresettings import (
    DATASTORE_XOR_CLUSTER,
    EffectiveSettings,
    EffectiveTag,
    Networks,
    Tags,
)

IPAddress = Annotated[
    str,
    Field(min_length=2, max_length=45),
    cel(("isIP(self)", "write an IP address, for example 10.1.0.2 or 2001:db8::2")),
]


class PresetPolicy(StrEnum):
    """What becomes of a Cluster when its preset changes."""

    FOLLOW = "Follow"
    PIN = "Pin"


class DriftPolicy(StrEnum):
    """What is done about changes made behind the operator's back."""

    REPAIR = "Repair"
    REPORT = "Report"


class OrphanPolicy(StrEnum):
    """What is done about things of ours that nothing owns any more."""

    REPORT = "Report"
    DELETE = "Delete"


class DeletionPolicy(StrEnum):
    """What becomes of something in the user cluster when the Cluster is deleted."""

    KEEP = "Keep"
    DELETE = "Delete"


class Deletion(Model):
    """What goes along when the Cluster is deleted."""

    volumes: DeletionPolicy = DeletionPolicy.KEEP
    """The user cluster's volumes of the vSphere CSI driver, with the data on them. Default: Keep."""
    load_balancers: DeletionPolicy = DeletionPolicy.KEEP
    """The user cluster's Services of type LoadBalancer. Default: Keep."""


class MachineNetwork(Model):
    """A pool of static addresses."""

    rules = (
        Rule(
            "!isCIDR(self.cidr) || !isIP(self.gateway) || cidr(self.cidr).containsIP(self.gateway)",
            "the gateway must lie within the cidr",
            ".gateway",
        ),
        Rule(
            "!isCIDR(self.cidr) || cidr(self.cidr).ip() == cidr(self.cidr).masked().ip()",
            "write the network itself, without bits of a host: 10.1.0.0/24 and not 10.1.0.7/24",
            ".cidr",
        ),
    )

    cidr: Annotated[
        str,
        Field(min_length=4, max_length=49),
        cel(("isCIDR(self)", "write a network with its prefix length, for example 10.1.0.0/24")),
    ]
    """The network, for example 10.1.0.0/24."""
    gateway: IPAddress
    """The default gateway."""
    dns_servers: Annotated[list[IPAddress], Field(max_length=8), SET_LIST] = Field(default_factory=list)
    """The DNS servers, in order."""


POOLS_APART = cel(
    (
        "self.all(a, !isCIDR(a.cidr) || self.all(b, a.cidr == b.cidr || !isCIDR(b.cidr) || "
        "!cidr(a.cidr).containsCIDR(b.cidr)))",
        "machineNetworks must not overlap; leave out the one that lies in another",
    )
)


class ClusterVSphere(Model):
    """The settings that replace the preset's and the datacenter's."""

    rules = (
        DATASTORE_XOR_CLUSTER,
        Rule(
            "!has(oldSelf.folder) || (has(self.folder) && self.folder == oldSelf.folder)",
            "folder cannot be changed once set, because VMs do not move; make a new Cluster instead",
        ),
        Rule(
            "!(has(self.folder) && has(self.basePath))",
            "folder names the whole path, so basePath would do nothing; remove one of them",
        ),
    )

    credentials_secret_ref: LocalReference | None = None
    """The user for CCM and CSI: a Secret in the same namespace with `username` and `password`."""
    infra_management_user: LocalInfraManagementUser | None = None
    """The infrastructure user. Default: the preset's, else the datacenter's, else the one above."""
    base_path: FolderPath | None = None
    """Absolute: replaces the datacenter's root path. Relative: goes below it."""
    folder: AbsolutePath | None = None
    """A folder to use as it is, by full inventory path: never created, tagged or deleted."""
    datastore: InventoryName | None = None
    """The datastore for VM files and for volumes. Excludes `datastoreCluster`."""
    datastore_cluster: InventoryName | None = None
    """The datastore cluster for VM files. Excludes `datastore`."""
    resource_pool: InventoryName | None = None
    """The resource pool for worker VMs."""
    networks: Networks | None = None
    """The networks of worker VMs, a NIC each, in order."""
    storage_policy: Text | None = None
    """The storage policy of VMs, their disks and the default StorageClass, by name or id."""
    tags: Tags | None = None
    """The tags of the cluster's folder; missing ones are created, and deleted with their last user."""
    tag_vms: bool = False
    """Attach the tags to all VMs of the cluster too. Default: false."""


class Cloud(Model):
    """The cloud that the cluster runs in."""

    vsphere: ClusterVSphere
    """vSphere."""


class ClusterSpec(Model):
    """A user cluster's vSphere side as it shall be."""

    rules = (
        Rule(
            "!has(self.deletion) || has(self.kubeconfigSecretRef)"
            " || ((!has(self.deletion.volumes) || self.deletion.volumes == 'Keep')"
            " && (!has(self.deletion.loadBalancers) || self.deletion.loadBalancers == 'Keep'))",
            "what is in the user cluster can only be deleted with its kubeconfig; set kubeconfigSecretRef",
        ),
    )

    datacenter: Annotated[
        DNSLabel,
        cel(
            (
                "self == oldSelf",
                "datacenter cannot be changed, because VMs do not move; make a new Cluster instead",
            )
        ),
    ]
    """The datacenter's name in a Seed."""
    preset_ref: LocalReference | None = None
    """The Preset to take settings from."""
    preset_policy: PresetPolicy = PresetPolicy.FOLLOW
    """Follow: a changed preset changes this Cluster. Pin: it stays as it was first used. Default: Follow."""
    kubeconfig_secret_ref: KubeconfigReference | None = None
    """The user cluster's API: a Secret in the same namespace."""
    paused: bool = False
    """Do nothing about this Cluster and its workers. Default: false."""
    machine_networks: (
        Annotated[list[MachineNetwork], Field(max_length=16), map_list("cidr"), POOLS_APART] | None
    ) = None
    """Pools of static addresses for the first NIC of Machines, one address of each IP family, in order; the other NICs
    have DHCP. A change is for new Machines. Default: DHCP."""
    drift_policy: DriftPolicy = DriftPolicy.REPAIR
    """What is done about changes made in vCenter by others. Default: Repair."""
    orphan_policy: OrphanPolicy = OrphanPolicy.REPORT
    """What is done about VMs and files of ours that nothing owns. Default: Report."""
    deletion: Deletion = Field(default_factory=Deletion)
    """What goes along when the Cluster is deleted."""
    cloud: Cloud
    """The cloud that the cluster runs in."""


class FolderStatus(Model):
    """The cluster's VM folder."""

    path: str
    """The full inventory path."""
    mo_ref: str | None = None
    """The folder's MoRef."""
    vcenter: str | None = None
    """The instance UUID of the vCenter that the MoRef belongs to."""
    origin: Origin | None = None
    """Created, Adopted or External."""


class TagStatus(Model):
    """A tag in the ledger of what this Cluster uses."""

    name: str
    """The tag's name."""
    category: str | None = None
    """The category's name."""
    id: str
    """The tag's id in vCenter."""
    category_id: str | None = None
    """The category's id in vCenter."""
    origin: Origin
    """Created or Adopted."""
    attached: bool = False
    """Whether it has been attached to the folder: one that is no longer there was taken off by somebody."""
    vms: bool = False
    """Whether the Cluster's VMs carry it, too."""


class CategoryStatus(Model):
    """A tag category in the ledger of what this Cluster uses."""

    name: str
    """The category's name."""
    id: str
    """The category's id in vCenter."""
    origin: Origin
    """Created or Adopted."""


class DeletionStep(StrEnum):
    """The kinds of things that go with a Cluster, in the order in which they go."""

    LOAD_BALANCERS = "LoadBalancers"
    """Services of type LoadBalancer in the user cluster, where `spec.deletion` says so."""
    VOLUMES = "Volumes"
    """The user cluster's volumes, where `spec.deletion` says so."""
    WORKERS = "Workers"
    """MachineDeployments, MachineSets, Machines, and with them their VMs."""
    FOLDER = "Folder"
    """The VM folder."""
    TAGS = "Tags"
    """Tags and tag categories."""
    USER_CLUSTER = "UserCluster"
    """What was written into the user cluster."""


class DeletionStatus(Model):
    """How far the deletion of a Cluster has come."""

    step: DeletionStep
    """What is being removed now."""
    reason: str
    """What it waits for, as one CamelCase word."""
    since: datetime
    """Since when it waits for that."""
    waits_for: Annotated[list[str], Field(max_length=20)] = Field(default_factory=list)
    """The objects that it waits for, the first twenty of them."""
    done: Annotated[list[DeletionStep], SET_LIST] = Field(default_factory=list)
    """What was found to be gone from the user cluster, which may itself be gone by now."""


class PinnedSettings(Model):
    """A preset's settings at some time. Its users are not among them: those are always the Preset's own."""

    base_path: str | None = None
    """Absolute: replaces the datacenter's root path. Relative: goes below it."""
    datastore: str | None = None
    """The datastore for VM files and for volumes."""
    datastore_cluster: str | None = None
    """The datastore cluster for VM files."""
    resource_pool: str | None = None
    """The resource pool."""
    networks: list[str] | None = None
    """The networks, a NIC each, in order."""
    storage_policy: str | None = None
    """The storage policy."""
    templates: dict[str, str] | None = None
    """The VM template of each operating system."""
    default_tag_category: str | None = None
    """The category of tags that name none."""
    tags: list[EffectiveTag] | None = None
    """The tags of each Cluster's folder."""


class PinnedPreset(Model):
    """A preset as it was when it was first used with `presetPolicy: Pin`."""

    preset: str
    """The Preset's name; naming another one takes a new pin."""
    generation: Int64
    """The Preset's generation at that time."""
    settings: PinnedSettings = Field(default_factory=PinnedSettings)
    """Its settings at that time, without its users: those are always the Preset's own."""


class DeliveredObject(Model):
    """An object that was written into the user cluster."""

    kind: str
    """The object's kind."""
    namespace: str | None = None
    """The object's namespace, where its kind has one."""
    name: str
    """The object's name."""


class ClusterStatus(Status):
    """A user cluster's vSphere side as it is."""

    folder: FolderStatus | None = None
    """The VM folder."""
    tags: Annotated[list[TagStatus], map_list("id")] = Field(default_factory=list)
    """The tags in use, and which of them were created for it."""
    categories: Annotated[list[CategoryStatus], map_list("id")] = Field(default_factory=list)
    """The tag categories in use, and which of them were created for it."""
    effective: EffectiveSettings | None = None
    """The settings in force, and where each came from."""
    pinned: PinnedPreset | None = None
    """With presetPolicy Pin: the preset as it was first used. Follow, and Pin again, takes it anew."""
    intents: list[Operation] = Field(default_factory=list)
    """Changes of vCenter that are intended or under way."""
    delivered: list[DeliveredObject] = Field(default_factory=list)
    """What was or is about to be written into the user cluster, and goes with the Cluster."""
    deletion: DeletionStatus | None = None
    """While it is deleted: what that waits for."""
    machines: int | None = None
    """How many Machines belong to the Cluster."""
    ready_machines: int | None = None
    """How many of them are Ready."""


class Cluster(Resource):
    """A user cluster's vSphere side: folder, tags, credentials, cloud configuration."""

    rules = (name_limit(63, "it becomes a label's value"),)
    definition: ClassVar = Definition(
        plural="clusters",
        singular="cluster",
        short_names=("uc",),
        scope="Namespaced",
        columns=(
            Column("Datacenter", ".spec.datacenter"),
            READY_COLUMN,
            REASON_COLUMN,
            Column("Folder", ".status.folder.path", priority=1),
            Column("Preset", ".spec.presetRef.name", priority=1),
            Column("Paused", ".spec.paused", "boolean", priority=1),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
        selectable_fields=(".spec.datacenter",),
    )

    kind: Literal["Cluster"] = "Cluster"
    spec: ClusterSpec
    """What shall be."""
    status: ClusterStatus = Field(default_factory=ClusterStatus)
    """What is."""
