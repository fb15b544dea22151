"""Tasks that are taken up again, that vCenter has forgotten, that a person cancels, that a restart swallows."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import OUTSIDER, becomes, ended
from tests.integration.vsphere.outside import vim
from tests.integration.vsphere.test_machines import Site
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Expected, Failed, Forgotten, Succeeded, TaskRef
from vsphere_operator.vsphere.vcenters import VCenter, VCenters


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


def at_restart(pool: VCenters, endpoint: Endpoint) -> VCenter:
    """As a process that starts later finds it."""
    return pool.get(endpoint, Credentials(*OUTSIDER))


@pytest.mark.parametrize("flags", [("-clone-ms=800",)])
async def test_a_running_clone_is_taken_up_again_by_its_record(
    site: Site, vcenter: VCenter, pool: VCenters, endpoint: Endpoint
) -> None:
    request = await site.request("again-1")
    record = Expected(started_at=datetime.now(UTC), entity=request.template, method="clone")
    ref = await vcenter.vms.clone(request, op_id="test")
    later = at_restart(pool, endpoint)
    later.tasks.follow(ref, record)
    assert isinstance(await ended(later, ref), Succeeded)


async def test_a_number_that_means_somebody_elses_task_counts_as_forgotten(
    site: Site, vcenter: VCenter, pool: VCenters, endpoint: Endpoint
) -> None:
    request = await site.request("theirs-1")
    ref = await vcenter.vms.clone(request, op_id="test")
    assert isinstance(await ended(vcenter, ref), Succeeded)
    later = at_restart(pool, endpoint)
    stale = Expected(started_at=datetime(2020, 1, 1, tzinfo=UTC), entity=request.template, method="clone")
    later.tasks.follow(ref, stale)
    assert await ended(later, ref) == Forgotten()


async def test_a_task_that_ended_long_ago_is_forgotten(
    site: Site, vcenter: VCenter, pool: VCenters, endpoint: Endpoint, double: Double
) -> None:
    double.control("/tasks", {"keepSeconds": 1})
    ref = await vcenter.vms.clone(await site.request("old-1"), op_id="test")
    assert isinstance(await ended(vcenter, ref), Succeeded)
    later = at_restart(pool, endpoint)
    await becomes(lambda: later.ready)

    def gone() -> bool:
        later.tasks.unfollow(ref)
        later.tasks.follow(ref)
        return False

    await asyncio.sleep(0)
    assert not gone()
    deadline = asyncio.get_running_loop().time() + 15
    while await ended(later, ref) != Forgotten():
        assert asyncio.get_running_loop().time() < deadline
        gone()
    # What was seen while it was there stays true.
    assert isinstance(vcenter.tasks.state(ref), Succeeded)


@pytest.mark.parametrize("flags", [("-clone-ms=3000",)])
async def test_a_task_that_a_person_cancels_has_failed(site: Site, vcenter: VCenter, outsider: Any) -> None:
    ref = await vcenter.vms.clone(await site.request("cancelled-1"), op_id="test")
    task = vim.Task(ref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(task.CancelTask)
    state = await ended(vcenter, ref)
    assert isinstance(state, Failed)
    assert state.fault.reason == "Canceled"


async def test_a_task_of_before_a_restart_of_vcenter_still_tells_its_end(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    made = await site.clone(await site.request("restart-1"))
    ref: TaskRef = await vcenter.vms.power_on(made, site.datacenter.moref, op_id="test")
    logins = len(double.calls(method="Login"))
    await asyncio.to_thread(double.control, "/restart", {"downMs": 500})
    # Until it is asked, it seems to be up as before.
    await becomes(lambda: _logins(double) > logins and vcenter.ready, seconds=20)
    answered = await ended(vcenter, ref)
    assert isinstance(answered, Succeeded | Forgotten | Failed)
    assert not isinstance(await vcenter.vms.read(MoRef(made), op_id="test"), Unknown)


def _logins(double: Double) -> int:
    """How often anybody has logged in; 0 while the double is down."""
    with contextlib.suppress(OSError):
        return len(double.calls(method="Login"))
    return 0
