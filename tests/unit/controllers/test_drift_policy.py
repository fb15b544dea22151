"""What others change in vCenter: set right and counted with Repair, only told with Report."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Tag

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "theirs"}], "tagVMs": True}
OWN = [{"name": "own", "category": "k8c"}]


async def a_site(site: Site, policy: str) -> None:
    for name in ("theirs", "own"):
        site.world.tags[name] = Tag(name, name, "a person's", "cat-k8c")
    cluster = samples.a_cluster(**TAGGED)
    cluster["spec"]["driftPolicy"] = policy
    site.api.put(cluster)
    site.api.put(samples.a_machine(tags=OWN))
    await site.run()
    assert site.is_ready("Machine", "worker-1")


async def look_again(site: Site, patience: float = 5.0) -> list[str]:
    before = len(site.outgoing.names)
    for kind in ("Cluster", "Machine"):
        for key in site.process.objects.store.keys(kind):
            site.process.enqueue(key)
    await site.run(patience=patience)
    return [n for n in site.outgoing.names[before:] if n.startswith("vcenter") and n not in READS]


READS = {
    "vcenter: list attached", "vcenter: read tags", "vcenter: read folder", "vcenter: read vm",
    "vcenter: list tags", "vcenter: list attached objects", "vcenter: read rights", "vcenter: prove absence",
}  # fmt: skip


def folder_of(site: Site) -> MoRef:
    return site.world.folder("team-shop-shop")


def take_off(site: Site, carrier: MoRef) -> None:
    site.world.attached = {(t, o) for t, o in site.world.attached if o != carrier}


def untag_folder(site: Site) -> None:
    take_off(site, folder_of(site))


def delete_tag(site: Site) -> None:
    (env,) = [t.id for t in site.world.tags.values() if t.name == "env"]
    del site.world.tags[env]
    site.world.attached = {(t, o) for t, o in site.world.attached if t != env}


def untag_vm(site: Site) -> None:
    take_off(site, site.vm_of("worker-1").moref)


def power_off(site: Site) -> None:
    site.vm_of("worker-1").change(power_state="poweredOff")


def remove_folder(site: Site) -> None:
    site.world.vms.pop(site.vm_of("worker-1").moref)
    gone = folder_of(site)
    site.world.entities.pop(gone)
    take_off(site, gone)


CHANGES = [
    ("tags off the folder", untag_folder, {("Cluster", "FolderTagsChanged")}),
    ("a tag of ours deleted", delete_tag, {("Cluster", "SeveralThingsChanged")}),
    ("tags off a VM", untag_vm, {("Cluster", "VMTagsChanged"), ("Machine", "VMTagsChanged")}),
    ("a worker powered off", power_off, {("Machine", "PowerStateChanged")}),
    ("the folder removed", remove_folder, {("Cluster", "FolderRemoved")}),
]


def as_it_is(site: Site) -> Any:
    return (
        sorted(site.world.attached),
        sorted(site.world.tags),
        site.world.folders(),
        {m: v.details for m, v in site.world.vms.items()},
    )


@pytest.mark.parametrize(("change", "told"), [r[1:] for r in CHANGES], ids=[r[0] for r in CHANGES])
async def test_with_report_nothing_is_changed_and_each_difference_is_told_once(
    site: Site, change: Any, told: set[tuple[str, str]]
) -> None:
    await a_site(site, "Report")
    change(site)
    site.world.publish()
    before = as_it_is(site)
    assert await look_again(site, patience=300) == []
    assert await look_again(site, patience=1300) == []
    assert as_it_is(site) == before
    assert set(site.process.drift.reports) == told
    assert set(site.process.drift.reports.values()) == {1}
    assert not site.process.drift.repairs
    for kind, what in told:
        name = "shop" if kind == "Cluster" else "worker-1"
        condition = site.condition(kind, name, "Drifted")
        assert (condition["status"], condition["reason"]) == ("True", what)
        assert "somebody" in condition["message"]
    assert len([r for _, r, _ in site.events() if r == "Drifted"]) == len(told)
    site.restart()
    await site.run()
    assert as_it_is(site) == before
    assert len([r for _, r, _ in site.events() if r == "Drifted"]) == len(told)


@pytest.mark.parametrize("change", [r[1] for r in CHANGES], ids=[r[0] for r in CHANGES])
async def test_what_was_told_is_set_right_when_the_policy_says_so_and_told_no_more(
    site: Site, change: Any
) -> None:
    await a_site(site, "Report")
    change(site)
    site.world.publish()
    await look_again(site)
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"driftPolicy": "Repair"})
    await site.run(patience=700)
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    assert not site.condition("Cluster", "shop", "Drifted")
    assert not site.condition("Machine", "worker-1", "Drifted")
    on_folder = {t for t, o in site.world.attached if o == folder_of(site)}
    assert {site.world.tags[t].name for t in on_folder} == {"env", "theirs"}


@pytest.mark.parametrize(("change", "told"), [r[1:] for r in CHANGES], ids=[r[0] for r in CHANGES])
async def test_with_repair_it_is_set_right_counted_and_an_event(
    site: Site, change: Any, told: set[tuple[str, str]]
) -> None:
    await a_site(site, "Repair")
    change(site)
    site.world.publish()
    await look_again(site, patience=120)
    # A deleted tag is one loss; the one that is made for it is new to the VMs.
    expected = {("Cluster", "FolderTagsChanged")} if change is delete_tag else told
    assert set(site.process.drift.repairs) == expected
    assert not site.process.drift.reports
    assert not site.condition("Cluster", "shop", "Drifted")
    assert len([r for _, r, _ in site.events() if r == "DriftRepaired"]) == sum(
        site.process.drift.repairs.values()
    )
    assert site.is_ready("Cluster", "shop")


async def test_with_report_what_a_person_asks_for_is_still_done(site: Site) -> None:
    await a_site(site, "Report")
    untag_folder(site)
    wanted = [{"name": "env"}, {"name": "new"}]
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": wanted}}})
    await site.run()
    on_folder = {site.world.tags[t].name for t, o in site.world.attached if o == folder_of(site)}
    assert on_folder == {"new"}, "the new one is no difference, the lost one is"
    assert "theirs" not in {site.world.tags[t].name for t, _ in site.world.attached}


async def test_with_report_a_moved_folder_is_followed_and_told(site: Site) -> None:
    await a_site(site, "Report")
    moved = folder_of(site)
    entity = site.world.entities[moved]
    site.world.entities[moved] = type(entity)(moved, "renamed", entity.parent)
    site.world.publish()
    await look_again(site)
    assert site.reason("Cluster", "shop", "Drifted") == "FolderMoved"
    assert site.is_ready("Cluster", "shop")


async def test_with_report_a_removed_worker_is_replaced_by_its_set_all_the_same(site: Site) -> None:
    """The number of workers is what a person asked for; a VM that is gone cannot be put back."""
    cluster = samples.a_cluster()
    cluster["spec"]["driftPolicy"] = "Report"
    site.api.put(cluster)
    site.api.put(samples.a_deployment(replicas=1))
    await site.run(patience=120)
    (vm,) = site.world.workers()
    site.world.vms.pop(vm.moref)
    site.world.publish()
    await site.run(patience=300)
    assert len(site.world.workers()) == 1


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_with_report_a_creation_that_was_cut_off_is_no_difference(clock: Clock, phase: Phase) -> None:
    for at in range(1, 80):
        site = Site(clock)
        cluster = samples.a_cluster(tags=TAGGED["tags"])
        cluster["spec"]["driftPolicy"] = "Report"
        site.api.put(cluster)
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Cluster", "shop"), where
        assert not site.condition("Cluster", "shop", "Drifted"), where
        assert len(site.world.attached) == 2, where
        if not died:
            return
    raise AssertionError("more calls than a life has")
