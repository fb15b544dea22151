"""A VM's life in the double: clone, boot, destroy."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import base64
import gzip
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from pyVmomi import vim, vmodl

from testbed import TestBed
from tests.integration.testbed.clients import Seat, cloud_init_iso, eventually, insert, result

pytestmark = pytest.mark.testbed


def _option(key: str, value: str) -> vim.option.OptionValue:
    return vim.option.OptionValue(key=key, value=value)


def _options(vm: vim.VirtualMachine) -> dict[str, Any]:
    return {option.key: option.value for option in vm.config.extraConfig}


def _only(vm: vim.VirtualMachine, kind: type) -> Any:
    (device,) = [device for device in vm.config.hardware.device if isinstance(device, kind)]
    return device


def _edit(device: vim.vm.device.VirtualDevice) -> vim.vm.device.VirtualDeviceSpec:
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)


def test_a_clone_has_what_it_asked_for_and_what_it_inherits(seat: Seat, folder: vim.Folder) -> None:
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    disk = _only(template, vim.vm.device.VirtualDisk)
    disk.capacityInBytes, disk.capacityInKB = 40 * 2**30, 40 * 2**20
    vm = result(
        seat.clone(
            folder,
            "asked",
            numCPUs=4,
            numCoresPerSocket=2,
            memoryMB=8192,
            annotation="mine",
            flags=vim.vm.FlagInfo(diskUuidEnabled=True),
            extraConfig=[_option("example.id", "x"), _option("svga.present", "FALSE")],
            deviceChange=[_edit(disk)],
        )
    )
    hardware = vm.config.hardware
    assert (hardware.numCPU, hardware.numCoresPerSocket, hardware.memoryMB) == (4, 2, 8192)
    assert (vm.config.annotation, vm.summary.config.annotation) == ("mine", "mine")
    assert vm.config.flags.diskUuidEnabled is True
    assert _options(vm)["example.id"] == "x"
    assert _options(vm)["svga.present"] == "FALSE"
    assert _options(vm)["pciBridge0.present"] == "TRUE"  # the template's
    assert vm.config.vAppConfig.ovfEnvironmentTransport == ["iso"]
    assert vm.runtime.powerState == "poweredOff"
    assert vm.parent == folder
    own = _only(vm, vim.vm.device.VirtualDisk)
    assert own.capacityInKB == 40 * 2**20
    assert own.backing.fileName.startswith("[LocalDS_0] asked/")


def test_a_clone_without_an_annotation_keeps_the_templates(seat: Seat, folder: vim.Folder) -> None:
    assert result(seat.clone(folder, "note")).config.annotation == "Ubuntu 22.04 Server"


def test_clones_share_no_identity(seat: Seat, folder: vim.Folder) -> None:
    wanted = "4c4c4544-0000-4000-8000-000000000001"
    first = result(seat.clone(folder, "first", instanceUuid=wanted))
    second = result(seat.clone(folder, "second", instanceUuid=wanted))
    assert first.config.instanceUuid == wanted
    assert second.config.instanceUuid != wanted
    assert first.config.uuid != second.config.uuid
    macs = {_only(vm, vim.vm.device.VirtualVmxnet3).macAddress for vm in (first, second)}
    disks = {_only(vm, vim.vm.device.VirtualDisk).backing.uuid for vm in (first, second)}
    assert len(macs) == len(disks) == 2


def test_a_clone_takes_its_time_and_its_template_can_be_read_meanwhile(
    seat: Seat, folder: vim.Folder
) -> None:
    started = time.monotonic()
    task = seat.clone(folder, "slow")
    assert task.info.state == "running"
    assert task.info.descriptionId == "VirtualMachine.clone"
    assert task.info.entity.name == "ubuntu-22.04"
    result(task)
    assert time.monotonic() - started >= 0.2


def test_a_name_that_is_taken_is_told_with_its_owner(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "taken"))
    with pytest.raises(vim.fault.DuplicateName) as caught:
        result(seat.clone(folder, "taken"))
    assert caught.value.object == vm


def test_a_name_that_is_too_long_is_refused(seat: Seat, folder: vim.Folder) -> None:
    with pytest.raises(vim.fault.InvalidName):
        seat.clone(folder, "x" * 81)


def test_a_template_needs_a_pool(seat: Seat, folder: vim.Folder) -> None:
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec())
    with pytest.raises(vmodl.fault.InvalidArgument):
        result(template.CloneVM_Task(folder, "poolless", spec))


def test_a_network_that_does_not_exist_leaves_no_vm(seat: Seat, folder: vim.Folder) -> None:
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="No Network")
    nic = vim.vm.device.VirtualVmxnet3(key=-1, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=nic)
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        result(seat.clone(folder, "offline", deviceChange=[change]))
    assert not folder.childEntity


def test_a_disk_does_not_shrink(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "shrink"))
    disk = _only(vm, vim.vm.device.VirtualDisk)
    disk.capacityInBytes, disk.capacityInKB = 2**30, 2**20
    with pytest.raises(vim.fault.VimFault):
        result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[_edit(disk)])))


def test_a_stale_change_version_stops_a_reconfiguration(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "stale"))
    before = vm.config.changeVersion
    result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeVersion=before, annotation="one")))
    with pytest.raises(vim.fault.ConcurrentAccess):
        result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeVersion=before, annotation="two")))
    assert vm.config.annotation == "one"


def test_an_empty_option_removes_and_an_absent_one_stays_absent(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "options", extraConfig=[_option("example.a", "1")]))
    spec = vim.vm.ConfigSpec(extraConfig=[_option("example.a", ""), _option("example.b", "")])
    result(vm.ReconfigVM_Task(spec))
    assert not {"example.a", "example.b"} & set(_options(vm))


def test_flags_that_are_not_named_stay(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "flags", flags=vim.vm.FlagInfo(diskUuidEnabled=True)))
    result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(flags=vim.vm.FlagInfo(enableLogging=False))))
    assert vm.config.flags.diskUuidEnabled is True
    assert vm.config.flags.enableLogging is False


def _boot(seat: Seat, vm: vim.VirtualMachine) -> None:
    attempt = result(seat.datacenter.PowerOnMultiVM_Task([vm]))
    assert [attempted.vm for attempted in attempt.attempted] == [vm]
    result(attempt.attempted[0].task)


def _addresses(vm: vim.VirtualMachine) -> list[str]:
    return [str(address) for nic in vm.guest.net for address in nic.ipAddress]


def _dataless(test_bed: TestBed) -> list[str]:
    return [boot["name"] for boot in test_bed.info.vcenter.control("/boots-without-data")]


def test_a_vm_with_a_cloud_init_iso_gets_tools_and_addresses(
    test_bed: TestBed, seat: Seat, folder: vim.Folder
) -> None:
    vm = result(seat.clone(folder, "iso-boot"))
    assert seat.put("LocalDS_0", "iso-boot/cloud-init.iso", cloud_init_iso()).status_code == 201
    result(insert(vm, "[LocalDS_0] iso-boot/cloud-init.iso"))
    assert vm.guest.toolsRunningStatus == "guestToolsNotRunning"
    _boot(seat, vm)
    eventually(lambda: vm.guest.toolsRunningStatus == "guestToolsRunning")
    assert vm.guest.hostName == "node-7"
    assert vm.guest.ipAddress.startswith("10.")
    assert vm.summary.guest.ipAddress == vm.guest.ipAddress
    assert [address for address in _addresses(vm) if address.startswith("fe80::")]
    assert vm.guest.net[0].network == "VM Network"
    assert "iso-boot" not in _dataless(test_bed)
    result(vm.PowerOffVM_Task())
    eventually(lambda: vm.guest.toolsRunningStatus == "guestToolsNotRunning")
    assert vm.guest.ipAddress is None
    assert not _addresses(vm)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_guest_takes_the_addresses_of_its_network_config(
    seat: Seat, folder: vim.Folder, wrapped: bool
) -> None:
    name = f"static-{wrapped}".lower()
    vm = result(seat.clone(folder, name))
    mac = next(
        d.macAddress for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard)
    )
    config: dict[str, Any] = {
        "version": 2,
        "ethernets": {
            "other": {"match": {"macaddress": "00:50:56:00:00:01"}, "dhcp4": True},
            "eth0": {"match": {"macaddress": mac.upper()}, "addresses": ["10.1.0.7/24", "2001:db8::7/64"]},
        },
    }
    network = json.dumps({"network": config} if wrapped else config)
    assert seat.put("LocalDS_0", f"{name}/cloud-init.iso", cloud_init_iso(network=network)).status_code == 201
    result(insert(vm, f"[LocalDS_0] {name}/cloud-init.iso"))
    _boot(seat, vm)
    eventually(lambda: vm.guest.ipAddress)
    assert vm.guest.ipAddress == "10.1.0.7"
    assert _addresses(vm)[:2] == ["10.1.0.7", "2001:db8::7"]
    assert [a.prefixLength for a in vm.guest.net[0].ipConfig.ipAddress] == [24, 64, 64]


@pytest.mark.parametrize(
    ("match", "address"),
    [("Name=en* eth*", "10.1.0.8"), ("Name=wlan0", "10.2"), ("MACAddress=00:50:56:00:00:01", "10.2")],
)
def test_a_guest_takes_the_addresses_of_its_networkd_unit(
    seat: Seat, folder: vim.Folder, match: str, address: str
) -> None:
    unit = f"[Match]\n{match}\n\n[Network]\nDHCP=no\nAddress=10.1.0.8/24\nGateway=10.1.0.1\n"
    file = {"path": "/etc/systemd/network/00-x.network", "contents": {"source": f"data:,{quote(unit)}"}}
    config = json.dumps({"ignition": {"version": "3.3.0"}, "storage": {"files": [file]}})
    extra = [_option("guestinfo.ignition.config.data", config)]
    name = f"networkd-{match[:6].lower().replace('=', '-')}"
    vm = result(seat.clone(folder, name, "flatcar-stable", extraConfig=extra))
    _boot(seat, vm)
    eventually(lambda: vm.guest.ipAddress)
    assert vm.guest.ipAddress.startswith(address)


@pytest.mark.parametrize(
    ("name", "template", "options"),
    [
        ("userdata", "ubuntu-22.04", {"guestinfo.userdata": "#cloud-config"}),
        (
            "gzipped",
            "ubuntu-22.04",
            {
                "guestinfo.userdata": base64.b64encode(
                    gzip.compress(b"#cloud-config\nhostname: gzipped", mtime=0)
                ).decode(),
                "guestinfo.userdata.encoding": "gzip+base64",
            },
        ),
        ("ignition", "flatcar-stable", {"guestinfo.ignition.config.data": "{}"}),
    ],
)
def test_a_vm_with_guestinfo_boots(
    seat: Seat, folder: vim.Folder, name: str, template: str, options: dict[str, str]
) -> None:
    extra = [_option(key, value) for key, value in options.items()]
    vm = result(seat.clone(folder, name, template, extraConfig=extra))
    _boot(seat, vm)
    eventually(lambda: vm.guest.ipAddress)
    assert vm.guest.hostName == name


def test_a_vapp_property_carries_ignition(seat: Seat, folder: vim.Folder) -> None:
    template = seat.find(vim.VirtualMachine, "flatcar-stable")
    wanted = next(p for p in template.config.vAppConfig.property if p.id == "guestinfo.ignition.config.data")
    wanted.value = "{}"
    change = vim.vApp.PropertySpec(operation="edit", info=wanted)
    vm = result(
        seat.clone(folder, "vapp", "flatcar-stable", vAppConfig=vim.vApp.VmConfigSpec(property=[change]))
    )
    _boot(seat, vm)
    eventually(lambda: vm.guest.ipAddress)


@pytest.mark.parametrize("image", [None, b"not an image", cloud_init_iso(volume="OTHER")])
def test_a_vm_that_boots_without_data_is_written_down(
    test_bed: TestBed, seat: Seat, folder: vim.Folder, image: bytes | None
) -> None:
    name = f"dataless-{len(image or b'')}"
    vm = result(seat.clone(folder, name))
    if image is not None:
        seat.put("LocalDS_0", f"{name}/cloud-init.iso", image)
        result(insert(vm, f"[LocalDS_0] {name}/cloud-init.iso"))
    _boot(seat, vm)
    assert name in _dataless(test_bed)
    assert vm.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_an_iso_that_is_not_there_cannot_be_inserted(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "no-iso"))
    with pytest.raises(vim.fault.FileNotFound) as caught:
        result(insert(vm, "[LocalDS_0] no-iso/cloud-init.iso"))
    assert caught.value.file == "[LocalDS_0] no-iso/cloud-init.iso"
    with pytest.raises(vim.fault.InvalidDatastorePath):
        result(insert(vm, "[Nowhere] no-iso/cloud-init.iso"))


def test_powering_on_a_template_is_not_attempted(seat: Seat) -> None:
    template = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    attempt = result(seat.datacenter.PowerOnMultiVM_Task([template]))
    assert [missed.vm for missed in attempt.notAttempted] == [template]


def test_a_vm_that_is_on_is_not_destroyed(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "alive"))
    _boot(seat, vm)
    with pytest.raises(vim.fault.InvalidPowerState):
        result(vm.Destroy_Task())
    with pytest.raises(vim.fault.InvalidPowerState):
        result(folder.Destroy_Task())
    assert vm.name == "alive"


def test_destroy_takes_the_vms_own_files_and_leaves_others(
    test_bed: TestBed, seat: Seat, folder: vim.Folder
) -> None:
    vm = result(seat.clone(folder, "files"))
    seat.put("LocalDS_0", "files/cloud-init.iso", cloud_init_iso())
    result(vm.Destroy_Task())
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vm.name
    left = [
        f for f in test_bed.info.vcenter.control("/state")["files"]["LocalDS_0"] if f.startswith("files/")
    ]
    assert left == ["files/", "files/cloud-init.iso"]
    result(seat.content.fileManager.DeleteDatastoreFile_Task("[LocalDS_0] files", seat.datacenter))
    result(result(seat.clone(folder, "files")).Destroy_Task())
    left = [f for f in test_bed.info.vcenter.control("/state")["files"]["LocalDS_0"] if f.startswith("files")]
    assert left == []


def test_destroy_leaves_a_disk_that_was_detached(test_bed: TestBed, seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "detached"))
    disk = _only(vm, vim.vm.device.VirtualDisk)
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk)
    result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    result(vm.Destroy_Task())
    files = test_bed.info.vcenter.control("/state")["files"]["LocalDS_0"]
    assert "detached/detached.vmdk" in files
    assert "detached/detached.vmx" not in files
    result(seat.content.fileManager.DeleteDatastoreFile_Task("[LocalDS_0] detached", seat.datacenter))


def test_destroying_a_folder_takes_everything_in_it(
    test_bed: TestBed, seat: Seat, folder: vim.Folder
) -> None:
    before = test_bed.info.vcenter.control("/state")
    outer = folder.CreateFolder("outer")
    inner = outer.CreateFolder("inner")
    result(seat.clone(inner, "deep"))
    result(outer.Destroy_Task())
    after = test_bed.info.vcenter.control("/state")
    for part in ("folders", "virtualMachines", "files"):
        assert after[part] == before[part]


def test_a_vm_made_from_nothing_is_a_task_that_everybody_sees(seat: Seat, folder: vim.Folder) -> None:
    files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
    spec = vim.vm.ConfigSpec(name="from-nothing", files=files, numCPUs=1, memoryMB=64, guestId="otherGuest")
    task = folder.CreateVM_Task(spec, seat.pool)
    vm = result(task)
    assert vm.name == "from-nothing"
    assert task.info.descriptionId == "Folder.createVm"
    result(vm.Destroy_Task())
