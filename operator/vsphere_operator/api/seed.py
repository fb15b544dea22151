"""Seed: the vSphere datacenters on offer."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    SET_LIST,
    AbsolutePath,
    Definition,
    DNSLabel,
    Duration,
    InventoryName,
    LabelValue,
    Model,
    Resource,
    Text,
    cel,
    map_list,
)
from vsphere_operator.api.conditions import Conditions, Status
from vsphere_operator.api.references import CABundleReference, InfraManagementUser, LabelSelector
from vsphere_operator.api.vspheresettings import DATASTORE_XOR_CLUSTER, Allowed, Networks, OperatingSystem

Endpoint = Annotated[
    str,
    Field(min_length=1, max_length=512),
    cel(
        (
            "isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() != ''",
            "the endpoint must be the vCenter's https URL, for example https://vcenter.example.com",
        ),
        (
            "!isURL(self) || (url(self).getEscapedPath() in ['', '/'] && !self.contains('?') "
            "&& !self.contains('#') && !self.contains('@'))",
            "write the endpoint as https://host or https://host:port only: no path (/sdk is added), "
            "no query, no login",
        ),
    ),
]

_OPERATING_SYSTEMS = ", ".join(f"'{system}'" for system in OperatingSystem)

Templates = Annotated[
    dict[str, InventoryName],
    Field(max_length=16),
    cel(
        (
            f"self.all(os, os in [{_OPERATING_SYSTEMS}])",
            f"the keys of templates are operating systems: {_OPERATING_SYSTEMS.replace(chr(39), '')}",
        )
    ),
]


class Limits(Model):
    """How much is done at the same time."""

    provisioning: Annotated[int, Field(ge=1, le=1000)] = 20
    """Clones at the same time in one vCenter. Default: 20."""
    power: Annotated[int, Field(ge=1, le=1000)] = 50
    """Short operations at the same time in one vCenter: power on and off, detach disks, destroy. Default: 50."""
    per_datastore: Annotated[int, Field(ge=1, le=1000)] = 8
    """Clones at the same time onto one datastore. Default: 8."""


class FailureDomain(Model):
    """A part of the datacenter that fails by itself; what it names replaces the datacenter's own."""

    rules = (DATASTORE_XOR_CLUSTER,)

    name: DNSLabel
    """The name that Machines use."""
    cluster: InventoryName | None = None
    """The compute cluster."""
    resource_pool: InventoryName | None = None
    """The resource pool."""
    datastore: InventoryName | None = None
    """The datastore for VM files."""
    datastore_cluster: InventoryName | None = None
    """The datastore cluster for VM files."""
    networks: Networks | None = None
    """The networks."""
    region: Annotated[LabelValue, Field(min_length=1)] | None = None
    """The region that Nodes are labelled with."""
    zone: Annotated[LabelValue, Field(min_length=1)] | None = None
    """The zone that Nodes are labelled with. Default: the failure domain's name."""


class SeedVSphere(Model):
    """A datacenter of a vCenter, and the defaults for user clusters in it."""

    endpoint: Endpoint
    """The vCenter's address, for example https://vcenter.example.com."""
    ca_bundle_ref: CABundleReference | None = None
    """The certificates to trust. Default: the system's."""
    allow_insecure: bool = False
    """Do not verify the vCenter's certificate. Shows as a condition. Default: false."""
    datacenter: InventoryName
    """The vSphere datacenter's name."""
    cluster: InventoryName
    """The compute cluster that VMs run in, or a host that stands alone."""
    root_path: AbsolutePath | None = None
    """The folder below which each user cluster gets one of its own. Default: /<datacenter>/vm."""
    create_root_path: bool = False
    """Create missing folders on the way to a Cluster's folder; they stay when it goes. Default: false."""
    datastore: InventoryName | None = None
    """The default datastore for VM files and for volumes."""
    resource_pool: InventoryName | None = None
    """The default resource pool. Default: the compute cluster's own."""
    networks: Networks | None = None
    """The default networks, a NIC each, in order. Default: the template's."""
    storage_policy: Text | None = None
    """The default storage policy of VMs and their disks, by name or id."""
    templates: Templates | None = None
    """The default VM template of each operating system: name, inventory path or MoRef."""
    default_tag_category: Text | None = None
    """The category, by name or id, of tags that name none."""
    create_tag_category: bool = False
    """Create missing tag categories; needs a right that the usual roles lack. Default: false."""
    infra_management_user: InfraManagementUser | None = None
    """The infrastructure user of all clusters that bring none themselves."""
    limits: Limits = Field(default_factory=Limits)
    """How much is done at the same time."""
    allowed_namespaces: LabelSelector | None = None
    """The namespaces whose Clusters may use this datacenter. Default: all."""
    allowed: Allowed | None = None
    """What Clusters of this datacenter may name in vCenter. Default: everything."""
    failure_domains: Annotated[list[FailureDomain], Field(max_length=16), map_list("name")] | None = None
    """Parts of the datacenter that fail by themselves; Machines are spread over them."""
    topology_categories: Annotated[list[Text], Field(max_length=8), SET_LIST] | None = None
    """The tag categories that the CSI driver reads regions and zones from, the widest first."""
    resync_interval: Annotated[
        Duration,
        cel(
            (
                "duration(self) >= duration('10s')",
                "resyncInterval must be at least 10s; changes are noticed by a watch anyway",
            )
        ),
    ] = "10m"
    """How often everything is looked at without a reason. Default: 10m."""


class Datacenter(Model):
    """A datacenter on offer."""

    location: Text | None = None
    """Where it is, for people."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", min_length=2, max_length=2)] | None = None
    """The country's two-letter code, for people."""
    vsphere: SeedVSphere
    """The vSphere side."""


class SeedSpec(Model):
    """The datacenters on offer."""

    datacenters: Annotated[
        dict[str, Datacenter],
        Field(min_length=1, max_length=24),
        cel(
            (
                "self.all(name, name.size() <= 63 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                "a datacenter's name has at most 63 characters: lower-case letters, digits and hyphens, "
                "for example frankfurt",
            )
        ),
    ]
    """The datacenters by the name that Clusters use; no two Seeds may use the same name."""


class VCenterStatus(Model):
    """The vCenter that answered."""

    instance_uuid: str | None = None
    """The vCenter's own id."""
    version: str | None = None
    """The vCenter's version."""
    api_version: str | None = None
    """The version of its API."""
    build: str | None = None
    """The vCenter's build number."""


class DatacenterStatus(Model):
    """What is known about a datacenter."""

    name: str
    """The datacenter's name in the Seed."""
    conditions: Conditions = Field(default_factory=list)
    """Ready, and a condition for each thing that was checked."""
    vcenter: VCenterStatus | None = None
    """The vCenter that answered."""


class SeedStatus(Status):
    """What is known about the datacenters."""

    datacenters: Annotated[list[DatacenterStatus], map_list("name")] = Field(default_factory=list)
    """The datacenters one by one."""


class Seed(Resource):
    """The vSphere datacenters on offer."""

    definition: ClassVar = Definition(
        plural="seeds",
        singular="seed",
        short_names=("sd",),
        scope="Cluster",
        columns=(READY_COLUMN, REASON_COLUMN, MESSAGE_COLUMN, AGE_COLUMN),
    )

    kind: Literal["Seed"] = "Seed"
    spec: SeedSpec
    """What is on offer."""
    status: SeedStatus = Field(default_factory=SeedStatus)
    """What was found."""
