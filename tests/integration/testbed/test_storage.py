"""Disks and datastores of the double: moves, snapshots, names; and identities that clash."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from testbed import VCenter
from tests.integration.testbed.clients import Seat, cloud_init_iso, insert, result

pytestmark = pytest.mark.testbed


@pytest.fixture
def lone(lone_vcenter: VCenter) -> Seat:
    return Seat(lone_vcenter)


@pytest.fixture
def vm(lone: Seat) -> Any:
    return result(lone.clone(lone.find(vim.Folder, "kubernetes"), "mover"))


def _disks(vm: Any) -> list[Any]:
    return [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


def _attach(vm: Any, path: str, mode: str = "persistent") -> Any:
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=path, diskMode=mode, thinProvisioned=True
    )
    disk = vim.vm.device.VirtualDisk(
        key=-5,
        controllerKey=_disks(vm)[0].controllerKey,
        unitNumber=5 + len(_disks(vm)),
        capacityInKB=2**20,
        backing=backing,
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    return _disks(vm)[-1]


def _detach(vm: Any, disk: Any, files: str | None = None) -> Any:
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation=files, device=disk)
    return vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))


def _files(vcenter: VCenter, datastore: str, start: str = "") -> list[str]:
    return [name for name in vcenter.control("/state")["files"][datastore] if name.startswith(start)]


def test_storage_vmotion_takes_all_disks_and_leaves_uploads(
    lone_vcenter: VCenter, lone: Seat, vm: Any
) -> None:
    lone.content.fileManager.MakeDirectory("[LocalDS_0] fcd", lone.datacenter, True)
    _attach(vm, "[LocalDS_0] fcd/volume.vmdk")
    uuids = [disk.backing.uuid for disk in _disks(vm)]
    lone.put("LocalDS_0", "mover/cloud-init.iso", cloud_init_iso())
    result(insert(vm, "[LocalDS_0] mover/cloud-init.iso"))
    source, target = (lone.find(vim.Datastore, name) for name in ("LocalDS_0", "LocalDS_1"))
    free = source.summary.freeSpace, target.summary.freeSpace
    result(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=target)))
    size = sum(disk.capacityInBytes for disk in _disks(vm))
    assert (source.summary.freeSpace, target.summary.freeSpace) == (free[0] + size, free[1] - size)
    assert vm.config.files.vmPathName == "[LocalDS_1] mover/mover.vmx"
    assert vm.summary.config.vmPathName == vm.config.files.vmPathName
    assert [disk.backing.uuid for disk in _disks(vm)] == uuids
    assert [disk.backing.fileName.rpartition("/")[0] for disk in _disks(vm)] == ["[LocalDS_1] mover"] * 2
    assert (vm in target.vm, vm in source.vm, vm.datastore) == (True, False, [target])
    assert _files(lone_vcenter, "LocalDS_0", "mover") == ["mover/", "mover/cloud-init.iso"]
    assert "mover/mover.vmx" in _files(lone_vcenter, "LocalDS_1")
    (drive,) = (d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom))
    assert drive.backing.fileName == "[LocalDS_0] mover/cloud-init.iso"
    result(vm.PowerOnVM_Task())
    result(vm.PowerOffVM_Task())
    assert _files(lone_vcenter, "LocalDS_0", "mover") == ["mover/", "mover/cloud-init.iso"]
    result(vm.Destroy_Task())
    assert not _files(lone_vcenter, "LocalDS_1", "mover")
    assert target.summary.freeSpace == free[1]


def test_a_directory_that_is_there_already_is_not_shared(lone: Seat, vm: Any) -> None:
    lone.content.fileManager.MakeDirectory("[LocalDS_1] mover", lone.datacenter, True)
    result(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=lone.find(vim.Datastore, "LocalDS_1"))))
    assert vm.config.files.vmPathName == "[LocalDS_1] mover_1/mover.vmx"
    result(vm.Destroy_Task())


def test_a_disk_of_a_snapshot_cannot_be_detached(lone_vcenter: VCenter, vm: Any) -> None:
    (own,) = _disks(vm)
    result(vm.CreateSnapshot_Task("before", "", False, False))
    (delta,) = _disks(vm)
    assert delta.backing.parent.fileName == own.backing.fileName
    assert delta.backing.fileName == "[LocalDS_0] mover/mover-000001.vmdk"
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        result(_detach(vm, delta))
    later = _attach(vm, "[LocalDS_0] mover/later.vmdk")
    result(_detach(vm, later))
    assert len(_disks(vm)) == 1
    result(vm.RemoveAllSnapshots_Task())
    assert _disks(vm)[0].backing.fileName == own.backing.fileName
    assert _disks(vm)[0].backing.parent is None
    assert not _files(lone_vcenter, "LocalDS_0", "mover/mover-000001")
    result(_detach(vm, _disks(vm)[0]))


def test_an_independent_disk_is_in_no_snapshot(vm: Any) -> None:
    volume = _attach(vm, "[LocalDS_0] mover/volume.vmdk", "independent_persistent")
    result(vm.CreateSnapshot_Task("before", "", False, False))
    result(_detach(vm, volume))


def test_destroy_takes_the_whole_chain_of_a_disk(lone_vcenter: VCenter, lone: Seat, vm: Any) -> None:
    lone.content.fileManager.MakeDirectory("[LocalDS_0] fcd", lone.datacenter, True)
    free = lone.find(vim.Datastore, "LocalDS_0").summary.freeSpace
    _attach(vm, "[LocalDS_0] fcd/volume.vmdk")
    result(vm.CreateSnapshot_Task("one", "", False, False))
    result(vm.CreateSnapshot_Task("two", "", False, False))
    assert _disks(vm)[1].backing.parent.parent.fileName == "[LocalDS_0] fcd/volume.vmdk"
    snapshot = vm.snapshot.currentSnapshot
    size = _disks(vm)[0].capacityInBytes
    result(vm.Destroy_Task())
    assert _files(lone_vcenter, "LocalDS_0", "fcd") == ["fcd/"]
    assert not _files(lone_vcenter, "LocalDS_0", "mover")
    assert lone.find(vim.Datastore, "LocalDS_0").summary.freeSpace == free + size
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = snapshot.config


def test_the_last_snapshot_to_go_leaves_the_disk_as_it_was(vm: Any) -> None:
    before = _disks(vm)[0].backing.fileName
    first = result(vm.CreateSnapshot_Task("one", "", False, False))
    second = result(vm.CreateSnapshot_Task("two", "", False, False))
    result(second.RemoveSnapshot_Task(False))
    assert _disks(vm)[0].backing.fileName != before
    result(first.RemoveSnapshot_Task(False))
    assert _disks(vm)[0].backing.fileName == before
    assert vm.snapshot is None


def test_a_datastore_can_be_renamed(lone: Seat, vm: Any) -> None:
    datastore = lone.find(vim.Datastore, "LocalDS_0")
    datastore.RenameDatastore("fast")
    assert (datastore.name, datastore.summary.name, datastore.info.name) == ("fast", "fast", "fast")
    assert vm.config.files.vmPathName == "[fast] mover/mover.vmx"
    assert _disks(vm)[0].backing.fileName.startswith("[fast] mover/")
    with pytest.raises(vim.fault.DuplicateName):
        result(datastore.Rename_Task("LocalDS_1"))
    with pytest.raises(vim.fault.InvalidName):
        datastore.RenameDatastore("")
    result(datastore.Rename_Task("faster"))
    assert datastore.name == "faster"
    result(lone.clone(lone.find(vim.Folder, "kubernetes"), "after"))
    result(vm.PowerOnVM_Task())
    result(vm.PowerOffVM_Task())
    result(vm.Destroy_Task())


def test_an_identity_that_another_vm_has_is_replaced(lone: Seat, vm: Any) -> None:
    ours = vm.config.instanceUuid
    foreign = result(lone.clone(lone.find(vim.Folder, "kubernetes"), "foreign"))
    result(foreign.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=ours)))
    assert foreign.config.instanceUuid not in (None, ours)
    assert vm.config.instanceUuid == ours
    free = "4c4c4544-0000-4000-8000-0000000000ff"
    result(foreign.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=free)))
    assert foreign.config.instanceUuid == free
    result(foreign.ReconfigVM_Task(vim.vm.ConfigSpec(uuid=vm.config.uuid)))
    assert foreign.config.uuid == vm.config.uuid  # BIOS UUIDs may repeat
