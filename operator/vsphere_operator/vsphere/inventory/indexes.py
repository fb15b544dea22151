"""By what an inventory object is found without a search: its parent, its name, and a VM's UUIDs and owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vsphere_operator.vsphere import ownership
from vsphere_operator.vsphere.inventory.entities import Entity, VmEntity
from vsphere_operator.vsphere.morefs import MoRef

PARENT, NAME, INSTANCE_UUID, BIOS_UUID, OWNER = "parent", "name", "instanceUuid", "biosUuid", "owner"


def keys_of(entity: Entity) -> Iterator[tuple[str, str]]:
    """Index and value of each place where the object is found."""
    if entity.parent is not None:
        yield PARENT, entity.parent
    if entity.name is not None:
        yield NAME, entity.name
    if not isinstance(entity, VmEntity):
        return
    if entity.instance_uuid is not None:
        yield INSTANCE_UUID, entity.instance_uuid.lower()
    if entity.bios_uuid is not None:
        yield BIOS_UUID, entity.bios_uuid.lower()
    owner = entity.extra_config.get(ownership.MACHINE)
    if owner:
        yield OWNER, owner


class Indexes:
    """MoRefs by value, in the order in which they came."""

    def __init__(self) -> None:
        kinds = (PARENT, NAME, INSTANCE_UUID, BIOS_UUID, OWNER)
        self._members: dict[str, dict[str, dict[MoRef, None]]] = {kind: {} for kind in kinds}

    def put(self, entity: Entity) -> None:
        for index, value in keys_of(entity):
            self._members[index].setdefault(value, {})[entity.moref] = None

    def drop(self, entity: Entity) -> None:
        for index, value in keys_of(entity):
            members = self._members[index].get(value, {})
            members.pop(entity.moref, None)
            if not members:
                self._members[index].pop(value, None)

    def find(self, index: str, value: str) -> Iterable[MoRef]:
        return self._members[index].get(value, ())
