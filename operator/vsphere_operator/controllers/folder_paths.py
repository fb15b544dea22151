"""Paths of VM folders: how far they are there, and whether the VMs of a datacenter can lie at their end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vsphere_operator.vsphere.answers import Absent, Present
from vsphere_operator.vsphere.inventory import paths
from vsphere_operator.vsphere.inventory.entities import Datacenter
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef


@dataclass(frozen=True, slots=True)
class Lacking:
    """The end of a path that has to be made, from the top, below a folder that is there."""

    below: MoRef
    names: tuple[str, ...]


def lacking(inventory: Inventory, path: str, datacenter: str) -> Lacking | None:
    """What is missing of a path; None when nothing is, or when it is not certain or nothing may be made there."""
    names = paths.split(path)
    for count in range(len(names), 0, -1):
        answer = inventory.by_path(paths.join(names[:count]))
        if isinstance(answer, Present):
            rest = tuple(names[count:])
            suits = misplaced(inventory, answer.value.moref, datacenter) is None
            return Lacking(answer.value.moref, rest) if suits and rest else None
        if not isinstance(answer, Absent):
            return None
    return None


def misplaced(inventory: Inventory, moref: MoRef, datacenter: str) -> str | None:
    """Why no VM of that datacenter can lie in this folder; None when it can, or while that is not known."""
    home = inventory.datacenter(datacenter)
    if not isinstance(home, Present) or home.value.vm_folder is None:
        return None
    above = list(_upwards(inventory, moref))
    if home.value.vm_folder in above:
        return None
    other = next((e for e in map(inventory.get, above) if isinstance(e, Datacenter)), None)
    if other is not None and other.moref != home.value.moref:
        return f'it is in the datacenter "{other.name}" and not in "{home.value.name}"'
    if not above or above[-1] != inventory.root:
        return None
    return "it is not among the VM folders of its datacenter: they begin with /<datacenter>/vm"


def _upwards(inventory: Inventory, moref: MoRef) -> Iterator[MoRef]:
    current: MoRef | None = moref
    while current is not None:
        entity = inventory.get(current)
        if entity is None:
            return
        yield current
        current = entity.parent
