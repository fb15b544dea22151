"""A category that allows one tag on an object, before vCenter is asked."""

from __future__ import annotations

import pytest

from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import cardinality
from vsphere_operator.vsphere.tags.models import Category, Tag

SINGLE, MULTIPLE = Category("s", "zone", "", "SINGLE"), Category("m", "team", "", "MULTIPLE")
NORTH, SOUTH, SHOP = Tag("1", "north", "", "s"), Tag("2", "south", "", "s"), Tag("3", "shop", "", "m")


def test_only_categories_known_to_be_single_matter() -> None:
    assert cardinality.single([NORTH, SHOP], {"s": SINGLE, "m": MULTIPLE}) == {"s": [NORTH]}
    assert cardinality.single([NORTH, SHOP], {"m": MULTIPLE}) == {}


@pytest.mark.parametrize(
    ("wanted", "on", "other", "attached"),
    [
        ([NORTH], [], None, False),
        ([NORTH], [NORTH], None, False),
        ([NORTH, NORTH], [], None, False),
        ([NORTH], [SHOP], None, False),
        ([NORTH], [SOUTH], SOUTH, True),
        ([NORTH, SOUTH], [], NORTH, False),
    ],
)
def test_the_tag_in_the_way(wanted: list[Tag], on: list[Tag], other: Tag | None, attached: bool) -> None:
    found = cardinality.in_the_way(wanted, on, SINGLE)
    assert (found.other if found else None) == other
    assert (found.attached if found else False) is attached


@pytest.mark.parametrize("attached", [True, False])
def test_the_words_name_both_tags_and_the_category(attached: bool) -> None:
    found = cardinality.InTheWay(NORTH, SOUTH, SINGLE, attached)
    fault = cardinality.refusal(found, MoRef("Folder:group-1"))
    assert (fault.fault_class, fault.reason) == (FaultClass.TERMINAL, "TagCardinality")
    assert all(f'"{word}"' in fault.message for word in ("north", "south", "zone"))
    assert ("on it already" in fault.message) is attached
