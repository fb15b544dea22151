"""What is not proven to be ours stays as it is, whatever its name and whatever it says of itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import UNREACHABLE, Vm
from vsphere_operator.kube.errors import Conflict
from vsphere_operator.vsphere.tags import Tag
from vsphere_operator.vsphere.vm_details import Disk


def _frozen(vm: Vm) -> Any:
    return copy.deepcopy(vm.details)


async def test_a_foreign_vm_of_the_same_name_is_left_alone(site: Site) -> None:
    await site.with_cluster()
    foreign = site.world.add_vm("worker-1", site.world.folder("team-shop-shop"))
    before = _frozen(foreign)
    site.api.put(samples.a_machine())
    await site.run()
    assert site.reason("Machine", "worker-1") == "NameTaken"
    assert site.outgoing.count("clone") == 0
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert foreign.details == before


async def test_a_machine_is_made_once_the_foreign_vm_has_gone_elsewhere(site: Site) -> None:
    await site.with_cluster()
    foreign = site.world.add_vm("worker-1", site.world.folder("team-shop-shop"))
    site.api.put(samples.a_machine())
    await site.run()
    foreign.change(name="somebody-elses")
    site.world.publish()
    await site.run(patience=5)
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]


async def test_a_copy_with_our_mark_is_never_touched(site: Site) -> None:
    await site.with_machine()
    ours = site.vm_of("worker-1")
    assert ours.details.parent is not None
    copied = site.world.add_vm(
        "worker-1-copy",
        ours.details.parent,
        extra_config=dict(ours.details.extra_config),
    )
    before = _frozen(copied)
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert site.world.workers() == [copied]
    assert copied.details == before


async def test_a_vm_with_our_uuid_and_without_our_mark_is_not_claimed(site: Site) -> None:
    await site.with_machine()
    ours = site.vm_of("worker-1")
    ours.change(extra_config={})
    machine = site.object("Machine", "worker-1")
    del machine["status"]
    del machine["spec"]["providerID"]
    site.api.put(machine)
    site.restart()
    await site.run()
    assert site.reason("Machine", "worker-1") == "NotOurs"
    assert "vm" not in site.object("Machine", "worker-1")["status"]
    before = _frozen(ours)
    site.delete("Machine", "worker-1")
    await site.run(patience=600)
    assert site.exists("Machine", "worker-1")
    assert ours.details == before


async def test_a_vm_is_found_again_when_the_status_is_lost(site: Site) -> None:
    await site.with_machine()
    machine = site.object("Machine", "worker-1")
    del machine["status"]
    site.api.put(machine)
    site.restart()
    await site.run()
    assert site.is_ready("Machine", "worker-1")
    assert len(site.world.workers()) == 1


async def test_a_machine_with_a_copied_identity_does_not_take_over_the_vm(site: Site) -> None:
    await site.with_machine()
    identity = site.object("Machine", "worker-1")["metadata"]["annotations"]["userclusters.io/id"]
    meta = {"annotations": {"userclusters.io/id": identity}, "finalizers": ["userclusters.io/vsphere"]}
    site.api.put(samples.a_machine("copy", meta=meta))
    await site.run()
    assert site.reason("Machine", "copy") == "IdentityTaken"
    site.delete("Machine", "copy")
    await site.run()
    assert site.vm_of("worker-1").details.power_state == "poweredOn"
    assert site.is_ready("Machine", "worker-1")


async def test_a_foreign_vm_in_the_folder_keeps_the_folder(site: Site) -> None:
    await site.with_cluster()
    foreign = site.world.add_vm("somebody-elses", site.world.folder("team-shop-shop"))
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert site.reason("Cluster", "shop") == "FolderNotEmpty"
    assert "somebody-elses" in site.condition("Cluster", "shop")["message"]
    assert site.outgoing.count("destroy folder") == 0
    foreign.change(parent=site.world.folder("kubernetes"))
    site.world.publish()
    await site.run()
    assert not site.exists("Cluster", "shop")


async def test_a_folder_that_was_there_is_adopted_and_stays(site: Site) -> None:
    site.world.add_folder("team-shop-shop")
    await site.with_cluster(tags=[{"name": "env"}])
    assert site.object("Cluster", "shop")["status"]["folder"]["origin"] == "Adopted"
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert "team-shop-shop" in site.world.folders()
    assert not site.world.tags
    assert not site.world.attached


async def test_an_adopted_tag_is_detached_and_stays(site: Site) -> None:
    site.world.tags["theirs"] = Tag("theirs", "env", "a person's", "cat-k8c")
    await site.with_cluster(tags=[{"name": "env"}])
    assert site.object("Cluster", "shop")["status"]["tags"][0]["origin"] == "Adopted"
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": []}}})
    await site.run()
    assert not site.world.attached
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert list(site.world.tags) == ["theirs"]


async def test_a_tag_of_two_clusters_goes_with_the_last(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "env"}])
    site.api.put(samples.a_cluster("second", tags=[{"name": "env"}]))
    await site.run()
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert len(site.world.tags) == 1
    site.delete("Cluster", "second")
    await site.run(patience=600)
    assert not site.world.tags


async def test_a_tag_goes_when_its_two_clusters_go_at_once(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "env"}])
    site.api.put(samples.a_cluster("second", tags=[{"name": "env"}]))
    await site.run()
    site.process.workers = 4
    site.delete("Cluster", "shop")
    site.delete("Cluster", "second")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert not site.exists("Cluster", "second")
    assert not site.world.tags


async def test_a_persons_disk_is_detached_and_keeps_its_file(site: Site) -> None:
    await site.with_machine()
    vm = site.vm_of("worker-1")
    volume = Disk(2001, 1000, 1, 1 << 30, "csi", ("[LocalDS_0] fcd/volume.vmdk",), fcd_id="fcd-1")
    vm.change(disks=(*vm.details.disks, volume))
    seen: list[int] = []
    site.world.on_destroy = lambda details: seen.append(len(details.disks))
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert seen == [1]
    assert site.outgoing.count("detach disks") == 1


async def test_a_foreign_disk_below_a_snapshot_is_not_destroyed(site: Site) -> None:
    await site.with_machine()
    vm = site.vm_of("worker-1")
    volume = Disk(2001, 1000, 1, 1 << 30, "csi", ("[LocalDS_0] fcd/volume.vmdk",))
    vm.change(disks=(*vm.details.disks, volume), has_snapshot=True)
    site.delete("Machine", "worker-1")
    await site.run(patience=600)
    assert site.reason("Machine", "worker-1") == "SnapshotHoldsForeignDisks"
    assert site.outgoing.count("destroy vm") == 0


async def test_the_iso_of_a_vm_that_a_person_destroyed_is_deleted(site: Site) -> None:
    await site.with_machine()
    del site.world.vms[site.vm_of("worker-1").moref]
    site.world.publish()
    await site.run()
    assert site.reason("Machine", "worker-1") == "VMRemoved"
    assert site.object("Machine", "worker-1")["status"]["phase"] == "Failed"
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert not site.world.files


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_moref_that_a_restored_vcenter_gave_to_another_worker_is_not_taken_for_the_own_vm(
    site: Site, leaving: bool
) -> None:
    await site.with_machine()
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    other = site.vm_of("worker-2")
    del site.world.vms[site.vm_of("worker-1").moref]
    recorded = site.object("Machine", "worker-1")["status"]["vm"]
    site.api.edit("Machine", NAMESPACE, "worker-1", status={"vm": {**recorded, "moRef": other.moref}})
    site.world.publish()
    before = _frozen(other)
    if leaving:
        site.delete("Machine", "worker-1")
    await site.run(patience=60)
    assert _frozen(other) == before
    assert site.is_ready("Machine", "worker-2")
    if leaving:
        assert not site.exists("Machine", "worker-1")
    else:
        assert site.reason("Machine", "worker-1") == "VMRemoved"


async def test_a_machine_whose_folder_may_not_be_seen_is_not_let_go(site: Site) -> None:
    await site.with_machine()
    machine = site.object("Machine", "worker-1")
    del machine["status"]
    site.restart()
    site.world.hidden |= {site.world.folder("team-shop-shop"), site.vm_of("worker-1").moref}
    site.api.put(machine)
    site.delete("Machine", "worker-1")
    await site.run(patience=600)
    assert site.exists("Machine", "worker-1")
    assert site.reason("Machine", "worker-1") == "VMUnknown"
    site.world.hidden.clear()
    site.world.publish()
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert not site.world.workers()


async def test_a_vm_that_left_the_view_is_unknown_and_not_gone(site: Site) -> None:
    await site.with_machine()
    vm = site.vm_of("worker-1")
    site.world.refuse["read vm"] = [UNREACHABLE] * 1000
    site.world.hidden.add(vm.moref)
    site.world.publish()
    await site.run()
    assert site.reason("Machine", "worker-1") == "VMUnknown"
    site.delete("Machine", "worker-1")
    await site.run(patience=600)
    assert site.exists("Machine", "worker-1")


async def test_nothing_is_touched_on_another_vcenter(site: Site) -> None:
    await site.with_machine()
    site.restart()
    site.world.instance_uuid = "another"
    before = _frozen(site.vm_of("worker-1"))
    site.delete("Machine", "worker-1")
    await site.run(patience=600)
    assert site.reason("Machine", "worker-1") == "OtherVCenter"
    assert site.vm_of("worker-1").details == before


async def test_a_stale_watch_does_not_lead_to_a_second_clone(site: Site) -> None:
    """The answer to the clone is lost and the watch is silent with it."""
    await site.with_cluster()
    site.world.lose_answer.add("clone")
    site.world.lagging = True
    site.process.tasks_run = False
    site.api.put(samples.a_machine())
    await site.run(patience=120)
    assert site.outgoing.count("clone") == 1
    site.world.lagging, site.process.tasks_run = False, True
    site.world.publish()
    await site.run(patience=120)
    assert site.is_ready("Machine", "worker-1")
    assert site.outgoing.count("clone") == 1


async def test_a_conflict_on_the_intent_means_that_another_operator_acts(site: Site) -> None:
    await site.with_cluster()
    site.process.objects.fail["status Machine"] = Conflict(409, "Conflict", "changed")
    site.api.put(samples.a_machine())
    await site.run(patience=30)
    assert site.outgoing.count("vcenter: clone") == 0
    site.process.objects.fail.clear()
    await site.run()
    assert site.is_ready("Machine", "worker-1")


@pytest.mark.parametrize("word", ["machines", "all"])
async def test_a_person_may_let_go_of_a_vm_and_is_told_of_it(site: Site, word: str) -> None:
    await site.with_machine()
    site.world.refuse["read vm"] = [UNREACHABLE] * 1000
    site.api.edit(
        "Machine", NAMESPACE, "worker-1", metadata={"annotations": {"userclusters.io/orphan": word}}
    )
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert any("worker-1" in m and r == "LeftBehind" for _, r, m in site.events())


async def test_letting_go_of_all_tells_what_is_left_of_a_cluster(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "env"}])
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": {"userclusters.io/orphan": "all"}})
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    told = " ".join(m for _, r, m in site.events() if r == "LeftBehind")
    assert "team-shop-shop" in told
    assert "env" in told
    assert not any("Nothing of this Cluster is left" in m for _, _, m in site.events())


async def test_letting_go_of_the_folder_still_removes_the_tags(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "env"}])
    site.api.edit(
        "Cluster", NAMESPACE, "shop", metadata={"annotations": {"userclusters.io/orphan": "folder"}}
    )
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    assert not site.world.tags
    assert "team-shop-shop" in site.world.folders()
