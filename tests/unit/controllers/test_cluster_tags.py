"""A Cluster's tags stay as wanted without a call while nothing differs."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import UNREACHABLE, FakeTags
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Tag

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "shop", "category": "owner"}]}
DAY = 24 * 3600.0


def tags_of(site: Site) -> FakeTags:
    tags: FakeTags = site.world.connections[-1].tags
    return tags


def folder_of(site: Site) -> MoRef:
    return MoRef(site.object("Cluster", "shop")["status"]["folder"]["moRef"])


async def look_again(site: Site, *, patience: float = 5.0) -> list[str]:
    """Let the Cluster be looked at, as after a change, and return the calls to vCenter."""
    before = len(site.outgoing.names)
    for key in site.process.objects.store.keys("Cluster"):
        site.process.enqueue(key)
    await site.run(patience=patience)
    return [n for n in site.outgoing.names[before:] if n.startswith("vcenter")]


async def test_a_folder_is_watched_while_tags_matter_and_no_longer(site: Site) -> None:
    await site.with_cluster()
    assert tags_of(site).watched == []
    assert site.reason("Cluster", "shop", "TagsReady") == "NoTags"
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": TAGGED}})
    await site.run()
    assert tags_of(site).watched == [folder_of(site)]
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": []}}})
    await site.run()
    await look_again(site)
    assert tags_of(site).watched == []
    assert not site.world.tags


async def test_a_cluster_that_goes_is_watched_no_longer(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert tags_of(site).watched == []


async def test_a_restart_costs_one_look_at_what_is_attached(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.restart()
    before = len(site.outgoing.names)
    await site.run()
    calls = [n for n in site.outgoing.names[before:] if n.startswith("vcenter")]
    assert calls == ["vcenter: list attached"]
    assert site.reason("Cluster", "shop", "TagsReady") == "Attached"


async def test_a_tag_that_somebody_took_off_comes_back_on(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.world.attached.clear()
    assert "vcenter: attach tags" in await look_again(site)
    assert len(site.world.attached) == 2
    assert await look_again(site) == []


async def test_a_tag_that_somebody_deleted_is_made_again(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    (gone,) = [t.id for t in site.world.tags.values() if t.name == "env"]
    del site.world.tags[gone]
    site.world.attached = {(t, on) for t, on in site.world.attached if t != gone}
    await look_again(site, patience=60)
    assert tags_of(site).distrusted > 0, "the real one would still remember the old tag"
    assert {t.name for t in site.world.tags.values()} == {"env", "shop"}
    assert {t["id"] for t in site.object("Cluster", "shop")["status"]["tags"]} == set(site.world.tags)


async def test_what_others_attach_changes_nothing(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.world.tags["theirs"] = Tag("theirs", "theirs", "", "cat-k8c")
    site.world.attached.add(("theirs", folder_of(site)))
    assert await look_again(site) == []
    assert ("theirs", folder_of(site)) in site.world.attached


async def test_a_look_that_fails_attaches_nothing_and_makes_nothing(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.restart()
    site.world.refuse["list attached"] = [UNREACHABLE]
    before = len(site.outgoing.names)
    await site.run(patience=1.0)
    assert [n for n in site.outgoing.names[before:] if n.startswith("vcenter")] == ["vcenter: list attached"]
    assert site.reason("Cluster", "shop", "TagsReady") == "TimedOut"
    assert site.condition("Cluster", "shop", "FolderReady")["status"] == "True"
    await site.run(patience=300)
    assert site.is_ready("Cluster", "shop")


async def test_a_renamed_tag_is_noticed_within_a_day(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    (ours,) = [t for t in site.world.tags.values() if t.name == "env"]
    site.world.tags[ours.id] = Tag(ours.id, "renamed", ours.description, ours.category_id)
    site.clock.advance(DAY + 1)
    await look_again(site, patience=60)
    assert "env" in {t.name for t in site.world.tags.values()}


async def test_a_folder_that_a_person_named_is_neither_tagged_nor_watched(site: Site) -> None:
    site.world.add_folder("theirs")
    site.api.put(samples.a_cluster(folder="/DC0/vm/kubernetes/theirs", **TAGGED))
    await site.run()
    assert site.reason("Cluster", "shop", "TagsReady") == "FolderExternal"
    assert not site.world.tags
    assert tags_of(site).watched == []
