"""The Cluster's tags and a Machine's own on its VM: from its first boot on, after changes of ours and of others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, TEMPLATE, FakeTags
from vsphere_operator.api.cluster import TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers.cluster.vm_tags import Changes, Worker, changes
from vsphere_operator.vsphere.faults import Fault, FaultClass
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Category, Tag, TagBatchError

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "shop", "category": "owner"}], "tagVMs": True}
OWN = [{"name": "theirs", "category": "k8c"}]


def on(site: Site, name: str) -> set[str]:
    """The names of the tags on a VM."""
    moref = site.vm_of(name).moref
    return {site.world.tags[t].name for t, carrier in site.world.attached if carrier == moref}


def a_persons_tag(site: Site, name: str = "theirs") -> None:
    site.world.tags[name] = Tag(name, name, "a person's", "cat-k8c")


def change(site: Site, **vsphere: Any) -> None:
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": vsphere}})


async def look_again(site: Site, patience: float = 5.0) -> list[str]:
    """As after a poll that shows something new; the calls that change tags."""
    before = len(site.outgoing.names)
    for kind in ("Cluster", "Machine"):
        for key in site.process.objects.store.keys(kind):
            site.process.enqueue(key)
    await site.run(patience=patience)
    return [n for n in site.outgoing.names[before:] if "tach" in n and "list" not in n]


async def with_workers(
    site: Site, *names: str, machine: dict[str, Any] | None = None, **vsphere: Any
) -> None:
    a_persons_tag(site)
    await site.with_cluster(**(vsphere or TAGGED))
    for name in names:
        site.api.put(samples.a_machine(name, **(machine or {})))
    await site.run()


async def test_a_vm_gets_the_clusters_tags_and_its_own_in_one_call_before_it_runs(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    assert on(site, "one") == {"env", "shop", "theirs"}
    names = site.outgoing.names
    assert names.count("vcenter: attach tags") == 2, "one for the folder, one for the VM"
    assert names.count("vcenter: attach to many") == 0
    assert (
        names.index("vcenter: power on") > [i for i, n in enumerate(names) if n == "vcenter: attach tags"][1]
    )
    assert await look_again(site) == []


async def test_without_the_word_vms_get_none_of_the_clusters_tags(site: Site) -> None:
    await with_workers(site, "one", tags=TAGGED["tags"])
    assert on(site, "one") == set()


async def test_a_new_tag_reaches_all_vms_in_one_call_and_one_that_goes_leaves_them(site: Site) -> None:
    await with_workers(site, "one", "two", "three")
    change(site, tags=[{"name": "env"}, {"name": "new"}])
    before = len(site.outgoing.names)
    await site.run()
    assert [on(site, n) for n in ("one", "two", "three")] == [{"env", "new"}] * 3
    calls = site.outgoing.names[before:]
    assert calls.count("vcenter: attach to many") == 1
    assert calls.count("vcenter: detach from many") == 1
    assert {t.name for t in site.world.tags.values()} == {"env", "new", "theirs"}, "gone in the same pass"


async def test_the_word_given_later_reaches_vms_that_are_there_and_taken_back_leaves_them(site: Site) -> None:
    await with_workers(site, "one", tags=TAGGED["tags"])
    change(site, tagVMs=True)
    await site.run()
    assert on(site, "one") == {"env", "shop"}
    change(site, tagVMs=False)
    await site.run()
    assert on(site, "one") == set()
    assert {t["vms"] for t in site.object("Cluster", "shop")["status"]["tags"]} == {False}
    assert len(site.world.attached) == 2, "the folder keeps them"


async def test_tags_taken_off_a_vm_come_back_and_are_told_once(site: Site) -> None:
    await with_workers(site, "one", "two", machine={"tags": OWN})
    moref = site.vm_of("one").moref
    site.world.attached = {(t, o) for t, o in site.world.attached if o != moref}
    await look_again(site)
    assert on(site, "one") == {"env", "shop", "theirs"}
    told = [m for _, r, m in site.events() if r == "DriftRepaired"]
    assert len(told) == 2, "the Cluster tells of its own, the Machine of its own"
    assert any('"one"' in m and '"env"' in m for m in told)
    assert site.process.drift.repairs == {("Cluster", "VMTagsChanged"): 1, ("Machine", "VMTagsChanged"): 1}
    assert await look_again(site) == []
    assert site.is_ready("Machine", "one")


async def test_what_others_put_on_a_vm_stays(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    a_persons_tag(site, "others")
    site.world.attached.add(("others", site.vm_of("one").moref))
    assert await look_again(site) == []
    change(site, tags=[], tagVMs=False)
    site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": []}})
    await site.run()
    assert on(site, "one") == {"others"}
    assert {t.name for t in site.world.tags.values()} == {"theirs", "others"}


async def test_a_tag_that_a_person_put_on_a_vm_is_not_taken_off_because_the_folder_has_it_no_longer(
    site: Site,
) -> None:
    a_persons_tag(site)
    await with_workers(site, "one", tags=OWN)
    site.world.attached.add(("theirs", site.vm_of("one").moref))
    change(site, tags=[])
    await site.run()
    assert on(site, "one") == {"theirs"}


async def test_a_tag_that_cluster_and_machine_both_ask_for_stays_while_one_of_them_does(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN}, tags=OWN, tagVMs=True)
    change(site, tags=[])
    await site.run()
    assert on(site, "one") == {"theirs"}
    change(site, tags=OWN)
    await site.run()
    site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": []}})
    await site.run()
    assert on(site, "one") == {"theirs"}


async def test_a_machines_tag_that_is_named_later_is_attached_and_one_that_goes_is_taken_off(
    site: Site,
) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    a_persons_tag(site, "others")
    site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": [{"name": "others"}]}})
    await site.run()
    assert on(site, "one") == {"env", "shop", "others"}
    assert [t["name"] for t in site.object("Machine", "one")["status"]["tags"]] == ["others"]
    assert "theirs" in site.world.tags


async def test_a_running_worker_whose_tag_does_not_exist_says_so_and_stays_ready(site: Site) -> None:
    await with_workers(site, "one")
    site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": [{"name": "absent"}]}})
    await site.run(patience=5)
    told = site.condition("Machine", "one", "TagsAttached")
    assert (told["status"], told["reason"]) == ("False", "TagNotFound")
    assert site.is_ready("Machine", "one")
    a_persons_tag(site, "absent")
    await site.run(patience=70)
    assert "absent" in on(site, "one")
    assert site.condition("Machine", "one", "TagsAttached")["status"] == "True"


async def test_a_deleted_tag_of_a_machine_is_taken_by_its_name_when_it_is_made_anew(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    del site.world.tags["theirs"]
    site.world.attached = {(t, o) for t, o in site.world.attached if t != "theirs"}
    await look_again(site, patience=150)
    assert site.condition("Machine", "one", "TagsAttached")["status"] == "False"
    site.world.tags["anew"] = Tag("anew", "theirs", "a person's", "cat-k8c")
    await site.run(patience=150)
    assert ("anew", site.vm_of("one").moref) in site.world.attached
    assert [t["id"] for t in site.object("Machine", "one")["status"]["tags"]] == ["anew"]


async def test_a_refused_tag_is_told_and_not_asked_for_in_a_loop(site: Site) -> None:
    await with_workers(site, "one")
    site.world.refuse["attach tags"] = [NO_PERMISSION] * 50
    site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": OWN}})
    before = site.outgoing.count("attach tags")
    await site.run(patience=100)
    assert site.outgoing.count("attach tags") - before == 2
    assert site.reason("Machine", "one", "TagsAttached") == "NoPermission"
    assert site.is_ready("Machine", "one")


async def test_a_tag_that_a_vm_does_not_take_keeps_no_other_from_it_and_is_told(site: Site) -> None:
    await with_workers(site, "one", "two")
    refused = Fault(FaultClass.CONFLICT, "TagBatchFailed", "Could not be attached.", 30.0, "TagBatchFailed")
    site.world.refuse_batch["attach to many"] = [TagBatchError(refused, ())]
    change(site, tags=[{"name": "env"}, {"name": "new"}, {"name": "newer"}])
    await site.run(patience=5)
    assert on(site, "one") == on(site, "two") == {"env", "newer"}
    assert site.reason("Cluster", "shop", "TagsReady") == "TagBatchFailed"
    await site.run(patience=100)
    assert on(site, "one") == {"env", "new", "newer"}
    assert site.is_ready("Cluster", "shop")


async def test_a_vm_that_is_not_the_machines_any_more_is_not_tagged(site: Site) -> None:
    """A restored vCenter gives MoRefs out again."""
    await with_workers(site, "one")
    site.vm_of("one").change(instance_uuid="somebody-elses")
    site.world.publish()
    before = on(site, "one")
    change(site, tags=[{"name": "env"}, {"name": "new"}])
    await site.run(patience=5)
    assert on(site, "one") == before


async def test_the_template_and_others_are_never_tagged(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    foreign = site.world.add_vm("foreign", site.world.folder("team-shop-shop"))
    await look_again(site)
    carriers = {o for _, o in site.world.attached}
    assert not carriers & {TEMPLATE, foreign.moref}


async def test_with_a_folder_of_a_persons_only_vms_are_tagged(site: Site) -> None:
    theirs = site.world.add_folder("theirs")
    await with_workers(site, "one", folder="/DC0/vm/kubernetes/theirs", **TAGGED)
    assert site.reason("Cluster", "shop", "TagsReady") == "Attached"
    assert on(site, "one") == {"env", "shop"}
    assert theirs not in {o for _, o in site.world.attached}
    change(site, tags=[{"name": "env"}])
    await site.run()
    assert on(site, "one") == {"env"}
    assert {t.name for t in site.world.tags.values()} == {"env", "theirs"}


async def test_nothing_is_watched_when_machine_and_cluster_are_gone(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    tags = site.world.connections[-1].tags
    assert isinstance(tags, FakeTags)
    assert site.vm_of("one").moref in tags.watched
    site.delete("Machine", "one")
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert tags.watched == []
    assert list(site.world.tags) == ["theirs"]


async def test_a_paused_cluster_leaves_its_vms_tags_alone(site: Site) -> None:
    await with_workers(site, "one", machine={"tags": OWN})
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": True})
    await site.run()
    site.world.attached.clear()
    assert await look_again(site) == []
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": False})
    await site.run()
    assert on(site, "one") == {"env", "shop", "theirs"}


async def test_a_category_that_does_not_fit_vms_is_told_before_anything_is_made(site: Site) -> None:
    site.world.categories["cat-k8c"] = Category("cat-k8c", "k8c", "", "MULTIPLE", frozenset({"Folder"}))
    await site.with_cluster(**TAGGED)
    told = site.condition("Cluster", "shop", "TagsReady")
    assert told["reason"] == "CategoryDoesNotFit"
    assert "VirtualMachine" in told["message"]
    assert not site.world.tags
    change(site, tagVMs=False)
    await site.run()
    assert site.is_ready("Cluster", "shop")


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_changed_tags_arrive_wherever_the_process_dies(clock: Clock, phase: Phase) -> None:
    for at in range(1, 60):
        site = Site(clock)
        await with_workers(site, "one", machine={"tags": OWN})
        a_persons_tag(site, "others")
        change(site, tags=[{"name": "env"}, {"name": "new"}])
        site.api.edit("Machine", NAMESPACE, "one", spec={"vsphere": {"tags": [{"name": "others"}]}})
        died = await site.run_and_die(at, phase)
        await look_again(site)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert on(site, "one") == {"env", "new", "others"}, where
        assert {t.name for t in site.world.tags.values()} == {"env", "new", "theirs", "others"}, where
        if not died:
            return
    raise AssertionError("more calls than a life has")


A, B = MoRef("VirtualMachine:a"), MoRef("VirtualMachine:b")


def entry(name: str, *, vms: bool = True) -> TagStatus:
    return TagStatus(name=name, id=name, origin=Origin.CREATED, attached=True, vms=vms)


CHANGES: list[tuple[str, list[Worker], list[str], list[TagStatus], Changes]] = [
    ("lacks one", [Worker(A, frozenset(), frozenset())], ["x"], [entry("x")], Changes({"x": (A,)}, {})),
    ("has it", [Worker(A, frozenset(), frozenset({"x"}))], ["x"], [entry("x")], Changes({}, {})),
    ("not known", [Worker(A, frozenset())], ["x"], [entry("x")], Changes({}, {})),
    ("unwanted", [Worker(A, frozenset(), frozenset({"x"}))], [], [entry("x")], Changes({}, {"x": (A,)})),
    ("unwanted, its own", [Worker(A, frozenset({"x"}), frozenset({"x"}))], [], [entry("x")], Changes({}, {})),
    ("never put there", [Worker(A, frozenset(), frozenset({"x"}))], [], [entry("x", vms=False)], Changes({}, {})),
    ("one of two", [Worker(A, frozenset(), frozenset({"x"})), Worker(B, frozenset(), frozenset())], ["x"],
     [entry("x")], Changes({"x": (B,)}, {})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("workers", "wanted", "ledger", "expected"), [r[1:] for r in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_what_differs_on_vms(
    workers: list[Worker], wanted: list[str], ledger: list[TagStatus], expected: Changes
) -> None:
    assert changes(workers, wanted=wanted, ledger=ledger) == expected
