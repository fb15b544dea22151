"""Questions that a VM asks, and that hold up what waits for the answer."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from testbed import TestBed, VCenter
from tests.integration.testbed.clients import Seat, cloud_init_iso, eventually, insert, result

pytestmark = pytest.mark.testbed


@pytest.fixture
def vcenter(test_bed: TestBed) -> VCenter:
    return test_bed.info.vcenter


def _booted(vcenter: VCenter, seat: Seat, folder: vim.Folder, **extra_config: str) -> Any:
    """Return a VM that runs with an ISO in its drive, which its guest uses."""
    options = [vim.option.OptionValue(key=key.replace("__", "."), value=v) for key, v in extra_config.items()]
    vm = result(seat.clone(folder, "asker", extraConfig=options))
    path = vm.config.files.vmPathName.partition("] ")[2].rpartition("/")[0]
    seat.put("LocalDS_0", f"{path}/cloud-init.iso", cloud_init_iso())
    result(insert(vm, f"[LocalDS_0] {path}/cloud-init.iso"))
    result(vm.PowerOnVM_Task())
    vcenter.control("/machines", {"vm": vm._moId, "cdromLocked": True})
    return vm


def _drive(vm: Any) -> Any:
    return next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom))


def _eject(vm: Any) -> Any:
    drive = _drive(vm)
    drive.backing = vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="")
    drive.connectable.connected = drive.connectable.startConnected = False
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=drive)
    return vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))


@pytest.fixture(autouse=True)
def _swept(seat: Seat, folder: vim.Folder) -> Any:
    yield
    for vm in folder.childEntity:
        path = vm.config.files.vmPathName.partition("/")[0]
        if vm.runtime.powerState == "poweredOn":
            result(vm.PowerOffVM_Task())
        result(vm.Destroy_Task())
        result(seat.content.fileManager.DeleteDatastoreFile_Task(path, seat.datacenter))


def test_ejecting_a_cd_in_use_waits_for_a_yes(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = _booted(vcenter, seat, folder)
    task = _eject(vm)
    question = eventually(lambda: vm.runtime.question)
    assert [message.id for message in question.message] == ["msg.cdromdisconnect.locked"]
    assert [(choice.key, choice.label) for choice in question.choice.choiceInfo] == [
        ("0", "Yes"),
        ("1", "No"),
    ]
    assert question.choice.defaultIndex == 1
    assert task.info.state == "running"
    assert _drive(vm).connectable.connected
    with pytest.raises(vmodl.fault.InvalidArgument):
        vm.AnswerVM(question.id, "7")
    vm.AnswerVM(question.id, "0")
    result(task)
    assert vm.runtime.question is None
    assert not _drive(vm).connectable.connected
    with pytest.raises(vmodl.fault.InvalidArgument):
        vm.AnswerVM(question.id, "0")


def test_a_no_leaves_the_cd_where_it_is(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = _booted(vcenter, seat, folder)
    task = _eject(vm)
    vm.AnswerVM(eventually(lambda: vm.runtime.question).id, "1")
    with pytest.raises(vim.fault.GenericVmConfigFault):
        result(task)
    assert _drive(vm).backing.fileName.endswith("cloud-init.iso")


def test_a_power_off_answers_too(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = _booted(vcenter, seat, folder)
    task = _eject(vm)
    eventually(lambda: vm.runtime.question)
    result(vm.PowerOffVM_Task())
    result(task)
    assert vm.runtime.question is None


def test_nobody_is_asked_who_does_not_want_to_be(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = _booted(vcenter, seat, folder, cdrom__showIsoLockWarning="FALSE")
    result(_eject(vm))
    assert vm.runtime.question is None


def test_a_guest_that_does_not_use_its_cd_is_not_asked(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    vm = _booted(vcenter, seat, folder)
    vcenter.control("/machines", {"vm": vm._moId, "cdromLocked": False})
    result(_eject(vm))


def test_a_vm_can_ask_something_else(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = _booted(vcenter, seat, folder)
    other = {"id": "msg.uuid.altered", "text": "Moved or copied?", "choices": ["Cancel", "Moved", "Copied"]}
    vcenter.control("/machines", {"vm": vm._moId, "question": other})
    question = vm.runtime.question
    assert (question.message[0].id, question.text, len(question.choice.choiceInfo)) == (
        "msg.uuid.altered",
        "Moved or copied?",
        3,
    )
    vm.AnswerVM(question.id, "2")
    assert vm.runtime.question is None
