"""Tasks of the double: what can be seen while they run, how they are cancelled, and when they are forgotten."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from testbed import Options, TestBed, VCenter
from tests.integration.testbed.clients import Seat, eventually, result

pytestmark = pytest.mark.testbed


@contextmanager
def _taking(vcenter: VCenter, **durations: int) -> Iterator[None]:
    """Let tasks take their time (ms), by the method that starts them."""
    usual = {"CloneVM_Task": 200}
    vcenter.control("/tasks", {"durations": durations})
    try:
        yield
    finally:
        vcenter.control("/tasks", {"durations": {method: usual.get(method, 0) for method in durations}})


@contextmanager
def _held(vcenter: VCenter, method: str) -> Iterator[Callable[[], None]]:
    """Let tasks of a method come to no end until the test lets them, at the latest when it ends."""

    def release() -> None:
        vcenter.control("/tasks", {"held": []})

    vcenter.control("/tasks", {"held": [method]})
    try:
        yield release
    finally:
        release()


@pytest.fixture
def vcenter(test_bed: TestBed) -> VCenter:
    return test_bed.info.vcenter


def _is_running(task: Any) -> bool:
    return bool(task.info.state == "running")


def _lists_of(seat: Seat, vm: vim.VirtualMachine) -> set[str]:
    """The kinds of what lists a VM as its own."""
    kinds: Any = [vim.Folder, vim.HostSystem, vim.ResourcePool, vim.Datastore]
    view = seat.content.viewManager.CreateContainerView(seat.content.rootFolder, kinds, True)
    found = {o._wsdlName for o in view.view if vm in (o.childEntity if isinstance(o, vim.Folder) else o.vm)}
    view.DestroyView()
    return found


def _begin(seat: Seat, folder: vim.Folder, name: str) -> tuple[Any, vim.VirtualMachine]:
    """Start a clone and return its task and its VM, which is not complete yet."""
    task = seat.clone(folder, name, extraConfig=[vim.option.OptionValue(key="example.id", value="mine")])
    (vm,) = eventually(lambda: folder.childEntity)
    assert _is_running(task)
    return task, vm


def test_a_clone_shows_its_vm_by_name_and_nothing_else_until_it_ends(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    view = seat.content.viewManager.CreateContainerView(folder, [vim.VirtualMachine], True)
    with _held(vcenter, "CloneVM_Task") as release:
        task, vm = _begin(seat, folder, "half-made")
        assert eventually(lambda: vm.name) == "half-made"
        assert view.view == [vm]
        assert vm.parent == folder
        assert not [part for part in (vm.config, vm.summary, vm.guest) if part is not None]
        assert seat.content.searchIndex.FindChild(folder, "half-made") == vm
        assert _is_running(task)
        release()
        assert result(task) == vm
    assert vm.config.name == "half-made"
    assert seat.content.searchIndex.FindByUuid(None, str(vm.config.instanceUuid), True, True) == vm


def test_a_half_made_vm_is_not_found_by_its_uuid(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    wanted = "4c4c4544-0000-4000-8000-00000000000a"
    with _held(vcenter, "CloneVM_Task") as release:
        task = seat.clone(folder, "no-uuid-yet", instanceUuid=wanted)
        eventually(lambda: folder.childEntity)
        assert seat.content.searchIndex.FindByUuid(None, wanted, True, True) is None
        assert not seat.content.searchIndex.FindAllByUuid(None, wanted, True, True)
        assert _is_running(task)
        release()
        assert result(task).config.instanceUuid == wanted


def test_nothing_can_be_done_with_a_half_made_vm(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    with _held(vcenter, "CloneVM_Task") as release:
        task, vm = _begin(seat, folder, "busy")
        for operation in (
            vm.PowerOnVM_Task,
            vm.Destroy_Task,
            vm.UnregisterVM,
            lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="too early")),
            lambda: vm.Rename_Task("other"),
            lambda: folder.parent.MoveIntoFolder_Task([vm]),
        ):
            with pytest.raises(vim.fault.TaskInProgress) as caught:
                operation()
            assert caught.value.task == task
        (missed,) = result(seat.datacenter.PowerOnMultiVM_Task([vm])).notAttempted
        assert isinstance(missed.fault, vim.fault.TaskInProgress)
        with pytest.raises(vim.fault.TaskInProgress):
            result(folder.Destroy_Task())
        assert _is_running(task)
        release()
        result(task)
    assert vm.config.annotation == "Ubuntu 22.04 Server"


def test_a_second_clone_of_a_name_fails_while_the_first_one_runs(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    with _held(vcenter, "CloneVM_Task") as release:
        first, second = seat.clone(folder, "twice"), seat.clone(folder, "twice")
        failed = eventually(lambda: [t for t in (first, second) if t.info.state == "error"])[0]
        other = first if failed is second else second
        assert isinstance(failed.info.error, vim.fault.DuplicateName)
        assert _is_running(other)
        assert failed.info.error.object == folder.childEntity[0]
        release()
        assert result(other) == folder.childEntity[0]


def test_a_cancelled_clone_leaves_nothing(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    before = vcenter.control("/state")
    with _held(vcenter, "CloneVM_Task"):
        task, vm = _begin(seat, folder, "cancelled")
        assert task.info.cancelable
        task.CancelTask()
        with pytest.raises(vmodl.fault.RequestCanceled):
            result(task)
    assert task.info.cancelled
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vm.name
    after = vcenter.control("/state")
    assert after == before
    with pytest.raises(vim.fault.InvalidState):
        task.CancelTask()
    assert result(seat.clone(folder, "cancelled")).name == "cancelled"


def test_a_clone_whose_template_goes_away_leaves_nothing(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=seat.pool), template=True)
    template = result(seat.find(vim.VirtualMachine, "ubuntu-22.04").CloneVM_Task(folder, "short-lived", spec))
    with _held(vcenter, "CloneVM_Task") as release:
        task = seat.clone(folder, "orphan", "short-lived")
        eventually(lambda: len(folder.childEntity) == 2)
        result(template.Destroy_Task())
        release()
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            result(task)
    assert not folder.childEntity
    assert not _lists_of(seat, template)


def test_a_template_is_in_no_resource_pool(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "in-and-out"))
    everywhere = {"Folder", "HostSystem", "ResourcePool", "Datastore"}
    assert _lists_of(seat, vm) == everywhere
    vm.MarkAsTemplate()
    assert vm.resourcePool is None
    assert _lists_of(seat, vm) == everywhere - {"ResourcePool"}
    vm.MarkAsVirtualMachine(seat.pool)
    assert vm.resourcePool == seat.pool
    assert _lists_of(seat, vm) == everywhere
    result(vm.Destroy_Task())
    assert not _lists_of(seat, vm)


@pytest.mark.parametrize(
    ("method", "start"),
    [
        ("PowerOnVM_Task", lambda vm: vm.PowerOnVM_Task()),
        ("ReconfigVM_Task", lambda vm: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="later"))),
        ("Destroy_Task", lambda vm: vm.Destroy_Task()),
        ("detach", lambda vm: _detach(vm)),
    ],
)
def test_a_task_can_be_seen_on_its_way(
    vcenter: VCenter, seat: Seat, folder: vim.Folder, method: str, start: Any
) -> None:
    vm = result(seat.clone(folder, "on-its-way"))
    before = (vm.runtime.powerState, vm.config.annotation, len(vm.config.hardware.device))
    with _held(vcenter, method) as release:
        task = start(vm)
        assert (vm.runtime.powerState, vm.config.annotation, len(vm.config.hardware.device)) == before
        assert task in vm.recentTask
        assert _is_running(task)
        release()
        result(task)
    if method == "detach":
        result(seat.content.fileManager.DeleteDatastoreFile_Task("[LocalDS_0] on-its-way", seat.datacenter))


def _detach(vm: vim.VirtualMachine) -> Any:
    disk = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk)
    return vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))


def test_a_task_takes_the_time_that_was_set_for_its_method(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    vm = result(seat.clone(folder, "slow"))
    with _taking(vcenter, ReconfigVM_Task=500):
        started = time.monotonic()
        result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="later")))
        assert time.monotonic() - started >= 0.5


def test_a_task_names_the_method_that_started_it(seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "named"))
    renamed, moved = vm.Rename_Task("renamed"), folder.CreateFolder("below").MoveIntoFolder_Task([vm])
    for task, method in ((renamed, "Rename_Task"), (moved, "MoveIntoFolder_Task")):
        result(task)
        assert task.info.name.info.wsdlName == method


def test_a_task_that_cannot_be_cancelled_says_so(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "uncancelled"))
    with _held(vcenter, "PowerOnVM_Task") as release:
        task = vm.PowerOnVM_Task()
        assert not task.info.cancelable
        with pytest.raises(vmodl.fault.NotSupported):
            task.CancelTask()
        release()
        result(task)
    assert vm.runtime.powerState == "poweredOn"


def test_a_finished_task_is_forgotten_after_a_while(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vm = result(seat.clone(folder, "forgetful"))
    task = vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="done"))
    result(task)
    assert task in seat.content.taskManager.recentTask
    vcenter.control("/tasks", {"keepSeconds": 0.2})
    try:
        eventually(lambda: task not in seat.content.taskManager.recentTask)
        assert task not in vm.recentTask
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            _ = task.info
    finally:
        vcenter.control("/tasks", {"keepSeconds": 600})


def test_a_watch_is_told_that_a_task_has_been_forgotten(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    collectors = vmodl.query.PropertyCollector
    task = seat.clone(folder, "watched")
    collector = seat.content.propertyCollector.CreatePropertyCollector()
    collector.CreateFilter(
        collectors.FilterSpec(
            objectSet=[collectors.ObjectSpec(obj=task)],
            propSet=[collectors.PropertySpec(type=vim.Task, pathSet=["info.state"])],
        ),
        True,
    )
    kinds: list[str] = []
    version = ""
    result(task)
    vcenter.control("/tasks", {"keepSeconds": 0.2})
    try:
        deadline = time.monotonic() + 10
        while "leave" not in kinds:
            assert time.monotonic() < deadline
            update = collector.WaitForUpdatesEx(version, collectors.WaitOptions(maxWaitSeconds=1))
            if update:
                version = update.version
                kinds += [change.kind for filtered in update.filterSet for change in filtered.objectSet]
    finally:
        vcenter.control("/tasks", {"keepSeconds": 600})
        collector.DestroyPropertyCollector()
    assert kinds[0] == "enter"


def test_vms_can_have_the_payload_of_real_ones() -> None:
    with TestBed(Options(vms=3, payload=True)) as bed:
        seat = Seat(bed.info.vcenter)
        vms = [seat.find(vim.VirtualMachine, f"DC0_C0_RP0_VM{i}") for i in range(3)]
        for vm in vms:
            assert len(vm.config.extraConfig) == 100
            assert len(vm.config.hardware.device) == 15
            assert vm.runtime.powerState == "poweredOn"
        changed = vim.option.OptionValue(key="hpet0.present", value="FALSE")
        result(vms[0].ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[changed])))
        assert [_option(vm, "hpet0.present") for vm in vms] == ["FALSE", "TRUE", "TRUE"]


def _option(vm: vim.VirtualMachine, key: str) -> Any:
    return next(option.value for option in vm.config.extraConfig if option.key == key)
