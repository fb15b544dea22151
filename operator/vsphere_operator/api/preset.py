"""Preset: reusable settings for Clusters."""

from typing import ClassVar, Literal

from pydantic import Field

from vsphere_operator.api.base import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Definition,
    DNSLabel,
    FolderPath,
    InventoryName,
    Model,
    Resource,
    Text,
)
from vsphere_operator.api.conditions import Status
from vsphere_operator.api.references import InfraManagementUser, LabelSelector, SecretReference
from vsphere_operator.api.seed import Templates
from vsphere_operator.api.vspheresettings import DATASTORE_XOR_CLUSTER, Allowed, Networks, Tags


class PresetVSphere(Model):
    """Settings that replace the datacenter's, and that a Cluster may replace."""

    rules = (DATASTORE_XOR_CLUSTER,)

    credentials_secret_ref: SecretReference | None = None
    """The user for CCM and CSI of Clusters that bring none: a Secret with `username` and `password`."""
    infra_management_user: InfraManagementUser | None = None
    """The infrastructure user of Clusters that bring none."""
    base_path: FolderPath | None = None
    """Absolute: replaces the datacenter's root path. Relative: goes below it."""
    datastore: InventoryName | None = None
    """The datastore for VM files and for volumes."""
    datastore_cluster: InventoryName | None = None
    """The datastore cluster for VM files."""
    resource_pool: InventoryName | None = None
    """The resource pool."""
    networks: Networks | None = None
    """The networks, a NIC each, in order."""
    storage_policy: Text | None = None
    """The storage policy of VMs and their disks, by name or id."""
    templates: Templates | None = None
    """The VM template of each operating system: name, inventory path or MoRef."""
    default_tag_category: Text | None = None
    """The category, by name or id, of tags that name none."""
    tags: Tags | None = None
    """The tags of each Cluster's folder."""


class PresetSpec(Model):
    """Reusable settings, and who may use them."""

    datacenter: DNSLabel | None = None
    """The only datacenter that this preset is for. Default: any."""
    allowed_namespaces: LabelSelector | None = None
    """The namespaces whose Clusters may use this preset. Default: all."""
    allowed: Allowed | None = None
    """What Clusters with this preset may name in vCenter. Default: everything."""
    vsphere: PresetVSphere = Field(default_factory=PresetVSphere)
    """The settings."""


class PresetStatus(Status):
    """Whether the preset can be used."""

    clusters: int | None = None
    """How many Clusters name it."""


class Preset(Resource):
    """Reusable settings for Clusters."""

    definition: ClassVar = Definition(
        plural="presets",
        singular="preset",
        short_names=("pre",),
        scope="Cluster",
        columns=(
            Column("Datacenter", ".spec.datacenter"),
            READY_COLUMN,
            REASON_COLUMN,
            Column("Clusters", ".status.clusters", "integer"),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
    )

    kind: Literal["Preset"] = "Preset"
    spec: PresetSpec
    """The settings."""
    status: PresetStatus = Field(default_factory=PresetStatus)
    """What was found."""
