"""The copy itself with its indexes. Lives on the event loop: nothing here waits, and nothing here calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import cast

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.inventory import paths, scope
from vsphere_operator.vsphere.inventory.brake import Brake, Doubt
from vsphere_operator.vsphere.inventory.entities import (
    Change,
    ComputeCluster,
    Datacenter,
    Datastore,
    DistributedPortgroup,
    DistributedSwitch,
    Entity,
    Folder,
    Host,
    Network,
    OpaqueNetwork,
    ResourcePool,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.inventory.indexes import (
    BIOS_UUID,
    INSTANCE_UUID,
    NAME,
    OWNER,
    PARENT,
    Indexes,
)
from vsphere_operator.vsphere.morefs import MoRef

Kind = type[Entity] | str

_KINDS: dict[str, type[Entity]] = {
    "VirtualMachine": VmEntity,
    "Datacenter": Datacenter,
    "Folder": Folder,
    "StoragePod": StoragePod,
    "Datastore": Datastore,
    "Network": Network,
    "DistributedVirtualPortgroup": DistributedPortgroup,
    "OpaqueNetwork": OpaqueNetwork,
    "DistributedVirtualSwitch": DistributedSwitch,
    "ComputeResource": ComputeCluster,
    "ClusterComputeResource": ComputeCluster,
    "HostSystem": Host,
    "ResourcePool": ResourcePool,
}
_DEPTH = 64
"""More parents than any inventory has: a loop in what was read must not become one here."""


class Inventory:
    """What this user can see in one vCenter. Absence here is *not seen*, no proof."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.synced = False
        """True from the end of the first full read until the connection is lost."""
        self.seen_at: float | None = None
        """Event loop time of the last answer of the watch."""
        self.root: MoRef | None = None
        self._entities: dict[MoRef, Entity] = {}
        self._indexes = Indexes()
        self._clock = clock
        self._brake = Brake()
        self._read: frozenset[MoRef] | None = None
        self._reading: frozenset[MoRef] | None = None

    # Reading

    def __len__(self) -> int:
        return len(self._entities)

    def get(self, moref: MoRef) -> Entity | None:
        return self._entities.get(moref)

    def vm(self, moref: MoRef) -> VmEntity | None:
        entity = self._entities.get(moref)
        return entity if isinstance(entity, VmEntity) else None

    def all(self, kind: Kind) -> list[Entity]:
        wanted = _kind(kind)
        return [e for e in self._entities.values() if isinstance(e, wanted)]

    def children(self, moref: MoRef) -> list[Entity]:
        """What lies directly in a folder, datacenter, compute cluster or pool."""
        return [self._entities[m] for m in self._indexes.find(PARENT, moref)]

    def path(self, moref: MoRef) -> str | None:
        """`/DC0/vm/x`; `None` if a part of the way is not visible. Slashes in names show as %2f."""
        names: list[str] = []
        for entity in self._upwards(moref):
            if entity.moref == self.root:
                return paths.join(names[::-1])
            if entity.name is None:
                return None
            names.append(entity.name)
        return None

    def datacenter_of(self, moref: MoRef) -> Datacenter | None:
        """The datacenter that an object lies in; a VM inside a vApp is found by its host."""
        for entity in self._upwards(moref):
            if isinstance(entity, Datacenter):
                return entity
            if isinstance(entity, VmEntity) and entity.parent is None and entity.host is not None:
                return self.datacenter_of(entity.host)
        return None

    def _upwards(self, moref: MoRef) -> Iterable[Entity]:
        current: MoRef | None = moref
        for _ in range(_DEPTH):
            entity = self._entities.get(current) if current is not None else None
            if entity is None:
                return
            yield entity
            current = entity.parent

    def by_path(self, path: str) -> Answer[Entity]:
        """The object at a full inventory path. `Unknown` while not synced or where a name may not be read."""
        if not self.synced or self.root is None:
            return Unknown(self._not_synced())
        names = paths.split(path)
        if not names:
            return self._present(self.root)
        found = [self.root]
        for depth, name in enumerate(names):
            if any(self.is_unread(moref) for moref in found):
                return Unknown(self._not_read(found[0]))
            below = [e for parent in found for e in self.children(parent)]
            matches = [e.moref for e in below if e.name == name]
            if not matches:
                at = paths.join(names[:depth]) or "/"
                if any(e.name is None for e in below):
                    return Unknown(f"something in {at} may not be read by the vCenter user")
                return Absent(f"{at} holds no {name!r} that the vCenter user can see")
            found = matches
        if len(found) > 1:
            return Unknown(f"{paths.join(names)} names {len(found)} objects: {', '.join(found)}")
        return self._present(found[0])

    def _present(self, moref: MoRef) -> Answer[Entity]:
        entity = self._entities.get(moref)
        return Present(entity) if entity is not None else Unknown(f"{moref} has not been read yet")

    def is_unread(self, datacenter: MoRef) -> bool:
        """Whether this is a datacenter that is known by name only, because it is not in the scope."""
        if self._read is None or datacenter in self._read:
            return False
        return isinstance(self._entities.get(datacenter), Datacenter)

    def _not_read(self, datacenter: MoRef) -> str:
        return (
            f"what is in {self.path(datacenter) or datacenter} is not read: no datacenter on offer names it"
        )

    def _not_synced(self) -> str:
        return "the vCenter inventory has not been read yet"

    def find(self, kind: Kind, name: str, *, datacenter: MoRef | None = None) -> list[Entity]:
        """All of one kind with this name in a datacenter. `Network` finds port groups, too."""
        wanted = _kind(kind)
        named = (self._entities[m] for m in self._indexes.find(NAME, name))
        return [e for e in named if isinstance(e, wanted) and self._within(e, datacenter)]

    def _within(self, entity: Entity, datacenter: MoRef | None) -> bool:
        if datacenter is None:
            return True
        home = self.datacenter_of(entity.moref)
        return home is not None and home.moref == datacenter

    def lookup(self, kind: Kind, reference: str, *, datacenter: MoRef) -> Answer[Entity]:
        """One object by what a person writes: a MoRef, a full inventory path or a name within the datacenter.

        A VM's MoRef may be written as vCenter shows it, `vm-42`.
        """
        wanted = _kind(kind)
        if not self.synced:
            return Unknown(self._not_synced())
        direct = self._by_reference(wanted, reference)
        if direct is not None:
            return direct
        if self.is_unread(datacenter):
            return Unknown(self._not_read(datacenter))
        found = self.find(kind, paths.unescape(reference), datacenter=datacenter)
        if len(found) > 1:
            where = ", ".join(sorted(self.path(e.moref) or e.moref for e in found))
            return Unknown(f"the name {reference} stands for {len(found)} objects ({where}): use a full path")
        if not found:
            return Absent(f"the datacenter has no {reference!r} that the vCenter user can see")
        return Present(found[0])

    def _by_reference(self, wanted: type[Entity], reference: str) -> Answer[Entity] | None:
        if reference.startswith("/"):
            answer = self.by_path(reference)
            if isinstance(answer, Present) and not isinstance(answer.value, wanted):
                return Absent(f"{reference} is a {morefs.kind_of(answer.value.moref)}")
            return answer
        candidates = [MoRef(reference), MoRef(f"VirtualMachine:{reference}")]
        found = (self._entities.get(candidate) for candidate in candidates)
        return next((Present(e) for e in found if isinstance(e, wanted)), None)

    def datacenter(self, name_or_path: str) -> Answer[Datacenter]:
        """A datacenter by name or path; datacenters may lie in folders."""
        if not self.synced:
            return Unknown(self._not_synced())
        if "/" in name_or_path:
            answer = self.by_path(name_or_path)
            found = [answer.value] if isinstance(answer, Present) else []
            if isinstance(answer, Unknown):
                return answer
        else:
            found = self.find(Datacenter, name_or_path)
        matches = [e for e in found if isinstance(e, Datacenter)]
        if len(matches) > 1:
            return Unknown(f"there are {len(matches)} datacenters named {name_or_path}: use a full path")
        if not matches:
            return Absent(f"there is no datacenter {name_or_path!r} that the vCenter user can see")
        return Present(matches[0])

    def compute_cluster(self, name_or_path: str, *, datacenter: MoRef) -> Answer[ComputeCluster]:
        return cast(
            "Answer[ComputeCluster]", self.lookup(ComputeCluster, name_or_path, datacenter=datacenter)
        )

    def resource_pool(self, name_or_path: str, *, cluster: MoRef) -> Answer[ResourcePool]:
        """A pool by full path, by path below the cluster's root pool (`a/b`), or by name; `""`: the root
        pool.
        """
        if not self.synced:
            return Unknown(self._not_synced())
        owner = self._entities.get(cluster)
        if not isinstance(owner, ComputeCluster) or owner.root_pool is None:
            return Unknown(f"the compute cluster {cluster} has not been read")
        if not name_or_path:
            return self._pool(owner.root_pool)
        if name_or_path.startswith("/"):
            answer = self.by_path(name_or_path)
            return self._pool(answer.value.moref) if isinstance(answer, Present) else answer
        names = paths.split(name_or_path)
        if names[0] == "Resources":
            names = names[1:]
        found = [owner.root_pool]
        for name in names:
            found = [e.moref for m in found for e in self.children(m) if e.name == name]
        if not found and len(names) == 1:
            pools = [p for p in self.find(ResourcePool, names[0]) if isinstance(p, ResourcePool)]
            found = [p.moref for p in pools if p.owner == cluster]
        if len(found) > 1:
            return Unknown(f"there are {len(found)} resource pools named {name_or_path}: use a full path")
        if not found:
            return Absent(
                f"the compute cluster has no resource pool {name_or_path!r} that the vCenter user can see"
            )
        return self._pool(found[0])

    def _pool(self, moref: MoRef) -> Answer[ResourcePool]:
        entity = self._entities.get(moref)
        if entity is None:
            return Unknown(f"the resource pool {moref} has not been read")
        if not isinstance(entity, ResourcePool):
            return Absent(f"{self.path(moref) or moref} is no resource pool")
        return Present(entity)

    def network_ref(self, moref: MoRef) -> Answer[NetworkRef]:
        """A network as a NIC names it. `Unknown` when its distributed switch may not be read."""
        entity = self._entities.get(moref)
        if not isinstance(entity, Network) or entity.name is None:
            return Unknown(f"the network {moref} has not been read")
        if isinstance(entity, OpaqueNetwork):
            return Present(
                NetworkRef(moref, entity.name, opaque_id=entity.opaque_id, opaque_type=entity.opaque_type)
            )
        if isinstance(entity, DistributedPortgroup):
            switch = self._entities.get(entity.switch) if entity.switch is not None else None
            if not isinstance(switch, DistributedSwitch) or switch.uuid is None:
                return Unknown(
                    f"the distributed switch of network {entity.name} may not be read by the vCenter user"
                )
            return Present(NetworkRef(moref, entity.name, portgroup_key=entity.key, switch_uuid=switch.uuid))
        return Present(NetworkRef(moref, entity.name))

    def vms_by_instance_uuid(self, uuid: str) -> list[VmEntity]:
        """All VMs with this instanceUuid (several only when somebody registered a copy)."""
        return self._vms(INSTANCE_UUID, uuid.lower())

    def vms_by_bios_uuid(self, uuid: str) -> list[VmEntity]:
        """All VMs with this `config.uuid`; clones made outside of vCenter may share one."""
        return self._vms(BIOS_UUID, uuid.lower())

    def vms_marked_for(self, machine_id: str) -> list[VmEntity]:
        """All VMs whose mark names this machine: its own, and copies that somebody made of it."""
        return self._vms(OWNER, machine_id)

    def _vms(self, index: str, value: str) -> list[VmEntity]:
        found = (self._entities[m] for m in self._indexes.find(index, value))
        return [e for e in found if isinstance(e, VmEntity)]

    # Losses

    @property
    def doubt(self) -> Doubt | None:
        """Set while too many of our VMs seem gone at once: then a VM that is not here is not *not there*."""
        return self._brake.doubt

    @property
    def missing_vms(self) -> list[VmEntity]:
        """The VMs in doubt as they were last seen, with their MoRefs, UUIDs and folders."""
        return self._brake.lost

    def missing(self, reference: str) -> Unknown | None:
        """Why nothing follows from this VM's not being here, if it is in doubt; by MoRef or instanceUuid."""
        doubt = self._brake.doubt
        if doubt is None:
            return None
        found = (vm for vm in self._brake.lost if reference == vm.moref or _same(vm.instance_uuid, reference))
        return Unknown(doubt.why) if next(found, None) is not None else None

    def missing_in(self, folder: MoRef) -> Unknown | None:
        """Why nothing follows from what `children` shows of a folder, if VMs in doubt were in it."""
        doubt = self._brake.doubt
        if doubt is None or all(vm.parent != folder for vm in self._brake.lost):
            return None
        return Unknown(doubt.why)

    def expect_gone(self, moref: MoRef) -> None:
        """Announce a Destroy of ours, so that the VM's going counts for no loss."""
        self._brake.expect_gone(moref, self._clock())

    def expect_no_more(self, moref: MoRef) -> None:
        """Take an announcement back: the Destroy failed."""
        self._brake.expect_no_more(moref)

    # Writing, by the watch only

    def apply(self, updates: Sequence[tuple[MoRef, Entity | None]]) -> list[Change]:
        """Take over what the watch decoded; `None`: it left. Returns what really changed."""
        changes: list[Change] = []
        now = self._clock()
        for moref, new in updates:
            old = self._entities.get(moref)
            if old == new:
                continue
            if isinstance(old, VmEntity) or isinstance(new, VmEntity):
                self._brake.update(moref, cast("VmEntity | None", old), cast("VmEntity | None", new), now)
            if old is not None:
                self._indexes.drop(old)
            if new is not None:
                self._entities[moref] = new
                self._indexes.put(new)
                changes.append(Change("entered" if old is None else "changed", moref, old, new))
            else:
                del self._entities[moref]
                changes.append(Change("left", moref, old, None))
        return changes

    def settle(self) -> list[Change]:
        """After updates that belong together: judge the losses. Returns the doubt's begin, growth or end.

        With its end those VMs are told as left again whose loss is to be believed now.
        """
        before = self.doubt
        believed = self._brake.settle(
            self._clock(), datetime.now(UTC), lambda uuid: bool(self.vms_by_instance_uuid(uuid))
        )
        return self._losses(before, believed)

    def accept_losses(self, doubt_id: str) -> list[Change]:
        """A person confirmed a loss; nothing if there is no doubt of that id."""
        before = self.doubt
        return self._losses(before, self._brake.accept(doubt_id))

    def _losses(self, before: Doubt | None, believed: list[VmEntity]) -> list[Change]:
        if (self.doubt and self.doubt.id) == (before and before.id):
            return []
        return [Change("state"), *(Change("left", vm.moref, vm, None) for vm in believed)]

    def begin_reading(self, datacenters: frozenset[MoRef] | None) -> None:
        """A full read begins, of these datacenters or of everything: what is not among them says no more."""
        self._reading = datacenters
        self._read = scope.narrowed(self._read, datacenters)
        homes = ((moref, self.datacenter_of(moref)) for moref in self._brake.watched)
        self._brake.forget(m for m, home in homes if home is not None and self.is_unread(home.moref))

    def end_reading(self) -> None:
        """All of it has been read."""
        self._read = self._reading

    def morefs(self) -> list[MoRef]:
        return list(self._entities)


def _kind(kind: Kind) -> type[Entity]:
    if isinstance(kind, type):
        return kind
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of inventory object: {kind}")
    return _KINDS[kind]


def _same(uuid: str | None, other: str) -> bool:
    return uuid is not None and uuid.lower() == other.lower()
