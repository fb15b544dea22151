"""The end of a Cluster's folder: destroyed when it is ours and empty, left alone in every other case."""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.api.cluster import FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers.cluster import folder, folder_end, tag_actions
from vsphere_operator.controllers.cluster.ending import Ending
from vsphere_operator.controllers.cluster.folder_actions import create_unclear_for, observe
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.faults import may_have_happened
from vsphere_operator.controllers.intents import expected
from vsphere_operator.vsphere.answers import Answer, Present, Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Succeeded

_CHANGES = (folder.CREATE, folder.RENAME, folder.DESTROY)


async def end(ending: Ending) -> Problem | None:
    """The folder, until it is proven gone or may stay."""
    work = ending.work
    if not is_concerned(work):
        return None
    if ending.lets_go("folder") and ending.lets_go("tags"):
        await _let_go(ending)  # vCenter is not needed, and may be out of reach
        return None
    hindered = await ending.connect()
    if hindered is not None:
        return hindered
    if not ending.lets_go("folder"):
        unclear = await _settle_destroy(work) or await _find_unrecorded(work)
        if unclear is not None:
            return unclear
    return await _carry_out(ending, await _plan(ending))


def is_concerned(work: Work) -> bool:
    """Whether a folder is recorded, or may have been made; one that a person named is neither."""
    record = work.status.folder
    recorded = record is not None and record.origin is not Origin.EXTERNAL
    return recorded or any(work.operation(change) for change in _CHANGES)


def names_of(inventory: Inventory, morefs: Sequence[MoRef]) -> dict[MoRef, str]:
    """What the inventory calls them, as far as it shows them."""
    found = {moref: inventory.get(moref) for moref in morefs}
    return {moref: entity.name for moref, entity in found.items() if entity is not None and entity.name}


async def contents_of(work: Work, moref: MoRef) -> Answer[list[MoRef]]:
    """A fresh look into the folder. VMs that are out of sight may lie in it all the same: it would not show them."""
    vcenter = work.there.vcenter
    hidden = vcenter.inventory.missing_in(moref)
    return hidden if hidden else await vcenter.folders.child_entities_fresh(moref, op_id=work.op_id)


async def _plan(ending: Ending) -> folder_end.End:
    work = ending.work
    seen = folder_end.Seen(work.status.folder, work.there.instance_uuid, ending.lets_go("folder"))
    step = folder_end.plan(seen)
    if not isinstance(step, folder_end.LookInside):
        return step
    contents = await contents_of(work, step.moref)
    inside = contents.value if isinstance(contents, Present) else ()
    names = names_of(work.there.vcenter.inventory, inside)
    return folder_end.plan(
        folder_end.Seen(seen.record, seen.vcenter, seen.let_go, contents=contents, names=names)
    )


async def _carry_out(ending: Ending, step: folder_end.End) -> Problem | None:
    work = ending.work
    match step:
        case folder_end.Block(problem=problem):
            return problem
        case folder_end.Destroy(moref=moref):
            return await _destroy(work, moref)
        case folder_end.LeaveBehind(record=record):
            await _untag(work, record)
            await _let_go(ending)
        case folder_end.LeaveAdopted(record=record):
            stays = await _untag(work, record)
            await _forget(work)
            if stays:
                words = f"The folder {record.path} was there before this Cluster, and stays."
                ending.events.normal(work.obj, "FolderKept", words)
        case _:
            await _forget(work)
    return None


async def _forget(work: Work) -> None:
    others = [o for o in work.status.intents if o.type not in _CHANGES]
    await work.save(work.status.model_copy(update={"folder": None, "intents": others}))


async def _let_go(ending: Ending) -> None:
    work = ending.work
    record = work.status.folder
    things = [f"the folder {record.path}"] if record is not None else []
    things += [
        f"what {o.type} may have made of {o.target}" for o in work.status.intents if o.type in _CHANGES
    ]
    await _forget(work)
    ending.events.warning(work.obj, "LeftBehind", f"Let go on a person's word: {', '.join(things)}.")


async def _find_unrecorded(work: Work) -> Problem | None:
    """A folder that was made right before the operator died lies there under its working name."""
    if work.status.folder is not None or work.operation(folder.CREATE) is None:
        return None
    where = folder.place(work.there.offer, work.cluster, work.id)
    seen = observe(work, where, rename_refused=False)
    step = folder.plan(seen, where)
    if isinstance(step, folder.Record) and step.record.origin is Origin.CREATED:
        await work.strike(folder.CREATE, folder=step.record)
        return None
    wait = create_unclear_for(work)
    if wait > 0 or seen.parent is None:
        words = f"waits to see whether {where.parent} holds the folder {where.working_name}"
        return Problem(folder.FOLDER_READY, "FolderUnknown", words, stalled=False, retry_after=wait or 10.0)
    await work.strike(folder.CREATE)
    return None


async def _untag(work: Work, record: FolderStatus) -> bool:
    """Take our tags off a folder that stays; False when there is nothing to take them off from."""
    if record.mo_ref is None or record.origin is Origin.EXTERNAL:
        return False
    if record.vcenter not in (None, work.there.instance_uuid):
        return False
    moref = MoRef(record.mo_ref)
    answer = await work.there.vcenter.folders.exists_fresh(moref, op_id=work.op_id)
    if isinstance(answer, Unknown) and answer.fault is not None:
        raise VSphereError(answer.fault)
    if isinstance(answer, Present):
        await tag_actions.detach_all(work, moref)
    return isinstance(answer, Present)


async def _destroy(work: Work, moref: MoRef) -> Problem | None:
    """Only after a fresh look that showed it empty: vCenter would destroy whatever is inside."""
    folders = work.there.vcenter.folders
    await work.intend(work.started(folder.DESTROY, moref))
    try:
        task = await folders.destroy(moref, op_id=work.op_id)
    except VSphereError as error:
        if not may_have_happened(error.fault):
            await work.strike(folder.DESTROY)
        raise
    work.there.vcenter.tasks.follow(task)
    await work.intend(work.started(folder.DESTROY, moref, task=task))
    return _destroying()


async def _settle_destroy(work: Work) -> Problem | None:
    operation = work.operation(folder.DESTROY)
    if operation is None:
        return None
    if operation.task_ref is None:
        await work.strike(folder.DESTROY)  # a fresh look decides again
        return None
    tasks = work.there.vcenter.tasks
    tasks.follow(
        MoRef(operation.task_ref), expected(operation, MoRef(operation.target) if operation.target else None)
    )
    match tasks.state(MoRef(operation.task_ref)):
        case Succeeded():
            await work.strike(folder.RENAME)
            await work.strike(folder.DESTROY, folder=None)
        case Forgotten():
            await work.strike(folder.DESTROY)
        case Failed(fault=fault):
            await work.strike(folder.DESTROY)
            raise VSphereError(fault)
        case _:
            return _destroying()
    return None


def _destroying() -> Problem:
    return Problem(folder.FOLDER_READY, "DeletingFolder", "the folder is being deleted", stalled=False)
