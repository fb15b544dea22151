"""The preset that a Cluster names: whether its namespace may use it there, and the settings that hold.

With ``presetPolicy: Pin`` the settings are those of the Cluster's status. Who may use a preset, as which vCenter user,
and what may be named with it is never pinned: that is the Preset's to say at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsphere_operator.api.cluster import Cluster, PinnedPreset, PinnedSettings, PresetPolicy
from vsphere_operator.api.preset import Preset, PresetSpec, PresetVSphere
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.controllers.tenants import refused_namespace

PRESET_READY = "PresetReady"


@dataclass(frozen=True, slots=True)
class PresetUse:
    """A preset in use. ``settings`` are in force for the Cluster, ``spec`` is the Preset as it is now."""

    name: str
    generation: int
    spec: PresetSpec
    settings: PinnedSettings
    pinned: bool = False

    @property
    def where(self) -> str:
        """The object to change; pinned settings are not changed by editing the Preset."""
        return f"Preset {self.name} as pinned in status.pinned" if self.pinned else f"Preset {self.name}"

    def field(self, name: str) -> str:
        """Where a person finds a setting of this preset."""
        return f"{self.where}, spec.vsphere.{name}"


def preset_for(objects: Objects, cluster: Cluster) -> PresetUse | Problem | None:
    """The preset that a Cluster names; None when it names none. A Cluster that goes is refused nothing."""
    reference = cluster.spec.preset_ref
    if reference is None:
        return None
    found = objects.get("Preset", "", reference.name)
    if found is None:
        words = (
            f'the Preset "{reference.name}" does not exist; what is there stays as it is, and nothing new is made '
            "until it is created again or spec.presetRef is changed"
        )
        return Problem(PRESET_READY, "PresetNotFound", words)
    preset = Preset.model_validate(found)
    if cluster.metadata.deletion_timestamp is None:
        refused = _elsewhere(preset, cluster) or refused_namespace(
            objects,
            cluster.metadata.namespace or "",
            preset.spec.allowed_namespaces,
            what=f'Preset "{reference.name}"',
            field=f"Preset {reference.name}, spec.allowedNamespaces",
            condition=PRESET_READY,
        )
        if refused:
            return refused
    return in_use(preset, cluster)


def in_use(preset: Preset, cluster: Cluster) -> PresetUse:
    """The preset with the settings that hold for this Cluster: its own, or those that the Cluster has pinned."""
    pin, name = cluster.status.pinned, preset.metadata.name
    if cluster.spec.preset_policy is PresetPolicy.PIN and pin is not None and pin.preset == name:
        return PresetUse(name, pin.generation, preset.spec, pin.settings, pinned=True)
    return PresetUse(name, preset.metadata.generation, preset.spec, _settings(preset.spec.vsphere))


def pin_of(cluster: Cluster, use: PresetUse | None) -> PinnedPreset | None:
    """What status keeps after a use that went well; None with Follow, so that a later Pin takes it anew."""
    if use is None or cluster.spec.preset_policy is not PresetPolicy.PIN:
        return None
    return PinnedPreset(preset=use.name, generation=use.generation, settings=use.settings)


def _settings(own: PresetVSphere) -> PinnedSettings:
    """All but the users."""
    tags = None if own.tags is None else [EffectiveTag(name=t.name, category=t.category) for t in own.tags]
    return PinnedSettings(
        base_path=own.base_path,
        datastore=own.datastore,
        datastore_cluster=own.datastore_cluster,
        resource_pool=own.resource_pool,
        networks=None if own.networks is None else [n.name for n in own.networks],
        storage_policy=own.storage_policy,
        templates=own.templates,
        default_tag_category=own.default_tag_category,
        tags=tags,
    )


def _elsewhere(preset: Preset, cluster: Cluster) -> Problem | None:
    only, wanted = preset.spec.datacenter, cluster.spec.datacenter
    if only is None or only == wanted:
        return None
    name = preset.metadata.name
    words = (
        f'the Preset "{name}" is for the datacenter "{only}" only, and this Cluster is in "{wanted}"; '
        "name another one in spec.presetRef"
    )
    return Problem(PRESET_READY, "PresetForOtherDatacenter", words)
