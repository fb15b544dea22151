"""What the next look at a Cluster would change in vCenter: its folder and its tags, by the controller's own plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vsphere_operator.api.cluster import TagStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.api.vspheresettings import EffectiveTag
from vsphere_operator.controllers import settings, tenancy
from vsphere_operator.controllers.cluster import folder, folder_actions, tag_actions, tag_preview
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import is_paused
from vsphere_operator.controllers.planned import Action, Planned, stopping
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Category

_SPEC, _FOLDER, _TAGS = "Spec", "Folder", "Tags"
_MADE_HERE = "by this operator, and deleted by it"


async def steps(work: Work, unreachable: Problem | None = None) -> list[Planned]:
    """In the order in which the controller would go; empty when all is as asked for."""
    if is_paused(work.obj):
        return [Planned(_SPEC, Action.STOP, "Cluster", "it is paused, and nothing is changed")]
    refused = (
        unreachable
        or work.there.preset_problem
        or tenancy.refused_path(work.there.offer, work.cluster, work.id)
    )
    if refused is not None:
        return [Planned(_SPEC, Action.STOP, "Cluster", refused.message)]
    planned = await _folder(work)
    return planned if stopping(planned) else [*planned, *await _tags(work)]


async def _folder(work: Work) -> list[Planned]:
    where = folder.place(work.there.offer, work.cluster, work.id)
    seen = folder_actions.observe(work, where, rename_refused=False)
    step = folder.plan(seen, where)
    name = f"folder {where.path}"
    if isinstance(step, folder.Confirm):
        answer = await work.there.vcenter.folders.exists_fresh(step.moref, op_id=work.op_id)
        if not isinstance(answer, Absent):
            words = "the inventory does not show it, and vCenter does not say that it is gone"
            return [Planned(_FOLDER, Action.STOP, name, words)]
        step = folder.plan(replace(seen, status=None), where)
    return _described(step, where, name)


def _described(step: folder.Step, where: folder.Place, name: str) -> list[Planned]:
    match step:
        case folder.Block(problem=problem):
            return [Planned(_FOLDER, Action.STOP, name, problem.message)]
        case folder.CreateParents(lacking=lacking):
            words = "missing on the way there; the Seed allows to make it, and it stays"
            return [
                *(Planned(_FOLDER, Action.CREATE, f'folder "{part}"', words) for part in lacking.names),
                Planned(_FOLDER, Action.CREATE, name, _MADE_HERE),
            ]
        case folder.Create():
            return [Planned(_FOLDER, Action.CREATE, name, _MADE_HERE)]
        case folder.Rename():
            return [
                Planned(_FOLDER, Action.CHANGE, name, f"it still has its working name {where.working_name}")
            ]
        case folder.Record(record=record) if record.origin is Origin.ADOPTED:
            words = "it is there already: used and tagged, and never deleted"
            return [Planned(_FOLDER, Action.ADOPT, f"folder {record.path}", words)]
    return []


async def _tags(work: Work) -> list[Planned]:
    moref = tag_actions.folder_of(work)
    wanted = settings.cluster_tags(work.there.offer, work.cluster)
    attached = await _attached(work, moref)
    planned: list[Planned] = []
    kept = set()
    for one in wanted:
        tag_id, steps_ = await _wanted(work, one, attached)
        planned += steps_
        kept |= {tag_id} if tag_id else set()
    dropped = [t for t in work.status.tags if t.id not in kept]
    return [*planned, *await _dropped(work, dropped, moref)]


async def _attached(work: Work, moref: MoRef | None) -> Sequence[str]:
    if moref is None:
        return ()
    return (await work.there.vcenter.tags.attached([moref], op_id=work.op_id)).get(moref, [])


async def _wanted(
    work: Work, wanted: EffectiveTag, attached: Sequence[str]
) -> tuple[str | None, list[Planned]]:
    """The tag's id if it is there, and what would be done to have it on the folder."""
    name = f'tag "{wanted.name}"'
    if not wanted.category:
        return None, [Planned(_TAGS, Action.STOP, name, "it names no category, and there is no default one")]
    tags = work.there.vcenter.tags
    answer = await tags.category(wanted.category, op_id=work.op_id)
    match answer:
        case Unknown(why=why):
            return None, [Planned(_TAGS, Action.STOP, name, why)]
        case Absent():
            return None, _in_new_category(work, name, wanted.category)
    category: Category = answer.value
    found = await tags.tag(category.id, wanted.name, op_id=work.op_id)
    match found:
        case Unknown(why=why):
            return None, [Planned(_TAGS, Action.STOP, name, why)]
        case Present(value=tag):
            on = [] if tag.id in attached else [Planned(_TAGS, Action.ATTACH, name, "it is there already")]
            return tag.id, on
    return None, [Planned(_TAGS, Action.CREATE, f'{name} in category "{category.name}"', _MADE_HERE)]


def _in_new_category(work: Work, name: str, category: str) -> list[Planned]:
    offer = work.there.offer
    if not offer.vsphere.create_tag_category:
        words = f"it is missing; create it, or set {offer.field('createTagCategory')} to true"
        return [Planned(_TAGS, Action.STOP, f'tag category "{category}"', words)]
    return [
        Planned(_TAGS, Action.CREATE, f'tag category "{category}"', _MADE_HERE),
        Planned(_TAGS, Action.CREATE, f'{name} in category "{category}"', _MADE_HERE),
    ]


async def _dropped(work: Work, dropped: Sequence[TagStatus], moref: MoRef | None) -> list[Planned]:
    carriers = {moref} if moref is not None else set()
    return [await tag_preview.of_tag(work, tag, carriers, step=_TAGS) for tag in dropped]
