"""Hosts of the double that come and go, and what becomes of their VMs."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from testbed import VCenter
from tests.integration.testbed.clients import Seat, eventually, result

pytestmark = pytest.mark.testbed

_VM = "DC0_C0_RP0_VM0"


@pytest.fixture
def lone(lone_vcenter: VCenter) -> Seat:
    return Seat(lone_vcenter)


@pytest.fixture
def vm(lone: Seat) -> Any:
    return lone.find(vim.VirtualMachine, _VM)


def _hosts(vcenter: VCenter, vm: vim.VirtualMachine, state: str, **more: Any) -> str:
    name = str(vm.runtime.host.name)
    vcenter.control("/hosts", {"host": name, "state": state, **more})
    return name


@pytest.mark.parametrize(
    ("state", "fault"),
    [("disconnected", vmodl.fault.HostNotConnected), ("notResponding", vmodl.fault.HostNotReachable)],
)
def test_vms_of_a_lost_host_keep_what_was_last_known(
    lone_vcenter: VCenter, lone: Seat, vm: Any, state: str, fault: type[Exception]
) -> None:
    host = _hosts(lone_vcenter, vm, state)
    assert vm.runtime.host.runtime.connectionState == state
    assert (vm.runtime.connectionState, vm.runtime.powerState) == ("disconnected", "poweredOn")
    assert vm.config.name == _VM
    lone_vcenter.control("/machines", {"vm": _VM, "powerState": "poweredOff"})
    assert vm.runtime.powerState == "poweredOn"
    for operation in (
        vm.PowerOffVM_Task,
        vm.Destroy_Task,
        lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="unheard")),
    ):
        with pytest.raises(fault):
            operation()
    (missed,) = result(lone.datacenter.PowerOnMultiVM_Task([vm])).notAttempted
    assert isinstance(missed.fault, fault)
    lone_vcenter.control("/hosts", {"host": host, "state": "connected"})
    assert (vm.runtime.connectionState, vm.runtime.powerState) == ("connected", "poweredOff")
    result(vm.PowerOnVM_Task())


def test_clones_go_to_hosts_that_can_take_them(lone_vcenter: VCenter, lone: Seat) -> None:
    hosts = lone.find(vim.ClusterComputeResource, "DC0_C0").host
    folder = lone.find(vim.Folder, "kubernetes")
    template = lone.find(vim.VirtualMachine, "ubuntu-22.04")
    usable, maintained, lost = sorted(hosts, key=lambda host: host != template.runtime.host)
    lone_vcenter.control("/hosts", {"host": lost.name, "state": "disconnected"})
    for vm in maintained.vm:
        if vm.runtime.powerState == "poweredOn":
            result(vm.PowerOffVM_Task())
    result(maintained.EnterMaintenanceMode_Task(timeout=0))
    assert maintained.runtime.inMaintenanceMode
    made = [result(lone.clone(folder, f"placed-{i}")) for i in range(6)]
    assert {vm.runtime.host for vm in made} == {usable}
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=lone.pool, host=lost))
    with pytest.raises(vmodl.fault.HostNotConnected):
        result(template.CloneVM_Task(folder, "lost", spec))
    result(maintained.ExitMaintenanceMode_Task(timeout=0))
    assert not maintained.runtime.inMaintenanceMode


def test_a_host_with_running_vms_waits_for_maintenance(vm: Any) -> None:
    task = vm.runtime.host.EnterMaintenanceMode_Task(timeout=1)
    with pytest.raises(vim.fault.Timedout):
        result(task)
    task = vm.runtime.host.EnterMaintenanceMode_Task(timeout=0)
    task.CancelTask()
    with pytest.raises(vmodl.fault.RequestCanceled):
        result(task)
    assert not vm.runtime.host.runtime.inMaintenanceMode


def test_ha_restarts_vms_elsewhere(lone_vcenter: VCenter, lone: Seat, vm: Any) -> None:
    before = vm.runtime.host
    _hosts(lone_vcenter, vm, "notResponding", restart=True)
    assert vm.runtime.host != before
    assert vm in vm.runtime.host.vm
    assert vm not in before.vm
    assert (vm.runtime.connectionState, vm.runtime.powerState) == ("connected", "poweredOn")
    result(vm.PowerOffVM_Task())


def test_a_host_that_is_added_again_and_its_vms_are_new_objects(
    lone_vcenter: VCenter, lone: Seat, vm: Any
) -> None:
    host, cluster = vm.runtime.host, vm.runtime.host.parent
    identity = (vm.config.instanceUuid, vm.config.uuid, vm.config.files.vmPathName)
    name = _hosts(lone_vcenter, vm, "removed")
    assert len(cluster.host) == 2
    for gone in (vm, host):
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            _ = gone.name
    assert lone.content.searchIndex.FindByUuid(None, identity[0], True, True) is None
    lone_vcenter.control("/hosts", {"host": name, "state": "added"})
    again = lone.content.searchIndex.FindByUuid(None, identity[0], True, True)
    assert (again.config.instanceUuid, again.config.uuid, again.config.files.vmPathName) == identity
    assert again != vm
    assert again.runtime.host != host
    assert (again.runtime.host.name, again.parent.name) == (name, "Discovered virtual machine")
    assert again.runtime.host in cluster.host
    assert again in again.runtime.host.vm
    result(again.PowerOffVM_Task())
    result(again.Destroy_Task())


@pytest.mark.parametrize("state", ["inaccessible", "orphaned", "invalid"])
def test_a_vm_can_be_out_of_reach_by_itself(lone_vcenter: VCenter, vm: Any, state: str) -> None:
    lone_vcenter.control("/machines", {"vm": _VM, "connectionState": state})
    assert vm.runtime.connectionState == state
    assert (vm.config is None) == (state != "orphaned")
    assert vm.name == _VM
    with pytest.raises(vim.fault.InvalidState):
        vm.PowerOffVM_Task()
    lone_vcenter.control("/machines", {"vm": _VM, "connectionState": "connected"})
    result(vm.PowerOffVM_Task())
    assert vm.config.name == _VM


def test_a_host_is_disconnected_by_anybody_who_may(lone: Seat, vm: Any) -> None:
    result(vm.runtime.host.DisconnectHost_Task())
    assert vm.runtime.connectionState == "disconnected"
    result(vm.runtime.host.ReconnectHost_Task())
    assert vm.runtime.connectionState == "connected"


def test_a_disabled_method_is_refused(lone_vcenter: VCenter, vm: Any) -> None:
    result(vm.PowerOffVM_Task())
    backup = ["Destroy_Task", "RelocateVM_Task"]
    lone_vcenter.control("/machines", {"vm": _VM, "disabledMethods": backup})
    assert sorted(vm.disabledMethod) == backup
    with pytest.raises(vim.fault.MethodDisabled):
        vm.Destroy_Task()
    with pytest.raises(vim.fault.MethodDisabled):
        vm.RelocateVM_Task(vim.vm.RelocateSpec())
    result(vm.PowerOnVM_Task())
    result(vm.PowerOffVM_Task())
    lone_vcenter.control("/machines", {"vm": _VM, "disabledMethods": []})
    result(vm.Destroy_Task())


def test_a_vm_moves_to_another_host(lone: Seat, vm: Any) -> None:
    cluster = vm.runtime.host.parent
    first, second = (host for host in cluster.host if host != vm.runtime.host)
    result(vm.MigrateVM_Task(host=first, priority="defaultPriority"))
    assert (vm.runtime.host, vm.summary.runtime.host, vm.runtime.powerState) == (first, first, "poweredOn")
    result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=second)))
    assert vm.runtime.host == second
    assert [host for host in cluster.host if vm in host.vm] == [second]
    with pytest.raises(vim.fault.InvalidPowerState):
        result(vm.MigrateVM_Task(host=first, priority="defaultPriority", state="poweredOff"))


def test_a_watch_hears_of_a_lost_host(lone_vcenter: VCenter, lone: Seat, vm: Any) -> None:
    collectors = vmodl.query.PropertyCollector
    collector = lone.content.propertyCollector.CreatePropertyCollector()
    collector.CreateFilter(
        collectors.FilterSpec(
            objectSet=[collectors.ObjectSpec(obj=vm)],
            propSet=[
                collectors.PropertySpec(
                    type=vim.VirtualMachine, pathSet=["runtime.connectionState", "runtime.powerState"]
                )
            ],
        ),
        True,
    )
    update = collector.WaitForUpdatesEx("", collectors.WaitOptions(maxWaitSeconds=5))
    _hosts(lone_vcenter, vm, "notResponding")
    update = collector.WaitForUpdatesEx(update.version, collectors.WaitOptions(maxWaitSeconds=5))
    (change,) = update.filterSet[0].objectSet[0].changeSet
    assert (change.name, change.val) == ("runtime.connectionState", "disconnected")
    eventually(lambda: vm.runtime.connectionState == "disconnected")
