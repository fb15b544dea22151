"""What would become of a Cluster's tags and categories when it goes, by the rules of their removal; only reads."""

from __future__ import annotations

from collections.abc import Collection

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.planned import Action, Planned
from vsphere_operator.vsphere.answers import Absent, Unknown
from vsphere_operator.vsphere.morefs import MoRef

_ADOPTED = "it was there before, and is only taken off"
_TAKEN_OVER = "its description does not say any more that it is ours"


async def of_tag(work: Work, tag: TagStatus, gone: Collection[MoRef], *, step: str) -> Planned:
    """``gone`` is what carries it now and will not by then."""
    name = f'tag "{tag.name}"'
    if tag.origin is not Origin.CREATED:
        return Planned(step, Action.DETACH, name, _ADOPTED)
    others = [t for t in _ledgers(work, "tags") if t.get("id") == tag.id]
    if others:
        return Planned(
            step, Action.DETACH, name, "another Cluster uses it, and deletes it when it is the last"
        )
    tags = work.there.vcenter.tags
    answer = await tags.get_tag_fresh(tag.id, op_id=work.op_id)
    match answer:
        case Absent():
            return Planned(step, Action.KEEP, name, "it is gone already")
        case Unknown(why=why):
            return Planned(step, Action.STOP, name, why)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return Planned(step, Action.KEEP, name, _TAKEN_OVER)
    carriers = (await tags.attached_objects([tag.id], op_id=work.op_id)).get(tag.id, [])
    left = [m for m in carriers if m not in gone]
    if left:
        words = f"others carry it: {conditions.named(_names(work, left))}; detach it there"
        return Planned(step, Action.STOP, name, words)
    return Planned(step, Action.DELETE, name, "made by this operator, and nothing carries it by then")


async def of_category(
    work: Work, category: CategoryStatus, deleted: Collection[str], *, step: str
) -> Planned:
    """``deleted`` are the ids of tags that are gone by then."""
    name = f'tag category "{category.name}"'
    if category.origin is not Origin.CREATED:
        return Planned(step, Action.KEEP, name, "it was there before")
    if any(c.get("id") == category.id for c in _ledgers(work, "categories")):
        return Planned(step, Action.KEEP, name, "another Cluster uses it, and deletes it when it is the last")
    tags = work.there.vcenter.tags
    answer = await tags.get_category_fresh(category.id, op_id=work.op_id)
    match answer:
        case Absent():
            return Planned(step, Action.KEEP, name, "it is gone already")
        case Unknown(why=why):
            return Planned(step, Action.STOP, name, why)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return Planned(step, Action.KEEP, name, _TAKEN_OVER)
    inside = await tags.tags_in_category_fresh(category.id, op_id=work.op_id)
    if set(inside) - set(deleted):
        return Planned(step, Action.KEEP, name, "others have put tags into it")
    return Planned(step, Action.DELETE, name, "made by this operator, and empty by then")


def _ledgers(work: Work, field: str) -> list[dict[str, str]]:
    own = work.obj["metadata"]["uid"]
    return [
        entry
        for other in work.objects.list("Cluster")
        if other["metadata"]["uid"] != own
        for entry in (other.get("status") or {}).get(field) or []
    ]


def _names(work: Work, morefs: list[MoRef]) -> list[str]:
    found = [(m, work.there.vcenter.inventory.get(m)) for m in morefs]
    return sorted(f'"{e.name}"' if e is not None and e.name else str(m) for m, e in found)
