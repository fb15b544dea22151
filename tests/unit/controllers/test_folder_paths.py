"""The way to a Cluster's folder: what is made of it, whose it is then, and what is never made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, ROOT
from vsphere_operator.controllers import folder_paths
from vsphere_operator.vsphere.inventory.entities import Datacenter, Folder
from vsphere_operator.vsphere.morefs import MoRef

ELSEWHERE = MoRef("Folder:vm-of-dc1")


def with_root(site: Site, path: str, *, create: bool = True) -> None:
    site.api.put(samples.a_seed(rootPath=path, createRootPath=create))


def another_datacenter(site: Site) -> None:
    dc1 = MoRef("Datacenter:dc1")
    site.world.entities[dc1] = Datacenter(dc1, "DC1", ROOT, vm_folder=ELSEWHERE)
    site.world.entities[ELSEWHERE] = Folder(ELSEWHERE, "vm", dc1)
    site.world.publish()


def path_of(site: Site, name: str = "shop") -> str:
    return str(site.object("Cluster", name)["status"]["folder"]["path"])


async def test_the_first_missing_folder_is_named_and_the_option_that_makes_it(site: Site) -> None:
    with_root(site, "/DC0/vm/kubernetes/a/b", create=False)
    await site.with_cluster()
    told = site.condition("Cluster", "shop", "FolderReady")
    assert told["reason"] == "ParentFolderNotFound"
    assert "the folder /DC0/vm/kubernetes/a is missing" in told["message"]
    assert "createRootPath" in told["message"]
    assert site.outgoing.count("create folder") == 0


async def test_the_option_makes_the_way_and_leaves_it_when_the_cluster_goes(site: Site) -> None:
    with_root(site, "/DC0/vm/kubernetes/a/b")
    await site.with_cluster(basePath="c")
    assert path_of(site) == "/DC0/vm/kubernetes/a/b/c/team-shop-shop"
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert site.world.folders() == ["Datacenters", "a", "b", "c", "kubernetes", "vm"]


async def test_a_seed_whose_root_path_will_be_made_lacks_nothing(site: Site) -> None:
    with_root(site, "/DC0/vm/kubernetes/a")
    await site.run()
    found = site.object("Seed", "europe", "")["status"]["datacenters"][0]["conditions"]
    assert next(c for c in found if c["type"] == "InventoryReady")["status"] == "True"


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_the_way_is_made_once_wherever_the_process_dies(clock: Clock, phase: Phase) -> None:
    for at in range(1, 60):
        site = Site(clock)
        with_root(site, "/DC0/vm/kubernetes/a/b")
        site.api.put(samples.a_cluster())
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Cluster", "shop"), where
        assert site.world.folders() == ["Datacenters", "a", "b", "kubernetes", "team-shop-shop", "vm"], where
        if not died:
            return
    raise AssertionError("more calls than a life has")


async def test_two_clusters_at_once_share_the_way(site: Site) -> None:
    with_root(site, "/DC0/vm/kubernetes/a/b")
    site.process.workers = 4
    site.world.lagging = True
    for name in ("shop", "bank"):
        site.api.put(samples.a_cluster(name))
    await site.run(patience=0)
    site.world.lagging = False
    site.world.publish()
    await site.run(patience=60)
    assert site.is_ready("Cluster", "shop")
    assert site.is_ready("Cluster", "bank")
    assert site.world.folders().count("a") == site.world.folders().count("b") == 1


async def test_who_may_not_make_folders_is_told(site: Site) -> None:
    with_root(site, "/DC0/vm/kubernetes/a")
    site.world.refuse["create folder"] = [NO_PERMISSION] * 10
    await site.with_cluster()
    assert site.condition("Cluster", "shop", "FolderReady")["status"] == "False"
    assert site.reason("Cluster", "shop", "FolderReady") == "NoPermission"


@pytest.mark.parametrize("path", ["/DC1/vm", "/DC1/vm/a", "/DC1/a"])
async def test_nothing_is_made_in_another_datacenter(site: Site, path: str) -> None:
    another_datacenter(site)
    with_root(site, path)
    await site.with_cluster()
    assert site.condition("Cluster", "shop", "FolderReady")["status"] == "False"
    assert site.reason("Cluster", "shop", "FolderReady") in ("FolderElsewhere", "ParentFolderNotFound")
    assert site.outgoing.count("create folder") == 0


@pytest.mark.parametrize("own", [{"basePath": "/DC1/vm"}, {"folder": "/DC1/vm"}])
async def test_a_path_in_another_datacenter_is_told_with_both_names(site: Site, own: dict[str, Any]) -> None:
    another_datacenter(site)
    await site.with_cluster(**own)
    told = site.condition("Cluster", "shop", "FolderReady")
    assert told["reason"] == "FolderElsewhere"
    assert '"DC1"' in told["message"]
    assert '"DC0"' in told["message"]
    assert site.outgoing.count("create folder") == 0


async def test_what_may_not_be_read_is_not_taken_for_missing(site: Site) -> None:
    hidden = site.world.add_folder("a")
    site.world.entities[hidden] = Folder(hidden, None, MoRef("Folder:kubernetes"))
    with_root(site, "/DC0/vm/kubernetes/a")
    await site.with_cluster()
    assert site.reason("Cluster", "shop", "FolderReady") == "ParentFolderNotFound"
    assert site.outgoing.count("create folder") == 0


NAMES = [
    ("a%2fb", "a/b"),
    ("100%25", "100%"),
    ("a%5cb", "a\\b"),
    ("Köln 東京", "Köln 東京"),
    ("n" * 80, "n" * 80),
]


@pytest.mark.parametrize(("written", "name"), NAMES)
async def test_names_are_made_as_people_know_them_and_found_again(
    site: Site, written: str, name: str
) -> None:
    with_root(site, "/DC0/vm/kubernetes")
    await site.with_cluster(basePath=written)
    assert site.is_ready("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    assert name in site.world.folders()
    site.api.put(samples.a_cluster("bank", basePath=f"/DC0/vm/kubernetes/{written}"))
    await site.run()
    assert site.is_ready("Cluster", "bank")
    assert site.world.folders().count(name) == 1


async def test_the_folder_of_another_cluster_cannot_be_named(site: Site) -> None:
    await site.with_cluster()
    site.api.put(samples.a_cluster("bank", folder="/DC0/vm/kubernetes/team-shop-shop"))
    await site.run()
    assert site.reason("Cluster", "bank", "FolderReady") == "FolderTaken"
    assert f"{NAMESPACE}/shop" in site.condition("Cluster", "bank", "FolderReady")["message"]
    assert "folder" not in site.object("Cluster", "bank")["status"]


async def test_a_folder_that_a_person_names_twice_is_shared(site: Site) -> None:
    site.world.add_folder("theirs")
    for name in ("shop", "bank"):
        site.api.put(samples.a_cluster(name, folder="/DC0/vm/kubernetes/theirs"))
    await site.run()
    assert site.is_ready("Cluster", "shop")
    assert site.is_ready("Cluster", "bank")


async def test_two_clusters_whose_names_join_to_one_do_not_share_a_folder(site: Site) -> None:
    site.api.put(samples.a_namespace("team"))
    await site.with_cluster()
    site.api.put(samples.a_cluster("shop-shop", "team"))
    await site.run()
    assert site.condition("Cluster", "shop-shop", "FolderReady", "team")["reason"] == "FolderTaken"
    site.api.delete("Cluster", "team", "shop-shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop-shop", "team")
    assert "team-shop-shop" in site.world.folders()


async def test_a_host_folder_is_no_place_for_vms(site: Site) -> None:
    hosts = MoRef("Folder:host")
    site.world.entities[hosts] = Folder(hosts, "host", MoRef("Datacenter:dc0"))
    site.world.publish()
    with_root(site, "/DC0/host/a")
    await site.with_cluster()
    assert site.outgoing.count("create folder") == 0
    inventory = site.process.vcenter.inventory
    assert "begin with /<datacenter>/vm" in str(folder_paths.misplaced(inventory, hosts, "DC0"))
