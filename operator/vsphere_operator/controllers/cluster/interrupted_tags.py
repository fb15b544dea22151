"""Tags and categories whose creation was cut off: its answer was lost, or the operator died before writing it down."""

from __future__ import annotations

from vsphere_operator.api.operations import Operation, Origin
from vsphere_operator.controllers import status
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.intents import seconds_until_shown
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.tags import Category, Tag

TAGS_READY = "TagsReady"
CREATE_TAG = "CreateTag"
CREATE_CATEGORY = "CreateTagCategory"


async def settle(work: Work) -> Problem | None:
    """What an interrupted call may have made is put into the ledger: found by the id that it was to have, or, where
    vCenter chose another, by its name and mark.
    """
    for type_ in (CREATE_CATEGORY, CREATE_TAG):
        operation = work.operation(type_)
        if operation is None:
            continue
        wait = seconds_until_shown(operation, now=status.now(), looked_at=status.now())
        if wait > 0:
            words = "waits to see what became of an interrupted change"
            return Problem(TAGS_READY, "TagsUnknown", words, stalled=False, retry_after=wait)
        work.there.vcenter.tags.distrust()
        look = _find_category if type_ == CREATE_CATEGORY else _find_tag
        unclear = await look(work, operation)
        if unclear is not None:
            return unclear
    return None


async def _find_category(work: Work, operation: Operation) -> Problem | None:
    tags, details = work.there.vcenter.tags, operation.details
    answer: Answer[Category] = Absent("")
    if "id" in details:
        answer = await tags.get_category_fresh(details["id"], op_id=work.op_id)
    if isinstance(answer, Absent):
        answer = await tags.category(details.get("name", ""), op_id=work.op_id)
    match answer:
        case Unknown(why=why):
            return Problem(TAGS_READY, "CategoryUnknown", why, stalled=False, retry_after=10.0)
        case Present(value=category):
            entry = ledger.category_entry(category, work.installation)
            if entry.origin is Origin.CREATED:
                entries = ledger.merged_categories(work.status.categories, [entry])
                await work.strike(CREATE_CATEGORY, categories=entries)
                return None
    await work.strike(CREATE_CATEGORY)
    return None


async def _find_tag(work: Work, operation: Operation) -> Problem | None:
    tags, details = work.there.vcenter.tags, operation.details
    category = await tags.get_category_fresh(details.get("category", ""), op_id=work.op_id)
    if isinstance(category, Unknown):
        return Problem(TAGS_READY, "CategoryUnknown", category.why, stalled=False, retry_after=10.0)
    if isinstance(category, Present):
        answer: Answer[Tag] = Absent("")
        if "id" in details:
            answer = await tags.get_tag_fresh(details["id"], op_id=work.op_id)
        if isinstance(answer, Absent):
            answer = await tags.tag(category.value.id, details.get("name", ""), op_id=work.op_id)
        if isinstance(answer, Unknown):
            return Problem(TAGS_READY, "TagUnknown", answer.why, stalled=False, retry_after=10.0)
        if isinstance(answer, Present):
            entry = ledger.tag_entry(category.value, answer.value, work.installation)
            if entry.origin is Origin.CREATED:
                await work.strike(CREATE_TAG, tags=ledger.merged(work.status.tags, [entry]))
                return None
    await work.strike(CREATE_TAG)
    return None
