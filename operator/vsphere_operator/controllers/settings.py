"""The settings in force: datacenter, preset, cluster, machine, each filling in only what the next leaves out.

An absent field inherits, an empty list clears. ``datastore`` and ``datastoreCluster`` inherit as one unit. Nothing is
ever written into a spec; where each value came from can be read in ``status.effective``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machinetemplate import MachineTemplateSpec
from vsphere_operator.api.vspheresettings import EffectiveSettings, EffectiveTag, SecretLocation, Source, Tag
from vsphere_operator.controllers.datacenters import Login, Offer, SecretUse
from vsphere_operator.controllers.presets import PresetUse


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
_UNSHOWN = ("basePath",)  # what comes of it shows as the folder


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


def for_datacenter(offer: Offer) -> dict[str, Setting]:
    """What holds where no Cluster says anything."""
    return merge(_base(offer))


def for_cluster(offer: Offer, cluster: Cluster) -> dict[str, Setting]:
    """What holds for a Cluster: storage, pool, networks, policy, base path, tags and their default category."""
    return merge([*_base(offer), _cluster_layer(cluster)])


def for_machine(offer: Offer, cluster: Cluster, spec: MachineTemplateSpec) -> dict[str, Setting]:
    """What holds for a Machine: the Cluster's, and its own on top."""
    system, own = spec.operating_system.value, spec.vsphere
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
            "tags": own.tags,
        },
    )
    cluster_layer = _cluster_layer(cluster)
    below = [_for_machines(layer) for layer in (*_base(offer, system), cluster_layer)]
    return merge([*below, machine])


def volume_datastore(offer: Offer, cluster: Cluster) -> Setting | None:
    """The default datastore of volumes: the nearest one that is named; a datastore cluster cannot take volumes."""
    layers = [*_base(offer), _cluster_layer(cluster)]
    named = [replace(layer, values={"datastore": layer.values.get("datastore")}) for layer in layers]
    return merge(named).get("datastore")


def tags_of(offer: Offer, wanted: Sequence[Tag | EffectiveTag] | None) -> list[EffectiveTag]:
    """The tags with the default category filled in; a tag may still be without one."""
    default = for_datacenter(offer).get("tagCategory")
    category = default.value if default else None
    return [EffectiveTag(name=t.name, category=t.category or category) for t in wanted or []]


def cluster_tags(offer: Offer, cluster: Cluster) -> list[EffectiveTag]:
    """The tags of a Cluster's folder: its own list, else the preset's."""
    setting = for_cluster(offer, cluster).get("tags")
    return tags_of(offer, setting.value if setting else None)


def defaults(offer: Offer, name: str) -> list[Any]:
    """What datacenter and preset themselves set for a setting, whatever a Cluster says."""
    if name == "template":
        maps = (offer.vsphere.templates, offer.preset.settings.templates if offer.preset else None)
        return [value for templates in maps for value in (templates or {}).values()]
    values = [layer.values.get(name) for layer in _base(offer)]
    lists = [value if isinstance(value, list) else [value] for value in values if value is not None]
    return [one for values in lists for one in values]


def describe(
    offer: Offer,
    settings: Settings,
    *,
    folder: str | None,
    tags: list[EffectiveTag],
    volumes: Setting | None = None,
    infra: Login | None = None,
    consumer: SecretUse | None = None,
) -> EffectiveSettings:
    """The settings as ``status.effective`` shows them."""

    def value(name: str) -> Any:
        setting = settings.get(name)
        return setting.value if setting else None

    sources = {k: s.source for k, s in settings.items() if k not in _UNSHOWN}
    sources |= {"volumeDatastore": volumes.source} if volumes else {}
    sources |= {"infraSecret": infra.source} if infra else {}
    sources |= {"credentialsSecret": consumer.source} if consumer else {}
    if folder and "basePath" in settings:
        sources["folder"] = settings["basePath"].source
    return EffectiveSettings(
        seed=offer.seed,
        endpoint=offer.vsphere.endpoint,
        datacenter=offer.vsphere.datacenter,
        cluster=offer.vsphere.cluster,
        folder=folder,
        datastore=value("datastore"),
        datastore_cluster=value("datastoreCluster"),
        volume_datastore=volumes.value if volumes else None,
        resource_pool=value("resourcePool"),
        networks=value("networks"),
        storage_policy=value("storagePolicy"),
        template=value("template"),
        tag_category=value("tagCategory"),
        tags=tags or None,
        credentials_secret=_location(consumer),
        infra_secret=_location(infra.use if infra else None),
        sources=dict(sorted(sources.items())),
    )


def _base(offer: Offer, system: str | None = None) -> list[Layer]:
    """Datacenter and preset; with an operating system, also its template."""
    own = offer.vsphere
    datacenter = Layer(
        Source.DATACENTER,
        f"Seed {offer.seed}, spec.datacenters.{offer.name}.vsphere",
        {
            "basePath": own.root_path or f"/{own.datacenter}/vm",
            "datastore": own.datastore,
            "resourcePool": own.resource_pool,
            "networks": _names(own.networks),
            "storagePolicy": own.storage_policy,
            "tagCategory": own.default_tag_category,
            "template": (own.templates or {}).get(system or ""),
        },
        {"basePath": "rootPath", "tagCategory": "defaultTagCategory", "template": f"templates.{system}"},
    )
    return [datacenter, *([_preset_layer(offer.preset, system)] if offer.preset else [])]


def _preset_layer(preset: PresetUse, system: str | None) -> Layer:
    own = preset.settings
    return Layer(
        Source.PRESET,
        f"{preset.where}, spec.vsphere",
        {
            "basePath": own.base_path,
            "datastore": own.datastore,
            "datastoreCluster": own.datastore_cluster,
            "resourcePool": own.resource_pool,
            "networks": own.networks,
            "storagePolicy": own.storage_policy,
            "tagCategory": own.default_tag_category,
            "tags": own.tags,
            "template": (own.templates or {}).get(system or ""),
        },
        {"tagCategory": "defaultTagCategory", "template": f"templates.{system}"},
    )


def _cluster_layer(cluster: Cluster) -> Layer:
    own = cluster.spec.cloud.vsphere
    return Layer(
        Source.CLUSTER,
        f"Cluster {cluster.metadata.name}, spec.cloud.vsphere",
        {
            "basePath": own.folder or own.base_path,
            "datastore": own.datastore,
            "datastoreCluster": own.datastore_cluster,
            "resourcePool": own.resource_pool,
            "networks": _names(own.networks),
            "storagePolicy": own.storage_policy,
            "tags": own.tags,
        },
        {"basePath": "folder"} if own.folder else {},
    )


def _for_machines(layer: Layer) -> Layer:
    """A Cluster's tags and place are its folder's."""
    return replace(layer, values={k: v for k, v in layer.values.items() if k not in ("tags", "basePath")})


def _location(use: SecretUse | None) -> SecretLocation | None:
    return SecretLocation(namespace=use.namespace, name=use.name) if use else None


def _names(networks: Any) -> list[str] | None:
    return None if networks is None else [n.name for n in networks]
