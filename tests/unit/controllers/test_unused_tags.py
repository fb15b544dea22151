"""A tag of ours goes when it is proven unused, and stays, told, when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, UNREACHABLE
from vsphere_operator.vsphere.tags import Category, Tag

BLIND = "the vCenter user may not read all of vCenter"
ONE: dict[str, Any] = {"tags": [{"name": "env"}]}


def change(site: Site, name: str = "shop", **vsphere: Any) -> None:
    site.api.edit("Cluster", NAMESPACE, name, spec={"cloud": {"vsphere": vsphere}})


def names(site: Site) -> set[str]:
    return {t.name for t in site.world.tags.values()}


async def test_a_tag_stays_and_is_told_while_not_all_can_be_seen(site: Site) -> None:
    await site.with_cluster(**ONE)
    site.world.out_of_sight = BLIND
    change(site, tags=[])
    await site.run()
    told = site.condition("Cluster", "shop", "TagsReady")
    assert (told["status"], told["reason"]) == ("True", "TagsNotProvenUnused")
    assert '"env"' in told["message"]
    assert BLIND in told["message"]
    assert names(site) == {"env"}
    assert not site.world.attached
    site.world.out_of_sight = ""
    await site.run(patience=700)
    assert names(site) == set()


@pytest.mark.parametrize("refused", [False, True])
async def test_a_clusters_end_does_not_wait_for_a_proof_that_will_not_come(site: Site, refused: bool) -> None:
    await site.with_cluster(**ONE)
    site.world.out_of_sight = BLIND
    if refused:
        site.world.refuse["read rights"] = [NO_PERMISSION] * 10
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert names(site) == {"env"}
    assert any(r == "LeftBehind" and '"env"' in m for _, r, m in site.events())
    assert "Nothing of this Cluster is left in vCenter." not in {m for _, _, m in site.events()}


async def test_a_tag_that_may_not_be_read_is_waited_for_and_not_left_behind(site: Site) -> None:
    await site.with_cluster(**ONE)
    site.world.refuse["read tags"] = [NO_PERMISSION]
    site.delete("Cluster", "shop")
    await site.run(patience=5)
    assert site.exists("Cluster", "shop")
    assert site.reason("Cluster", "shop", "TagsReady") == "NoPermission"
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert names(site) == set()


async def test_a_vcenter_that_does_not_answer_is_waited_for(site: Site) -> None:
    await site.with_cluster(**ONE)
    site.world.refuse["read rights"] = [UNREACHABLE]
    site.delete("Cluster", "shop")
    await site.run(patience=1)
    assert site.exists("Cluster", "shop")
    assert names(site) == {"env"}
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert names(site) == set()


async def test_who_carries_a_tag_is_named_and_the_tag_goes_when_it_is_off(site: Site) -> None:
    await site.with_cluster(**ONE)
    precious = site.world.add_vm("precious", site.world.folder("vm"))
    (tag,) = site.world.tags
    site.world.attached.add((tag, precious.moref))
    change(site, tags=[])
    await site.run()
    told = site.condition("Cluster", "shop", "TagsReady")
    assert told["reason"] == "TagsInUseElsewhere"
    assert '"env" (on the VirtualMachine "precious")' in told["message"]
    assert site.is_ready("Cluster", "shop")
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert '"precious"' in site.condition("Cluster", "shop", "TagsReady")["message"]
    assert (tag, precious.moref) in site.world.attached
    site.world.attached.discard((tag, precious.moref))
    await site.run(patience=120)
    assert not site.exists("Cluster", "shop")
    assert names(site) == set()


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_the_last_of_two_clusters_deletes_their_tag_wherever_the_process_dies(
    clock: Clock, phase: Phase
) -> None:
    for at in range(1, 60):
        site = Site(clock)
        await site.with_cluster(tags=[{"name": "env", "category": "owner"}])
        site.api.put(samples.a_cluster("second", tags=[{"name": "env", "category": "owner"}]))
        await site.run()
        site.process.workers = 2
        site.delete("Cluster", "shop")
        site.delete("Cluster", "second")
        died = await site.run_and_die(at, phase)
        await site.run(patience=300)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert not site.exists("Cluster", "shop"), where
        assert not site.exists("Cluster", "second"), where
        assert not site.world.tags, where
        assert list(site.world.categories) == ["cat-k8c"], where
        if not died:
            return
    raise AssertionError("more calls than a life has")


async def test_clusters_at_once_make_a_tag_and_a_category_once(site: Site) -> None:
    site.process.workers = 8
    for n in range(8):
        site.api.put(samples.a_cluster(f"c{n}", tags=[{"name": "env", "category": "owner"}]))
    await site.run()
    assert all(site.is_ready("Cluster", f"c{n}") for n in range(8))
    assert site.outgoing.count("create category") == 1
    assert site.outgoing.count("create tag") <= 8, "the fake remembers nothing, so each asks in its turn"
    assert len(site.world.tags) == 1


async def test_two_tags_of_a_category_that_allows_one_are_told_before_any_is_made(site: Site) -> None:
    site.world.categories["cat-one"] = Category("cat-one", "one", "", "SINGLE")
    wanted = [{"name": "a", "category": "one"}, {"name": "b", "category": "cat-one"}]
    await site.with_cluster(tags=wanted)
    told = site.condition("Cluster", "shop", "TagsReady")
    assert told["reason"] == "TagCardinality"
    assert '"one"' in told["message"]
    assert '"a" and "b"' in told["message"]
    assert not site.world.tags
    change(site, tags=wanted[1:])
    await site.run()
    assert site.is_ready("Cluster", "shop")


async def test_a_name_in_two_categories_is_two_tags(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "x"}, {"name": "x", "category": "owner"}])
    assert site.is_ready("Cluster", "shop")
    assert sorted(t.category_id for t in site.world.tags.values()) == sorted(site.world.categories)
    change(site, tags=[{"name": "x"}])
    await site.run()
    assert [t.category_id for t in site.world.tags.values()] == ["cat-k8c"]
    assert list(site.world.categories) == ["cat-k8c"]


async def test_a_tag_asked_for_by_name_and_by_id_of_its_category_is_one(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "x"}, {"name": "x", "category": "cat-k8c"}])
    assert site.is_ready("Cluster", "shop")
    assert len(site.world.tags) == 1
    assert site.outgoing.count("create tag") <= 2


async def test_an_id_that_no_category_has_is_told_and_no_name_for_a_new_one(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "x", "category": "urn:vmomi:InventoryServiceCategory:1:GLOBAL"}])
    assert site.reason("Cluster", "shop", "TagsReady") == "CategoryNotFound"
    assert list(site.world.categories) == ["cat-k8c"]


async def test_a_tag_whose_description_somebody_changed_is_theirs(site: Site) -> None:
    await site.with_cluster(**ONE)
    (ours,) = site.world.tags.values()
    site.world.tags[ours.id] = Tag(ours.id, ours.name, "kept by a person", ours.category_id)
    change(site, tags=[])
    await site.run()
    assert names(site) == {"env"}
    assert "tags" not in site.object("Cluster", "shop")["status"]
