"""Tags and categories that a Cluster wants no longer: deleted if they are ours and proven unused, else left and told.

Who is the last to use a tag is decided under one lock for each vCenter: of two Clusters that go at the same time one
forgets it and the other deletes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.vsphere.answers import Absent, Unknown
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef, kind_of

_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A tag of ours that must stay. ``unproven``: nobody can be seen to use it, and not all can be seen."""

    tag: TagStatus
    why: str
    unproven: bool = False

    def __str__(self) -> str:
        return f'"{self.tag.name}" ({self.why})'


async def drop(work: Work, unwanted: Sequence[TagStatus]) -> list[Kept]:
    """Delete those of the unwanted tags that are ours and unused; the ones that must stay are returned.

    An adopted tag, or one that another Cluster's ledger names, is only forgotten here.
    """
    left = []
    for tag in unwanted:
        async with work.ledgers[work.there.instance_uuid]:
            mine = tag.origin is Origin.CREATED and not ledger.used_elsewhere(tag.id, _other_ledgers(work))
            kept = await _delete_if_unused(work, tag) if mine else None
            if kept is not None:
                left.append(kept)
                continue
            await forget(work, tag)
    return left


async def forget(work: Work, tag: TagStatus) -> None:
    """Take it out of the ledger."""
    others = [t for t in work.status.tags if t.id != tag.id]
    await work.save(work.status.model_copy(update={"tags": others}))


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


async def _delete_if_unused(work: Work, tag: TagStatus) -> Kept | None:
    """Ours by ledger and by its own description, and attached to nothing. None: there is nothing more to do."""
    tags = work.there.vcenter.tags
    answer = await tags.get_tag_fresh(tag.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return None
    if isinstance(answer, Unknown):
        return Kept(tag, _untold(answer), unproven=True)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return None  # somebody made it their own: forget it, leave it
    carriers = (await tags.attached_objects([tag.id], op_id=work.op_id)).get(tag.id)
    if carriers:
        return Kept(tag, f"on {_named(work, carriers)}")
    # An empty list shows only that nothing carries it of what this user may read.
    hidden = await work.there.vcenter.rights.unreadable(op_id=work.op_id)
    if hidden is not None:
        # Who may not even ask will not be told by waiting.
        refused = hidden.fault is not None and hidden.fault.fault_class is FaultClass.PERMISSION
        return Kept(tag, hidden.why if refused else _untold(hidden), unproven=True)
    await tags.delete_tag(tag.id, op_id=work.op_id)
    return None


async def _delete_category_if_empty(work: Work, category: CategoryStatus) -> bool:
    tags = work.there.vcenter.tags
    answer = await tags.get_category_fresh(category.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return True
    if isinstance(answer, Unknown):
        _untold(answer)
        return False
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return True
    if await tags.tags_in_category_fresh(category.id, op_id=work.op_id):
        return False
    await tags.delete_category(category.id, op_id=work.op_id)
    return True


def _untold(answer: Unknown) -> str:
    """Why a thing of which nothing is known stays; a call that failed is told as what it is."""
    if answer.fault is not None:
        raise VSphereError(answer.fault)
    return answer.why


def _named(work: Work, carriers: Sequence[MoRef]) -> str:
    inventory = work.there.vcenter.inventory
    names = []
    for moref in carriers[:_MOST_NAMES]:
        entity = inventory.get(moref)
        name = f'"{entity.name}"' if entity is not None and entity.name else moref
        names.append(f"the {kind_of(moref)} {name}")
    more = f" and {len(carriers) - _MOST_NAMES} more" if len(carriers) > _MOST_NAMES else ""
    return ", ".join(names) + more


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
