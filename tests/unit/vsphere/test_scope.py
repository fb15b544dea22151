"""Which datacenters are read, and what may be said of the others."""

from __future__ import annotations

import pytest

from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.inventory import Datacenter, Entity, Folder, Inventory, Network, VmEntity
from vsphere_operator.vsphere.inventory.scope import select
from vsphere_operator.vsphere.morefs import MoRef

ROOT, EMEA = MoRef("Folder:group-d1"), MoRef("Folder:group-d2")
DC0, DC1, TWIN = (MoRef(f"Datacenter:datacenter-{n}") for n in range(3))
VMS0, VMS1 = MoRef("Folder:group-v0"), MoRef("Folder:group-v1")
ABOVE: list[Entity] = [Folder(ROOT, "Datacenters", None), Folder(EMEA, "e/mea", ROOT)]
DATACENTERS = [Datacenter(DC0, "DC0", ROOT), Datacenter(DC1, "DC1", EMEA), Datacenter(TWIN, "DC0", EMEA)]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (None, None),
        (frozenset({"DC0"}), {DC0, TWIN}),
        (frozenset({"/DC0"}), {DC0}),
        (frozenset({"/e%2fmea/DC0/"}), {TWIN}),
        (frozenset({"e%2fmea/DC1"}), {DC1}),
        (frozenset({"DC1", "nix"}), {DC1}),
        (frozenset({"nix"}), set()),
        (frozenset(), set()),
        (frozenset({"DC0", "DC1"}), None),
    ],
    ids=["everything", "a name that two have", "a path", "a path through a folder", "without the first slash",
         "one that is missing", "none of them", "none wanted", "all of them"],
)  # fmt: skip
def test_datacenters_are_chosen_by_name_or_path(
    scope: frozenset[str] | None, expected: set[MoRef] | None
) -> None:
    assert select(DATACENTERS, {e.moref: e for e in ABOVE}, ROOT, scope) == expected


def test_where_there_is_no_datacenter_nothing_is_read_by_mistake() -> None:
    assert select([], {}, ROOT, frozenset({"DC0"})) == frozenset()


@pytest.fixture
def inventory() -> Inventory:
    made = Inventory()
    made.root = ROOT
    made.begin_reading(frozenset({DC0}))
    entities = [*ABOVE, *DATACENTERS[:2], Folder(VMS0, "vm", DC0)]
    made.apply([(e.moref, e) for e in entities])
    made.end_reading()
    made.synced = True
    return made


def test_an_unread_datacenter_is_known_by_its_name(inventory: Inventory) -> None:
    assert isinstance(inventory.datacenter("DC1"), Present)
    assert isinstance(inventory.by_path("/e%2fmea/DC1"), Present)
    assert isinstance(inventory.datacenter("DC9"), Absent)


def test_nothing_in_an_unread_datacenter_is_ever_absent(inventory: Inventory) -> None:
    answers = (
        inventory.by_path("/e%2fmea/DC1/vm/x"),
        inventory.lookup(VmEntity, "x", datacenter=DC1),
        inventory.lookup(Network, "/e%2fmea/DC1/x", datacenter=DC0),
        inventory.compute_cluster("x", datacenter=DC1),
    )
    for answer in answers:
        assert isinstance(answer, Unknown)
        assert "DC1" in answer.why
    assert isinstance(inventory.by_path("/DC0/vm/x"), Absent)
    assert isinstance(inventory.lookup(VmEntity, "x", datacenter=DC0), Absent)


def test_a_datacenter_that_joins_says_nothing_until_all_of_it_has_been_read(inventory: Inventory) -> None:
    inventory.begin_reading(None)
    assert isinstance(inventory.by_path("/e%2fmea/DC1/vm"), Unknown)
    assert isinstance(inventory.by_path("/DC0/vm/x"), Absent)
    inventory.apply([(VMS1, Folder(VMS1, "vm", DC1))])
    inventory.end_reading()
    assert isinstance(inventory.by_path("/e%2fmea/DC1/vm"), Present)


def test_a_datacenter_that_is_left_out_says_nothing_at_once(inventory: Inventory) -> None:
    inventory.begin_reading(frozenset({DC1}))
    assert isinstance(inventory.by_path("/DC0/vm/x"), Unknown)
