"""The settings in force: datacenter, then cluster, then machine, each filling in only what the next leaves out.

An absent field inherits, an empty list clears. ``datastore`` and ``datastoreCluster`` inherit as one unit. Nothing is
ever written into a spec; where each value came from can be read in ``status.effective``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machinetemplate import MachineTemplateSpec
from vsphere_operator.api.vspheresettings import EffectiveSettings, EffectiveTag, SecretLocation, Source, Tag
from vsphere_operator.controllers.datacenters import Login, Offer


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, the object it came from, and the field a person would change."""

    value: Any
    source: Source
    field: str


Settings = Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Layer:
    """One object's say: JSON field names to values; None is "nothing said"."""

    source: Source
    where: str
    values: Mapping[str, Any]
    written_as: Mapping[str, str] = field(default_factory=dict)
    """Where a value stands under another name than its own."""


_UNITS: Mapping[str, str] = {"datastore": "storage", "datastoreCluster": "storage"}


def merge(layers: list[Layer]) -> dict[str, Setting]:
    """The last layer that says something wins, unit by unit."""
    result: dict[str, Setting] = {}
    for layer in layers:
        said = {k: v for k, v in layer.values.items() if v is not None}
        units = {_UNITS.get(name, name) for name in said}
        result = {k: v for k, v in result.items() if _UNITS.get(k, k) not in units}
        result |= {
            k: Setting(v, layer.source, f"{layer.where}.{layer.written_as.get(k, k)}")
            for k, v in said.items()
        }
    return result


def for_cluster(offer: Offer, cluster: Cluster) -> dict[str, Setting]:
    """What holds for a Cluster: its root path or folder, storage, pool, networks and policy."""
    return merge([_datacenter_layer(offer), _cluster_layer(cluster)])


def for_machine(offer: Offer, cluster: Cluster, spec: MachineTemplateSpec) -> dict[str, Setting]:
    """What holds for a Machine: the Cluster's, and its own on top."""
    template = (offer.vsphere.templates or {}).get(spec.operating_system.value)
    system = Layer(
        Source.DATACENTER,
        f"Seed {offer.seed}, spec.datacenters.{offer.name}.vsphere",
        {"template": template},
        {"template": f"templates.{spec.operating_system.value}"},
    )
    own = spec.vsphere
    machine = Layer(
        Source.MACHINE,
        "spec.vsphere",
        {
            "template": own.template,
            "datastore": own.datastore,
            "datastoreCluster": own.datastore_cluster,
            "resourcePool": own.resource_pool,
            "networks": _names(own.networks),
            "storagePolicy": own.storage_policy,
        },
    )
    return merge([_datacenter_layer(offer), system, _cluster_layer(cluster), machine])


def tags_of(offer: Offer, wanted: list[Tag] | None) -> list[EffectiveTag]:
    """The tags with the default category filled in; a tag may still be without one."""
    default = offer.vsphere.default_tag_category
    return [EffectiveTag(name=t.name, category=t.category or default) for t in wanted or []]


def describe(
    offer: Offer,
    settings: Settings,
    *,
    folder: str | None,
    tags: list[EffectiveTag],
    infra: Login | None = None,
    credentials: SecretLocation | None = None,
) -> EffectiveSettings:
    """The settings as ``status.effective`` shows them."""

    def value(name: str) -> Any:
        setting = settings.get(name)
        return setting.value if setting else None

    return EffectiveSettings(
        seed=offer.seed,
        endpoint=offer.vsphere.endpoint,
        datacenter=offer.vsphere.datacenter,
        cluster=offer.vsphere.cluster,
        folder=folder,
        datastore=value("datastore"),
        datastore_cluster=value("datastoreCluster"),
        resource_pool=value("resourcePool"),
        networks=value("networks"),
        storage_policy=value("storagePolicy"),
        template=value("template"),
        tag_category=offer.vsphere.default_tag_category,
        tags=tags or None,
        credentials_secret=credentials,
        infra_secret=SecretLocation(namespace=infra.namespace, name=infra.secret) if infra else None,
        sources={k: s.source for k, s in sorted(settings.items()) if s.value is not None},
    )


def _datacenter_layer(offer: Offer) -> Layer:
    own = offer.vsphere
    return Layer(
        Source.DATACENTER,
        f"Seed {offer.seed}, spec.datacenters.{offer.name}.vsphere",
        {
            "datastore": own.datastore,
            "resourcePool": own.resource_pool,
            "networks": _names(own.networks),
            "storagePolicy": own.storage_policy,
        },
    )


def _cluster_layer(cluster: Cluster) -> Layer:
    own = cluster.spec.cloud.vsphere
    return Layer(
        Source.CLUSTER,
        f"Cluster {cluster.metadata.name}, spec.cloud.vsphere",
        {
            "datastore": own.datastore,
            "datastoreCluster": own.datastore_cluster,
            "resourcePool": own.resource_pool,
            "networks": _names(own.networks),
            "storagePolicy": own.storage_policy,
        },
    )


def _names(networks: Any) -> list[str] | None:
    return None if networks is None else [n.name for n in networks]
