"""A Cluster's tags: found or made, attached to its folder, taken off and deleted when they are no longer wanted.

The ledger in status is written before a tag is attached, so that whatever was made is found again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers import settings
from vsphere_operator.controllers.cluster import interrupted_tags, ledger
from vsphere_operator.controllers.cluster.interrupted_tags import CREATE_CATEGORY, CREATE_TAG, TAGS_READY
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.faults import may_have_happened
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import TagMark
from vsphere_operator.vsphere.tags import Category, Tag, new_category_id, new_tag_id

_POLLED = 60.0  # seconds; no watch tells of a category that a person makes


def concerned(work: Work) -> bool:
    """Whether tags are wanted, recorded or may have been made: else vCenter's tags are none of our business."""
    known = work.status
    made = known.tags or known.categories or work.operation(CREATE_TAG) or work.operation(CREATE_CATEGORY)
    return bool(made or _wanted(work))


def folder_of(work: Work) -> MoRef | None:
    """The folder that carries the tags; None for one that a person named, which is never tagged."""
    folder = work.status.folder
    if folder is None or folder.mo_ref is None or folder.origin is Origin.EXTERNAL:
        return None
    return MoRef(folder.mo_ref)


def in_line(work: Work, attached: Collection[str]) -> bool:
    """Whether the record and what is attached agree with what is wanted: then nothing has to be asked."""
    known = work.status
    if work.operation(CREATE_TAG) or work.operation(CREATE_CATEGORY):
        return False
    wanted = {_recorded(known.tags, one) for one in _wanted(work)}
    used = {t.category_id for t in known.tags}
    return wanted == {t.id for t in known.tags} <= set(attached) and {c.id for c in known.categories} <= used


def not_seen(answer: Unknown) -> Problem:
    """What is attached could not be read: that is never taken for "nothing"."""
    if answer.fault is not None:
        raise VSphereError(answer.fault)
    return Problem(TAGS_READY, "TagsUnknown", answer.why, stalled=False, retry_after=10.0)


async def without_folder(work: Work) -> Problem | None:
    """No folder to tag, or nothing to do with tags."""
    if not concerned(work):
        work.found(TAGS_READY, "NoTags")
        return None
    unclear = await interrupted_tags.settle(work)
    if unclear is not None:
        return unclear
    folder = work.status.folder
    if folder is None or folder.mo_ref is None:
        return None
    if _wanted(work):
        words = "a folder named in spec.cloud.vsphere.folder is never tagged; remove spec.cloud.vsphere.tags"
        return Problem(TAGS_READY, "FolderExternal", words)
    work.found(TAGS_READY, "NoTags")
    return None


def hint(work: Work) -> None:
    """What the ledger tells is worth a look before any search, for this Cluster and for all others."""
    tags = work.there.vcenter.tags
    for category in work.status.categories:
        tags.hint_category(category.id, category.name)
    for tag in work.status.tags:
        if tag.category_id is not None:
            tags.hint(tag.id, tag.name, tag.category_id)


async def ensure(work: Work, folder: MoRef, attached: Collection[str]) -> Problem | None:
    """The wanted tags on the folder and no others of ours, or what stands in the way."""
    unclear = await interrupted_tags.settle(work)
    if unclear is not None:
        return unclear
    # What an interrupted call turned out to have made is in the ledger only now.
    hint(work)
    if not {t.id for t in work.status.tags} <= set(attached):
        # Taken off, or deleted altogether: what is remembered may be of things that are gone.
        work.there.vcenter.tags.distrust()
    found = await _resolve_all(work, _wanted(work))
    if isinstance(found, Problem):
        return found
    await _bring_in_line(work, folder, found, attached)
    left = await drop(work, [t for t in work.status.tags if t.id not in {f.id for f in found}])
    await drop_categories(work)
    if left:
        names = ", ".join(f'"{t.name}"' for t in left)
        words = f"No longer wanted, but still attached to other objects, so kept: {names}."
        work.found(TAGS_READY, "TagsInUseElsewhere", words)
    else:
        work.found(TAGS_READY, "Attached" if found else "NoTags")
    return None


def fingerprint(work: Work, attached: Collection[str]) -> str:
    """Changes with what is wanted, with the folder, with the ledger, and with what of it is attached."""
    known = work.status
    on = sorted(t.id for t in known.tags if t.id in attached)
    return repr((_wanted(work), known.folder, known.tags, known.categories, on, work.there.instance_uuid))


def _wanted(work: Work) -> list[EffectiveTag]:
    return settings.cluster_tags(work.there.offer, work.cluster)


def _recorded(entries: Iterable[TagStatus], wanted: EffectiveTag) -> str | None:
    if not wanted.category:
        return None
    same = (t for t in entries if t.name == wanted.name and wanted.category in (t.category, t.category_id))
    return next((t.id for t in same), None)


async def drop(work: Work, unwanted: Sequence[TagStatus]) -> list[TagStatus]:
    """Delete those of the unwanted tags that are ours and unused; the ones that must stay are returned.

    An adopted tag, or one that another Cluster's ledger names, is only forgotten here.
    """
    left = []
    for tag in unwanted:
        async with work.ledgers[work.there.instance_uuid]:
            mine = tag.origin is Origin.CREATED and not ledger.used_elsewhere(tag.id, _other_ledgers(work))
            if mine and not await _delete_if_unused(work, tag):
                left.append(tag)
                continue
            kept = [t for t in work.status.tags if t.id != tag.id]
            await work.save(work.status.model_copy(update={"tags": kept}))
    return left


async def drop_categories(work: Work) -> list[CategoryStatus]:
    """Delete the categories that are ours, unwanted and empty; those that must stay are returned."""
    used = {t.category_id for t in work.status.tags}
    left = []
    for category in [c for c in work.status.categories if c.id not in used]:
        async with work.ledgers[work.there.instance_uuid]:
            mine = category.origin is Origin.CREATED and not _category_used_elsewhere(work, category.id)
            if mine and not await _delete_category_if_empty(work, category):
                left.append(category)
                continue
            kept = [c for c in work.status.categories if c.id != category.id]
            await work.save(work.status.model_copy(update={"categories": kept}))
    return left


async def detach_all(work: Work, folder: MoRef) -> None:
    """Take the ledger's tags off a folder that stays."""
    ids = {t.id for t in work.status.tags}
    tags = work.there.vcenter.tags
    on = [i for i in (await tags.attached([folder], op_id=work.op_id)).get(folder, []) if i in ids]
    if on:
        await tags.detach(on, folder, op_id=work.op_id)


async def _resolve_all(work: Work, wanted: Sequence[EffectiveTag]) -> list[TagStatus] | Problem:
    found = []
    for one in wanted:
        tag = await _resolve(work, one)
        if isinstance(tag, Problem):
            return tag
        found.append(tag)
    return found


async def _resolve(work: Work, wanted: EffectiveTag) -> TagStatus | Problem:
    """The tag as vCenter has it, made if it is missing, and in the ledger."""
    if not wanted.category:
        default = work.there.offer.field("defaultTagCategory")
        words = f'the tag "{wanted.name}" names no category; add one, or set {default}'
        return Problem(TAGS_READY, "CategoryMissing", words)
    category = await _category(work, wanted.category)
    if isinstance(category, Problem):
        return category
    tag = await _tag(work, category, wanted.name)
    if isinstance(tag, Problem):
        return tag
    entry = ledger.tag_entry(category, tag, work.installation)
    entries = ledger.merged(work.status.tags, [entry])
    if entries != list(work.status.tags) or work.operation(CREATE_TAG):
        await work.strike(CREATE_TAG, tags=entries)
    return entry


async def _category(work: Work, name_or_id: str) -> Category | Problem:
    tags = work.there.vcenter.tags
    answer = await tags.category(name_or_id, op_id=work.op_id)
    match answer:
        case Present(value=category):
            pass
        case Unknown(why=why):
            return Problem(TAGS_READY, "CategoryUnknown", why, stalled=False, retry_after=10.0)
        case Absent():
            if not work.there.offer.vsphere.create_tag_category:
                words = (
                    f'the tag category "{name_or_id}" is not in vCenter; create it, or set '
                    f"{work.there.offer.field('createTagCategory')} to true"
                )
                return Problem(TAGS_READY, "CategoryNotFound", words, retry_after=_POLLED)
            category = await _create_category(work, name_or_id)
    entry = ledger.category_entry(category, work.installation)
    entries = ledger.merged_categories(work.status.categories, [entry])
    if entries != list(work.status.categories) or work.operation(CREATE_CATEGORY):
        await work.strike(CREATE_CATEGORY, categories=entries)
    return category


async def _create_category(work: Work, name: str) -> Category:
    """The new category, or the one that another Cluster or a person made in this moment."""
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
    known = await work.there.vcenter.tags.known_tag(category.id, name, op_id=work.op_id)
    match known:
        case Present(value=tag):
            return tag
        case Unknown(why=why):
            return Problem(TAGS_READY, "TagUnknown", why, stalled=False, retry_after=10.0)
    return await _create_tag(work, category, name)


async def _create_tag(work: Work, category: Category, name: str) -> Tag | Problem:
    """The new tag, or the one that another Cluster or a person has made."""
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


async def _bring_in_line(
    work: Work, folder: MoRef, wanted: Sequence[TagStatus], attached: Collection[str]
) -> None:
    tags = work.there.vcenter.tags
    needed = ledger.changes(wanted=wanted, ledger=work.status.tags, attached=attached)
    # First off, then on: a category may allow one tag on an object.
    if needed.detach:
        await tags.detach(needed.detach, folder, op_id=work.op_id)
    if needed.attach:
        await tags.attach(needed.attach, folder, op_id=work.op_id)


async def _delete_if_unused(work: Work, tag: TagStatus) -> bool:
    """Ours by ledger and by its own description, and attached to nothing. False: it must stay."""
    tags = work.there.vcenter.tags
    answer = await tags.get_tag_fresh(tag.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return True
    if isinstance(answer, Unknown):
        return _untold(answer)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return True  # somebody made it their own: forget it, leave it
    if (await tags.attached_objects([tag.id], op_id=work.op_id)).get(tag.id):
        return False
    await tags.delete_tag(tag.id, op_id=work.op_id)
    return True


async def _delete_category_if_empty(work: Work, category: CategoryStatus) -> bool:
    tags = work.there.vcenter.tags
    answer = await tags.get_category_fresh(category.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return True
    if isinstance(answer, Unknown):
        return _untold(answer)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return True
    if await tags.tags_in_category_fresh(category.id, op_id=work.op_id):
        return False
    await tags.delete_category(category.id, op_id=work.op_id)
    return True


def _untold(answer: Unknown) -> bool:
    """A thing of which nothing is known stays; a failed call is told as what it is."""
    if answer.fault is not None:
        raise VSphereError(answer.fault)
    return False


def _other_ledgers(work: Work) -> Iterable[Sequence[TagStatus]]:
    for other in _other_statuses(work):
        yield [TagStatus.model_validate(t) for t in other.get("tags") or []]


def _category_used_elsewhere(work: Work, category_id: str) -> bool:
    return any(
        c.get("id") == category_id for other in _other_statuses(work) for c in other.get("categories") or []
    )


def _other_statuses(work: Work) -> Iterable[Mapping[str, Any]]:
    own = work.obj["metadata"]["uid"]
    for other in work.objects.list("Cluster"):
        if other["metadata"]["uid"] != own:
            yield other.get("status") or {}
