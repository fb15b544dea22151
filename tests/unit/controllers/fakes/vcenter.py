"""A vCenter that outlives the process (`World`) and one connection to it (`FakeVCenter`), as controllers see both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.unit.controllers.fakes import guest
from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from vsphere_operator.vsphere import ownership
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory.entities import (
    Change,
    ComputeCluster,
    Datacenter,
    Datastore,
    Entity,
    Folder,
    GuestNic,
    Host,
    Network,
    ResourcePool,
    StoragePod,
    VmAutomation,
    VmEntity,
)
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.choice import Placement
from vsphere_operator.vsphere.placement.reservations import Reservations
from vsphere_operator.vsphere.placement.storage_drs import NotRecommended, Recommendation, Recommended
from vsphere_operator.vsphere.policies import Policy
from vsphere_operator.vsphere.tags import Category, Tag
from vsphere_operator.vsphere.tasks import TaskInfo, Tasks
from vsphere_operator.vsphere.vcenters import Connected, ConnectionState, VCenterId
from vsphere_operator.vsphere.vm_details import CdRom, Disk, Nic, VmDetails

T = TypeVar("T")

VCENTER = "vc-uuid"
ROOT, DC, VM_FOLDER, KUBERNETES = (
    MoRef("Folder:root"),
    MoRef("Datacenter:dc0"),
    MoRef("Folder:vm"),
    MoRef("Folder:kubernetes"),
)
TEMPLATE, FLATCAR = MoRef("VirtualMachine:vm-template"), MoRef("VirtualMachine:vm-flatcar")
DATASTORE, NETWORK, CLUSTER, POOL, HOST = (
    MoRef("Datastore:ds0"),
    MoRef("Network:net0"),
    MoRef("ClusterComputeResource:c0"),
    MoRef("ResourcePool:pool0"),
    MoRef("HostSystem:h0"),
)


def vm_mac(moref: MoRef, card: int = 0) -> str:
    """The MAC that vCenter generates for a new VM's card."""
    return f"00:50:56:80:{int(moref.rpartition('-')[2]) % 256:02x}:{card:02x}"


def fault(
    fault_class: FaultClass = FaultClass.TERMINAL,
    reason: str = "Refused",
    delay: float = 30.0,
    kind: str = "X",
) -> Fault:
    executed = Executed.UNKNOWN if fault_class is FaultClass.UNREACHABLE else Executed.NO
    return Fault(fault_class, reason, f"vCenter says {reason}.", delay, kind, executed=executed)


UNREACHABLE = fault(FaultClass.UNREACHABLE, "TimedOut")
NO_PERMISSION = fault(FaultClass.PERMISSION, "NoPermission", 300.0, "NoPermission")


@dataclass
class Vm:
    """A virtual machine as it really is."""

    details: VmDetails
    addresses: tuple[str, ...] = ()

    @property
    def moref(self) -> MoRef:
        return self.details.moref

    def change(self, **fields: Any) -> None:
        self.details = replace(self.details, **fields)

    def entity(self) -> VmEntity:
        d = self.details
        marks = {k: v for k, v in d.extra_config.items() if k in ownership.KEYS}
        nics = (GuestNic(None, "00:50:56:00:00:01", self.addresses, 4000),) if self.addresses else ()
        return VmEntity(
            moref=d.moref,
            name=d.name,
            parent=d.parent,
            template=d.template,
            instance_uuid=d.instance_uuid if d.config_ready else None,
            bios_uuid=d.bios_uuid if d.config_ready else None,
            power_state=d.power_state,
            connection_state=d.connection_state,
            guest_nics=nics,
            host=d.host,
            resource_pool=d.resource_pool,
            datastores=d.datastores,
            extra_config=marks,
        )


@dataclass
class Pending:
    """A task that has not ended; ``effect`` is what its good end does and returns the result."""

    kind: str
    effect: Callable[[], MoRef | None]
    undo: Callable[[], None]


@dataclass
class World:
    """vCenter itself. ``refuse``: call name -> faults for its next calls; ``lose_answer``: the call is carried out
    and the answer lost; ``break_task``: task kind -> faults that its next tasks end with."""

    clock: Clock
    outgoing: Outgoing
    instance_uuid: str = VCENTER
    vms: dict[MoRef, Vm] = field(default_factory=dict)
    entities: dict[MoRef, Entity] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    categories: dict[str, Category] = field(default_factory=dict)
    attached: set[tuple[str, MoRef]] = field(default_factory=set)
    policies: dict[str, str] = field(default_factory=lambda: {"gold": "gold-id"})
    """Ids of the storage policies by name."""
    clones: list[CloneRequest] = field(default_factory=list, repr=False)
    """What VMs were made from."""
    unfit: set[tuple[str, MoRef]] = field(default_factory=set)
    """Policies' ids, and datastores that cannot serve them."""
    out_of_sight: str = ""
    """Why the user may not read all of vCenter."""
    takes_tag_ids: bool = True
    """Whether new tags and categories get the ids that the client wants."""
    files: set[str] = field(default_factory=set)
    images: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded, also what has been deleted since."""
    pending: dict[MoRef, Pending] = field(default_factory=dict)
    tasks: dict[MoRef, TaskInfo] = field(default_factory=dict)
    refuse: dict[str, list[Fault]] = field(default_factory=dict)
    refuse_batch: dict[str, list[VSphereError]] = field(default_factory=dict)
    """Calls for many objects whose next answers tell of a part that was refused."""
    lose_answer: set[str] = field(default_factory=set)
    break_task: dict[str, list[Fault]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    """What must never happen and did, such as a boot without data."""
    connections: list[FakeVCenter] = field(default_factory=list)
    boots: list[MoRef] = field(default_factory=list)
    hidden: set[MoRef] = field(default_factory=set)
    lagging: bool = False
    most_workers: int = 0
    """How many worker VMs there were at the same time."""
    recommends: MoRef | None = None
    """The datastore that Storage DRS recommends; None: it leaves the choice to others."""
    most_running: dict[str, int] = field(default_factory=dict)
    """How many tasks of each kind ran at the same time."""
    on_destroy: Callable[[VmDetails], object] = lambda _: None
    after_boot: Callable[[Vm], object] = lambda _: None
    ignored: set[str] = field(default_factory=set)
    """Kinds of tasks that end well and do nothing."""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for entity in (
            Folder(ROOT, "Datacenters"),
            Datacenter(DC, "DC0", ROOT, vm_folder=VM_FOLDER),
            Folder(VM_FOLDER, "vm", DC),
            Folder(KUBERNETES, "kubernetes", VM_FOLDER),
            Datastore(DATASTORE, "LocalDS_0", DC, accessible=True, hosts=(HOST,)),
            Network(NETWORK, "VM Network", DC),
            ComputeCluster(
                CLUSTER,
                "DC0_C0",
                DC,
                hosts=(HOST,),
                root_pool=POOL,
                drs_enabled=True,
                networks=(NETWORK,),
                datastores=(DATASTORE,),
            ),
            ResourcePool(POOL, "Resources", CLUSTER, owner=CLUSTER),
            Host(HOST, "h0", CLUSTER, connection_state="connected", datastores=(DATASTORE,)),
        ):
            self.entities[entity.moref] = entity
        self.vms[TEMPLATE] = Vm(a_vm(TEMPLATE, "ubuntu-22.04", VM_FOLDER, template=True))
        self.vms[FLATCAR] = Vm(a_vm(FLATCAR, "flatcar-stable", VM_FOLDER, template=True))
        self.categories["cat-k8c"] = Category("cat-k8c", "k8c", "a person's", "MULTIPLE")

    # What other people do

    def add_vm(self, name: str, folder: MoRef, **fields: Any) -> Vm:
        moref = MoRef(f"VirtualMachine:vm-{next(self._numbers)}")
        self.vms[moref] = Vm(a_vm(moref, name, folder, **fields))
        self.publish()
        return self.vms[moref]

    def add_folder(self, name: str, parent: MoRef = KUBERNETES) -> MoRef:
        moref = MoRef(f"Folder:group-{next(self._numbers)}")
        self.entities[moref] = Folder(moref, name, parent)
        self.publish()
        return moref

    def add_network(self, name: str) -> MoRef:
        moref = MoRef(f"Network:net-{next(self._numbers)}")
        self.entities[moref] = Network(moref, name, DC)
        compute = self.entities[CLUSTER]
        assert isinstance(compute, ComputeCluster)
        self.entities[CLUSTER] = replace(compute, networks=(*compute.networks, moref))
        self.publish()
        return moref

    def folders(self) -> list[str]:
        return sorted(str(e.name) for e in self.entities.values() if isinstance(e, Folder))

    def folder(self, name: str) -> MoRef:
        return next(e.moref for e in self.entities.values() if isinstance(e, Folder) and e.name == name)

    def workers(self) -> list[Vm]:
        return [v for v in self.vms.values() if v.moref not in (TEMPLATE, FLATCAR)]

    def named(self, name: str) -> list[Vm]:
        return [v for v in self.vms.values() if v.details.name == name]

    # What the watch sees

    def visible(self) -> dict[MoRef, Entity]:
        everything = {**self.entities, **{m: v.entity() for m, v in self.vms.items()}}
        return {m: e for m, e in everything.items() if m not in self.hidden}

    def publish(self) -> None:
        """Let every connection see what is there, unless its watch lags."""
        self.most_workers = max(self.most_workers, len(self.workers()))
        if self.lagging:
            return
        for connection in self.connections:
            connection.look()

    # Tasks

    def start(
        self, kind: str, entity: MoRef, effect: Callable[[], MoRef | None], undo: Callable[[], None]
    ) -> MoRef:
        ref = MoRef(f"Task:task-{next(self._numbers)}")
        self.pending[ref] = Pending(kind, effect, undo)
        method = {"clone": "VirtualMachine.clone", "destroy vm": "VirtualMachine.destroy"}.get(kind, kind)
        running = sum(task.kind == kind for task in self.pending.values())
        self.most_running[kind] = max(self.most_running.get(kind, 0), running)
        self.tasks[ref] = TaskInfo(ref, method, entity, "running", self.clock.now())
        self.publish()
        return ref

    def finish(self, ref: MoRef | None = None) -> None:
        """End a task (the oldest one)."""
        ref = ref or next(iter(self.pending))
        task = self.pending.pop(ref)
        faults = self.break_task.get(task.kind)
        if faults:
            task.undo()
            self.tasks[ref] = replace(self.tasks[ref], state="error", fault=faults.pop(0))
        else:
            self.tasks[ref] = replace(self.tasks[ref], state="success", result=task.effect())
        self.publish()


def a_vm(moref: MoRef, name: str, folder: MoRef, **fields: Any) -> VmDetails:
    directory = f"[LocalDS_0] {name}"
    disk = Disk(2000, 1000, 0, 10 << 30, f"uuid-of-{moref}", (f"{directory}/{name}.vmdk",))
    given: dict[str, Any] = {
        "config_ready": True,
        "parent": folder,
        "resource_pool": POOL,
        "host": HOST,
        "datastores": (DATASTORE,),
        "instance_uuid": f"instance-of-{moref}",
        "bios_uuid": "4200aaaa-0000-4000-8000-" + f"{abs(hash(moref)) % 10**12:012d}",
        "change_version": "1",
        "vm_path_name": f"{directory}/{name}.vmx",
        "hardware_version": 19,
        "disks": (disk,),
        "cdroms": (CdRom(3000, 200, None, False),),
    } | fields
    return VmDetails(moref=moref, name=name, **given)


class FakeVCenter:
    """One connection: the real inventory and tasks, fed at once with what the world shows."""

    def __init__(self, world: World, on_change: Callable[[Any, Sequence[Change]], None]) -> None:
        self.world = world
        self.id = VCenterId("vcenter:443", "endpoint", "infra", "1")
        self.state: ConnectionState = Connected(world.instance_uuid, "8.0.3", "1", "VirtualCenter")
        self.inventory = Inventory()
        self.inventory.root = ROOT
        self.inventory.synced = True
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self.tasks = Tasks(
            self,
            notify=lambda changes: on_change(self, changes),
            later=lambda _, do: self._loop.call_soon(do),
            destroying=self._destroying,
        )
        self.vms, self.folders = FakeVms(self), FakeFolders(self)
        self.tags, self.files = FakeTags(self), FakeFiles(self)
        self.policies = FakePolicies(self)
        self.rights = FakeRights(self)
        self.reservations = Reservations(world.clock.monotonic)
        self.storage_drs = FakeStorageDrs(self)
        self.placement = Placement(self.inventory, self.storage_drs, self.vms, lambda: self.reservations)
        world.connections.append(self)
        self.look()

    def _destroying(self, moref: MoRef, failed: bool) -> None:
        (self.inventory.expect_no_more if failed else self.inventory.expect_gone)(moref)

    def subscribe(self, ref: MoRef) -> None:
        """Asked for a task that is not among the recent ones: it is forgotten."""
        if ref not in self.world.tasks:
            self._loop.call_soon(lambda: self._on_change(self, self.tasks.apply_followed([(ref, None)])))

    def unsubscribe(self, ref: MoRef) -> None:
        pass

    def accept_losses(self, doubt_id: str) -> bool:
        changes = self.inventory.accept_losses(doubt_id)
        self._on_change(self, changes)
        return bool(changes)

    def look(self) -> None:
        """One answer of the watch."""
        self.inventory.seen_at = self._loop.time()
        seen = self.world.visible()
        gone = [(m, None) for m in self.inventory.morefs() if m not in seen]
        changes = self.inventory.apply([*seen.items(), *gone])
        changes += self.tasks.apply_recent(list(self.world.tasks.items()))
        changes += self.inventory.settle()
        if changes:
            self._on_change(self, changes)

    async def call(self, name: str, effect: Callable[[], T], *, mutating: bool = True) -> T:
        """A call over the wire, with the faults that were asked for."""

        async def wire() -> T:
            faults = self.world.refuse.get(name)
            if faults:
                raise VSphereError(faults.pop(0))
            result = effect()
            if name in self.world.lose_answer:
                self.world.lose_answer.discard(name)
                raise VSphereError(UNREACHABLE)
            return result

        return await self.world.outgoing.call(f"vcenter: {name}", wire)

    async def read(self, name: str, moref: MoRef, effect: Callable[[], T]) -> Answer[T]:
        async def wire() -> Answer[T]:
            faults = self.world.refuse.get(name)
            if faults:
                found = faults.pop(0)
                return Unknown(found.message, found)
            if moref not in self.world.vms and moref not in self.world.entities:
                return Absent(f"vCenter {VCENTER} knows no {moref}")
            return Present(effect())

        try:
            return await self.world.outgoing.call(f"vcenter: {name}", wire)
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)


class FakeVms:
    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world

    async def read(self, moref: MoRef, *, op_id: str) -> Answer[VmDetails]:
        return await self._vcenter.read("read vm", moref, lambda: self._world.vms[moref].details)

    async def absence(
        self, moref: MoRef | None, instance_uuid: str, folder: MoRef | None, *, op_id: str
    ) -> Answer[MoRef]:
        world = self._world

        async def wire() -> Answer[MoRef]:
            faults = world.refuse.get("prove absence")
            if faults:
                found = faults.pop(0)
                return Unknown(found.message, found)
            if folder in world.hidden:
                return Unknown(f"{folder} may not be read")
            there = [
                m for m, v in world.vms.items() if m == moref or v.details.instance_uuid == instance_uuid
            ]
            return Present(there[0]) if there else Absent(f"vCenter {VCENTER} has no such VM")

        try:
            return await world.outgoing.call("vcenter: prove absence", wire)
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)

    async def clone(self, request: CloneRequest, *, op_id: str) -> MoRef:
        world = self._world

        def effect() -> MoRef:
            taken = [v for v in world.named(request.name) if v.details.parent == request.folder]
            if taken:
                raise VSphereError(fault(FaultClass.CONFLICT, "NameTaken", 30.0, "DuplicateName"))
            assert request.datastore is not None
            world.clones.append(request)
            vm = world.add_vm(
                request.name, request.folder, config_ready=False, datastores=(request.datastore,)
            )

            def done() -> MoRef:
                vm.change(
                    config_ready=True,
                    instance_uuid=request.instance_uuid,
                    extra_config=dict(request.extra_config),
                    power_state="poweredOff",
                    nics=tuple(
                        Nic(
                            4000 + n,
                            request.first_mac if n == 0 and request.first_mac else vm_mac(vm.moref, n),
                            network.moref,
                        )
                        for n, network in enumerate(request.networks or ())
                    ),
                )
                return vm.moref

            return world.start("clone", request.template, done, lambda: self._drop(vm.moref))

        return await self._vcenter.call("clone", effect)

    def _drop(self, moref: MoRef) -> None:
        self._world.vms.pop(moref, None)

    async def attach_iso(self, details: VmDetails, iso_path: str, *, op_id: str) -> MoRef:
        def done() -> None:
            drive = replace(details.cdroms[0], iso_path=iso_path, start_connected=True)
            self._world.vms[details.moref].change(cdroms=(drive,))

        return await self._task("attach iso", details.moref, done)

    async def detach_disks(self, details: VmDetails, keys: Iterable[int], *, op_id: str) -> MoRef:
        wanted = set(keys)

        def done() -> None:
            vm = self._world.vms[details.moref]
            vm.change(disks=tuple(d for d in vm.details.disks if d.key not in wanted))

        return await self._task("detach disks", details.moref, done)

    async def power_on(self, moref: MoRef, datacenter: MoRef, *, op_id: str) -> MoRef:
        def done() -> None:
            vm = self._world.vms[moref]
            if not self._has_data(vm.details):
                self._world.violations.append(f"{vm.details.name} was started without its bootstrap data")
            self._world.boots.append(moref)
            vm.change(power_state="poweredOn")
            vm.addresses = self._addresses(vm.details)
            self._world.after_boot(vm)

        return await self._task("power on", moref, done)

    def _addresses(self, details: VmDetails) -> tuple[str, ...]:
        """What the guest's first card gets from what it boots with."""
        images = [self._world.images[c.iso_path] for c in details.cdroms if c.iso_path in self._world.images]
        if images and details.nics:
            return guest.of_iso(images[0], str(details.nics[0].mac))
        if "guestinfo.ignition.config.data" in details.extra_config:
            return guest.of_ignition(details.extra_config, [str(nic.mac) for nic in details.nics])
        return guest.DHCP

    def _has_data(self, details: VmDetails) -> bool:
        iso = any(c.iso_path in self._world.files and c.start_connected for c in details.cdroms)
        return iso or any(k.startswith("guestinfo.") for k in details.extra_config)

    async def power_off(self, moref: MoRef, *, op_id: str) -> MoRef:
        return await self._task(
            "power off", moref, lambda: self._world.vms[moref].change(power_state="poweredOff")
        )

    async def destroy(self, moref: MoRef, *, op_id: str) -> MoRef:
        def done() -> None:
            if self._world.vms[moref].details.power_state != "poweredOff":
                self._world.violations.append(f"{moref} was destroyed while it ran")
            self._world.on_destroy(self._world.vms[moref].details)
            self._drop(moref)
            self._world.attached = {(t, o) for t, o in self._world.attached if o != moref}

        return await self._task("destroy vm", moref, done)

    async def _task(self, kind: str, moref: MoRef, done: Callable[[], object]) -> MoRef:
        def effect() -> MoRef:
            if moref not in self._world.vms:
                raise VSphereError(fault(FaultClass.GONE, "NotFound", 5.0, "ManagedObjectNotFound"))

            def finish() -> None:
                if kind not in self._world.ignored:
                    done()

            return self._world.start(kind, moref, finish, lambda: None)

        return await self._vcenter.call(kind, effect)


class FakeFolders:
    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world

    async def create(self, parent: MoRef, name: str, *, op_id: str) -> MoRef:
        def effect() -> MoRef:
            for entity in self._all():
                if isinstance(entity, Folder) and (entity.parent, entity.name) == (parent, name):
                    taken = fault(FaultClass.CONFLICT, "NameTaken", 30.0, "DuplicateName")
                    raise VSphereError(replace(taken, object=entity.moref))
            return self._world.add_folder(name, parent)

        return await self._vcenter.call("create folder", effect)

    async def rename(self, moref: MoRef, name: str, *, op_id: str) -> MoRef:
        def done() -> None:
            self._world.entities[moref] = replace(self._world.entities[moref], name=name)

        return await self._vcenter.call(
            "rename folder", lambda: self._world.start("rename folder", moref, done, lambda: None)
        )

    async def destroy(self, moref: MoRef, *, op_id: str) -> MoRef:
        def done() -> None:
            inside = [v.details.name for v in self._world.vms.values() if v.details.parent == moref]
            if inside:
                self._world.violations.append(f"{moref} was destroyed with {inside} in it")
            self._world.entities.pop(moref, None)
            self._world.attached = {(t, o) for t, o in self._world.attached if o != moref}

        return await self._vcenter.call(
            "destroy folder", lambda: self._world.start("destroy folder", moref, done, lambda: None)
        )

    async def child_entities_fresh(self, moref: MoRef, *, op_id: str) -> Answer[list[MoRef]]:
        def children() -> list[MoRef]:
            inside = [v.moref for v in self._world.vms.values() if v.details.parent == moref]
            return inside + [e.moref for e in self._all() if e.parent == moref]

        return await self._vcenter.read("read folder", moref, children)

    async def exists_fresh(self, moref: MoRef, *, op_id: str) -> Answer[str]:
        return await self._vcenter.read("read folder", moref, lambda: str(self._world.entities[moref].name))

    def _all(self) -> list[Entity]:
        return list(self._world.entities.values())


class FakeTags:
    """No cache: what the real one remembers must not matter here. Its poll is always up to date, and tells nobody."""

    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world
        self.watched: list[MoRef] = []
        self.distrusted = 0
        self._looked_at: set[MoRef] = set()

    def distrust(self) -> None:
        self.distrusted += 1

    def hint(self, tag_id: str, name: str, category_id: str) -> None:
        pass

    def hint_category(self, category_id: str, name: str) -> None:
        pass

    def watch(self, moref: MoRef, believed: Iterable[str] | None = None) -> None:
        self.watched.append(moref)

    def unwatch(self, moref: MoRef) -> None:
        self.watched.remove(moref)

    def attached_last(self, moref: MoRef) -> Answer[frozenset[str]]:
        return Present(frozenset(t for t, on in self._world.attached if on == moref))

    async def attached_within(self, moref: MoRef, *, max_age: float) -> Answer[frozenset[str]]:
        """The first look is a call of its own."""
        if moref not in self._looked_at:
            try:
                await self.attached([moref], op_id="poll")
            except VSphereError as error:
                return Unknown(error.fault.message, error.fault)
            self._looked_at.add(moref)
        return self.attached_last(moref)

    async def known_tag(self, category_id: str, name: str, *, op_id: str) -> Present[Tag] | Unknown | None:
        """Nothing is remembered."""
        return None

    async def category(self, name_or_id: str, *, op_id: str) -> Answer[Category]:
        found = [c for c in self._world.categories.values() if name_or_id in (c.id, c.name)]
        return await self._answer(found, f"no category {name_or_id}")

    async def tag(self, category_id: str, name: str, *, op_id: str) -> Answer[Tag]:
        found = [t for t in self._world.tags.values() if (t.category_id, t.name) == (category_id, name)]
        return await self._answer(found, f"no tag {name}")

    async def get_category_fresh(self, category_id: str, *, op_id: str) -> Answer[Category]:
        found = [c for c in self._world.categories.values() if c.id == category_id]
        return await self._answer(found, "gone")

    async def get_tag_fresh(self, tag_id: str, *, op_id: str) -> Answer[Tag]:
        return await self._answer([t for t in self._world.tags.values() if t.id == tag_id], "gone")

    async def _answer(self, found: list[T], why: str) -> Answer[T]:
        async def wire() -> Answer[T]:
            faults = self._world.refuse.get("read tags")
            if faults:
                refused = faults.pop(0)
                return Unknown(refused.message, refused)
            return Present(found[0]) if found else Absent(why)

        try:
            return await self._world.outgoing.call("vcenter: read tags", wire)
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)

    async def tags_in_category_fresh(self, category_id: str, *, op_id: str) -> list[str]:
        def inside() -> list[str]:
            return [t.id for t in self._world.tags.values() if t.category_id == category_id]

        return await self._vcenter.call("list tags", inside)

    async def create_category(
        self,
        name: str,
        description: str,
        cardinality: str = "MULTIPLE",
        *,
        category_id: str | None = None,
        op_id: str,
    ) -> Category:
        def effect() -> Category:
            if any(c.name == name for c in self._world.categories.values()):
                raise VSphereError(fault(FaultClass.CONFLICT, "AlreadyExists"))
            made = Category(self._id(category_id, f"cat-{name}"), name, description, cardinality)
            return self._world.categories.setdefault(made.id, made)

        return await self._vcenter.call("create category", effect)

    async def create_tag(
        self, category_id: str, name: str, description: str, *, tag_id: str | None = None, op_id: str
    ) -> Tag:
        def effect() -> Tag:
            if any((t.category_id, t.name) == (category_id, name) for t in self._world.tags.values()):
                raise VSphereError(fault(FaultClass.CONFLICT, "AlreadyExists"))
            made = Tag(self._id(tag_id, f"tag-{category_id}-{name}"), name, description, category_id)
            return self._world.tags.setdefault(made.id, made)

        return await self._vcenter.call("create tag", effect)

    def _id(self, wanted: str | None, own: str) -> str:
        return wanted if wanted and self._world.takes_tag_ids else own

    async def delete_category(self, category_id: str, *, op_id: str) -> None:
        await self._vcenter.call("delete category", lambda: self._world.categories.pop(category_id, None))

    async def delete_tag(self, tag_id: str, *, op_id: str) -> None:
        await self._vcenter.call("delete tag", lambda: self._world.tags.pop(tag_id, None))

    async def attach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        def effect() -> None:
            if any(t not in self._world.tags for t in tag_ids):
                raise VSphereError(fault(FaultClass.CONFLICT, "TagBatchFailed"))
            self._world.attached.update((t, moref) for t in tag_ids)

        await self._vcenter.call("attach tags", effect)

    async def detach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        await self._vcenter.call(
            "detach tags", lambda: self._world.attached.difference_update((t, moref) for t in tag_ids)
        )

    async def attach_to_many(self, tag_id: str, objects: Sequence[MoRef], *, op_id: str) -> None:
        def effect() -> None:
            if self._world.refuse_batch.get("attach to many"):
                raise self._world.refuse_batch["attach to many"].pop(0)
            if tag_id not in self._world.tags:
                raise VSphereError(fault(FaultClass.CONFLICT, "NotFound", kind="vapi.NotFound"))
            self._world.attached.update((tag_id, moref) for moref in objects)

        await self._vcenter.call("attach to many", effect)

    async def detach_from_many(self, tag_id: str, objects: Sequence[MoRef], *, op_id: str) -> None:
        await self._vcenter.call(
            "detach from many",
            lambda: self._world.attached.difference_update((tag_id, moref) for moref in objects),
        )

    async def attached(self, objects: Sequence[MoRef], *, op_id: str) -> dict[MoRef, list[str]]:
        def effect() -> dict[MoRef, list[str]]:
            return {o: sorted(t for t, on in self._world.attached if on == o) for o in objects}

        return await self._vcenter.call("list attached", effect)

    async def attached_objects(self, tag_ids: Sequence[str], *, op_id: str) -> dict[str, list[MoRef]]:
        def effect() -> dict[str, list[MoRef]]:
            return {t: sorted(on for tag, on in self._world.attached if tag == t) for t in tag_ids}

        return await self._vcenter.call("list attached objects", effect)


class FakePolicies:
    def __init__(self, vcenter: FakeVCenter) -> None:
        self._world = vcenter.world

    async def find(self, name_or_id: str, *, op_id: str) -> Answer[Policy]:
        for refused in self._world.refuse.get("read policies", [])[:1]:
            return Unknown(refused.message, refused)
        for name, id_ in self._world.policies.items():
            if name_or_id in (name, id_):
                return Present(Policy(id_, name))
        return Absent("no such policy")

    async def unfit(
        self, policy: Policy, datastores: Iterable[MoRef], *, op_id: str
    ) -> Mapping[MoRef, str] | Unknown:
        return {m: "it says no" for m in datastores if (policy.id, m) in self._world.unfit}


class FakeRights:
    """The user may read everything, unless `World.out_of_sight` says why not."""

    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world

    async def unreadable(self, *, op_id: str) -> Unknown | None:
        try:
            await self._vcenter.call("read rights", lambda: None, mutating=False)
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)
        return Unknown(self._world.out_of_sight) if self._world.out_of_sight else None


class FakeStorageDrs:
    """Recommends the datastore that `World.recommends` names, under keys that are good once."""

    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world
        self._asked: dict[str, tuple[MoRef, CloneRequest, StoragePod]] = {}

    async def recommend(
        self, pod: StoragePod, request: CloneRequest, *, op_id: str
    ) -> Recommended | NotRecommended:
        if not pod.drs_enabled or self._world.recommends is None:
            return NotRecommended("Storage DRS is off")
        chosen = self._world.recommends

        def effect() -> Recommended:
            key = str(len(self._asked))
            self._asked[key] = chosen, request, pod
            return Recommended((Recommendation(key, chosen, 5),))

        return await self._vcenter.call("recommend", effect, mutating=False)

    async def apply(self, key: str, *, op_id: str) -> MoRef:
        """What the placement asked for the new VM is kept as soon as there is one."""
        datastore, request, pod = self._asked[key]
        task = await self._vcenter.vms.clone(replace(request, datastore=datastore), op_id=op_id)
        if pod.automated:
            for vm in self._world.named(request.name):
                self._set(pod.moref, vm.moref, "manual")
            self._world.publish()
        return task

    async def switch_off(self, pod: StoragePod, vm: MoRef, *, op_id: str) -> MoRef:
        def effect() -> MoRef:
            return self._world.start(
                "switch off", pod.moref, lambda: self._set(pod.moref, vm, "manual"), lambda: None
            )

        return await self._vcenter.call("switch off", effect)

    def _set(self, moref: MoRef, vm: MoRef, automation: VmAutomation) -> None:
        pod = self._world.entities[moref]
        assert isinstance(pod, StoragePod)
        self._world.entities[moref] = replace(pod, vm_automation={**pod.vm_automation, vm: automation})


class FakeFiles:
    def __init__(self, vcenter: FakeVCenter) -> None:
        self._vcenter, self._world = vcenter, vcenter.world

    async def upload(self, datacenter: str, datastore: str, path: str, data: bytes, *, op_id: str) -> None:
        def effect() -> None:
            self._world.files.add(f"[{datastore}] {path}")
            self._world.images[f"[{datastore}] {path}"] = data

        await self._vcenter.call("upload", effect)

    async def delete(self, datastore_path: str, datacenter: MoRef, *, op_id: str) -> MoRef:
        def effect() -> MoRef:
            if datastore_path not in self._world.files:
                self._world.break_task.setdefault("delete file", []).append(
                    fault(FaultClass.GONE, "FileNotFound", 30.0, "FileNotFound")
                )
            return self._world.start(
                "delete file", DATASTORE, lambda: self._world.files.discard(datastore_path), lambda: None
            )

        return await self._vcenter.call("delete file", effect)


class FakeVCenters:
    """The pool: one world, however it is asked for. ``logins`` are the users that it takes."""

    def __init__(self, vcenter: FakeVCenter) -> None:
        self.vcenter = vcenter
        self.asked: list[tuple[Endpoint, Credentials]] = []
        self.rejected: Fault | None = None
        self.scopes: dict[str, frozenset[str]] = {}

    def get(self, endpoint: Endpoint, credentials: Credentials) -> Any:
        self.asked.append((endpoint, credentials))
        return self.vcenter

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        return self.rejected

    def retain(self, in_use: set[VCenterId]) -> None:
        pass

    def scope(self, authority: str, datacenters: frozenset[str]) -> None:
        self.scopes[authority] = datacenters


Effect = Callable[[], Awaitable[object]]
