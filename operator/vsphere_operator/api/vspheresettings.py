"""The vSphere settings that datacenter, preset, cluster and machine have in common."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vsphere_operator.api.base import SET_LIST, AbsolutePath, InventoryName, Model, Rule, Text, cel, map_list


class OperatingSystem(StrEnum):
    """The operating systems whose first boot this operator knows how to feed."""

    UBUNTU = "ubuntu"
    CENTOS = "centos"
    RHEL = "rhel"
    ROCKYLINUX = "rockylinux"
    AMZN2 = "amzn2"
    FLATCAR = "flatcar"


class Network(Model):
    """A network that VMs get a NIC in."""

    name: InventoryName
    """The network's or distributed port group's name, or its inventory path."""


class Tag(Model):
    """A vSphere tag."""

    name: Text
    """The tag's name."""
    category: Text | None = None
    """The category's name or id. Default: the preset's or datacenter's `defaultTagCategory`."""


Networks = Annotated[list[Network], Field(max_length=10), map_list("name")]
Tags = Annotated[
    list[Tag],
    Field(max_length=64),
    cel(
        (
            "self.all(a, self.exists_one(b, a.name == b.name && (has(a.category) ? "
            "has(b.category) && a.category == b.category : !has(b.category))))",
            "the same tag is listed twice; remove one of them",
        )
    ),
]

DATASTORE_XOR_CLUSTER = Rule(
    "!(has(self.datastore) && has(self.datastoreCluster))",
    "datastore and datastoreCluster exclude each other; remove one of them",
)
"""For every object that has both fields: they are one setting and are inherited as one."""


class Allowed(Model):
    """What users of this may name in vCenter. An absent list allows everything, an empty one nothing."""

    paths: Annotated[list[AbsolutePath], Field(max_length=64), SET_LIST] | None = None
    """Folders by full inventory path; what lies below one is allowed too."""
    resource_pools: Annotated[list[InventoryName], Field(max_length=64), SET_LIST] | None = None
    """Resource pools."""
    networks: Annotated[list[InventoryName], Field(max_length=64), SET_LIST] | None = None
    """Networks."""
    datastores: Annotated[list[InventoryName], Field(max_length=64), SET_LIST] | None = None
    """Datastores."""
    datastore_clusters: Annotated[list[InventoryName], Field(max_length=64), SET_LIST] | None = None
    """Datastore clusters."""
    templates: Annotated[list[InventoryName], Field(max_length=64), SET_LIST] | None = None
    """VM templates."""
    tag_categories: Annotated[list[Text], Field(max_length=64), SET_LIST] | None = None
    """Tag categories by name or id."""


class Source(StrEnum):
    """Where an effective setting came from."""

    DATACENTER = "Datacenter"
    FAILURE_DOMAIN = "FailureDomain"
    PRESET = "Preset"
    CLUSTER = "Cluster"
    MACHINE = "Machine"
    DEFAULT = "Default"


class SecretLocation(Model):
    """Where a Secret stands."""

    namespace: str
    """The Secret's namespace."""
    name: str
    """The Secret's name."""


class EffectiveTag(Model):
    """A tag with its category filled in."""

    name: str
    """The tag's name."""
    category: str | None = None
    """The category's name or id."""


class EffectiveSettings(Model):
    """The settings after datacenter, preset, cluster and machine have been laid over each other."""

    seed: str | None = None
    """The Seed that offers the datacenter."""
    endpoint: str | None = None
    """The vCenter's address."""
    datacenter: str | None = None
    """The vSphere datacenter."""
    cluster: str | None = None
    """The compute cluster."""
    folder: str | None = None
    """The VM folder's full inventory path."""
    datastore: str | None = None
    """The datastore for VM files."""
    datastore_cluster: str | None = None
    """The datastore cluster for VM files."""
    volume_datastore: str | None = None
    """The default datastore for volumes."""
    resource_pool: str | None = None
    """The resource pool."""
    networks: list[str] | None = None
    """The networks, a NIC each, in order."""
    storage_policy: str | None = None
    """The storage policy."""
    template: str | None = None
    """The VM template."""
    tag_category: str | None = None
    """The category of tags that name none."""
    tags: list[EffectiveTag] | None = None
    """The tags, each with its category."""
    failure_domain: str | None = None
    """The failure domain."""
    credentials_secret: SecretLocation | None = None
    """The Secret with the CCM's and CSI driver's user."""
    infra_secret: SecretLocation | None = None
    """The Secret with the infrastructure user."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """By field name: which object the setting came from."""
