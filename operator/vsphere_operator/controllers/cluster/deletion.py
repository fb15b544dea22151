"""The end of a Cluster: its workers, then its folder, then its tags, each proven gone before the next."""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.api.cluster import FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers import indexes
from vsphere_operator.controllers.cluster import folder, interrupted_tags, tag_actions
from vsphere_operator.controllers.cluster.folder_actions import create_unclear_for, observe
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.faults import may_have_happened
from vsphere_operator.controllers.intents import expected
from vsphere_operator.controllers.lifecycle import controller_of, is_deleting, lets_go, metadata
from vsphere_operator.controllers.ports import Events, Object
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Succeeded

WORKERS_GONE = "WorkersGone"


async def workers(work: Work) -> Problem | None:
    """Delete what belongs to the Cluster, owners first; a problem while any of it is left."""
    meta = metadata(work.obj)
    found = {kind: _of_cluster(work, kind) for kind in indexes.WORKERS}
    for kind, objects in found.items():
        for obj in objects:
            if not is_deleting(obj) and controller_of(obj) is None:
                mine = metadata(obj)
                await work.objects.delete(kind, meta["namespace"], mine["name"], uid=mine["uid"])
    left = [f"{kind} {metadata(o)['name']}" for kind in indexes.WORKERS for o in _of_cluster(work, kind)]
    if not left:
        return None
    shown = ", ".join(sorted(left)[:5]) + (" and more" if len(left) > 5 else "")
    return Problem(WORKERS_GONE, "WaitingForWorkers", f"waits until these are gone: {shown}", stalled=False)


def nothing_made(work: Work) -> bool:
    """Whether the status knows of nothing in vCenter that would have to go."""
    status = work.status
    folder_is_ours = status.folder is not None and status.folder.origin is not Origin.EXTERNAL
    return not (folder_is_ours or status.tags or status.categories or status.intents)


async def unmake(work: Work, events: Events) -> Problem | None:
    """Folder, then tags, then categories; what a person lets go of is named and left."""
    if lets_go(work.obj, "folder"):
        if work.status.folder is not None:
            if not lets_go(work.obj, "tags"):
                await _untag(work, work.status.folder)
            events.warning(
                work.obj, "LeftBehind", f"Let go on a person's word: the folder {work.status.folder.path}."
            )
            await work.save(work.status.model_copy(update={"folder": None, "intents": []}))
    else:
        problem = await _folder(work, events)
        if problem is not None:
            return problem
    if lets_go(work.obj, "tags"):
        things = [f'the tag "{t.name}"' for t in work.status.tags]
        things += [f'the tag category "{c.name}"' for c in work.status.categories]
        if things:
            events.warning(work.obj, "LeftBehind", f"Let go on a person's word: {', '.join(things)}.")
        return None
    return await _tags(work, events)


def tell_what_is_left(work: Work, events: Events) -> None:
    """Everything that the status knows of, on a person's word that all of it may stay."""
    status = work.status
    things = [f"the folder {status.folder.path}"] if status.folder is not None else []
    things += [f'the tag "{t.name}"' for t in status.tags]
    things += [f'the tag category "{c.name}"' for c in status.categories]
    things += [f"what {o.type} may have made of {o.target}" for o in status.intents]
    events.warning(work.obj, "LeftBehind", f"Let go on a person's word: {', '.join(things)}.")


async def _tags(work: Work, events: Events) -> Problem | None:
    unclear = await interrupted_tags.settle(work)
    if unclear is not None:
        return unclear
    left = await tag_actions.drop(work, list(work.status.tags))
    if left:
        names = ", ".join(f'"{t.name}"' for t in left)
        words = (
            f"the tags {names} were made for this Cluster and are attached to other objects by now; detach them, or "
            "annotate the Cluster with userclusters.io/orphan: tags to leave them"
        )
        return Problem(interrupted_tags.TAGS_READY, "TagsInUseElsewhere", words, retry_after=60.0)
    stayed = await tag_actions.drop_categories(work)
    if stayed:
        names = ", ".join(f'"{c.name}"' for c in stayed)
        words = f"Left behind, because others have put tags into them: the tag categories {names}."
        events.warning(work.obj, "LeftBehind", words)
    return None


async def _folder(work: Work, events: Events) -> Problem | None:
    pending = await _settle_destroy(work)
    if pending is not None:
        return pending
    unclear = await _find_unrecorded(work)
    if unclear is not None:
        return unclear
    status = work.status.folder
    if status is None or status.mo_ref is None:
        return None
    if status.vcenter and status.vcenter != work.there.instance_uuid:
        words = "the folder was recorded on another vCenter than the one at this address; nothing is touched"
        return Problem(folder.FOLDER_READY, "OtherVCenter", words)
    if status.origin is Origin.CREATED:
        return await _destroy(work, MoRef(status.mo_ref))
    if status.origin is Origin.ADOPTED:
        await _leave_adopted(work, MoRef(status.mo_ref), events)
    await work.save(work.status.model_copy(update={"folder": None}))
    return None


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


async def _leave_adopted(work: Work, moref: MoRef, events: Events) -> None:
    if await _untag(work, work.status.folder):
        path = work.status.folder.path if work.status.folder else moref
        events.normal(work.obj, "FolderKept", f"The folder {path} was there before this Cluster, and stays.")


async def _untag(work: Work, record: FolderStatus | None) -> bool:
    """Take our tags off a folder that stays; False when there is nothing to take them off from."""
    if record is None or record.mo_ref is None or record.origin is Origin.EXTERNAL:
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
    """Only when a fresh look shows it empty: vCenter would destroy whatever is inside."""
    folders = work.there.vcenter.folders
    # VMs that are out of sight may lie in it all the same: a fresh look would not show them either.
    hidden = work.there.vcenter.inventory.missing_in(moref)
    answer = hidden or await folders.child_entities_fresh(moref, op_id=work.op_id)
    match answer:
        case Absent():
            await work.strike(folder.RENAME, folder=None)
            return None
        case Unknown(why=why):
            words = f"waits until vCenter can tell what is in the folder: {why}"
            return Problem(folder.FOLDER_READY, "FolderUnknown", words, stalled=False, retry_after=10.0)
        case Present(value=children) if children:
            return _not_empty(work, children)
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


def _not_empty(work: Work, children: Sequence[MoRef]) -> Problem:
    inventory = work.there.vcenter.inventory
    entities = [inventory.get(c) for c in children]
    names = ", ".join(
        sorted(f'"{e.name}"' if e and e.name else c for c, e in zip(children, entities, strict=True))[:5]
    )
    words = (
        f"the folder holds what is not this Cluster's and is left alone: {names}. Move it away, or annotate the "
        "Cluster with userclusters.io/orphan: folder to leave the folder"
    )
    return Problem(folder.FOLDER_READY, "FolderNotEmpty", words, retry_after=60.0)


def _of_cluster(work: Work, kind: str) -> Sequence[Object]:
    meta = metadata(work.obj)
    return work.objects.by_index(kind, indexes.CLUSTER, f"{meta['namespace']}/{meta['name']}")
