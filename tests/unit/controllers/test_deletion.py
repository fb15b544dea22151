"""A Cluster on its way out: in order, told at every moment, and with a way out where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, UNREACHABLE, World
from vsphere_operator.api.names import API_VERSION

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "shop", "category": "owner"}]}
BARE = ["Datacenters", "kubernetes", "vm"]


def let_go(site: Site, words: str) -> None:
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": {"userclusters.io/orphan": words}})


def told(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.object("Cluster", "shop")["status"]["deletion"]
    return found


def deleting(site: Site) -> dict[str, Any]:
    return site.condition("Cluster", "shop", "Deleting")


async def test_things_go_in_order_and_each_after_the_other_is_gone(site: Site) -> None:
    await site.with_machine()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": TAGGED}})
    await site.run()
    before = len(site.outgoing.names)
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    calls = [
        n
        for n in site.outgoing.names[before:]
        if n.startswith(("vcenter: destroy", "vcenter: delete tag", "vcenter: delete category"))
    ]
    assert [c.removeprefix("vcenter: ").split(" ")[:2] for c in calls] == [
        ["destroy", "vm"],
        ["destroy", "folder"],
        ["delete", "tag"],
        ["delete", "tag"],
        ["delete", "category"],
    ]


async def test_it_is_told_what_is_waited_for_and_since_when(site: Site) -> None:
    await site.with_machine()
    site.process.tasks_run = False
    site.delete("Cluster", "shop")
    await site.run(patience=5)
    found = told(site)
    assert (found["step"], found["reason"]) == ("Workers", "WaitingForWorkers")
    assert found["waitsFor"] == ["Machine worker-1"]
    condition = deleting(site)
    assert (condition["status"], condition["reason"]) == ("True", "WaitingForWorkers")
    assert "Machine worker-1" in condition["message"]
    since = found["since"]
    site.clock.advance(100)
    await site.run(patience=1000)
    assert told(site)["since"] == since
    site.process.tasks_run = True
    await site.run()
    assert not site.exists("Cluster", "shop")


async def test_of_many_workers_a_few_are_named(site: Site) -> None:
    site.api.put(samples.a_seed(limits={"provisioning": 30, "power": 30, "perDatastore": 30}))
    await site.with_cluster()
    site.process.tasks_run = False
    for i in range(25):
        site.api.put(samples.a_machine(f"worker-{i:02}"))
    await site.run(patience=5)
    site.delete("Cluster", "shop")
    await site.run(patience=5)
    assert "Machine worker-04 and 20 more" in deleting(site)["message"]
    assert len(told(site)["waitsFor"]) == 20


async def test_since_when_begins_anew_with_what_is_waited_for(site: Site) -> None:
    await site.with_machine()
    site.process.tasks_run = False
    site.delete("Cluster", "shop")
    await site.run(patience=5)
    since = told(site)["since"]
    theirs = site.world.add_vm("theirs", site.world.folder("team-shop-shop"))
    site.clock.advance(100)
    site.process.tasks_run = True
    await site.run(patience=5)
    found = told(site)
    assert (found["step"], found["reason"], found["waitsFor"]) == ("Folder", "FolderNotEmpty", ['"theirs"'])
    assert found["since"] > since
    del site.world.vms[theirs.moref]


async def test_a_machine_that_cannot_go_is_quoted(site: Site) -> None:
    await site.with_machine()
    site.world.refuse["destroy vm"] = [NO_PERMISSION] * 1000
    site.delete("Cluster", "shop")
    await site.run(patience=30)
    condition = deleting(site)
    assert condition["reason"] == "WorkersCannotGo"
    assert "Machine worker-1 says: " in condition["message"]
    assert "NoPermission" in condition["message"]
    assert "userclusters.io/orphan: machines" in condition["message"]
    assert site.condition("Cluster", "shop", "Stalled")["status"] == "True"


async def test_machines_that_a_person_lets_go_of_go_and_their_vms_stay(site: Site) -> None:
    await site.with_machine()
    site.world.refuse["destroy vm"] = [NO_PERMISSION] * 1000
    site.delete("Cluster", "shop")
    await site.run(patience=30)
    let_go(site, "machines")
    await site.run(patience=5)
    assert not site.exists("Machine", "worker-1")
    assert site.reason("Cluster", "shop") == "FolderNotEmpty"
    let_go(site, "machines,folder")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert len(site.world.workers()) == 1
    assert "team-shop-shop" in site.world.folders()


async def test_a_word_on_a_cluster_that_stays_lets_no_machine_go(site: Site) -> None:
    await site.with_machine()
    let_go(site, "machines")
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert not site.world.workers()


async def test_a_machine_whose_set_is_gone_is_not_waited_for_in_vain(site: Site) -> None:
    await site.with_cluster()
    owner = {"apiVersion": "v1", "kind": "MachineSet", "name": "gone", "uid": "x", "controller": True}
    site.api.put(samples.a_machine(meta={"ownerReferences": [owner]}))
    await site.run()
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")


@pytest.mark.parametrize("words", ["folders", "tags,volume", "Machines, pods"])
async def test_words_that_let_go_of_nothing_are_told_until_they_are_corrected(site: Site, words: str) -> None:
    await site.with_cluster()
    let_go(site, words)
    await site.run()
    condition = site.condition("Cluster", "shop", "OrphansKnown")
    assert (condition["status"], condition["reason"]) == ("False", "UnknownWord")
    assert words.split(",")[-1].strip() in condition["message"]
    assert "loadBalancers" in condition["message"]
    let_go(site, "folder")
    await site.run()
    assert site.condition("Cluster", "shop", "OrphansKnown") == {}


def _no_datacenter(site: Site) -> None:
    site.api.put(samples.a_seed(datacenter="elsewhere"))


def _no_seed(site: Site) -> None:
    site.api.delete("Seed", "", "europe")


def _no_secret(site: Site) -> None:
    site.api.delete("Secret", "vsphere-operator", "infra")


def _empty_secret(site: Site) -> None:
    site.api.secret("vsphere-operator", "infra", username="infra")


def _unreachable(site: Site) -> None:
    site.world.refuse["read folder"] = [UNREACHABLE] * 1000


Lose = Callable[[Site], None]
LOSSES: list[tuple[Lose, str, str]] = [
    (_no_datacenter, "DatacenterNotFound", "frankfurt"),
    (_no_seed, "DatacenterNotFound", "frankfurt"),
    (_no_secret, "SecretNotFound", "vsphere-operator/infra"),
    (_empty_secret, "SecretIncomplete", "password"),
    (_unreachable, "FolderUnknown", "vCenter"),
]


@pytest.mark.parametrize(("lose", "reason", "word"), LOSSES, ids=[a.__name__ for a, _, _ in LOSSES])
async def test_what_vcenter_cannot_be_asked_about_is_waited_for_with_a_way_out(
    site: Site, lose: Lose, reason: str, word: str
) -> None:
    await site.with_cluster(**TAGGED)
    lose(site)
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    condition = deleting(site)
    assert condition["reason"] == reason
    assert word in condition["message"]
    assert "annotate the Cluster with userclusters.io/orphan: folder" in condition["message"]
    assert told(site)["step"] == "Folder"
    assert "team-shop-shop" in site.world.folders()
    calls = len(site.outgoing.names)
    let_go(site, "folder,tags")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert "team-shop-shop" in site.world.folders()
    assert len(site.world.tags) == 2
    assert not [n for n in site.outgoing.names[calls:] if n.startswith("vcenter")]
    left = " ".join(m for _, r, m in site.events() if r == "LeftBehind")
    assert "/DC0/vm/kubernetes/team-shop-shop" in left
    assert 'the tag "env"' in left


@pytest.mark.parametrize(("lose", "reason", "word"), LOSSES[:4], ids=[a.__name__ for a, _, _ in LOSSES[:4]])
async def test_what_was_lost_and_comes_back_lets_the_deletion_finish(
    site: Site, lose: Lose, reason: str, word: str
) -> None:
    await site.with_machine()
    lose(site)
    site.delete("Cluster", "shop")
    await site.run(patience=60)
    assert deleting(site)["reason"] == "WorkersCannotGo"
    assert word in deleting(site)["message"]
    site.api.secret("vsphere-operator", "infra", username="infra", password=samples.PASSWORD)
    site.api.put(samples.a_seed())
    await site.run()
    assert not site.exists("Cluster", "shop"), reason
    assert site.world.folders() == BARE
    assert not site.world.workers()


async def test_a_preset_deleted_in_use_does_not_keep_a_cluster_from_going(site: Site) -> None:
    preset = {
        "apiVersion": API_VERSION,
        "kind": "Preset",
        "metadata": {"name": "standard"},
        "spec": {"vsphere": {}},
    }
    site.api.put(preset)
    cluster = samples.a_cluster(**TAGGED)
    cluster["spec"]["presetRef"] = {"name": "standard"}
    site.api.put(cluster)
    await site.run()
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    site.api.delete("Preset", "", "standard")
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.world.folders() == BARE
    assert not site.world.tags


async def test_a_preset_that_had_the_only_login_is_asked_for_back(site: Site) -> None:
    site.api.put(samples.a_seed(infraManagementUser=None))
    site.api.secret("vsphere-operator", "preset", username="infra", password=samples.PASSWORD)
    user = {"secretRef": {"namespace": "vsphere-operator", "name": "preset"}}
    preset = {
        "apiVersion": API_VERSION,
        "kind": "Preset",
        "metadata": {"name": "standard"},
        "spec": {"vsphere": {"infraManagementUser": user}},
    }
    site.api.put(preset)
    cluster = samples.a_cluster(**TAGGED)
    cluster["spec"]["presetRef"] = {"name": "standard"}
    site.api.put(cluster)
    await site.run()
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    site.api.delete("Preset", "", "standard")
    site.delete("Cluster", "shop")
    await site.run()
    assert deleting(site)["reason"] == "PresetNotFound"
    assert "userclusters.io/orphan: folder,tags" in deleting(site)["message"]
    site.api.put(preset)
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.world.folders() == BARE


def _move(world: World) -> None:
    folder = world.folder("team-shop-shop")
    world.entities[folder] = replace(world.entities[folder], parent=world.folder("vm"))


def _rename(world: World) -> None:
    folder = world.folder("team-shop-shop")
    world.entities[folder] = replace(world.entities[folder], name="renamed")


def _remove(world: World) -> None:
    folder = world.folder("team-shop-shop")
    del world.entities[folder]
    world.attached = {(tag, on) for tag, on in world.attached if on != folder}


@pytest.mark.parametrize("change", [_move, _rename, _remove], ids=lambda f: f.__name__)
async def test_a_folder_that_an_admin_moved_renamed_or_removed_is_no_hindrance(
    site: Site, change: Callable[[World], None]
) -> None:
    await site.with_cluster(**TAGGED)
    change(site.world)
    site.world.publish()
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop"), site.object("Cluster", "shop")
    assert site.world.folders() == BARE
    assert not site.world.tags


async def test_a_paused_cluster_tells_that_nothing_goes(site: Site) -> None:
    await site.with_cluster()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": True})
    site.delete("Cluster", "shop")
    await site.run()
    assert deleting(site)["reason"] == "Paused"
    assert "team-shop-shop" in site.world.folders()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": False})
    await site.run()
    assert not site.exists("Cluster", "shop")


async def test_a_tag_in_use_by_others_is_named_and_the_folder_is_told_of_no_more(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    theirs = site.world.add_vm("theirs", site.world.folder("vm"))
    (env,) = (t.id for t in site.world.tags.values() if t.name == "env")
    site.world.attached.add((env, theirs.moref))
    site.delete("Cluster", "shop")
    await site.run()
    assert deleting(site)["reason"] == "TagsInUseElsewhere"
    assert told(site)["waitsFor"] == ['"env"']
    assert site.condition("Cluster", "shop", "FolderReady") == {}
    site.world.attached.discard((env, theirs.moref))
    await site.run(patience=120)
    assert not site.exists("Cluster", "shop")


async def test_waiting_tells_an_event_once(site: Site) -> None:
    await site.with_cluster()
    site.world.add_vm("theirs", site.world.folder("team-shop-shop"))
    site.delete("Cluster", "shop")
    await site.run(patience=2000)
    assert len([r for _, r, _ in site.events() if r == "FolderNotEmpty"]) == 1


async def test_letting_go_of_the_folder_alone_loses_no_tag_that_was_being_made(site: Site) -> None:
    site.world.lose_answer.add("create tag")
    site.api.put(samples.a_cluster(**TAGGED))
    await site.run(patience=1)
    intents = site.object("Cluster", "shop")["status"]["intents"]
    assert [i["type"] for i in intents] == ["CreateTag"]
    let_go(site, "folder")
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert not site.world.tags
