"""The tag ledger: what to attach, what to take off, what may be deleted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.vsphere.ownership import parse_description
from vsphere_operator.vsphere.tags import Category, Tag


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the folder's tags and the wanted ones. Ids, but for ``dropped``."""

    attach: tuple[str, ...]
    detach: tuple[str, ...]
    dropped: tuple[TagStatus, ...]


def changes(*, wanted: Sequence[TagStatus], ledger: Sequence[TagStatus], attached: Iterable[str]) -> Changes:
    """Only tags of the ledger are ever taken off; what others attached stays."""
    on = set(attached)
    keep = {t.id for t in wanted}
    dropped = tuple(t for t in ledger if t.id not in keep)
    return Changes(
        attach=tuple(t.id for t in wanted if t.id not in on),
        detach=tuple(t.id for t in dropped if t.id in on),
        dropped=dropped,
    )


def merged(ledger: Sequence[TagStatus], wanted: Sequence[TagStatus]) -> list[TagStatus]:
    """The ledger with the wanted tags in it; an entry is never downgraded from Created."""
    known = {t.id: t for t in ledger}
    for tag in wanted:
        before = known.get(tag.id)
        kept = {"attached": before.attached, "vms": before.vms} if before else {}
        origin = before.origin if before and before.origin is Origin.CREATED else tag.origin
        known[tag.id] = tag.model_copy(update={**kept, "origin": origin})
    return list(known.values())


def merged_categories(
    ledger: Sequence[CategoryStatus], wanted: Sequence[CategoryStatus]
) -> list[CategoryStatus]:
    """The same for categories."""
    known = {c.id: c for c in ledger}
    for category in wanted:
        before = known.get(category.id)
        origin = before.origin if before and before.origin is Origin.CREATED else category.origin
        known[category.id] = category.model_copy(update={"origin": origin})
    return list(known.values())


def origin_of(description: str, installation: str) -> Origin:
    """A tag or category is ours when its description says that this installation made it."""
    mark = parse_description(description)
    return Origin.CREATED if mark is not None and mark.installation == installation else Origin.ADOPTED


def category_entry(category: Category, installation: str) -> CategoryStatus:
    """A category as the ledger keeps it."""
    origin = origin_of(category.description, installation)
    return CategoryStatus(name=category.name, id=category.id, origin=origin)


def tag_entry(category: Category, tag: Tag, installation: str) -> TagStatus:
    """A tag as the ledger keeps it."""
    return TagStatus(
        name=tag.name,
        category=category.name,
        id=tag.id,
        category_id=category.id,
        origin=origin_of(tag.description, installation),
    )


def recorded(entries: Iterable[TagStatus], wanted: EffectiveTag) -> TagStatus | None:
    """The entry that a person means by a name and a category, written as its name or its id."""
    if not wanted.category:
        return None
    same = (t for t in entries if t.name == wanted.name and wanted.category in (t.category, t.category_id))
    return next(same, None)


def used_elsewhere(tag_id: str, other_ledgers: Iterable[Sequence[TagStatus]]) -> bool:
    """Whether another Cluster's ledger names the tag: then that one deletes it, when it is the last."""
    return any(tag.id == tag_id for ledger in other_ledgers for tag in ledger)
