"""A Cluster's tags on its folder and, with `tagVMs`, on its VMs: attached, kept there, taken off when not wanted.

The ledger in status is written before a tag is attached, so that whatever was made is found again. What the ledger
says was attached and is not any more was taken off by somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsphere_operator.api.cluster import TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers import drift, settings
from vsphere_operator.controllers.cluster import interrupted_tags, ledger, tag_making, tag_removal, vm_tags
from vsphere_operator.controllers.cluster.interrupted_tags import CREATE_CATEGORY, CREATE_TAG, TAGS_READY
from vsphere_operator.controllers.cluster.tag_fate import Kept
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.drift import Difference, Drift
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.morefs import MoRef


@dataclass(frozen=True, slots=True)
class Seen:
    """What carries tags. ``folder`` is None for one that a person named, which is never tagged."""

    folder: MoRef | None
    attached: frozenset[str]
    workers: Sequence[vm_tags.Worker] = ()


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


def for_vms(work: Work) -> bool:
    """Whether the VMs carry the Cluster's tags, or may still."""
    return work.cluster.spec.cloud.vsphere.tag_vms or any(t.vms for t in work.status.tags)


def in_line(work: Work, seen: Seen) -> bool:
    """Whether the record and what is attached agree with what is wanted: then nothing has to be asked."""
    known, on_vms = work.status, work.cluster.spec.cloud.vsphere.tag_vms
    if work.operation(CREATE_TAG) or work.operation(CREATE_CATEGORY):
        return False
    wanted = {_recorded(known.tags, one) for one in _wanted(work)}
    if wanted != {t.id for t in known.tags} or any(t.vms != on_vms for t in known.tags):
        return False
    if seen.folder is not None and not all(t.attached and t.id in seen.attached for t in known.tags):
        return False
    used = {t.category_id for t in known.tags}
    return {c.id for c in known.categories} <= used and not _vm_changes(work, seen, known.tags)


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
        words = (
            "a folder named in spec.cloud.vsphere.folder is never tagged; remove spec.cloud.vsphere.tags, or set "
            "tagVMs to have them on the VMs"
        )
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


async def ensure(work: Work, seen: Seen, tell: Drift) -> Problem | None:
    """The wanted tags on folder and VMs and no others of ours, or what stands in the way."""
    unclear = await interrupted_tags.settle(work)
    if unclear is not None:
        return unclear
    # What an interrupted call turned out to have made is in the ledger only now.
    hint(work)
    lost = _lost(work, seen)
    if lost and not work.only_tells:
        # Taken off, or deleted altogether: what is remembered may be of things that are gone.
        work.there.vcenter.tags.distrust()
    found = await _found(work, seen)
    if isinstance(found, Problem):
        return found
    await _folder_in_line(work, seen, found, lost)
    await _vms_in_line(work, seen, found, tell)
    if not work.only_tells:
        for tag in lost:
            words = f'The tag "{tag.name}" was taken off the folder, or deleted, and is on it again.'
            tell.repaired(work.obj, Difference(drift.FOLDER_TAGS, words))
    left = await tag_removal.drop(work, [t for t in work.status.tags if t.id not in {f.id for f in found}])
    await tag_removal.drop_categories(work)
    _conclude(work, found, left)
    return None


def fingerprint(work: Work, seen: Seen) -> str:
    """Changes with what is wanted, with the folder, with the ledger, and with what of it is attached."""
    known = work.status
    on = sorted(t.id for t in known.tags if t.id in seen.attached)
    spec = work.cluster.spec
    vms = _vm_changes(work, seen, known.tags)
    policy = (spec.drift_policy, spec.cloud.vsphere.tag_vms)
    return repr(
        (_wanted(work), known.folder, known.tags, known.categories, on, vms, policy, work.there.instance_uuid)
    )


async def detach_all(work: Work, folder: MoRef) -> None:
    """Take the ledger's tags off a folder that stays."""
    ids = {t.id for t in work.status.tags}
    tags = work.there.vcenter.tags
    on = [i for i in (await tags.attached([folder], op_id=work.op_id)).get(folder, []) if i in ids]
    if on:
        await tags.detach(on, folder, op_id=work.op_id)


def _wanted(work: Work) -> list[EffectiveTag]:
    return settings.cluster_tags(work.there.offer, work.cluster)


def _recorded(entries: Sequence[TagStatus], wanted: EffectiveTag) -> str | None:
    found = ledger.recorded(entries, wanted)
    return found.id if found is not None else None


def _lost(work: Work, seen: Seen) -> list[TagStatus]:
    """What was attached to the folder and is not any more."""
    if seen.folder is None:
        return []
    return [t for t in work.status.tags if t.attached and t.id not in seen.attached]


async def _found(work: Work, seen: Seen) -> list[TagStatus] | Problem:
    """The wanted tags; what is only to be told of is neither looked for nor made again."""
    wanted, entries = _wanted(work), work.status.tags
    kinds = ["Folder"] if seen.folder is not None else []
    if work.cluster.spec.cloud.vsphere.tag_vms:
        kinds.append("VirtualMachine")
    known = {t.id for t in entries if t.attached or t.vms} if work.only_tells else set()
    left = [one for one in wanted if _recorded(entries, one) in known]
    found = await tag_making.resolve(work, [one for one in wanted if one not in left], kinds=kinds)
    if isinstance(found, Problem):
        return found
    return [*found, *(t for t in work.status.tags if t.id in {_recorded(entries, one) for one in left})]


async def _folder_in_line(
    work: Work, seen: Seen, wanted: Sequence[TagStatus], lost: Sequence[TagStatus]
) -> None:
    if seen.folder is None:
        return
    tags, told = work.there.vcenter.tags, set()
    if work.only_tells:
        told = {t.id for t in lost} & {t.id for t in wanted}
        for tag in (t for t in lost if t.id in told):
            words = f'somebody took the tag "{tag.name}" off the folder, or deleted it'
            work.differences.append(Difference(drift.FOLDER_TAGS, words))
    needed = ledger.changes(wanted=wanted, ledger=work.status.tags, attached=seen.attached)
    # First off, then on: a category may allow one tag on an object.
    if needed.detach:
        await tags.detach(needed.detach, seen.folder, op_id=work.op_id)
    attach = [i for i in needed.attach if i not in told]
    if attach:
        await tags.attach(attach, seen.folder, op_id=work.op_id)
    await _note(work, {t.id: {"attached": True} for t in wanted})


async def _vms_in_line(work: Work, seen: Seen, wanted: Sequence[TagStatus], tell: Drift) -> None:
    """Written down before it is done, and off before on, as for the folder."""
    on_vms = work.cluster.spec.cloud.vsphere.tag_vms
    before = {t.id for t in work.status.tags if t.vms}
    if on_vms:
        await _note(work, {t.id: {"vms": True} for t in wanted})
    needed = _vm_changes(work, seen, wanted)
    lost = {i: morefs for i, morefs in needed.attach.items() if i in before}
    await vm_tags.detach(work, needed)
    if work.only_tells:
        needed = replace(needed, attach={i: on for i, on in needed.attach.items() if i not in lost})
    await vm_tags.attach(work, needed)
    for moref in sorted({moref for morefs in lost.values() for moref in morefs}):
        entity = work.there.vcenter.inventory.get(moref)
        names = ", ".join(f'"{t.name}"' for t in wanted if moref in lost.get(t.id, ()))
        what = f'the tags {names} off the VM "{entity.name if entity else moref}"'
        if work.only_tells:
            work.differences.append(Difference(drift.VM_TAGS, f"somebody took {what}"))
        else:
            tell.repaired(work.obj, Difference(drift.VM_TAGS, f"Somebody took {what}; they are on it again."))
    off = {t.id: {"vms": False} for t in work.status.tags if not on_vms or t.id not in {w.id for w in wanted}}
    await _note(work, off)


def _vm_changes(work: Work, seen: Seen, wanted: Sequence[TagStatus]) -> vm_tags.Changes:
    ids = [t.id for t in wanted] if work.cluster.spec.cloud.vsphere.tag_vms else []
    return vm_tags.changes(seen.workers, wanted=ids, ledger=work.status.tags)


async def _note(work: Work, facts: dict[str, dict[str, bool]]) -> None:
    """Write down what is or will be attached, if the ledger does not say so yet."""
    entries = [t.model_copy(update=facts.get(t.id, {})) for t in work.status.tags]
    if entries != list(work.status.tags):
        await work.save(work.status.model_copy(update={"tags": entries}))


def _conclude(work: Work, found: Sequence[TagStatus], left: Sequence[Kept]) -> None:
    differences = [d for d in work.differences if d.what in (drift.FOLDER_TAGS, drift.VM_TAGS)]
    if differences:
        words = "; ".join(d.message for d in differences)
        work.hindered(
            Problem(TAGS_READY, "TagsChanged", f"driftPolicy is Report, so nothing is changed: {words}")
        )
    elif left:
        unproven = all(one.unproven for one in left)
        names = ", ".join(str(one) for one in left)
        why = "cannot be proven unused" if unproven else "still attached to other objects"
        reason = "TagsNotProvenUnused" if unproven else "TagsInUseElsewhere"
        work.found(TAGS_READY, reason, f"No longer wanted, but {why}, so kept: {names}.")
    else:
        work.found(TAGS_READY, "Attached" if found else "NoTags")
