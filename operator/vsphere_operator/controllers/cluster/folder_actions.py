"""Looking at a Cluster's folder, and carrying out the steps of its plan."""

from __future__ import annotations

from vsphere_operator.api.cluster import FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers import folder_paths, indexes, lookups, status
from vsphere_operator.controllers.cluster import folder
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.drift import FOLDER_MOVED, FOLDER_REMOVED, Difference, Drift
from vsphere_operator.controllers.faults import may_have_happened
from vsphere_operator.controllers.folder_paths import Lacking
from vsphere_operator.controllers.intents import expected, inventory_at, seconds_until_shown
from vsphere_operator.controllers.losses import COUNTED_AGAIN
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory.entities import Folder
from vsphere_operator.vsphere.morefs import MoRef, kind_of
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Succeeded

_MOST_STEPS = 8
_WATCH_LAG = 30.0  # seconds


async def ensure(work: Work, tell: Drift) -> Problem | None:
    """A folder that is there and known, or what stands in the way."""
    where = folder.place(work.there.offer, work.cluster, work.id)
    refused = False
    for _ in range(_MOST_STEPS):
        pending = await _settle_rename(work)
        if isinstance(pending, Problem):
            return pending
        refused = refused or pending == "refused"
        step = folder.plan(observe(work, where, rename_refused=refused), where)
        match step:
            case folder.Ready(record=record, reason=reason, message=message):
                work.found(folder.FOLDER_READY, reason, message)
                if reason == "Moved" and work.only_tells:
                    work.differences.append(
                        Difference(FOLDER_MOVED, f"somebody moved the folder to {record.path}")
                    )
                if record != work.status.folder or work.operation(folder.CREATE):
                    await _record(work, record)
                return None
            case folder.Block(problem=problem):
                return problem
            case folder.Record(record=record):
                await _record(work, record)
            case folder.Create() | folder.CreateParents():
                wait = create_unclear_for(work)
                if wait > 0:
                    return _renaming(after=wait)
                parent = (
                    step.parent if isinstance(step, folder.Create) else await _parents(work, step.lacking)
                )
                await _create(work, parent, step.name)
            case folder.Rename(moref=moref, name=name):
                return await _rename(work, moref, name)
            case folder.Confirm(moref=moref):
                hindrance = _just_made(work) or await _confirm(work, moref, tell)
                if hindrance is not None:
                    return hindrance
    raise RuntimeError(f"the folder of {work.op_id} did not settle in {_MOST_STEPS} steps")


def observe(work: Work, where: folder.Place, *, rename_refused: bool) -> folder.Seen:
    """One look at memory."""
    inventory, recorded = work.there.vcenter.inventory, work.status.folder
    ours = inventory.get(MoRef(recorded.mo_ref)) if recorded and recorded.mo_ref else None
    parent = lookups.find_folder(inventory, where.parent)
    at_path = lookups.find_folder(inventory, where.path)
    children = inventory.children(parent.moref) if parent else []
    working = next((c for c in children if isinstance(c, Folder) and c.name == where.working_name), None)
    if at_path is not None and ours is not None and at_path.moref == ours.moref and not where.external:
        at_path = None
    return folder.Seen(
        status=recorded,
        vcenter=work.there.instance_uuid,
        recorded=ours.moref if ours else None,
        recorded_name=ours.name if ours else None,
        recorded_path=inventory.path(ours.moref) if ours else None,
        parent=parent.moref if parent else None,
        first_missing=None if parent else lookups.first_missing(inventory, where.parent),
        lacking=_may_be_made(work, where) if parent is None else None,
        misplaced=_misplaced(work, at_path or parent),
        at_path=at_path.moref if at_path else None,
        working=working.moref if working and not where.external else None,
        taken_by=_other_owner(work, at_path.moref, external=where.external) if at_path else None,
        rename_refused=rename_refused,
    )


def _may_be_made(work: Work, where: folder.Place) -> Lacking | None:
    vsphere = work.there.offer.vsphere
    if where.external or not vsphere.create_root_path:
        return None
    return folder_paths.lacking(work.there.vcenter.inventory, where.parent, vsphere.datacenter)


def _misplaced(work: Work, found: Folder | None) -> str | None:
    if found is None:
        return None
    datacenter = work.there.offer.vsphere.datacenter
    return folder_paths.misplaced(work.there.vcenter.inventory, found.moref, datacenter)


async def _parents(work: Work, lacking: Lacking) -> MoRef:
    """Make the way to the folder; what somebody, or another Cluster, made of it in this moment serves as well.

    It is everybody's from then on: neither recorded, nor tagged, nor ever deleted. A name is there once, so a call
    whose answer was lost can be repeated without an intent.
    """
    parent = lacking.below
    for name in lacking.names:
        try:
            parent = await work.there.vcenter.folders.create(parent, name, op_id=work.op_id)
        except VSphereError as error:
            existing = MoRef(error.fault.object or "")
            if error.fault.fault_class is not FaultClass.CONFLICT or kind_of(existing) != "Folder":
                raise
            parent = existing
    return parent


def _other_owner(work: Work, moref: MoRef, *, external: bool) -> str | None:
    """The Cluster, other than this one, whose status records that folder on this vCenter.

    A folder that a person names in several Clusters is shared on that person's word.
    """
    for other in work.objects.by_index("Cluster", indexes.FOLDER, moref):
        recorded = (other.get("status") or {}).get("folder") or {}
        same = other["metadata"]["uid"] == work.obj["metadata"]["uid"]
        if external and recorded.get("origin") == Origin.EXTERNAL:
            continue
        if not same and recorded.get("vCenter", work.there.instance_uuid) == work.there.instance_uuid:
            return f"{other['metadata']['namespace']}/{other['metadata']['name']}"
    return None


async def _record(work: Work, record: FolderStatus) -> None:
    await work.strike(folder.CREATE, folder=record)


def _just_made(work: Work) -> Problem | None:
    """The watch shows a new folder a moment after the call that made it."""
    operation = work.operation(folder.CREATE)
    if operation is None or operation.started_at is None:
        return None
    fresh = (status.now() - operation.started_at).total_seconds() < _WATCH_LAG
    return _renaming(after=1.0) if fresh else None


def create_unclear_for(work: Work) -> float:
    """Seconds until the inventory would show what an earlier call to create the folder has made."""
    operation = work.operation(folder.CREATE)
    if operation is None:
        return 0.0
    looked_at = inventory_at(work.there.vcenter.inventory)
    return seconds_until_shown(operation, now=status.now(), looked_at=looked_at)


async def _create(work: Work, parent: MoRef, name: str) -> None:
    await work.intend(work.started(folder.CREATE, f"{parent}/{name}"))
    try:
        moref = await work.there.vcenter.folders.create(parent, name, op_id=work.op_id)
    except VSphereError as error:
        if not may_have_happened(error.fault):
            await work.strike(folder.CREATE)
        raise
    where = folder.place(work.there.offer, work.cluster, work.id)
    record = FolderStatus(
        path=f"{where.parent.rstrip('/')}/{name}",
        mo_ref=moref,
        vcenter=work.there.instance_uuid,
        origin=Origin.CREATED,
    )
    # The intent stays until the watch has shown the folder: until then its absence there means nothing.
    await work.save(work.status.model_copy(update={"folder": record}))


async def _rename(work: Work, moref: MoRef, name: str) -> Problem:
    await work.strike(folder.CREATE)
    await work.intend(work.started(folder.RENAME, moref))
    try:
        task = await work.there.vcenter.folders.rename(moref, name, op_id=work.op_id)
    except VSphereError as error:
        if may_have_happened(error.fault):
            raise
        if error.fault.fault_class is FaultClass.PERMISSION:
            await work.intend(work.started(folder.RENAME, "refused"))
            return _renaming()
        await work.strike(folder.RENAME)
        raise
    work.there.vcenter.tasks.follow(task)
    await work.intend(work.started(folder.RENAME, moref, task=task))
    return _renaming()


async def _settle_rename(work: Work) -> Problem | str | None:
    """What became of a rename: still going on (a Problem), "refused", or done and struck off."""
    operation = work.operation(folder.RENAME)
    if operation is None:
        return None
    if operation.target == "refused":
        return "refused"
    if operation.task_ref is None:
        await work.strike(folder.RENAME)
        return None
    tasks = work.there.vcenter.tasks
    tasks.follow(
        MoRef(operation.task_ref), expected(operation, MoRef(operation.target) if operation.target else None)
    )
    match tasks.state(MoRef(operation.task_ref)):
        case Succeeded():
            return await _after_rename(work)
        case Forgotten():
            await work.strike(folder.RENAME)
        case Failed(fault=fault) if fault.fault_class is FaultClass.PERMISSION:
            await work.intend(work.started(folder.RENAME, "refused"))
            return "refused"
        case Failed(fault=fault):
            await work.strike(folder.RENAME)
            raise VSphereError(fault)
        case _:
            return _renaming()
    return None


async def _after_rename(work: Work) -> Problem | None:
    """Waits until the inventory shows the new name: asking vCenter to rename it again would be a call for nothing."""
    where = folder.place(work.there.offer, work.cluster, work.id)
    if observe(work, where, rename_refused=False).recorded_name == where.working_name:
        return _renaming(after=1.0)
    await work.strike(folder.RENAME)
    return None


async def _removed(work: Work, tell: Drift) -> Problem | None:
    path = work.status.folder.path if work.status.folder else ""
    if work.only_tells:
        work.differences.append(Difference(FOLDER_REMOVED, f"somebody removed the folder {path}"))
        words = f"somebody removed the folder {path}, and driftPolicy is Report; set it to Repair to have it made again"
        return Problem(folder.FOLDER_READY, "FolderRemoved", words)
    # The next folder has no tags yet: nobody took them off it.
    tags = [t.model_copy(update={"attached": False}) for t in work.status.tags]
    await work.save(work.status.model_copy(update={"folder": None, "tags": tags}))
    words = f"Somebody removed the folder {path}; it is made again."
    tell.repaired(work.obj, Difference(FOLDER_REMOVED, words))
    return None


def _renaming(after: float | None = None) -> Problem:
    words = "the folder is being given its name"
    return Problem(folder.FOLDER_READY, "CreatingFolder", words, stalled=False, retry_after=after)


async def _confirm(work: Work, moref: MoRef, tell: Drift) -> Problem | None:
    """Gone for certain: forget it, so that it is made anew. Otherwise wait for the inventory."""
    doubt = work.losses.unsettled(work.there)
    if doubt is not None:
        return _unknown(moref, doubt.why, after=COUNTED_AGAIN)
    answer = await work.there.vcenter.folders.exists_fresh(moref, op_id=work.op_id)
    match answer:
        case Absent():
            # A folder goes with its VMs, whose loss may have been noticed during the call.
            doubt = work.losses.unsettled(work.there)
            if doubt is None:
                return await _removed(work, tell)
            why = doubt.why
        case Present():
            why = "the inventory does not show it yet"
        case Unknown():
            why = answer.why
    return _unknown(moref, why, after=5.0)


def _unknown(moref: MoRef, why: str, *, after: float) -> Problem:
    words = f"waits to see the folder {moref}: {why}"
    return Problem(folder.FOLDER_READY, "FolderUnknown", words, stalled=False, retry_after=after)
