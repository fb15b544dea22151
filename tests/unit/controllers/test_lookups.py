"""From names to things in vCenter, or to words that say what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from tests.unit.controllers.fakes.vcenter import (
    CLUSTER,
    DATASTORE,
    DC,
    NETWORK,
    POOL,
    ROOT,
    TEMPLATE,
    VM_FOLDER,
    World,
    a_vm,
)
from vsphere_operator.controllers import lookups
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datacenter,
    Entity,
    Folder,
    Network,
    ResourcePool,
)
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

HOME = Datacenter(DC, "DC0", ROOT, vm_folder=VM_FOLDER)
COMPUTE = ComputeCluster(CLUSTER, "DC0_C0", DC, root_pool=POOL, networks=(NETWORK,), datastores=(DATASTORE,))


@pytest.fixture
def inventory(clock: Clock) -> Inventory:
    inventory = Inventory()
    inventory.root, inventory.synced = ROOT, True
    inventory.apply(list(World(clock, Outgoing()).visible().items()))
    return inventory


def _add(inventory: Inventory, *entities: Entity) -> None:
    inventory.apply([(e.moref, e) for e in entities])


Find = Callable[[Inventory], Any]


def _template(name: str) -> Find:
    return lambda i: lookups.find_template(i, name, HOME, field="the field")


def _network(name: str) -> Find:
    return lambda i: lookups.find_network(i, name, HOME, cluster=COMPUTE, field="the field")


def _datastore(name: str) -> Find:
    return lambda i: lookups.find_datastore(i, name, HOME, field="the field")


def _pool(name: str | None) -> Find:
    return lambda i: lookups.find_pool(i, name, COMPUTE, HOME, field="the field")


@pytest.mark.parametrize(
    ("find", "moref"),
    [
        (_template("ubuntu-22.04"), TEMPLATE),
        (_template("/DC0/vm/ubuntu-22.04"), TEMPLATE),
        (_template(TEMPLATE), TEMPLATE),
        (_template("vm-template"), TEMPLATE),
        (_network("VM Network"), NETWORK),
        (_datastore("LocalDS_0"), DATASTORE),
        (_pool(None), POOL),
        (_pool("Resources"), POOL),
        (lambda i: lookups.find_datacenter(i, "DC0", field="f"), DC),
        (lambda i: lookups.find_compute_cluster(i, "DC0_C0", HOME, field="f"), CLUSTER),
    ],
)
def test_a_thing_is_found_as_people_write_it(inventory: Inventory, find: Find, moref: MoRef) -> None:
    assert find(inventory).moref == moref


@pytest.mark.parametrize(
    ("find", "reason"),
    [
        (_template("no"), "TemplateNotFound"),
        (_template("/DC0/vm/no"), "TemplateNotFound"),
        (_template("/DC0/LocalDS_0"), "TemplateNotFound"),
        (_network("no"), "NetworkNotFound"),
        (_datastore("no"), "DatastoreNotFound"),
        (_pool("no"), "ResourcePoolNotFound"),
        (lambda i: lookups.find_compute_cluster(i, "no", HOME, field="the field"), "ComputeClusterNotFound"),
        (lambda i: lookups.find_datacenter(i, "no", field="the field"), "DatacenterNotFound"),
    ],
)
def test_what_is_missing_is_told_with_its_name_and_field(
    inventory: Inventory, find: Find, reason: str
) -> None:
    problem = find(inventory)
    assert isinstance(problem, Problem)
    assert problem.reason == reason
    assert "no" in problem.message
    assert "the field" in problem.message
    assert "may not see it" in problem.message


def test_a_name_with_a_slash_is_written_escaped(inventory: Inventory) -> None:
    slashed = Network(MoRef("Network:slash"), "a/b", DC)
    _add(inventory, slashed)
    assert _network("a%2fb")(inventory) == slashed


def test_an_ambiguous_name_shows_the_paths_to_choose_from(inventory: Inventory) -> None:
    folder = Folder(MoRef("Folder:x"), "x", VM_FOLDER)
    moref = MoRef("VirtualMachine:second")
    second = replace(inventory_vm(inventory), moref=moref, parent=folder.moref)
    _add(inventory, folder, second)
    problem = _template("ubuntu-22.04")(inventory)
    assert problem.reason == "TemplateAmbiguous"
    assert "/DC0/vm/ubuntu-22.04" in problem.message
    assert "/DC0/vm/x/ubuntu-22.04" in problem.message
    assert _template("/DC0/vm/x/ubuntu-22.04")(inventory).moref == moref


def inventory_vm(inventory: Inventory) -> Any:
    return inventory.vm(TEMPLATE)


def test_a_template_is_preferred_to_a_vm_of_its_name(inventory: Inventory) -> None:
    vm = replace(inventory_vm(inventory), moref=MoRef("VirtualMachine:vm"), template=False)
    _add(inventory, vm)
    assert _template("ubuntu-22.04")(inventory).moref == TEMPLATE
    assert a_vm(TEMPLATE, "x", VM_FOLDER).config_ready


def test_two_datacenters_of_one_name_are_not_called_missing(inventory: Inventory) -> None:
    _add(inventory, Datacenter(MoRef("Datacenter:2"), "DC0", MoRef("Folder:elsewhere")))
    problem = lookups.find_datacenter(inventory, "DC0", field="the field")
    assert isinstance(problem, Problem)
    assert problem.reason == "DatacenterUnknown"
    assert "2 datacenters" in problem.message


def test_of_two_pools_of_one_name_the_clusters_own_is_taken(inventory: Inventory) -> None:
    other = ComputeCluster(MoRef("ClusterComputeResource:2"), "other", DC)
    theirs = ResourcePool(MoRef("ResourcePool:2"), "Resources", other.moref, owner=other.moref)
    _add(inventory, other, theirs)
    assert _pool("Resources")(inventory).moref == POOL


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/DC0/vm/kubernetes", None),
        ("/DC0/vm/a/b", "/DC0/vm/a"),
        ("/X/vm", "/X"),
        ("/DC0/vm/kubernetes/", None),
    ],
)
def test_the_first_missing_folder_is_named(inventory: Inventory, path: str, missing: str | None) -> None:
    assert lookups.first_missing(inventory, path) == missing
