"""From the names that people write to tags of vCenter: found, or made if they are missing, and put into the ledger.

What many Clusters want at the same time is made by one of them, and the others take it.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.api.cluster import TagStatus
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.controllers.cluster.interrupted_tags import CREATE_CATEGORY, CREATE_TAG, TAGS_READY
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.faults import may_have_happened
from vsphere_operator.vsphere.answers import Present, Unknown
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.ownership import TagMark
from vsphere_operator.vsphere.tags import CATEGORY_URN, Category, Tag, new_category_id, new_tag_id

_POLLED = 60.0  # seconds; no watch tells of a category that a person makes

Wanted = tuple[EffectiveTag, Category]


async def resolve(
    work: Work, wanted: Sequence[EffectiveTag], *, kinds: Sequence[str]
) -> list[TagStatus] | Problem:
    """The tags as vCenter has them, in the ledger. ``kinds`` are the objects that shall carry them.

    Nothing is made before all categories are known to suit.
    """
    placed: list[Wanted] = []
    for one in wanted:
        category = await _category(work, one)
        if isinstance(category, Problem):
            return category
        placed.append((one, category))
    refused = _unfit(placed, kinds) or _too_many(placed)
    if refused is not None:
        return refused
    found: dict[str, TagStatus] = {}
    for one, category in placed:
        tag = await _tag(work, category, one.name)
        if isinstance(tag, Problem):
            return tag
        entry = await _enter(work, category, tag)
        found[entry.id] = entry
    return list(found.values())


def _unfit(placed: Sequence[Wanted], kinds: Sequence[str]) -> Problem | None:
    """A category may be made for certain kinds of objects only."""
    for one, category in placed:
        allowed = {kind.rpartition(":")[2] for kind in category.associable_types}
        unfit = [kind for kind in kinds if allowed and kind not in allowed]
        if unfit:
            words = (
                f'tags of the category "{category.name}" cannot be attached to objects of the type '
                f'{" or ".join(unfit)}, so "{one.name}" cannot; add the type to the category in vCenter, or name '
                "another one"
            )
            return Problem(TAGS_READY, "CategoryDoesNotFit", words, retry_after=_POLLED)
    return None


def _too_many(placed: Sequence[Wanted]) -> Problem | None:
    """Two tags of a category that allows one on an object."""
    first: dict[str, str] = {}
    for one, category in placed:
        if category.cardinality != "SINGLE":
            continue
        other = first.setdefault(category.id, one.name)
        if other != one.name:
            words = (
                f'the category "{category.name}" allows one tag on an object, and both "{other}" and "{one.name}" '
                "are asked for; leave one of them out"
            )
            return Problem(TAGS_READY, "TagCardinality", words)
    return None


async def _enter(work: Work, category: Category, tag: Tag) -> TagStatus:
    entry = ledger.tag_entry(category, tag, work.installation)
    entries = ledger.merged(work.status.tags, [entry])
    if entries != list(work.status.tags) or work.operation(CREATE_TAG):
        await work.strike(CREATE_TAG, tags=entries)
    return entry


async def _category(work: Work, wanted: EffectiveTag) -> Category | Problem:
    if not wanted.category:
        default = work.there.offer.field("defaultTagCategory")
        words = f'the tag "{wanted.name}" names no category; add one, or set {default}'
        return Problem(TAGS_READY, "CategoryMissing", words)
    category = await _known_category(work, wanted.category)
    if category is None:
        async with work.turns.of(f"{work.there.instance_uuid}/{wanted.category}"):
            category = await _known_category(work, wanted.category)
            if category is None:
                category = await _create_category(work, wanted.category)
    if isinstance(category, Problem):
        return category
    entry = ledger.category_entry(category, work.installation)
    entries = ledger.merged_categories(work.status.categories, [entry])
    if entries != list(work.status.categories) or work.operation(CREATE_CATEGORY):
        await work.strike(CREATE_CATEGORY, categories=entries)
    return category


async def _known_category(work: Work, name_or_id: str) -> Category | Problem | None:
    """The category; None when it may be made."""
    answer = await work.there.vcenter.tags.category(name_or_id, op_id=work.op_id)
    match answer:
        case Present(value=category):
            return category
        case Unknown(why=why):
            return Problem(TAGS_READY, "CategoryUnknown", why, stalled=False, retry_after=10.0)
    if name_or_id.startswith(CATEGORY_URN):
        words = f"there is no tag category with the id {name_or_id}; correct it, or write the category's name"
        return Problem(TAGS_READY, "CategoryNotFound", words, retry_after=_POLLED)
    if work.there.offer.vsphere.create_tag_category:
        return None
    words = (
        f'the tag category "{name_or_id}" is not in vCenter; create it, or set '
        f"{work.there.offer.field('createTagCategory')} to true"
    )
    return Problem(TAGS_READY, "CategoryNotFound", words, retry_after=_POLLED)


async def _create_category(work: Work, name: str) -> Category:
    """The new category, or the one that a person made in this moment."""
    wanted = new_category_id()
    await work.intend(work.started(CREATE_CATEGORY, name, name=name, id=wanted))
    mark = TagMark(work.installation, work.id).as_description()
    tags = work.there.vcenter.tags
    try:
        return await tags.create_category(name, mark, "MULTIPLE", category_id=wanted, op_id=work.op_id)
    except VSphereError as error:
        if not may_have_happened(error.fault):
            await work.strike(CREATE_CATEGORY)
        if error.fault.fault_class is FaultClass.CONFLICT:
            answer = await tags.category(name, op_id=work.op_id)
            if isinstance(answer, Present):
                return answer.value
        raise


async def _tag(work: Work, category: Category, name: str) -> Tag | Problem:
    """Made first and searched only when it was there already: a search grows with other people's tags."""
    known = await _known_tag(work, category, name)
    if known is not None:
        return known
    async with work.turns.of(f"{work.there.instance_uuid}/{category.id}/{name}"):
        return await _known_tag(work, category, name) or await _create_tag(work, category, name)


async def _known_tag(work: Work, category: Category, name: str) -> Tag | Problem | None:
    known = await work.there.vcenter.tags.known_tag(category.id, name, op_id=work.op_id)
    match known:
        case Present(value=tag):
            return tag
        case Unknown(why=why):
            return Problem(TAGS_READY, "TagUnknown", why, stalled=False, retry_after=10.0)
    return None


async def _create_tag(work: Work, category: Category, name: str) -> Tag | Problem:
    """The new tag, or the one that a person has made."""
    wanted = new_tag_id()
    words = f"{category.name}/{name}"
    await work.intend(work.started(CREATE_TAG, words, category=category.id, name=name, id=wanted))
    mark = TagMark(work.installation, work.id).as_description()
    tags = work.there.vcenter.tags
    try:
        return await tags.create_tag(category.id, name, mark, tag_id=wanted, op_id=work.op_id)
    except VSphereError as error:
        if not may_have_happened(error.fault):
            await work.strike(CREATE_TAG)
        # Who may not create tags may still use one that is there.
        if error.fault.fault_class not in (FaultClass.CONFLICT, FaultClass.PERMISSION):
            raise
        answer = await tags.tag(category.id, name, op_id=work.op_id)
        match answer:
            case Present(value=tag):
                return tag
            case Unknown(why=why):
                return Problem(TAGS_READY, "TagUnknown", why, stalled=False, retry_after=10.0)
        raise
