"""Which datacenters of a vCenter are read: those that somebody offers, out of all that it has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vsphere_operator.vsphere.inventory import paths
from vsphere_operator.vsphere.inventory.entities import Datacenter, Entity
from vsphere_operator.vsphere.morefs import MoRef

Scope = frozenset[str] | None
"""Names or inventory paths of datacenters; `None` stands for everything."""


def select(
    datacenters: Iterable[Datacenter], above: Mapping[MoRef, Entity], root: MoRef, scope: Scope
) -> frozenset[MoRef] | None:
    """The datacenters to read; `None` when that is all of them. `above` has the folders that they lie in."""
    if scope is None:
        return None
    found = list(datacenters)
    names = {paths.unescape(s) for s in scope if "/" not in s}
    places = {tuple(paths.split(s)) for s in scope if "/" in s}
    chosen = frozenset(d.moref for d in found if d.name in names or _place(d, above, root) in places)
    return None if found and len(chosen) == len(found) else chosen


def _place(datacenter: Datacenter, above: Mapping[MoRef, Entity], root: MoRef) -> tuple[str | None, ...]:
    names: list[str | None] = []
    seen: set[MoRef] = set()
    current: Entity | None = datacenter
    while current is not None and current.moref != root and current.moref not in seen:
        seen.add(current.moref)
        names.append(current.name)
        current = above.get(current.parent) if current.parent is not None else None
    return tuple(reversed(names))


def narrowed(one: frozenset[MoRef] | None, other: frozenset[MoRef] | None) -> frozenset[MoRef] | None:
    """What both of two selections hold."""
    if one is None:
        return other
    return one if other is None else one & other
