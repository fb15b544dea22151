"""What others do in vCenter shows in the copy, without a call of ours."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes
from tests.integration.vsphere.outside import vim, wait_for_task
from vsphere_operator.vsphere.answers import Absent, Present
from vsphere_operator.vsphere.inventory import Change, Entity, Inventory, VmEntity
from vsphere_operator.vsphere.vcenters import Connected, Unavailable, VCenter


def entity(inventory: Inventory, path: str) -> Entity:
    answer = inventory.by_path(path)
    assert isinstance(answer, Present), answer
    return answer.value


def everything(service: Any) -> dict[str, str]:
    """Paths and names by reference, read by somebody else."""
    content = service.RetrieveContent()
    kinds = [vim.Folder, vim.Datacenter, vim.VirtualMachine, vim.Datastore, vim.Network, vim.HostSystem,
             vim.ComputeResource, vim.ResourcePool, vim.DistributedVirtualSwitch]  # fmt: skip
    view = content.viewManager.CreateContainerView(content.rootFolder, kinds, True)
    found = {f"{o._wsdlName}:{o._moId}": o.name for o in view.view}
    view.Destroy()
    return found


async def test_everything_is_read(vcenter: VCenter, outsider: Any) -> None:
    root = vcenter.inventory.root
    theirs = await asyncio.to_thread(everything, outsider)
    ours = {
        m: getattr(vcenter.inventory.get(m), "name", None) for m in vcenter.inventory.morefs() if m != root
    }
    assert ours == theirs
    assert len(ours) > 20


async def test_reading_names_in_pages_gives_the_same(
    vcenter: VCenter, monkeypatch: pytest.MonkeyPatch, outsider: Any, pool: Any, endpoint: Any
) -> None:
    from tests.integration.vsphere.conftest import OUTSIDER
    from vsphere_operator.vsphere.endpoint import Credentials
    from vsphere_operator.vsphere.inventory import watch

    monkeypatch.setattr(watch, "_PAGE", 3)
    other = pool.get(endpoint, Credentials(*OUTSIDER))
    await becomes(lambda: other.ready)
    assert set(other.inventory.morefs()) == set(vcenter.inventory.morefs())


async def test_an_outside_rename_power_off_and_removal_are_seen(
    vcenter: VCenter, outsider: Any, changes: list[Change]
) -> None:
    inventory = vcenter.inventory
    vm = entity(inventory, "/DC0/vm/DC0_C0_RP0_VM0")
    assert isinstance(vm, VmEntity)
    theirs = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)

    async def seen_after(task: Any, ready: Any) -> None:
        await asyncio.to_thread(wait_for_task, task)
        began = time.monotonic()
        await becomes(ready)
        assert time.monotonic() - began < 5

    await seen_after(
        theirs.PowerOff(), lambda: getattr(inventory.vm(vm.moref), "power_state", "") == "poweredOff"
    )
    await seen_after(theirs.Rename("renamed/vm"), lambda: inventory.path(vm.moref) == "/DC0/vm/renamed%2fvm")
    assert isinstance(inventory.by_path("/DC0/vm/DC0_C0_RP0_VM0"), Absent)
    await seen_after(theirs.Destroy(), lambda: inventory.get(vm.moref) is None)
    kinds = [c.kind for c in changes if c.moref == vm.moref]
    assert kinds[0] == "entered"
    assert "changed" in kinds
    assert kinds[-1] == "left"


async def test_an_outside_move_is_no_loss(vcenter: VCenter, outsider: Any, changes: list[Change]) -> None:
    inventory = vcenter.inventory
    vm, target = entity(inventory, "/DC0/vm/DC0_C0_RP0_VM1"), entity(inventory, "/DC0/vm/kubernetes")
    folder = vim.Folder(target.moref.partition(":")[2], outsider._stub)
    moved = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(folder.MoveInto([moved])))
    await becomes(lambda: inventory.path(vm.moref) == "/DC0/vm/kubernetes/DC0_C0_RP0_VM1")
    assert [e.moref for e in inventory.children(target.moref)] == [vm.moref]


async def test_a_lost_session_means_a_full_read_that_tells_only_differences(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change]
) -> None:
    before = set(vcenter.inventory.morefs())
    vm = entity(vcenter.inventory, "/DC0/vm/DC0_C0_RP0_VM0")
    changes.clear()
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "NotAuthenticated", "count": 1})
    theirs = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(theirs.PowerOff()))
    await becomes(lambda: len(double.calls(method="Login")) >= 3)
    await becomes(lambda: vcenter.ready and [c for c in changes if c.kind == "state"])
    await becomes(lambda: getattr(vcenter.inventory.vm(vm.moref), "power_state", "") == "poweredOff")
    assert set(vcenter.inventory.morefs()) == before
    assert {c.moref for c in changes if c.kind not in ("state", "task")} == {vm.moref}


async def test_an_invalid_collector_version_means_a_full_read(
    vcenter: VCenter, outsider: Any, double: Double
) -> None:
    vm = entity(vcenter.inventory, "/DC0/vm/DC0_C0_RP0_VM0")
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "InvalidCollectorVersion", "count": 1})
    theirs = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(theirs.PowerOff()))
    await becomes(lambda: getattr(vcenter.inventory.vm(vm.moref), "power_state", "") == "poweredOff")
    await becomes(lambda: len(double.calls(method="CreateContainerView")) == 2)
    await becomes(lambda: vcenter.ready)
    assert len(double.calls(method="Login")) == 2, "ours and the outsider's: no new session"
    await becomes(lambda: len(double.calls(method="DestroyPropertyCollector")) == 1)


async def test_an_answer_that_cannot_be_taken_over_means_a_full_read(
    vcenter: VCenter, outsider: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inventory, apply = vcenter.inventory, vcenter.inventory.apply
    vm = entity(inventory, "/DC0/vm/DC0_C0_RP0_VM0")
    mishaps = [KeyError("what nobody thought of")]

    def fail_once(*arguments: Any) -> list[Change]:
        if mishaps:
            raise mishaps.pop()
        return list(apply(*arguments))

    monkeypatch.setattr(inventory, "apply", fail_once)
    theirs = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(theirs.PowerOff()))
    await becomes(lambda: not mishaps)
    await becomes(lambda: isinstance(vcenter.state, Unavailable) and not inventory.synced)
    await becomes(lambda: getattr(inventory.vm(vm.moref), "power_state", "") == "poweredOff")
    await becomes(lambda: vcenter.ready)
    assert "what nobody thought of" in caplog.text


async def test_a_vcenter_that_fails_for_a_while_is_unavailable_and_comes_back(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change]
) -> None:
    vm = entity(vcenter.inventory, "/DC0/vm/DC0_C0_RP0_VM0")
    changes.clear()
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "503", "count": 1})
    theirs = vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(theirs.PowerOff()))
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    assert not vcenter.inventory.synced
    assert vcenter.inventory.vm(vm.moref) is not None
    await becomes(lambda: vcenter.ready)
    assert isinstance(vcenter.state, Connected)
    filters = len(double.calls(method="DestroyPropertyCollector"))
    assert filters == 1, "what the first watch left in the session is given back"


async def test_what_went_while_nobody_watched_has_left(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change]
) -> None:
    one, two = (entity(vcenter.inventory, f"/DC0/vm/DC0_C0_RP0_VM{n}") for n in range(2))
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "503", "count": 1})
    first, second = (vim.VirtualMachine(vm.moref.partition(":")[2], outsider._stub) for vm in (one, two))
    await asyncio.to_thread(lambda: wait_for_task(second.PowerOff()))
    await asyncio.to_thread(lambda: wait_for_task(first.PowerOff()))
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    changes.clear()
    await asyncio.to_thread(lambda: wait_for_task(second.Destroy()))
    assert vcenter.inventory.get(two.moref) is not None, "nobody was told yet"
    await becomes(lambda: vcenter.ready)
    assert vcenter.inventory.get(two.moref) is None
    assert [c.moref for c in changes if c.kind == "left"] == [two.moref]
