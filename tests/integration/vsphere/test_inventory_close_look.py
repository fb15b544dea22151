"""Devices and questions of our own VMs show in the copy; of others' nothing of the kind is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, details, ended
from tests.integration.vsphere.outside import vim, wait_for_task
from tests.integration.vsphere.test_machines import USER_DATA, Site, look
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import Change, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Succeeded
from vsphere_operator.vsphere.vcenters import Unavailable, VCenter


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


async def own_vm(site: Site, name: str) -> MoRef:
    made = await site.clone(await site.request(name, needs_cdrom=True))
    inventory = site.vcenter.inventory
    await becomes(lambda: getattr(inventory.vm(made), "devices", None) is not None)
    return made


def of(vcenter: VCenter, moref: MoRef) -> VmEntity:
    found = vcenter.inventory.vm(moref)
    assert found is not None
    return found


async def test_the_copy_shows_the_devices_that_a_fresh_look_shows(site: Site, vcenter: VCenter) -> None:
    made = await own_vm(site, "own-1")
    fresh, kept = await details(vcenter, made), of(vcenter, made).devices
    assert kept is not None
    assert (kept.disks, kept.nics, kept.cdroms) == (fresh.disks, fresh.nics, fresh.cdroms)
    assert len(kept.disks) == len(kept.nics) == len(kept.cdroms) == 1
    assert [nic.network for nic in kept.nics] == [
        site.vcenter.inventory.find("Network", "VM Network")[0].moref
    ]


async def test_the_devices_of_a_vm_that_cannot_be_ours_are_never_read(
    site: Site, vcenter: VCenter, outsider: Any
) -> None:
    ours = await own_vm(site, "own-1")
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=look(outsider, ours).resourcePool))

    def clone() -> Any:
        task = look(outsider, ours).CloneVM_Task(folder=look(outsider, ours).parent, name="a-copy", spec=spec)
        wait_for_task(task)
        return task.info.result._moId

    copy = MoRef(f"VirtualMachine:{await asyncio.to_thread(clone)}")
    await becomes(lambda: vcenter.inventory.vm(copy) is not None and of(vcenter, copy).config_ready)
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, ours).Rename("own-2")))
    await becomes(lambda: of(vcenter, ours).name == "own-2")
    assert of(vcenter, copy).devices is None
    assert not of(vcenter, copy).marks_read


async def test_a_disk_that_somebody_adds_wakes_the_owner(
    site: Site, vcenter: VCenter, outsider: Any, changes: list[Change]
) -> None:
    made = await own_vm(site, "own-1")
    changes.clear()
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=1000,
        unitNumber=5,
        capacityInKB=1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            diskMode="persistent", fileName="[LocalDS_0]", thinProvisioned=True
        ),
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    spec = vim.vm.ConfigSpec(deviceChange=[change])
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made).ReconfigVM_Task(spec)))
    await becomes(lambda: len(of(vcenter, made).devices.disks) == 2)  # type: ignore[union-attr]
    assert {c.moref for c in changes if isinstance(c.new, VmEntity)} == {made}


async def test_a_new_note_wakes_nobody(
    site: Site, vcenter: VCenter, outsider: Any, changes: list[Change]
) -> None:
    made = await own_vm(site, "own-1")
    before = (await details(vcenter, made)).change_version
    changes.clear()
    theirs = look(outsider, made)
    spec = vim.vm.ConfigSpec(annotation="backed up")
    await asyncio.to_thread(lambda: wait_for_task(theirs.ReconfigVM_Task(spec)))
    await asyncio.to_thread(lambda: wait_for_task(theirs.Rename("own-2")))
    await becomes(lambda: of(vcenter, made).name == "own-2")
    assert (await details(vcenter, made)).change_version != before
    assert len([c for c in changes if c.moref == made]) == 1, "the rename only"


async def test_what_went_while_nobody_watched_is_gone_from_the_close_look_as_well(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    data = {"guestinfo.userdata": USER_DATA, "guestinfo.userdata.encoding": "base64"}
    made = await site.clone(await site.request("own-1", extra=data))
    assert isinstance(
        await ended(vcenter, await vcenter.vms.power_on(made, site.datacenter.moref, op_id="on")), Succeeded
    )
    await becomes(lambda: of(vcenter, made).addresses)
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "503", "count": 1})
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made).Rename("own-2")))
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made).PowerOff()))
    assert of(vcenter, made).addresses, "nobody was told yet"
    await becomes(lambda: vcenter.ready and of(vcenter, made).addresses == ())
    assert of(vcenter, made).devices is not None


async def test_a_question_that_the_vm_does_not_ask_is_not_answered(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    made = await own_vm(site, "own-1")
    with pytest.raises(VSphereError) as error:
        await vcenter.vms.answer_question(made, "17", "0", op_id="answer")
    assert error.value.fault.fault_class is FaultClass.CONFLICT
    assert double.calls(method="AnswerVM") == []
