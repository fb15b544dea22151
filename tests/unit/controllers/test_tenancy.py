"""What a tenant may name: the thing counts and not its spelling, and a forbidden one might as well not exist."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import CLUSTER, DC, HOST, POOL, VM_FOLDER
from tests.unit.controllers.test_presets import a_cluster, a_preset
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datastore,
    Folder,
    Network,
    ResourcePool,
    StoragePod,
)
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import MACHINE

Json = dict[str, Any]
GOOD, BAD = "good", "bad"


@pytest.fixture
def town(site: Site) -> Site:
    """A vCenter with a good and a bad thing of each kind, both as usable as the other."""
    world = site.world
    folder = MoRef("Folder:things")
    world.entities[folder] = Folder(folder, "things", DC)
    datastores, networks = [], []
    for name in (GOOD, BAD):
        pod, ds, in_pod = (
            MoRef(f"StoragePod:{name}"),
            MoRef(f"Datastore:{name}"),
            MoRef(f"Datastore:{name}-pod"),
        )
        net, pool = MoRef(f"Network:{name}"), MoRef(f"ResourcePool:{name}")
        for entity in (
            StoragePod(pod, f"{name}-pod", folder),
            Datastore(ds, f"{name}-ds", folder, accessible=True, hosts=(HOST,)),
            Datastore(in_pod, f"{name}-in-pod", pod, accessible=True, hosts=(HOST,)),
            Network(net, f"{name}-net", folder),
            ResourcePool(pool, f"{name}-pool", POOL, owner=CLUSTER),
        ):
            world.entities[entity.moref] = entity
        datastores += [ds, in_pod]
        networks.append(net)
        world.add_vm(f"{name}-template", VM_FOLDER, template=True)
    compute = world.entities[CLUSTER]
    assert isinstance(compute, ComputeCluster)
    world.entities[CLUSTER] = replace(
        compute,
        datastores=(*compute.datastores, *datastores),
        networks=(*compute.networks, *networks),
    )
    world.publish()
    return site


# setting, list of `allowed`, suffix of the things' names, inventory path of the things without their names
KINDS = [
    ("datastore", "datastores", "-ds", "/DC0/things/"),
    ("datastoreCluster", "datastoreClusters", "-pod", "/DC0/things/"),
    ("networks", "networks", "-net", "/DC0/things/"),
    ("resourcePool", "resourcePools", "-pool", "/DC0/DC0_C0/Resources/"),
]
SPELLINGS = ["name", "path"]


def value(setting: str, written: str) -> Any:
    return [{"name": written}] if setting == "networks" else written


def spelled(how: str, which: str, suffix: str, at: str) -> str:
    return f"{at if how == 'path' else ''}{which}{suffix}"


async def placement(site: Site, on: str, setting: str, written: str) -> Json:
    """The condition about the placement that a Cluster's or a Machine's field leads to."""
    own = {setting: value(setting, written)}
    site.api.put(samples.a_cluster(**(own if on == "Cluster" else {})))
    await site.run()
    if on == "Cluster":
        return site.condition("Cluster", "shop", "PlacementReady")
    site.api.put(samples.a_machine("worker-1", **own))
    await site.run()
    return site.condition("Machine", "worker-1", "PlacementReady")


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("listed_as", SPELLINGS)
@pytest.mark.parametrize("on", ["Cluster", "Machine"])
@pytest.mark.parametrize(("setting", "attribute", "suffix", "at"), KINDS, ids=[k[0] for k in KINDS])
async def test_a_thing_outside_of_the_list_is_refused_however_it_is_spelled(
    town: Site, on: str, setting: str, attribute: str, suffix: str, at: str, how: str, listed_as: str
) -> None:
    town.api.put(samples.a_seed(allowed={attribute: [spelled(listed_as, GOOD, suffix, at)]}))
    found = await placement(town, on, setting, spelled(how, BAD, suffix, at))
    assert found["status"] == "False"
    assert found["reason"].endswith("NotAllowed")
    assert f"{GOOD}{suffix}" in found["message"]
    assert town.world.named("worker-1") == []


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("listed_as", SPELLINGS)
@pytest.mark.parametrize(("setting", "attribute", "suffix", "at"), KINDS, ids=[k[0] for k in KINDS])
async def test_a_thing_on_the_list_may_be_named(
    town: Site, setting: str, attribute: str, suffix: str, at: str, how: str, listed_as: str
) -> None:
    town.api.put(samples.a_seed(allowed={attribute: [spelled(listed_as, GOOD, suffix, at)]}))
    found = await placement(town, "Cluster", setting, spelled(how, GOOD, suffix, at))
    assert (found["status"], found["reason"]) == ("True", "Found")


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize(("setting", "attribute", "suffix", "at"), KINDS, ids=[k[0] for k in KINDS])
async def test_whether_a_forbidden_thing_exists_cannot_be_told(
    town: Site, setting: str, attribute: str, suffix: str, at: str, how: str
) -> None:
    town.api.put(samples.a_seed(allowed={attribute: []}))
    there = await placement(town, "Cluster", setting, spelled(how, BAD, suffix, at))
    gone = await placement(town, "Cluster", setting, spelled(how, "abc", suffix, at))
    assert there["reason"] == gone["reason"]
    assert there["message"].replace(BAD, "abc") == gone["message"]


@pytest.mark.parametrize("where", ["datacenter", "preset"])
async def test_what_datacenter_and_preset_set_themselves_may_be_used_and_named(
    town: Site, where: str
) -> None:
    own: Json = {"datastore": "good-ds", "networks": [{"name": "good-net"}], "resourcePool": "good-pool"}
    nothing: Json = {"datastores": [], "networks": [], "resourcePools": [], "templates": []}
    town.api.put(samples.a_seed(allowed=nothing, **(own if where == "datacenter" else {})))
    town.api.put(a_preset(**(own if where == "preset" else {})))
    town.api.put(a_cluster(datastore="/DC0/things/good-ds", networks=[{"name": "good-net"}]))
    town.api.put(samples.a_machine(resourcePool="good-pool", template="ubuntu-22.04"))
    await town.run()
    assert town.reason("Cluster", "shop", "PlacementReady") == "Found"
    assert town.is_ready("Machine", "worker-1")


async def test_a_preset_narrows_what_the_datacenter_allows(town: Site) -> None:
    town.api.put(samples.a_seed(allowed={"networks": ["good-net", "bad-net"]}))
    town.api.put(a_preset(spec={"allowed": {"networks": ["good-net", "elsewhere"]}}))
    town.api.put(a_cluster(networks=[{"name": "bad-net"}]))
    await town.run()
    assert town.reason("Cluster", "shop", "PlacementReady") == "NetworkNotAllowed"
    town.api.put(a_cluster(networks=[{"name": "good-net"}]))
    await town.run()
    assert town.is_ready("Cluster", "shop")


async def test_an_emptied_list_of_networks_is_no_way_to_those_of_the_template(town: Site) -> None:
    town.api.put(samples.a_seed(allowed={"networks": ["good-net"]}))
    town.api.put(samples.a_cluster(networks=[]))
    await town.run()
    assert town.reason("Cluster", "shop", "PlacementReady") == "NetworkNotAllowed"


@pytest.mark.parametrize("how", ["name", "path", "MoRef", "vCenter's MoRef"])
@pytest.mark.parametrize(("which", "reason"), [(BAD, "TemplateNotAllowed"), (GOOD, "Ready")])
async def test_a_template_outside_of_the_list_is_refused_however_it_is_spelled(
    town: Site, how: str, which: str, reason: str
) -> None:
    (vm,) = town.world.named(f"{which}-template")
    written = {
        "name": f"{which}-template",
        "path": f"/DC0/vm/{which}-template",
        "MoRef": str(vm.moref),
        "vCenter's MoRef": vm.moref.partition(":")[2],
    }[how]
    town.api.put(samples.a_seed(allowed={"templates": ["good-template"]}))
    await town.with_cluster()
    town.api.put(samples.a_machine(template=written))
    await town.run()
    if reason == "Ready":
        assert town.is_ready("Machine", "worker-1")
    else:
        assert town.reason("Machine", "worker-1") == reason


async def test_a_worker_is_no_template_even_when_it_is_powered_off(town: Site) -> None:
    town.world.add_vm("their-worker", VM_FOLDER, power_state="poweredOff", extra_config={MACHINE: "theirs"})
    await town.with_cluster()
    town.api.put(samples.a_machine(template="their-worker"))
    await town.run()
    assert town.reason("Machine", "worker-1") == "TemplateIsWorker"


PATHS: list[tuple[Json, list[str], bool]] = [
    ({}, [], True),
    ({"basePath": "/DC0/vm/kubernetes"}, [], True),
    ({"basePath": "team"}, ["/DC0/vm/kubernetes/team"], True),
    ({"basePath": "team/x"}, ["/DC0/vm/kubernetes/team"], True),
    ({"basePath": "team"}, ["/DC0/vm/other"], False),
    ({"basePath": "team"}, [], False),
    ({"basePath": "/DC0/vm"}, ["/DC0/vm/kubernetes"], False),
    ({"basePath": "/DC0/vm/kubernetes-x"}, ["/DC0/vm/kubernetes"], False),
    ({"basePath": "/DC0/vm/a%2Fb"}, ["/DC0/vm/a%2fb"], True),
    ({"folder": "/DC0/vm/theirs"}, ["/DC0/vm/kubernetes"], False),
    ({"folder": "/DC0/vm/kubernetes/other-shop"}, [], False),
    ({"folder": "/DC0/vm/own/here"}, ["/DC0/vm/own"], True),
]


@pytest.mark.parametrize(("own", "allowed", "well"), PATHS)
@pytest.mark.parametrize("there", [True, False])
async def test_folders_are_used_and_made_in_allowed_places_only(
    site: Site, own: Json, allowed: list[str], well: bool, there: bool
) -> None:
    if there:
        for name in ("theirs", "own", "kubernetes-x"):
            site.world.add_folder(name, VM_FOLDER)
    before = site.world.folders()
    site.api.put(samples.a_seed(allowed={"paths": allowed}))
    await site.with_cluster(**own)
    refused = site.reason("Cluster", "shop", "FolderReady") == "PathNotAllowed"
    assert refused is not well
    if refused:
        assert site.world.folders() == before


CATEGORIES: list[tuple[Json, list[str], bool]] = [
    ({"name": "a"}, [], True),
    ({"name": "a", "category": "k8c"}, [], True),
    ({"name": "a", "category": "cat-k8c"}, [], True),
    ({"name": "a", "category": "owner"}, ["owner"], True),
    ({"name": "a", "category": "cat-owner"}, ["owner"], True),
    ({"name": "a", "category": "owner"}, ["cat-owner"], True),
    ({"name": "a", "category": "secret"}, ["owner"], False),
    ({"name": "a", "category": "cat-secret"}, ["owner"], False),
    ({"name": "a", "category": "no-such"}, ["owner"], False),
]


@pytest.mark.parametrize(("tag", "allowed", "well"), CATEGORIES)
async def test_tags_are_made_in_allowed_categories_only(
    site: Site, tag: Json, allowed: list[str], well: bool
) -> None:
    for name in ("owner", "secret"):
        category = replace(site.world.categories["cat-k8c"], id=f"cat-{name}", name=name)
        site.world.categories[category.id] = category
    site.api.put(samples.a_seed(allowed={"tagCategories": allowed}))
    await site.with_cluster(tags=[tag])
    assert site.is_ready("Cluster", "shop") is well
    assert (site.reason("Cluster", "shop", "TagsReady") == "TagCategoryNotAllowed") is not well
    assert len(site.world.tags) == int(well)


async def test_a_machines_tags_are_fenced_too(site: Site) -> None:
    site.api.put(samples.a_seed(allowed={"tagCategories": []}))
    await site.with_cluster()
    site.api.put(samples.a_machine(tags=[{"name": "a", "category": "secret"}]))
    await site.run()
    assert site.reason("Machine", "worker-1") == "TagCategoryNotAllowed"


async def test_a_list_that_changes_wakes_the_clusters(town: Site) -> None:
    town.api.put(samples.a_seed(allowed={"networks": []}))
    await town.with_cluster(networks=[{"name": "good-net"}])
    assert not town.is_ready("Cluster", "shop")
    town.api.put(samples.a_seed(allowed={"networks": ["good-net"]}))
    await town.run(patience=5)
    assert town.is_ready("Cluster", "shop")


async def test_a_content_cluster_notices_that_its_datastore_is_gone_or_closed(town: Site) -> None:
    await town.with_cluster(datastore="good-ds")
    assert town.is_ready("Cluster", "shop")
    moref = MoRef("Datastore:good")
    datastore = town.world.entities[moref]
    assert isinstance(datastore, Datastore)
    town.world.entities[moref] = replace(datastore, maintenance_mode="inMaintenance")
    town.world.publish()
    await town.run(patience=5)
    assert town.reason("Cluster", "shop", "PlacementReady") == "DatastoreInMaintenance"
    del town.world.entities[moref]
    town.world.publish()
    await town.run(patience=5)
    assert town.reason("Cluster", "shop") == "DatastoreNotFound"
    town.world.entities[moref] = datastore
    town.world.publish()
    await town.run(patience=5)
    assert town.is_ready("Cluster", "shop")


async def test_a_path_into_another_datacenter_is_told_what_to_begin_with(site: Site) -> None:
    await site.with_cluster(datastore="/DC1/datastore/LocalDS_0")
    found = site.condition("Cluster", "shop", "PlacementReady")
    assert found["reason"] == "DatastoreInOtherDatacenter"
    assert "/DC0/" in found["message"]
    assert NAMESPACE not in found["message"]
