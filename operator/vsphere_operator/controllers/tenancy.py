"""What a tenant may name in vCenter: the lists of the datacenter and of the preset, and what these two set themselves.

Things are compared, not spellings: a path or a MoRef of a forbidden thing is as forbidden as its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.vspheresettings import Allowed, EffectiveTag, Source
from vsphere_operator.controllers import lookups, settings
from vsphere_operator.controllers.cluster import folder
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access, Offer
from vsphere_operator.controllers.lookups import Fence
from vsphere_operator.controllers.settings import Setting
from vsphere_operator.vsphere.answers import Present, Unknown
from vsphere_operator.vsphere.inventory import paths
from vsphere_operator.vsphere.inventory.entities import (
    Datacenter,
    Datastore,
    Entity,
    Network,
    ResourcePool,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

TENANTS = (Source.CLUSTER, Source.MACHINE)
"""The objects that tenants write."""

_KINDS: Mapping[str, tuple[str, type[Entity]]] = {
    "datastore": ("datastores", Datastore),
    "datastoreCluster": ("datastore_clusters", StoragePod),
    "resourcePool": ("resource_pools", ResourcePool),
    "networks": ("networks", Network),
    "template": ("templates", VmEntity),
}


def fence(
    offer: Offer, inventory: Inventory, datacenter: Datacenter, name: str, setting: Setting
) -> Fence | None:
    """What may be named for a setting; None when anything may, and for what datacenter or preset set themselves."""
    attribute, kind = _KINDS[name]
    lists = _lists(offer, attribute)
    if setting.source not in TENANTS or not lists:
        return None

    def meant(written: str) -> frozenset[MoRef]:
        return frozenset(e.moref for e in lookups.candidates(inventory, kind, written, datacenter))

    defaults = settings.defaults(offer, name)
    listed = [frozenset(m for written in one for m in meant(written)) for one in lists]
    morefs = frozenset.intersection(*listed).union(*(meant(written) for written in defaults))
    told = sorted({written for one in (*lists, defaults) for written in one if meant(written) & morefs})
    return Fence(morefs, tuple(told))


def refused_path(offer: Offer, cluster: Cluster, cluster_id: str) -> Problem | None:
    """The Problem of a folder or a base path of the Cluster's own that lies outside of what is allowed."""
    lists, own = _lists(offer, "paths"), cluster.spec.cloud.vsphere
    if not lists or not (own.folder or own.base_path):
        return None
    wanted = folder.place(offer, cluster, cluster_id)
    path = wanted.path if wanted.external else wanted.parent
    if not wanted.external and paths.split(path) == paths.split(_default_parent(offer, cluster, cluster_id)):
        return None
    if all(_is_below(path, roots) for roots in lists):
        return None
    told = sorted({root for roots in lists for root in roots if all(_is_below(root, r) for r in lists)})
    may = f"allowed is what lies below: {', '.join(told)}" if told else "none may be named; leave it out"
    field = "folder" if wanted.external else "basePath"
    words = f"the path {path} may not be used here ({may}); correct spec.cloud.vsphere.{field}"
    return Problem(folder.FOLDER_READY, "PathNotAllowed", words)


async def refused_tags(
    access: Access, wanted: Sequence[EffectiveTag], source: Source | None, *, field: str, op_id: str
) -> Problem | None:
    """The Problem of a tag in a category that may not be used. A forbidden category is never looked up."""
    lists = _lists(access.offer, "tag_categories")
    if source not in TENANTS or not lists:
        return None
    defaults = settings.defaults(access.offer, "tagCategory")
    for one in lists:
        allowed = {*one, *defaults}
        outside = [t.category for t in wanted if t.category and t.category not in allowed]
        if not outside:
            continue
        found = await _names_and_ids(access, sorted(allowed), op_id)
        if isinstance(found, Problem):
            return found
        forbidden = next((c for c in outside if c not in found), None)
        if forbidden is not None:
            may = f"allowed are: {', '.join(sorted(allowed))}" if allowed else "none may be named"
            words = f'tags of the category "{forbidden}" may not be used here ({may}); correct {field}'
            return Problem("TagsReady", "TagCategoryNotAllowed", words)
    return None


async def _names_and_ids(access: Access, written: Sequence[str], op_id: str) -> set[str] | Problem:
    result: set[str] = set()
    for one in written:
        answer = await access.vcenter.tags.category(one, op_id=op_id)
        if isinstance(answer, Unknown):
            words = f"whether the tags may be used cannot be told now: {answer.why}"
            return Problem("TagsReady", "TagsUnknown", words, stalled=False, retry_after=10.0)
        if isinstance(answer, Present):
            result |= {answer.value.id, answer.value.name}
    return result


def _default_parent(offer: Offer, cluster: Cluster, cluster_id: str) -> str:
    """Where the folder would lie if the Cluster said nothing."""
    silent = cluster.spec.cloud.vsphere.model_copy(update={"folder": None, "base_path": None})
    cloud = cluster.spec.cloud.model_copy(update={"vsphere": silent})
    spec = cluster.spec.model_copy(update={"cloud": cloud})
    return folder.place(offer, cluster.model_copy(update={"spec": spec}), cluster_id).parent


def _is_below(path: str, roots: Sequence[str]) -> bool:
    names = paths.split(path)
    return any(names[: len(root)] == root for root in map(paths.split, roots))


def _lists(offer: Offer, attribute: str) -> list[list[str]]:
    """The lists in force, the datacenter's and the preset's: what is allowed stands in all of them."""
    allowed: tuple[Allowed | None, ...] = (
        offer.vsphere.allowed,
        offer.preset.spec.allowed if offer.preset else None,
    )
    found = (getattr(one, attribute) for one in allowed if one is not None)
    return [names for names in found if names is not None]
