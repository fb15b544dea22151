"""Many VMs of ours gone at once: nothing is concluded until they are back or a person confirms."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, ended
from tests.integration.vsphere.outside import wait_for_task
from tests.integration.vsphere.test_machines import Site, look
from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.answers import Absent, Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory import Change
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Succeeded
from vsphere_operator.vsphere.vcenters import Unavailable, VCenter

MANY = 7


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


async def many(site: Site) -> list[MoRef]:
    requests = [await site.request(f"own-{n}") for n in range(MANY)]
    made = await asyncio.gather(*(site.clone(request) for request in requests))
    await becomes(lambda: all(getattr(site.vcenter.inventory.vm(m), "extra_config", None) for m in made))
    return list(made)


async def destroyed_by_others(outsider: Any, vms: list[MoRef]) -> None:
    await asyncio.to_thread(lambda: [wait_for_task(look(outsider, m).Destroy_Task()) for m in vms])


async def test_vms_that_vanish_at_once_are_unknown_until_a_person_confirms(
    site: Site, vcenter: VCenter, outsider: Any, changes: list[Change]
) -> None:
    made = await many(site)
    await destroyed_by_others(outsider, made)
    await becomes(lambda: vcenter.inventory.doubt and vcenter.inventory.doubt.missing == MANY)
    doubt = vcenter.inventory.doubt
    assert doubt is not None
    assert isinstance(vcenter.inventory.missing(made[0]), Unknown)
    uuid = identity.instance_uuid("own-0")
    assert await vcenter.vms.absence(made[0], uuid, site.folder, op_id="x") == Unknown(doubt.why)
    changes.clear()
    assert not vcenter.accept_losses("another")
    assert vcenter.accept_losses(doubt.id)
    assert {c.moref for c in changes if c.kind == "left"} == set(made)
    assert isinstance(await vcenter.vms.absence(made[0], uuid, site.folder, op_id="x"), Absent)


async def test_what_we_destroy_ourselves_raises_no_doubt(
    site: Site, vcenter: VCenter, changes: list[Change]
) -> None:
    made = await many(site)
    changes.clear()
    tasks = [await vcenter.vms.destroy(m, op_id="destroy") for m in made]
    assert [await ended(vcenter, task) for task in tasks] == [Succeeded()] * MANY
    await becomes(lambda: all(vcenter.inventory.get(m) is None for m in made))
    assert vcenter.inventory.doubt is None
    assert "state" not in {c.kind for c in changes}


async def test_losses_that_an_earlier_process_started_are_explained_by_its_tasks(
    site: Site, vcenter: VCenter, outsider: Any
) -> None:
    made = await many(site)

    def destroy() -> list[Any]:
        started = [look(outsider, m).Destroy_Task() for m in made]
        for task in started:
            wait_for_task(task)
        return started

    for task in await asyncio.to_thread(destroy):
        vcenter.tasks.follow(MoRef(f"Task:{task._moId}"))
    await becomes(lambda: all(vcenter.inventory.get(m) is None for m in made) and not vcenter.inventory.doubt)


async def test_what_is_missing_after_a_time_without_a_look_is_judged_at_the_end_of_the_full_read(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    made = await many(site)
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "503", "count": 1})
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made[0]).Rename("renamed")))
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    await destroyed_by_others(outsider, made)
    await becomes(lambda: vcenter.ready)
    assert vcenter.inventory.doubt is not None
    assert vcenter.inventory.doubt.missing == MANY


async def test_a_destroy_that_is_refused_explains_nothing(
    site: Site, vcenter: VCenter, outsider: Any, double: Double
) -> None:
    made = await many(site)
    double.control("/faults", {"method": "Destroy_Task", "fault": "NoPermission", "count": MANY})
    for moref in made:
        with pytest.raises(VSphereError):
            await vcenter.vms.destroy(moref, op_id="destroy")
    await destroyed_by_others(outsider, made)
    await becomes(lambda: vcenter.inventory.doubt is not None)
