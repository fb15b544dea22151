"""Datastores and datastore clusters in the double: what Storage DRS recommends, holds and carries out."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import urllib.error
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from testbed import Options, TestBed
from tests.integration.testbed.clients import Seat, connect, eventually, result

pytestmark = pytest.mark.testbed

POD = "DC0_POD0"
TENANT = ("tenant@vsphere.local", "tenant-1!")
CLONING = (
    "System.View",
    "System.Read",
    "VirtualMachine.Provisioning.DeployTemplate",
    "VirtualMachine.Inventory.CreateFromExisting",
    "VirtualMachine.Config.CPUCount",
    "Resource.AssignVMToPool",
    "Datastore.AllocateSpace",
)
DATASTORES = [f"LocalDS_{n}" for n in range(1, 6)]
FRESH = {
    "capacityGB": 500,
    "freeGB": 500,
    "accessible": True,
    "maintenanceMode": "normal",
    "mountedBy": ["DC0_C0", "DC0_C1", "DC0_H0"],
}


@pytest.fixture(scope="module")
def seat() -> Iterator[Seat]:
    """A vCenter with two compute clusters and five equal datastores in one datastore cluster."""
    options = Options(vms=1, pods=1, datastores=6, datastore_gb=500, clusters=2, users=(TENANT,))
    with TestBed(options) as bed:
        seat = Seat(bed.info.vcenter)
        yield seat
        Disconnect(seat.instance)


@pytest.fixture(autouse=True)
def untouched(seat: Seat) -> Iterator[None]:
    yield
    for name in DATASTORES:
        _datastore(seat, name, **FRESH)
    _pod(seat, enabled=True, moves="", keySeconds=300, behavior="automated")


def _datastore(seat: Seat, name: str, **change: Any) -> None:
    seat.vcenter.control("/datastores", {"name": name, **change})


def _pod(seat: Seat, **change: Any) -> None:
    seat.vcenter.control("/storage-pods", {"name": POD, **change})


def _spec(seat: Seat, folder: vim.Folder, cluster: str | None = "DC0_C0", **more: Any) -> Any:
    pool = seat.find(vim.ClusterComputeResource, cluster).resourcePool if cluster else None
    arguments: dict[str, Any] = {
        "type": "clone",
        "vm": seat.find(vim.VirtualMachine, "ubuntu-22.04"),
        "cloneName": f"placed-{uuid.uuid4()}",
        "folder": folder,
        "cloneSpec": vim.vm.CloneSpec(
            location=vim.vm.RelocateSpec(pool=pool), powerOn=False, config=vim.vm.ConfigSpec(numCPUs=3)
        ),
        "podSelectionSpec": vim.storageDrs.PodSelectionSpec(storagePod=seat.find(vim.StoragePod, POD)),
    }
    return vim.storageDrs.StoragePlacementSpec(**arguments | more)


def _recommend(seat: Seat, spec: Any) -> Any:
    return seat.content.storageResourceManager.RecommendDatastores(spec)


def _apply(seat: Seat, key: str) -> Any:
    return seat.content.storageResourceManager.ApplyStorageDrsRecommendation_Task([key])


def _targets(answer: Any) -> list[str]:
    return [one.action[-1].destination.name for one in answer.recommendations]


def _faults(answer: Any) -> list[type]:
    return [type(fault) for by_vm in answer.drsFault.faultsByVm for fault in by_vm.fault]


def _free(seat: Seat, name: str) -> int:
    return int(seat.find(vim.Datastore, name).summary.freeSpace)


@pytest.fixture
def folder(seat: Seat) -> Iterator[vim.Folder]:
    made = seat.find(vim.Folder, "kubernetes").CreateFolder(f"test-{uuid.uuid4()}")
    yield made
    result(made.Destroy_Task())


def test_the_emptiest_datastore_comes_first_with_its_reasons(seat: Seat, folder: vim.Folder) -> None:
    _datastore(seat, "LocalDS_3", freeGB=499)
    _datastore(seat, "LocalDS_2", freeGB=100)
    for name in ("LocalDS_1", "LocalDS_4", "LocalDS_5"):
        _datastore(seat, name, freeGB=300)
    answer = _recommend(seat, _spec(seat, folder))
    assert _targets(answer) == ["LocalDS_3", "LocalDS_1", "LocalDS_4", "LocalDS_5", "LocalDS_2"]
    ratings = [one.rating for one in answer.recommendations]
    assert ratings == sorted(ratings, reverse=True)
    worst = answer.recommendations[-1]
    (action,) = worst.action
    assert isinstance(action, vim.storageDrs.StoragePlacementAction)
    assert worst.reason == "storagePlacement"
    assert worst.reasonText
    assert worst.target.name == POD
    assert action.relocateSpec.datastore == action.destination
    assert action.spaceUtilBefore == pytest.approx(80)
    assert action.spaceUtilAfter == pytest.approx(82)  # ten of 500 GB


@pytest.mark.parametrize("behavior", ["manual", "automated"])
def test_an_applied_recommendation_is_the_clone_that_was_asked_for(
    seat: Seat, folder: vim.Folder, behavior: str
) -> None:
    _pod(seat, behavior=behavior)
    spec = _spec(seat, folder)
    best = _recommend(seat, spec).recommendations[0]
    task = _apply(seat, best.key)
    assert task.info.descriptionId == "StorageResourceManager.applyRecommendation"
    assert task.info.entity.name == POD
    vm = result(task).vm
    assert isinstance(task.info.result, vim.storageDrs.ApplyRecommendationResult)
    assert (vm.name, vm.parent, vm.config.hardware.numCPU) == (spec.cloneName, folder, 3)
    assert list(vm.datastore) == [best.action[0].destination]
    assert vm.runtime.powerState == "poweredOff"
    result(vm.Destroy_Task())


def test_the_clone_inside_is_a_task_of_its_own(seat: Seat, folder: vim.Folder) -> None:
    task = _apply(seat, _recommend(seat, _spec(seat, folder)).recommendations[0].key)

    def clone() -> Any:
        recent = seat.content.taskManager.recentTask
        return next((one for one in recent if one.info.parentTaskKey == task.info.key), None)

    inner = eventually(clone)
    assert inner.info.descriptionId == "VirtualMachine.clone"
    assert inner.info.entity.name == "ubuntu-22.04"
    assert result(inner) == result(task).vm


def test_a_vm_can_be_created_by_recommendation_too(seat: Seat, folder: vim.Folder) -> None:
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=-2,
        unitNumber=0,
        capacityInKB=20 << 20,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", fileName=""),
    )
    scsi = vim.vm.device.ParaVirtualSCSIController(key=-2, busNumber=0, sharedBus="noSharing")
    devices = [
        vim.vm.device.VirtualDeviceSpec(operation="add", device=scsi),
        vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk),
    ]
    pod = seat.find(vim.StoragePod, POD)
    locator = vim.storageDrs.PodSelectionSpec.DiskLocator(diskId=-1, diskBackingInfo=disk.backing)
    placement = vim.storageDrs.PodSelectionSpec.VmPodConfig(storagePod=pod, disk=[locator])
    spec = vim.storageDrs.StoragePlacementSpec(
        type="create",
        folder=folder,
        resourcePool=seat.pool,
        configSpec=vim.vm.ConfigSpec(name="made", guestId="otherGuest", deviceChange=devices),
        podSelectionSpec=vim.storageDrs.PodSelectionSpec(storagePod=pod, initialVmConfig=[placement]),
    )
    best = _recommend(seat, spec).recommendations[0]
    vm = result(_apply(seat, best.key)).vm
    assert vm.name == "made"
    assert list(vm.datastore) == [best.action[0].destination]


def test_requests_without_leases_may_all_get_the_same_datastore(seat: Seat, folder: vim.Folder) -> None:
    answers = [_recommend(seat, _spec(seat, folder)) for _ in range(5)]
    assert len({_targets(answer)[0] for answer in answers}) == 1


def test_a_lease_holds_space_until_it_is_cancelled_or_runs_out(seat: Seat, folder: vim.Folder) -> None:
    leased = [_recommend(seat, _spec(seat, folder, resourceLeaseDurationSec=60)) for _ in range(5)]
    assert sorted(_targets(answer)[0] for answer in leased) == DATASTORES
    keys = [answer.recommendations[0].key for answer in leased]
    seat.content.storageResourceManager.CancelStorageDrsRecommendation(keys)
    first = _targets(_recommend(seat, _spec(seat, folder, resourceLeaseDurationSec=1)))[0]
    assert first == "LocalDS_1"
    assert _targets(_recommend(seat, _spec(seat, folder)))[0] == "LocalDS_2"
    eventually(lambda: _targets(_recommend(seat, _spec(seat, folder)))[0] == "LocalDS_1")


def test_a_lease_ends_with_the_clone_that_it_was_for(seat: Seat, folder: vim.Folder) -> None:
    answer = _recommend(seat, _spec(seat, folder, resourceLeaseDurationSec=60))
    vm = result(_apply(seat, answer.recommendations[0].key)).vm
    result(vm.Destroy_Task())
    assert _targets(_recommend(seat, _spec(seat, folder)))[0] == _targets(answer)[0]


def test_a_key_is_good_for_once_and_not_for_ever(seat: Seat, folder: vim.Folder) -> None:
    first, second = _recommend(seat, _spec(seat, folder)).recommendations[:2]
    result(_apply(seat, first.key))
    for key in (first.key, "0", "no-key"):
        with pytest.raises(vmodl.fault.InvalidArgument):
            _apply(seat, key)
    with pytest.raises(vim.fault.DuplicateName):  # the other one is still there, and its VM is not
        result(_apply(seat, second.key))
    _pod(seat, keySeconds=0)
    old = _recommend(seat, _spec(seat, folder)).recommendations[0].key
    with pytest.raises(vmodl.fault.InvalidArgument):
        _apply(seat, old)


@pytest.mark.parametrize(
    "change",
    [{"maintenanceMode": "inMaintenance"}, {"maintenanceMode": "enteringMaintenance"}, {"accessible": False}],
)
def test_what_takes_no_vms_is_not_recommended(seat: Seat, folder: vim.Folder, change: dict[str, Any]) -> None:
    before = _recommend(seat, _spec(seat, folder))
    first = _targets(before)[0]
    _datastore(seat, first, **change)
    assert first not in _targets(_recommend(seat, _spec(seat, folder)))
    fault = vim.fault.InaccessibleDatastore if "accessible" in change else vim.fault.InvalidDatastoreState
    with pytest.raises(fault):
        result(_apply(seat, before.recommendations[0].key))
    location = vim.vm.RelocateSpec(pool=seat.pool, datastore=seat.find(vim.Datastore, first))
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    with pytest.raises(fault):
        result(template.CloneVM_Task(folder, "refused", vim.vm.CloneSpec(location=location)))
    assert not folder.childEntity


def test_a_full_cluster_says_that_there_is_no_space(seat: Seat, folder: vim.Folder) -> None:
    for name in DATASTORES:
        _datastore(seat, name, freeGB=5)
    answer = _recommend(seat, _spec(seat, folder))
    assert (list(answer.recommendations), _faults(answer)) == ([], [vim.fault.InsufficientStorageSpace])


def test_a_bigger_disk_in_the_clone_counts(seat: Seat, folder: vim.Folder) -> None:
    spec = _spec(seat, folder)
    disk = next(d for d in spec.vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    disk.capacityInKB, disk.capacityInBytes = 600 << 20, 600 << 30  # type: ignore[assignment]
    spec.cloneSpec.config.deviceChange = [vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)]
    assert _faults(_recommend(seat, spec)) == [vim.fault.InsufficientStorageSpace]


def test_nothing_compatible_is_a_fault_of_its_own(seat: Seat, folder: vim.Folder) -> None:
    for name in DATASTORES:
        _datastore(seat, name, maintenanceMode="inMaintenance")
    assert _faults(_recommend(seat, _spec(seat, folder))) == [vim.fault.NoCompatibleDatastore]


def test_a_cluster_without_storage_drs_recommends_nothing(seat: Seat, folder: vim.Folder) -> None:
    _pod(seat, enabled=False)
    answer = _recommend(seat, _spec(seat, folder))
    assert (list(answer.recommendations), answer.drsFault) == ([], None)
    assert not seat.find(vim.StoragePod, POD).podStorageDrsEntry.storageDrsConfig.podConfig.enabled


def test_moves_of_others_come_first_unless_they_are_refused(seat: Seat, folder: vim.Folder) -> None:
    other = result(_apply(seat, _recommend(seat, _spec(seat, folder)).recommendations[0].key)).vm
    _pod(seat, moves="first")
    best, following = _recommend(seat, _spec(seat, folder)).recommendations[:2]
    move, placement = best.action
    assert isinstance(move, vim.storageDrs.StorageMigrationAction)
    assert (move.vm, move.source) == (other, other.datastore[0])
    assert isinstance(placement, vim.storageDrs.StoragePlacementAction)
    assert len(following.action) == 1
    refused = _recommend(seat, _spec(seat, folder, disallowPrerequisiteMoves=True))
    assert all(len(one.action) == 1 for one in refused.recommendations)
    _pod(seat, moves="all")
    answer = _recommend(seat, _spec(seat, folder, disallowPrerequisiteMoves=True))
    assert _faults(answer) == [vim.fault.CannotPlaceWithoutPrerequisiteMoves]
    result(_apply(seat, best.key))
    assert list(other.datastore) == [move.destination]


def test_each_compute_cluster_gets_what_its_hosts_mount(seat: Seat, folder: vim.Folder) -> None:
    for name in ("LocalDS_1", "LocalDS_2"):
        _datastore(seat, name, mountedBy=["DC0_C1"])
    _datastore(seat, "LocalDS_3", mountedBy=["DC0_C0_H1"])
    assert _targets(_recommend(seat, _spec(seat, folder, "DC0_C0"))) == [
        "LocalDS_4", "LocalDS_5", "LocalDS_3",
    ]  # fmt: skip
    assert _targets(_recommend(seat, _spec(seat, folder, "DC0_C1")))[:2] == ["LocalDS_1", "LocalDS_2"]
    host = seat.find(vim.HostSystem, "DC0_C0_H0")
    assert seat.find(vim.Datastore, "LocalDS_3") not in host.datastore
    partly = seat.find(vim.Datastore, "LocalDS_3")
    location = vim.vm.RelocateSpec(pool=seat.pool, datastore=partly)
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    vm = result(template.CloneVM_Task(folder, "there", vim.vm.CloneSpec(location=location)))
    assert vm.runtime.host.name == "DC0_C0_H1"
    location = vim.vm.RelocateSpec(pool=seat.pool, datastore=seat.find(vim.Datastore, "LocalDS_1"))
    with pytest.raises(vim.fault.InvalidDatastore):
        result(template.CloneVM_Task(folder, "nowhere", vim.vm.CloneSpec(location=location)))


def test_with_several_compute_clusters_the_request_must_say_which(seat: Seat, folder: vim.Folder) -> None:
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        _recommend(seat, _spec(seat, folder, cluster=None))
    assert caught.value.invalidProperty == "spec.host"


@pytest.mark.parametrize("missing", ["vm", "cloneName", "cloneSpec", "folder"])
def test_a_clone_needs_all_of_its_arguments(seat: Seat, folder: vim.Folder, missing: str) -> None:
    spec = _spec(seat, folder)
    setattr(spec, missing, None)
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        _recommend(seat, spec)
    assert caught.value.invalidProperty == missing


def test_a_cluster_sums_up_its_datastores_and_tells_of_changes(seat: Seat, folder: vim.Folder) -> None:
    pod = seat.find(vim.StoragePod, POD)
    _datastore(seat, "LocalDS_5", capacityGB=900, freeGB=800)
    assert seat.find(vim.Datastore, "LocalDS_5").summary.capacity == 900 << 30
    assert pod.summary.capacity == (4 * 500 + 900) << 30
    before = pod.summary.freeSpace
    vm = result(_apply(seat, _recommend(seat, _spec(seat, folder)).recommendations[0].key)).vm
    eventually(lambda: before - pod.summary.freeSpace == 10 << 30)
    result(vm.Destroy_Task())
    eventually(lambda: before == pod.summary.freeSpace)


@pytest.mark.parametrize(
    "body",
    [{"name": "none"}, {"name": "LocalDS_1", "maintenanceMode": "x"}, {"name": "LocalDS_1", "size": 1}],
)
def test_a_change_that_makes_no_sense_is_refused(seat: Seat, body: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError):
        seat.vcenter.control("/datastores", body)


def _allow(seat: Seat, *privileges: str) -> None:
    role = {"entity": "/", "privileges": privileges, "propagate": True}
    seat.vcenter.control("/rights", {"user": TENANT[0], "roles": [role]})


def test_applying_needs_a_right_on_the_cluster_and_those_of_the_clone(seat: Seat, folder: vim.Folder) -> None:
    instance = connect(seat.vcenter, *TENANT)
    manager = instance.RetrieveContent().storageResourceManager
    try:
        _allow(seat, *CLONING)
        key = manager.RecommendDatastores(_spec(seat, folder)).recommendations[0].key
        with pytest.raises(vim.fault.NoPermission) as caught:
            manager.ApplyStorageDrsRecommendation_Task([key])
        assert caught.value.privilegeId == "Resource.ApplyRecommendation"
        assert caught.value.object._moId == seat.find(vim.StoragePod, POD)._moId
        _allow(seat, "Resource.ApplyRecommendation", *(p for p in CLONING if not p.startswith("Datastore")))
        with pytest.raises(vim.fault.NoPermission) as caught:
            manager.ApplyStorageDrsRecommendation_Task([key])
        assert caught.value.privilegeId == "Datastore.AllocateSpace"
        _allow(seat, "Resource.ApplyRecommendation", *CLONING)
        result(manager.ApplyStorageDrsRecommendation_Task([key]))
    finally:
        Disconnect(instance)


def _entries(seat: Seat) -> list[Any]:
    return list(seat.find(vim.StoragePod, POD).podStorageDrsEntry.storageDrsConfig.vmConfig)


def _configure(content: Any, seat: Seat, operation: str, vm: Any, *, modify: bool = True, **info: Any) -> Any:
    change = vim.storageDrs.VmConfigSpec(operation=operation, info=vim.storageDrs.VmConfigInfo(vm=vm, **info))
    return content.storageResourceManager.ConfigureStorageDrsForPod_Task(
        seat.find(vim.StoragePod, POD), vim.storageDrs.ConfigSpec(vmConfigSpec=[change]), modify
    )


def _with_own(seat: Seat, folder: vim.Folder, **own: Any) -> Any:
    pod = seat.find(vim.StoragePod, POD)
    initial = vim.storageDrs.PodSelectionSpec.VmPodConfig(
        storagePod=pod, vmConfig=vim.storageDrs.VmConfigInfo(**own)
    )
    selection = vim.storageDrs.PodSelectionSpec(storagePod=pod, initialVmConfig=[initial])
    return _spec(seat, folder, podSelectionSpec=selection)


def test_what_a_placement_says_of_its_vm_is_kept_until_the_vm_is_destroyed(
    seat: Seat, folder: vim.Folder
) -> None:
    best = _recommend(seat, _with_own(seat, folder, behavior="manual")).recommendations[0]
    assert not _entries(seat)
    vm = result(_apply(seat, best.key)).vm
    (entry,) = _entries(seat)
    assert (entry.vm, entry.behavior, entry.enabled) == (vm, "manual", None)
    result(vm.Destroy_Task())
    assert not _entries(seat)


def test_a_vm_that_excludes_itself_is_not_placed(seat: Seat, folder: vim.Folder) -> None:
    answer = _recommend(seat, _with_own(seat, folder, enabled=False))
    assert not answer.recommendations
    assert _faults(answer) == [vim.fault.StorageDrsDisabledOnVm]


def test_single_vms_are_configured_and_all_others_stay(seat: Seat, folder: vim.Folder) -> None:
    one, two = (
        result(_apply(seat, _recommend(seat, _spec(seat, folder)).recommendations[0].key)).vm for _ in "12"
    )
    result(_configure(seat.content, seat, "add", one, behavior="manual", intraVmAffinity=False))
    task = _configure(seat.content, seat, "add", two, enabled=False)
    assert task.info.descriptionId == "StorageResourceManager.configureStorageDrsForPod"
    result(task)
    result(_configure(seat.content, seat, "edit", one, behavior="automated"))
    told = {e.vm: (e.enabled, e.behavior, e.intraVmAffinity) for e in _entries(seat)}
    assert told == {one: (None, "automated", False), two: (False, None, None)}
    for operation, vm in (("add", one), ("edit", seat.find(vim.VirtualMachine, "ubuntu-22.04"))):
        with pytest.raises(vmodl.fault.InvalidArgument):
            result(_configure(seat.content, seat, operation, vm, behavior="manual"))
    result(_configure(seat.content, seat, "add", one, modify=False, behavior="manual"))
    assert [e.vm for e in _entries(seat)] == [one]


def test_configuring_needs_a_right_on_the_cluster(seat: Seat, folder: vim.Folder) -> None:
    vm = result(_apply(seat, _recommend(seat, _spec(seat, folder)).recommendations[0].key)).vm
    instance = connect(seat.vcenter, *TENANT)
    try:
        _allow(seat, *CLONING, "Resource.ApplyRecommendation")
        with pytest.raises(vim.fault.NoPermission) as caught:
            _configure(instance.RetrieveContent(), seat, "add", vm, behavior="manual")
        assert caught.value.privilegeId == "StoragePod.Config"
        _allow(seat, *CLONING, "StoragePod.Config")
        result(_configure(instance.RetrieveContent(), seat, "add", vm, behavior="manual"))
    finally:
        Disconnect(instance)
