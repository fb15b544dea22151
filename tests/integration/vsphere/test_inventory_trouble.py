"""The watch when vCenter, the way there or the rights fail: at most one login and one full read, and no false word."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, looked_closely
from tests.integration.vsphere.outside import wait_for_task
from tests.integration.vsphere.test_machines import Site, look
from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.inventory import Change, VmEntity, watch
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vcenters import Connected, Unavailable, VCenter, VCenters

SYSTEM = ["System.Anonymous", "System.View", "System.Read"]


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


def told(changes: list[Change]) -> list[Change]:
    return [c for c in changes if c.kind not in ("state", "task")]


def logins(double: Double) -> int:
    return len(double.calls(method="Login", user=double.username))


def power_of(vcenter: VCenter, moref: MoRef) -> str:
    vm = vcenter.inventory.vm(moref)
    return vm.power_state if vm is not None else "gone"


async def wake(outsider: Any, vcenter: VCenter) -> MoRef:
    """Change something, which ends the wait that is under way."""
    vm = vcenter.inventory.find(VmEntity, "DC0_C0_RP0_VM0")[0].moref
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, vm).PowerOff()))
    return vm


async def test_a_session_that_ends_in_the_middle_of_the_first_read_costs_one_login_and_tells_nothing_twice(
    pool: VCenters,
    endpoint: Endpoint,
    credentials: Credentials,
    double: Double,
    changes: list[Change],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 3)
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "NotAuthenticated", "skip": 4})
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready and looked_closely(vcenter.inventory))
    assert logins(double) == 2
    assert len(double.calls(method="CreatePropertyCollector")) == 2
    entered = Counter(c.moref for c in changes if c.kind == "entered")
    assert set(entered) == set(vcenter.inventory.morefs())
    assert set(entered.values()) == {1}
    assert "left" not in {c.kind for c in changes}


async def test_a_read_that_is_interrupted_twice_keeps_the_close_looks_from_before(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 3)
    changes.clear()
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "NotAuthenticated"})
    double.control("/faults", {"method": "WaitForUpdatesEx", "fault": "NotAuthenticated", "skip": 3})
    vm = await wake(outsider, vcenter)
    await becomes(lambda: logins(double) == 3)
    await becomes(lambda: vcenter.ready and looked_closely(vcenter.inventory))
    await becomes(lambda: power_of(vcenter, vm) == "poweredOff")
    assert {c.moref for c in told(changes)} == {vm}


async def test_a_cut_connection_costs_no_login_and_tells_only_what_changed(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change]
) -> None:
    changes.clear()
    double.control("/faults", {"method": "WaitForUpdatesEx", "cut": True})
    vm = await wake(outsider, vcenter)
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    await becomes(lambda: vcenter.ready and len(double.calls(method="CreatePropertyCollector")) == 2)
    assert power_of(vcenter, vm) == "poweredOff"
    assert logins(double) == 1
    assert {c.moref for c in told(changes)} == {vm}


async def test_an_answer_that_is_lost_on_the_way_is_made_good_by_the_next_full_read(
    vcenter: VCenter, outsider: Any, double: Double, changes: list[Change]
) -> None:
    double.control("/faults", {"method": "WaitForUpdatesEx", "cut": True, "when": "after", "skip": 1})
    first = await wake(outsider, vcenter)
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, first).Rename("renamed")))
    await becomes(lambda: vcenter.ready and vcenter.inventory.path(first) == "/DC0/vm/renamed")
    assert logins(double) == 1


@pytest.mark.parametrize("during", ["refuse", "503"])
async def test_a_restart_costs_one_login_and_one_full_read_and_tells_only_differences(
    vcenter: VCenter, double: Double, changes: list[Change], during: str
) -> None:
    before = set(vcenter.inventory.morefs())
    changes.clear()
    await asyncio.to_thread(double.control, "/restart", {"downMs": 300, "while": during})
    await becomes(lambda: isinstance(vcenter.state, Unavailable))
    assert set(vcenter.inventory.morefs()) == before, "what was known is kept meanwhile"
    await becomes(lambda: vcenter.ready, seconds=30)
    assert isinstance(vcenter.state, Connected)
    assert logins(double) == 2
    assert told(changes) == []
    assert vcenter.inventory.doubt is None


async def test_a_vm_that_may_only_be_seen_is_known_by_name_and_not_taken_for_one_without_configuration_of_ours(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    roles = [
        {"entity": "/", "privileges": SYSTEM},
        {"entity": "/DC0/vm/DC0_C0_RP0_VM0", "privileges": ["System.Anonymous", "System.View"]},
    ]
    double.control("/rights", {"user": double.username, "roles": roles})
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)
    (dim,) = vcenter.inventory.find(VmEntity, "DC0_C0_RP0_VM0")
    assert isinstance(dim, VmEntity)
    assert (dim.instance_uuid, dim.config_ready, dim.devices, dim.marks_read) == (None, False, None, False)
    (clear,) = vcenter.inventory.find(VmEntity, "DC0_C0_RP0_VM1")
    assert isinstance(clear, VmEntity)
    assert clear.config_ready


async def test_a_lost_right_looks_like_a_removal_and_proves_none(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    made = await site.clone(await site.request("own-1"))
    uuid = identity.instance_uuid("own-1")
    roles = [
        {"entity": "/", "privileges": SYSTEM},
        {"entity": "/DC0/vm/kubernetes", "privileges": []},
        {"entity": "/DC0/host/DC0_C0", "privileges": []},  # rights reach a VM by its pool as well
    ]
    double.control("/rights", {"user": double.username, "roles": roles})
    await becomes(lambda: vcenter.inventory.get(made) is None)
    for moref in (made, None):
        assert isinstance(await vcenter.vms.absence(moref, uuid, site.folder, op_id="prove"), Unknown)
    double.control("/rights", {"user": double.username})
    await becomes(lambda: vcenter.inventory.vm(made) is not None)
    assert await vcenter.vms.absence(None, uuid, site.folder, op_id="prove") == Present(made)


async def test_a_part_of_the_inventory_that_is_missing_for_a_while_is_in_doubt_and_comes_back(
    site: Site, vcenter: VCenter, double: Double, changes: list[Change]
) -> None:
    made = [await site.clone(await site.request(f"own-{n}")) for n in range(6)]
    await becomes(lambda: looked_closely(vcenter.inventory))
    double.control("/hide", {"objects": ["/DC0/vm/kubernetes"], "subtree": True})
    await becomes(lambda: all(vcenter.inventory.get(m) is None for m in made))
    await becomes(lambda: vcenter.inventory.doubt)
    uuid = identity.instance_uuid("own-0")
    assert isinstance(vcenter.inventory.missing(uuid), Unknown)
    answer = await vcenter.vms.absence(made[0], uuid, site.folder, op_id="prove")
    assert isinstance(answer, Unknown), "vCenter itself says that neither VM nor folder exist"
    changes.clear()
    double.control("/hide", {"objects": []})
    await becomes(lambda: all(vcenter.inventory.vm(m) is not None for m in made))
    await becomes(lambda: vcenter.inventory.doubt is None)
    assert "left" not in {c.kind for c in changes}
    assert {vm.moref for vm in vcenter.inventory.vms_by_instance_uuid(uuid)} == {made[0]}


async def test_a_few_that_are_removed_are_gone_from_every_index(
    site: Site, vcenter: VCenter, outsider: Any
) -> None:
    made = await site.clone(await site.request("own-1"))
    await asyncio.to_thread(lambda: wait_for_task(look(outsider, made).Destroy_Task()))
    await becomes(lambda: vcenter.inventory.get(made) is None)
    inventory = vcenter.inventory
    assert inventory.vms_by_instance_uuid(identity.instance_uuid("own-1")) == []
    assert inventory.children(site.folder) == []
    assert isinstance(inventory.by_path("/DC0/vm/kubernetes/own-1"), Absent)


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "CreateContainerView", "fault": "NotAuthenticated"},
        {"method": "WaitForUpdatesEx", "fault": "InvalidCollectorVersion"},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_a_vcenter_that_lets_nobody_read_is_not_asked_in_a_loop(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double, fault: dict[str, Any]
) -> None:
    double.control("/faults", {**fault, "count": 10_000})
    vcenter = pool.get(endpoint, credentials)
    state = await becomes(lambda: vcenter.state if isinstance(vcenter.state, Unavailable) else None)
    assert state.fault.reason == "InventoryUnreadable"
    assert len(double.calls(method=fault["method"])) <= 4
    assert logins(double) <= 4


async def test_a_watch_that_could_not_be_set_up_leaves_nothing_behind(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    double.control("/faults", {"method": "CreateFilter", "fault": "NoPermission", "count": 2})
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)

    def of(*methods: str) -> int:
        return sum(len(double.calls(method=method)) for method in methods)

    assert of("CreatePropertyCollector") == 3
    assert of("DestroyPropertyCollector") == 2
    assert of("DestroyView") == 2 * of("CreateContainerView", "CreateListView") // 3
