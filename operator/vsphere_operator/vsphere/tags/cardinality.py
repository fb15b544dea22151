"""A category of cardinality SINGLE allows one of its tags on an object: found out before the call. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vsphere_operator.vsphere.faults import Fault, FaultClass
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags.models import Category, Tag

_RETRY = 60.0  # seconds: a person has to act, and tags are looked at once a minute


@dataclass(frozen=True, slots=True)
class InTheWay:
    """`tag` cannot be attached because `other`, of the same category, is on the object or wanted too."""

    tag: Tag
    other: Tag
    category: Category
    attached: bool


def single(wanted: Iterable[Tag], categories: Mapping[str, Category]) -> dict[str, list[Tag]]:
    """The wanted tags of each category that is known to allow only one of them on an object."""
    found: dict[str, list[Tag]] = {}
    for tag in wanted:
        category = categories.get(tag.category_id)
        if category is not None and category.cardinality == "SINGLE":
            found.setdefault(category.id, []).append(tag)
    return found


def in_the_way(wanted: Sequence[Tag], on: Sequence[Tag], category: Category) -> InTheWay | None:
    """The first tag of a SINGLE category that stands in the way of a wanted one of it."""
    if len({tag.id for tag in wanted}) > 1:
        return InTheWay(wanted[1], wanted[0], category, attached=False)
    for tag in wanted:
        for other in on:
            if other.id != tag.id and other.category_id == category.id:
                return InTheWay(tag, other, category, attached=True)
    return None


def refusal(found: InTheWay, moref: MoRef) -> Fault:
    """Words that name the tag in the way and what to do."""
    if found.attached:
        why = (
            f'"{found.other.name}" is on it already. Detach that one in vCenter, or ask for another category'
        )
    else:
        why = f'"{found.other.name}" of it is asked for too. Leave one of them out'
    words = (
        f'The tag "{found.tag.name}" cannot be attached to {moref}: its category "{found.category.name}" allows one '
        f"tag on an object, and {why}."
    )
    return Fault(FaultClass.TERMINAL, "TagCardinality", words, _RETRY, "TagCardinality")
