"""The tag ledger: what is ours, what is taken off, what others use."""

from __future__ import annotations

import pytest

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.vsphere.ownership import TagMark

MINE = TagMark("installation", "cluster").as_description()


def _tag(id_: str, origin: Origin = Origin.CREATED) -> TagStatus:
    return TagStatus(name=id_, id=id_, category_id="c", origin=origin)


@pytest.mark.parametrize(
    ("wanted", "known", "attached", "attach", "detach"),
    [
        ("ab", "", "", "ab", ""),
        ("ab", "ab", "a", "b", ""),
        ("a", "ab", "ab", "", "b"),
        ("a", "ab", "a", "", ""),
        ("", "", "xy", "", ""),
        ("a", "a", "axy", "", ""),
    ],
)
def test_only_tags_of_the_ledger_are_taken_off(
    wanted: str, known: str, attached: str, attach: str, detach: str
) -> None:
    found = ledger.changes(
        wanted=[_tag(t) for t in wanted], ledger=[_tag(t) for t in known], attached=attached
    )
    assert (found.attach, found.detach) == (tuple(attach), tuple(detach))


@pytest.mark.parametrize(
    ("description", "origin"),
    [
        (MINE, Origin.CREATED),
        (TagMark("another", "cluster").as_description(), Origin.ADOPTED),
        ("", Origin.ADOPTED),
        (f"see: {MINE}", Origin.ADOPTED),
    ],
)
def test_a_tag_is_ours_when_its_description_says_so(description: str, origin: Origin) -> None:
    assert ledger.origin_of(description, "installation") is origin


def test_an_entry_is_never_downgraded_and_may_be_upgraded() -> None:
    created, adopted = _tag("a"), _tag("a", Origin.ADOPTED)
    assert ledger.merged([created], [adopted]) == [created]
    assert ledger.merged([adopted], [created]) == [created]
    ours = CategoryStatus(name="c", id="c", origin=Origin.CREATED)
    theirs = ours.model_copy(update={"origin": Origin.ADOPTED})
    assert ledger.merged_categories([ours], [theirs]) == [ours]


def test_a_tag_in_another_ledger_is_used_elsewhere() -> None:
    assert ledger.used_elsewhere("a", [[_tag("b")], [_tag("a")]])
    assert not ledger.used_elsewhere("a", [[_tag("b")], []])
