"""The life of a VM, looked at with somebody else's client."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, TypeVar

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, details, ended
from tests.integration.vsphere.outside import vim, wait_for_task
from vsphere_operator.vsphere import identity, ownership
from vsphere_operator.vsphere.answers import Absent, Present
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import (
    Change,
    ComputeCluster,
    Datacenter,
    Datastore,
    Network,
    VmEntity,
)
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import Proof, VmMark
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Succeeded
from vsphere_operator.vsphere.vcenters import VCenter
from vsphere_operator.vsphere.vm_details import VmDetails
from vsphere_operator.vsphere.vms import CloneRequest

T = TypeVar("T")
USER_DATA = base64.b64encode(b"#cloud-config\n").decode()
SLOW_CLONES = ("-clone-ms=1500",)
WATCHING = {"WaitForUpdatesEx", "ModifyListView", "CancelWaitForUpdates"}


def only(answer: Any, kind: type[T]) -> T:
    assert isinstance(answer, Present), answer
    assert isinstance(answer.value, kind)
    return answer.value


class Site:
    """Where the tests put their VMs."""

    def __init__(self, vcenter: VCenter) -> None:
        inventory = vcenter.inventory
        self.datacenter = only(inventory.datacenter("DC0"), Datacenter)
        self.cluster = only(
            inventory.compute_cluster("DC0_C0", datacenter=self.datacenter.moref), ComputeCluster
        )
        self.folder = only(inventory.by_path("/DC0/vm/kubernetes"), object).moref  # type: ignore[attr-defined]
        self.datastore = only(
            inventory.lookup("Datastore", "LocalDS_0", datacenter=self.datacenter.moref), Datastore
        )
        network = only(inventory.lookup("Network", "VM Network", datacenter=self.datacenter.moref), Network)
        self.network = only(inventory.network_ref(network.moref), object)
        self.vcenter = vcenter

    def template(self, name: str) -> VmEntity:
        return only(self.vcenter.inventory.lookup(VmEntity, name, datacenter=self.datacenter.moref), VmEntity)

    async def request(self, name: str, *, template: str = "ubuntu-22.04", **changes: Any) -> CloneRequest:
        source = self.template(template)
        uuid = identity.instance_uuid(name)
        mark = VmMark("seed-1", "cluster-1", name, f"team-shop/{name}", uuid)
        fields: dict[str, Any] = {
            "template": source.moref,
            "folder": self.folder,
            "name": name,
            "pool": self.cluster.root_pool,
            "datastore": self.datastore.moref,
            "cpus": 4,
            "memory_mib": 8192,
            "disk_gib": 40,
            "networks": (self.network,),
            "instance_uuid": uuid,
            "template_details": await details(self.vcenter, source.moref),
            "extra_config": mark.as_extra_config(),
        }
        extra = changes.pop("extra", {})
        return CloneRequest(**{**fields, **changes, "extra_config": {**fields["extra_config"], **extra}})

    async def clone(self, request: CloneRequest) -> MoRef:
        state = await ended(self.vcenter, await self.vcenter.vms.clone(request, op_id=request.name))
        assert isinstance(state, Succeeded), state
        assert state.result is not None
        made = state.result
        await becomes(lambda: getattr(self.vcenter.inventory.vm(made), "config_ready", False))
        return made


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


def look(service: Any, moref: MoRef) -> Any:
    return vim.VirtualMachine(moref.partition(":")[2], service._stub)


async def test_a_machine_boots_from_its_iso(site: Site, vcenter: VCenter, outsider: Any) -> None:
    made = await site.clone(await site.request("iso-1", needs_cdrom=True))
    vm = await details(vcenter, made)
    assert isinstance(
        ownership.proves(
            vm, installation="seed-1", machine_id="iso-1", instance_uuid=identity.instance_uuid("iso-1")
        ),
        Proof,
    )
    assert vm.power_state == "poweredOff"
    assert vm.directory is not None
    iso = f"{vm.directory}/cloud-init.iso"
    await vcenter.files.upload("DC0", "LocalDS_0", iso.partition("] ")[2], b"I" * 70_000, op_id="iso-1")
    assert await vcenter.files.size_fresh(iso, datacenter="DC0", op_id="test") == Present(70_000)
    assert await ended(vcenter, await vcenter.vms.attach_iso(vm, iso, op_id="iso-1")) == Succeeded()
    on = await vcenter.vms.power_on(made, site.datacenter.moref, op_id="iso-1")
    assert await ended(vcenter, on) == Succeeded()
    await becomes(lambda: getattr(vcenter.inventory.vm(made), "power_state", "") == "poweredOn")

    config, runtime = await asyncio.to_thread(
        lambda: (look(outsider, made).config, look(outsider, made).runtime)
    )
    assert (config.hardware.numCPU, config.hardware.memoryMB) == (4, 8192)
    assert config.instanceUuid == identity.instance_uuid("iso-1")
    disks = [d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]
    assert [d.capacityInKB for d in disks] == [40 * 1024 * 1024]
    nics = [d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard)]
    assert [type(n).__name__ for n in nics] == ["vim.vm.device.VirtualVmxnet3"]
    drives = [d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom)]
    assert [d.backing.fileName for d in drives] == [iso]
    assert runtime.powerState == "poweredOn"


async def test_a_machine_boots_from_guestinfo(site: Site, vcenter: VCenter, outsider: Any) -> None:
    data = {"guestinfo.ignition.config.data": USER_DATA, "guestinfo.ignition.config.data.encoding": "base64"}
    request = await site.request("guestinfo-1", template="flatcar-stable", extra=data, vapp_properties=data)
    made = await site.clone(request)
    assert (
        await ended(vcenter, await vcenter.vms.power_on(made, site.datacenter.moref, op_id="x"))
        == Succeeded()
    )
    config = await asyncio.to_thread(lambda: look(outsider, made).config)
    options = {o.key: o.value for o in config.extraConfig}
    assert options["guestinfo.ignition.config.data"] == USER_DATA
    assert options[ownership.MACHINE] == "guestinfo-1"


async def test_without_drs_a_machine_is_powered_on_at_a_host_that_we_choose(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    lone = only(vcenter.inventory.compute_cluster("DC0_H0", datacenter=site.datacenter.moref), ComputeCluster)
    assert not lone.drs_enabled
    made = await site.clone(await site.request("lone-1", pool=lone.root_pool))
    on = await vcenter.vms.power_on(made, site.datacenter.moref, op_id="lone-1")
    assert await ended(vcenter, on) == Succeeded()
    assert [c["method"] for c in double.calls(opID="userclusters-lone-1") if "Power" in c["method"]] == [
        "PowerOnVM_Task"
    ]
    vm = await becomes(lambda: (v := vcenter.inventory.vm(made)) and v.power_state == "poweredOn" and v)
    assert vm.host in lone.hosts


async def test_the_copy_knows_our_mark_and_the_guests_addresses(site: Site, vcenter: VCenter) -> None:
    data = {"guestinfo.userdata": USER_DATA}
    made = await site.clone(await site.request("addresses-1", extra=data))
    await vcenter.vms.power_on(made, site.datacenter.moref, op_id="x")
    vm = await becomes(
        lambda: (v := vcenter.inventory.vm(made)) and v.addresses and v.tools_running and v.extra_config and v
    )
    assert isinstance(vm, VmEntity)
    assert set(vm.extra_config) == set(ownership.KEYS)
    assert [
        v.moref for v in vcenter.inventory.vms_by_instance_uuid(identity.instance_uuid("addresses-1"))
    ] == [made]


async def test_a_drive_is_added_to_a_template_without_one(site: Site, vcenter: VCenter) -> None:
    made = await site.clone(await site.request("drive-1", template="no-cdrom", needs_cdrom=True))
    assert len((await details(vcenter, made)).cdroms) == 1


async def test_a_vm_that_is_being_cloned_gets_its_configuration_once(
    site: Site, vcenter: VCenter, changes: list[Change]
) -> None:
    made = await site.clone(await site.request("growing-1"))
    states = [c.new.config_ready for c in changes if c.moref == made and isinstance(c.new, VmEntity)]
    assert states[-1] is True
    assert states == sorted(states)


async def test_a_taken_name_names_what_has_it(site: Site, vcenter: VCenter) -> None:
    made = await site.clone(await site.request("twice"))
    request = await site.request("twice")
    try:
        state = await ended(vcenter, await vcenter.vms.clone(request, op_id="x"))
    except VSphereError as error:
        state = Failed(error.fault)
    assert isinstance(state, Failed)
    assert (state.fault.reason, state.fault.object) == ("NameTaken", made)


async def test_a_machine_goes_and_its_absence_is_proven(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    vms = vcenter.vms
    made = await site.clone(await site.request("gone-1"))
    assert await ended(vcenter, await vms.power_on(made, site.datacenter.moref, op_id="x")) == Succeeded()
    assert await ended(vcenter, await vms.power_off(made, op_id="x")) == Succeeded()
    assert await ended(vcenter, await vms.destroy(made, op_id="x")) == Succeeded()
    answer = await vms.read(made, op_id="x")
    assert isinstance(answer, Absent)
    assert str(vcenter.instance_uuid) in answer.proof
    await becomes(lambda: vcenter.inventory.get(made) is None)
    template = await details(vcenter, site.template("ubuntu-22.04").moref)
    assert len(template.disks) == 1


def add_disk(service: Any, vm: VmDetails) -> None:
    """What a volume attached by somebody else looks like."""
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=vm.disks[0].controller_key,
        unitNumber=5,
        capacityInKB=1024 * 1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", diskMode="persistent", thinProvisioned=True
        ),
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    wait_for_task(look(service, vm.moref).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


async def test_a_disk_that_is_taken_off_keeps_its_file(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    made = await site.clone(await site.request("disk-1"))
    own = await details(vcenter, made)
    await asyncio.to_thread(add_disk, outsider, own)
    vm = await details(vcenter, made)
    (foreign,) = [disk for disk in vm.disks if disk.key not in {d.key for d in own.disks}]
    assert foreign.file
    detach = await vcenter.vms.detach_disks(vm, [foreign.key], op_id="x")
    assert await ended(vcenter, detach) == Succeeded()
    assert (await details(vcenter, made)).disks == own.disks
    assert foreign.file.partition("] ")[2] in double.control("/state")["files"]["LocalDS_0"]


async def test_a_vm_that_changed_since_it_was_read_keeps_its_disks(
    site: Site, vcenter: VCenter, outsider: Any
) -> None:
    stale = await details(vcenter, await site.clone(await site.request("disk-3")))
    await asyncio.to_thread(add_disk, outsider, stale)
    try:
        state = await ended(vcenter, await vcenter.vms.detach_disks(stale, [stale.disks[0].key], op_id="x"))
    except VSphereError as error:
        state = Failed(error.fault)
    assert isinstance(state, Failed)
    assert state.fault.fault_class is FaultClass.CONFLICT
    assert len((await details(vcenter, stale.moref)).disks) == 2


async def test_a_disk_that_is_not_there_is_refused_before_any_call(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    vm = await details(vcenter, await site.clone(await site.request("disk-2")))
    with pytest.raises(VSphereError) as caught:
        await vcenter.vms.detach_disks(vm, [4711], op_id="refused")
    assert caught.value.fault.reason == "DiskUnknown"
    assert double.calls(opID="userclusters-refused") == []


async def test_a_task_of_an_earlier_process_is_followed_on(
    site: Site, vcenter: VCenter, pool: Any, endpoint: Any
) -> None:
    from tests.integration.vsphere.conftest import OUTSIDER
    from vsphere_operator.vsphere.endpoint import Credentials

    ref = await vcenter.vms.clone(await site.request("restart-1"), op_id="x")
    later = pool.get(endpoint, Credentials(*OUTSIDER))
    later.tasks.follow(ref)
    assert isinstance(await ended(later, ref), Succeeded)


async def test_a_task_that_vcenter_does_not_know_is_forgotten(vcenter: VCenter) -> None:
    vcenter.tasks.follow(MoRef("Task:task-999999"))
    assert await ended(vcenter, MoRef("Task:task-999999")) == Forgotten()


@pytest.mark.parametrize("flags", [SLOW_CLONES])
async def test_a_clone_in_flight_is_seen_by_others(
    site: Site, vcenter: VCenter, pool: Any, endpoint: Any
) -> None:
    from tests.integration.vsphere.conftest import OUTSIDER
    from vsphere_operator.vsphere.endpoint import Credentials

    other = pool.get(endpoint, Credentials(*OUTSIDER))
    await becomes(lambda: other.ready)
    request = await site.request("flight-1")
    ref = await vcenter.vms.clone(request, op_id="x")
    flying = await becomes(lambda: other.tasks.clones_in_flight(request.template))
    assert [t.ref for t in flying] == [ref]
    assert await ended(vcenter, ref) is not None
    await becomes(lambda: not other.tasks.clones_in_flight())


async def test_files_that_are_not_there_are_absent(vcenter: VCenter) -> None:
    answer = await vcenter.files.size_fresh("[LocalDS_0] nix/cloud-init.iso", datacenter="DC0", op_id="x")
    assert isinstance(answer, Absent)


async def test_an_uploaded_file_is_deleted(site: Site, vcenter: VCenter) -> None:
    vm = await details(vcenter, await site.clone(await site.request("file-1")))
    iso = f"{vm.directory}/cloud init.iso"
    await vcenter.files.upload("DC0", "LocalDS_0", iso.partition("] ")[2], b"x", op_id="x")
    assert await vcenter.files.size_fresh(iso, datacenter="DC0", op_id="x") == Present(1)
    assert (
        await ended(vcenter, await vcenter.files.delete(iso, site.datacenter.moref, op_id="x")) == Succeeded()
    )
    assert isinstance(await vcenter.files.size_fresh(iso, datacenter="DC0", op_id="x"), Absent)


@pytest.mark.parametrize(("delivery", "calls", "tasks"), [("guestinfo", 6, 2), ("iso", 9, 3)])
async def test_a_create_stays_within_its_budget(
    site: Site, vcenter: VCenter, double: Double, delivery: str, calls: int, tasks: int
) -> None:
    """Counted without the waits that all machines share."""
    request_again = await site.request("warm")
    del request_again
    before = max(c["sequence"] for c in double.calls())
    request = await site.request(
        "budget-1", needs_cdrom=delivery == "iso", extra={"guestinfo.userdata": USER_DATA}
    )
    made = await site.clone(request)
    vm = await details(vcenter, made)
    if delivery == "iso":
        iso = f"{vm.directory}/cloud-init.iso"
        await vcenter.files.upload("DC0", "LocalDS_0", iso.partition("] ")[2], b"x", op_id="x")
        await ended(vcenter, await vcenter.vms.attach_iso(vm, iso, op_id="x"))
    await ended(vcenter, await vcenter.vms.power_on(made, site.datacenter.moref, op_id="x"))
    made_calls = [c["method"] for c in double.calls(since=before) if c["method"] not in WATCHING]
    assert len(made_calls) <= calls, made_calls
    assert len([m for m in made_calls if m.endswith("_Task")]) == tasks
