"""vCenter refuses, loses answers or ends tasks badly: nothing loops, nothing is lost, and it heals by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, UNREACHABLE, fault
from vsphere_operator.vsphere.faults import Fault, FaultClass

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "shop", "category": "owner"}]}
FAULTS = [NO_PERMISSION, UNREACHABLE, fault(FaultClass.TRANSIENT, "Busy", 5.0), fault(delay=300.0)]
MACHINE_CALLS = ["clone", "upload", "attach iso", "power on"]
CLUSTER_CALLS = [
    "create folder",
    "rename folder",
    "create category",
    "create tag",
    "attach tags",
    "list attached",
]
CLUSTER_ENDS = ["destroy folder", "delete tag", "delete category", "list attached objects", "read folder"]
MACHINE_ENDS = ["power off", "delete file", "destroy vm", "read vm"]


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda f: f.reason)
@pytest.mark.parametrize("call", MACHINE_CALLS)
async def test_a_refused_call_for_a_machine_is_told_and_made_again_later(
    site: Site, call: str, refusal: Fault
) -> None:
    await site.with_cluster()
    site.world.refuse[call] = [refusal] * 3
    site.api.put(samples.a_machine())
    await site.run(patience=1.0)
    made = site.outgoing.count(f"vcenter: {call}")
    assert made == 1, site.outgoing.names
    await site.run(patience=3000)
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]
    assert len(site.world.workers()) == 1
    assert len(site.world.boots) == 1


@pytest.mark.parametrize("call", ["clone", "attach iso", "power on"])
async def test_a_task_for_a_machine_that_fails_is_made_again_later(site: Site, call: str) -> None:
    await site.with_cluster()
    site.world.break_task[call] = [fault(FaultClass.TRANSIENT, "Busy", 30.0)] * 2
    site.api.put(samples.a_machine())
    await site.run(patience=1.0)
    assert site.reason("Machine", "worker-1") == "Busy"
    assert site.outgoing.count(f"vcenter: {call}") == 1
    await site.run(patience=300)
    assert site.is_ready("Machine", "worker-1")
    assert not site.world.violations


@pytest.mark.parametrize("call", MACHINE_CALLS)
async def test_a_lost_answer_for_a_machine_makes_nothing_twice(site: Site, call: str) -> None:
    await site.with_cluster()
    site.world.lose_answer.add(call)
    site.api.put(samples.a_machine())
    await site.run(patience=600)
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]
    assert len(site.world.workers()) == 1
    assert site.outgoing.count("vcenter: clone") == 1
    assert len(site.world.boots) == 1


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda f: f.reason)
@pytest.mark.parametrize("call", CLUSTER_CALLS)
async def test_a_refused_call_for_a_cluster_is_told_and_made_again_later(
    site: Site, call: str, refusal: Fault
) -> None:
    site.world.refuse[call] = [refusal] * 3
    site.api.put(samples.a_cluster(**TAGGED))
    await site.run(patience=0.9)
    if (call, refusal) == ("rename folder", NO_PERMISSION):
        assert site.reason("Cluster", "shop", "FolderReady") == "RenameNotPermitted"
        return
    assert site.outgoing.count(f"vcenter: {call}") == 1, site.outgoing.names
    assert site.reason("Cluster", "shop") == refusal.reason
    await site.run(patience=3000)
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]


@pytest.mark.parametrize("takes_ids", [True, False])
@pytest.mark.parametrize("call", ["create folder", "rename folder", "create category", "create tag"])
async def test_a_lost_answer_for_a_cluster_makes_nothing_twice(
    site: Site, call: str, takes_ids: bool
) -> None:
    site.world.takes_tag_ids = takes_ids
    site.world.lose_answer.add(call)
    site.api.put(samples.a_cluster(**TAGGED))
    await site.run(patience=600)
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    assert site.world.folders() == ["Datacenters", "kubernetes", "team-shop-shop", "vm"]
    assert len(site.world.tags) == 2
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert not site.world.tags


@pytest.mark.parametrize("call", ["rename folder"])
async def test_a_task_for_a_cluster_that_fails_is_made_again_later(site: Site, call: str) -> None:
    site.world.break_task[call] = [fault(FaultClass.TRANSIENT, "Busy", 30.0)] * 2
    site.api.put(samples.a_cluster())
    await site.run(patience=0.9)
    assert site.outgoing.count(f"vcenter: {call}") == 1
    await site.run(patience=600)
    assert site.is_ready("Cluster", "shop")


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda f: f.reason)
@pytest.mark.parametrize("call", CLUSTER_ENDS)
async def test_no_fault_lets_a_cluster_go_before_its_things_are_gone(
    site: Site, call: str, refusal: Fault
) -> None:
    await site.with_cluster(**TAGGED)
    site.world.refuse[call] = [refusal] * 3
    site.delete("Cluster", "shop")
    before = site.outgoing.count(f"vcenter: {call}")
    await site.run(patience=0.9)
    assert site.exists("Cluster", "shop")
    assert site.outgoing.count(f"vcenter: {call}") <= before + 2, site.outgoing.names
    await site.run(patience=3000)
    assert not site.exists("Cluster", "shop"), site.object("Cluster", "shop")
    assert not site.world.tags
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda f: f.reason)
@pytest.mark.parametrize("call", MACHINE_ENDS)
async def test_no_fault_lets_a_machine_go_before_its_vm_is_gone(
    site: Site, call: str, refusal: Fault
) -> None:
    await site.with_machine()
    site.world.refuse[call] = [refusal] * 3
    site.delete("Machine", "worker-1")
    await site.run(patience=0.9)
    assert site.exists("Machine", "worker-1")
    await site.run(patience=3000)
    assert not site.exists("Machine", "worker-1"), site.object("Machine", "worker-1")
    assert not site.world.workers()
    assert not site.world.files


async def test_a_guest_that_powers_itself_off_is_not_started_again_and_again(site: Site) -> None:
    await site.with_cluster()
    site.world.after_boot = lambda vm: vm.change(power_state="poweredOff")
    site.api.put(samples.a_machine())
    await site.run(patience=20)
    assert site.reason("Machine", "worker-1") == "NoEffect"
    assert len(site.world.boots) == 1
    site.world.after_boot = lambda _: None
    await site.run(patience=60)
    assert site.is_ready("Machine", "worker-1")
    assert len(site.world.boots) == 2


async def test_an_iso_that_does_not_show_in_the_drive_is_not_delivered_in_a_loop(site: Site) -> None:
    await site.with_cluster()
    site.world.ignored.add("attach iso")
    site.api.put(samples.a_machine())
    await site.run(patience=20)
    assert site.reason("Machine", "worker-1") == "NoEffect"
    assert site.outgoing.count("vcenter: attach iso") == 1
    site.world.ignored.clear()
    await site.run(patience=60)
    assert site.is_ready("Machine", "worker-1")


async def test_a_vm_that_ran_and_was_powered_off_is_started_at_once(site: Site) -> None:
    await site.with_machine()
    site.vm_of("worker-1").change(power_state="poweredOff")
    site.world.publish()
    await site.run(patience=5)
    assert site.is_ready("Machine", "worker-1")
    assert len(site.world.boots) == 2
