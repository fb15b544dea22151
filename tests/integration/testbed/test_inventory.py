"""What is in the double's inventory, and that pyVmomi can read it."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import pytest
import requests
from pyVmomi import vim, vmodl

from testbed import Options, TestBed
from tests.integration.testbed.clients import Seat, connect, http_session, result

pytestmark = pytest.mark.testbed


def test_it_says_that_it_is_a_current_vcenter(seat: Seat) -> None:
    about = seat.content.about
    assert (about.apiType, about.version, about.apiVersion) == ("VirtualCenter", "8.0.3", "8.0.3.0")
    assert seat.instance._stub.version == "vim.version.v8_0_3_0"


def test_a_wrong_password_is_an_invalid_login(test_bed: TestBed) -> None:
    with pytest.raises(vim.fault.InvalidLogin):
        connect(test_bed.info.vcenter, password="wrong")
    with pytest.raises(vim.fault.InvalidLogin):
        connect(test_bed.info.vcenter, username="nobody@vsphere.local")


def test_a_client_that_does_not_know_the_ca_is_refused_by_itself(test_bed: TestBed) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{test_bed.info.vcenter.url}/sdk/vimServiceVersions.xml", timeout=10)
    answer = http_session(test_bed.info.vcenter).get(
        f"{test_bed.info.vcenter.url}/sdk/vimServiceVersions.xml", timeout=10
    )
    assert "8.0.3.0" in answer.text


def test_a_session_ends_with_its_logout(test_bed: TestBed) -> None:
    seat = Seat(test_bed.info.vcenter)
    before = test_bed.info.vcenter.control("/state")["sessions"]["soap"]
    seat.content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        seat.content.rootFolder.CreateFolder("nobody-is-here")
    after = test_bed.info.vcenter.control("/state")["sessions"]["soap"]
    assert len(before) - len(after) == 1


@pytest.mark.parametrize("name", ["DC0_C0_RP0_VM0", "ubuntu-22.04", "flatcar-stable", "no-cdrom", "no-disk"])
def test_pyvmomi_reads_every_property_of_a_vm(seat: Seat, name: str) -> None:
    vm = seat.find(vim.VirtualMachine, name)
    for path in ("config", "guest", "runtime", "summary", "layoutEx", "storage", "snapshot", "capability"):
        getattr(vm, path)
    assert vm.config.instanceUuid != vm.config.uuid
    assert vm.config.changeVersion
    assert vm.config.files.vmPathName.startswith(f"[LocalDS_0] {name}/")
    assert vm.summary.storage.committed >= 0
    assert vm.snapshot is None


def test_the_ubuntu_template_is_like_the_ova(seat: Seat) -> None:
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    kinds = [type(device) for device in template.config.hardware.device]
    assert template.config.template
    assert template.resourcePool is None
    assert int(template.config.version.removeprefix("vmx-")) >= 15
    assert kinds.count(vim.vm.device.VirtualDisk) == kinds.count(vim.vm.device.VirtualCdrom) == 1
    assert kinds.count(vim.vm.device.VirtualVmxnet3) == 1
    assert template.config.vAppConfig.ovfEnvironmentTransport == ["iso"]
    assert "user-data" in [prop.id for prop in template.config.vAppConfig.property]


def test_the_flatcar_template_has_ignition_properties(seat: Seat) -> None:
    template = seat.find(vim.VirtualMachine, "flatcar-stable")
    ids = {prop.id for prop in template.config.vAppConfig.property}
    assert {"guestinfo.ignition.config.data", "guestinfo.ignition.config.data.encoding"} <= ids
    assert template.config.vAppConfig.ovfEnvironmentTransport == ["com.vmware.guestInfo"]


@pytest.mark.parametrize(
    ("name", "missing"),
    [("no-cdrom", vim.vm.device.VirtualCdrom), ("no-disk", vim.vm.device.VirtualDisk)],
)
def test_the_bad_templates_miss_a_device(seat: Seat, name: str, missing: type) -> None:
    devices = seat.find(vim.VirtualMachine, name).config.hardware.device
    assert not [device for device in devices if isinstance(device, missing)]


def test_datastores_have_real_numbers_and_clusters_hold_some_of_them(seat: Seat) -> None:
    pod = seat.find(vim.StoragePod, "DC0_POD0")
    assert sorted(datastore.name for datastore in pod.childEntity) == ["LocalDS_1", "LocalDS_2"]
    for datastore in (*pod.childEntity, seat.find(vim.Datastore, "LocalDS_0")):
        summary = datastore.summary
        assert summary.accessible
        assert summary.maintenanceMode == "normal"
        assert 0 < summary.freeSpace <= summary.capacity
    assert pod.summary.capacity == sum(datastore.summary.capacity for datastore in pod.childEntity)
    assert pod.podStorageDrsEntry.storageDrsConfig.podConfig.enabled


def test_a_clone_takes_space_and_gives_it_back(seat: Seat, folder: vim.Folder) -> None:
    datastore = seat.find(vim.Datastore, "LocalDS_0")
    before = datastore.summary.freeSpace
    vm = result(seat.clone(folder, "space"))
    assert before - datastore.summary.freeSpace == 10 * 2**30
    result(vm.Destroy_Task())
    assert datastore.summary.freeSpace == before


def test_folders_are_found_by_path_and_unique_by_name(seat: Seat, folder: vim.Folder) -> None:
    path = f"/DC0/vm/kubernetes/{folder.name}"
    assert seat.content.searchIndex.FindByInventoryPath(path) == folder
    with pytest.raises(vim.fault.DuplicateName) as caught:
        folder.parent.CreateFolder(folder.name)
    assert caught.value.object == folder


def test_two_doubles_are_two_vcenters(seat: Seat) -> None:
    with TestBed(Options(vms=0)) as other:
        about = Seat(other.info.vcenter).content.about
        assert about.instanceUuid != seat.content.about.instanceUuid


def test_an_object_that_is_gone_is_not_found(seat: Seat, folder: vim.Folder) -> None:
    child = folder.CreateFolder("child")
    result(child.Destroy_Task())
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = child.name
