"""The fate of a Cluster's tags and categories in the words of a plan."""

from __future__ import annotations

from collections.abc import Collection

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.controllers.cluster import tag_fate
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.planned import Action, Planned
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.morefs import MoRef

_MADE_HERE = "made by this operator"


async def of_tag(work: Work, tag: TagStatus, gone: Collection[MoRef], *, step: str) -> Planned:
    """``gone`` is what carries it now and will not by then."""
    name = f'tag "{tag.name}"'
    try:
        fate = await tag_fate.of_tag(work, tag, gone=gone)
    except VSphereError as error:
        return Planned(step, Action.STOP, name, error.fault.message)
    match fate:
        case tag_fate.Delete():
            return Planned(step, Action.DELETE, name, f"{_MADE_HERE}, and nothing carries it by then")
        case tag_fate.Forget(why=why):
            return Planned(step, Action.DETACH, name, why)
        case tag_fate.Kept(why=why, unproven=True):
            return Planned(step, Action.LEAVE, name, f"it is not proven unused: {why}")
        case tag_fate.Kept(why=why):
            return Planned(step, Action.STOP, name, f"others carry it: {why}; detach it there")


async def of_category(work: Work, category: CategoryStatus, gone: Collection[str], *, step: str) -> Planned:
    """``gone`` are the ids of tags that will not be in it by then."""
    name = f'tag category "{category.name}"'
    try:
        fate = await tag_fate.of_category(work, category, gone=gone)
    except VSphereError as error:
        return Planned(step, Action.STOP, name, error.fault.message)
    match fate:
        case tag_fate.Delete():
            return Planned(step, Action.DELETE, name, f"{_MADE_HERE}, and empty by then")
        case tag_fate.Forget(why=why):
            return Planned(step, Action.KEEP, name, why)
        case tag_fate.KeptCategory(why=why):
            return Planned(step, Action.LEAVE, name, why)
