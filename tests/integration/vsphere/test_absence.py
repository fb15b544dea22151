"""The proof that a VM is gone, asked of a vCenter in which others meddle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes
from tests.integration.vsphere.outside import vim, wait_for_task
from tests.integration.vsphere.test_machines import Site, look
from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vcenters import VCenter

UUID = identity.instance_uuid("own-1")


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


async def test_a_vm_that_is_there_is_found_by_moref_and_by_uuid(site: Site, vcenter: VCenter) -> None:
    made = await site.clone(await site.request("own-1"))
    for known in (made, None):
        assert await vcenter.vms.absence(known, UUID, site.folder, op_id="look") == Present(made)
    gone = MoRef("VirtualMachine:vm-4711")
    assert await vcenter.vms.absence(gone, UUID, site.folder, op_id="look") == Present(made)


async def test_a_vm_that_somebody_destroyed_is_proven_absent_in_three_calls(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    made = await site.clone(await site.request("own-1"))
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made).Destroy_Task()))
    assert isinstance(await vcenter.vms.absence(made, UUID, site.folder, op_id="prove"), Absent)
    assert len(double.calls(opID="userclusters-prove")) == 3
    assert isinstance(await vcenter.vms.absence(None, UUID, site.folder, op_id="prove-2"), Absent)
    assert len(double.calls(opID="userclusters-prove-2")) == 2


async def test_a_vm_whose_folder_went_with_it_is_absent_where_the_datacenter_may_be_read(
    site: Site, vcenter: VCenter, outsider: Any
) -> None:
    folder = await vcenter.folders.create(site.folder, "shop", op_id="folder")
    made = await site.clone(await site.request("own-1", folder=folder))
    theirs = vim.Folder(folder.partition(":")[2], outsider._stub)
    await asyncio.to_thread(lambda: wait_for_task(theirs.Destroy_Task()))
    await becomes(lambda: vcenter.inventory.get(made) is None)
    for known, where in ((made, folder), (made, None), (None, None)):
        assert isinstance(await vcenter.vms.absence(known, UUID, where, op_id="prove"), Absent)


@pytest.mark.parametrize("fault", ["NoPermission", "503", "Timedout"])
async def test_a_failing_look_proves_nothing(
    site: Site, vcenter: VCenter, double: Double, fault: str
) -> None:
    for method in ("RetrievePropertiesEx", "FindAllByUuid"):
        double.control("/faults", {"method": method, "fault": fault, "count": 2})
        answer = await vcenter.vms.absence(None, UUID, site.folder, op_id="prove")
        assert isinstance(answer, Unknown)
        assert answer.fault is not None
        double.control("/faults", method="DELETE")


async def test_a_lost_session_is_renewed_and_the_proof_made(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    double.control("/faults", {"method": "FindAllByUuid", "fault": "NotAuthenticated", "count": 1})
    assert isinstance(await vcenter.vms.absence(None, UUID, site.folder, op_id="prove"), Absent)
