"""What becomes of a tag or category that a Cluster wants no longer: decided from fresh reads, and nothing is changed.

Ours by ledger and by its own description, and proven unused: only that is deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
_GONE = "it is gone already"
_SHARED = "another Cluster uses it, and deletes it when it is the last"
_TAKEN_OVER = "its description does not say any more that it is ours"


@dataclass(frozen=True, slots=True)
class Forget:
    """It stays, and is only taken out of the ledger."""

    why: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Ours and proven unused."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A tag of ours that must stay. ``unproven``: nobody can be seen to use it, and not all can be seen."""

    tag: TagStatus
    why: str
    unproven: bool = False

    def __str__(self) -> str:
        return f'"{self.tag.name}" ({self.why})'


@dataclass(frozen=True, slots=True)
class KeptCategory:
    """A category of ours that must stay."""

    category: CategoryStatus
    why: str


async def of_tag(
    work: Work, tag: TagStatus, *, gone: Collection[MoRef] = frozenset()
) -> Forget | Delete | Kept:
    """``gone`` is what carries it now and will not by then. Raises VSphereError when vCenter does not answer."""
    if tag.origin is not Origin.CREATED:
        return Forget("it was there before")
    if ledger.used_elsewhere(tag.id, _other_ledgers(work)):
        return Forget(_SHARED)
    tags = work.there.vcenter.tags
    answer = await tags.get_tag_fresh(tag.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return Forget(_GONE)
    if isinstance(answer, Unknown):
        return Kept(tag, _untold(answer), unproven=True)
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return Forget(_TAKEN_OVER)
    carriers = (await tags.attached_objects([tag.id], op_id=work.op_id)).get(tag.id, [])
    left = [m for m in carriers if m not in gone]
    if left:
        return Kept(tag, f"on {_named(work, left)}")
    # An empty list shows only that nothing carries it of what this user may read.
    hidden = await work.there.vcenter.rights.unreadable(op_id=work.op_id)
    if hidden is None:
        return Delete()
    # Who may not even ask will not be told by waiting.
    refused = hidden.fault is not None and hidden.fault.fault_class is FaultClass.PERMISSION
    return Kept(tag, hidden.why if refused else _untold(hidden), unproven=True)


async def of_category(
    work: Work, category: CategoryStatus, *, gone: Collection[str] = frozenset()
) -> Forget | Delete | KeptCategory:
    """``gone`` are the ids of tags that will not be in it by then. Raises as `of_tag` does."""
    if category.origin is not Origin.CREATED:
        return Forget("it was there before")
    if _category_used_elsewhere(work, category.id):
        return Forget(_SHARED)
    tags = work.there.vcenter.tags
    answer = await tags.get_category_fresh(category.id, op_id=work.op_id)
    if isinstance(answer, Absent):
        return Forget(_GONE)
    if isinstance(answer, Unknown):
        return KeptCategory(category, _untold(answer))
    if ledger.origin_of(answer.value.description, work.installation) is not Origin.CREATED:
        return Forget(_TAKEN_OVER)
    inside = await tags.tags_in_category_fresh(category.id, op_id=work.op_id)
    return KeptCategory(category, "others have put tags into it") if set(inside) - set(gone) else Delete()


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
