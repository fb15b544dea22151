"""What the deletion of a Cluster would do, before anybody asks for it: the controller's own plans, and only reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from vsphere_operator.api.cluster import DeletionPolicy, DeletionStep
from vsphere_operator.api.names import CLOUD_CONFIG_SUFFIX, CSI_CONFIG_SUFFIX, ID_ANNOTATION
from vsphere_operator.controllers import user_clusters
from vsphere_operator.controllers.cluster import (
    deletion_folder,
    deletion_user_cluster,
    deletion_workers,
    delivery_actions,
    folder,
    folder_end,
    tag_preview,
)
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import is_paused, lets_go, metadata
from vsphere_operator.controllers.machine import actions as machine_actions
from vsphere_operator.controllers.machine import preview as machine_preview
from vsphere_operator.controllers.planned import Action, Planned
from vsphere_operator.controllers.ports import Object
from vsphere_operator.controllers.user_clusters import UserCluster, UserClusterPool
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.vsphere.answers import Answer, Present
from vsphere_operator.vsphere.morefs import MoRef

_ON_WORD = "on the word of the annotation userclusters.io/orphan"
_SECRETS = "Secrets"


@dataclass
class Preview:
    """``unreachable`` is why vCenter cannot be asked; then only what is known without it is told."""

    work: Work
    user_clusters: UserClusterPool
    unreachable: Problem | None = None
    gone: set[MoRef] = field(default_factory=set)
    """What would be destroyed before the step that is looked at."""

    def lets_go(self, thing: str) -> bool:
        return lets_go(self.work.obj, thing)


async def steps(preview: Preview) -> list[Planned]:
    """In the order in which the controller would go. What stops one step stops all that follow."""
    paused = [Planned("Spec", Action.STOP, "Cluster", "it is paused, and nothing goes")]
    return [
        *(paused if is_paused(preview.work.obj) else []),
        *await _load_balancers(preview),
        *await _volumes(preview),
        *await _workers(preview),
        *await _folder(preview),
        *await _tags(preview),
        *_delivered(preview),
        *await _secrets(preview),
    ]


async def _load_balancers(preview: Preview) -> list[Planned]:
    step = DeletionStep.LOAD_BALANCERS
    policy = preview.work.cluster.spec.deletion.load_balancers
    kept = _kept_in_user_cluster(preview, step, policy, "loadBalancers")
    if kept is not None:
        return [kept]
    cluster = await _connect(preview, step)
    if isinstance(cluster, Planned):
        return [cluster]
    try:
        found = await deletion_user_cluster.load_balancers_of(cluster)
    except KubeError as error:
        return [_unanswered(step, user_clusters.explain(error))]
    return [Planned(step, Action.DELETE, _named(s), "spec.deletion.loadBalancers is Delete") for s in found]


async def _volumes(preview: Preview) -> list[Planned]:
    step = DeletionStep.VOLUMES
    policy = preview.work.cluster.spec.deletion.volumes
    kept = _kept_in_user_cluster(preview, step, policy, "volumes")
    if kept is not None:
        return [kept]
    cluster = await _connect(preview, step)
    if isinstance(cluster, Planned):
        return [cluster]
    try:
        plan = await deletion_user_cluster.volumes_of(cluster)
    except KubeError as error:
        return [_unanswered(step, user_clusters.explain(error))]
    _, pods, _ = plan.delete
    return [
        *(Planned(step, Action.DELETE, thing, "spec.deletion.volumes is Delete") for thing in plan.waits_for),
        *(Planned(step, Action.DELETE, _named(p), "it uses a claim that goes") for p in pods),
        *(Planned(step, Action.KEEP, thing, "its disk stays") for thing in plan.kept),
    ]


def _kept_in_user_cluster(
    preview: Preview, step: DeletionStep, policy: DeletionPolicy, word: str
) -> Planned | None:
    things = f"the user cluster's {deletion_user_cluster.NOUNS[step]}"
    if policy is DeletionPolicy.KEEP:
        return Planned(step, Action.KEEP, things, f"spec.deletion.{word} is Keep")
    return Planned(step, Action.LEAVE, things, _ON_WORD) if preview.lets_go(word) else None


async def _connect(preview: Preview, step: DeletionStep) -> UserCluster | Planned:
    work = preview.work
    found = await user_clusters.connect(work.objects, preview.user_clusters, work.cluster)
    return _unanswered(step, found) if isinstance(found, Problem) else found


def _unanswered(step: DeletionStep, problem: Problem) -> Planned:
    return Planned(step, Action.STOP, "the user cluster", problem.message)


async def _workers(preview: Preview) -> list[Planned]:
    step, work = DeletionStep.WORKERS, preview.work
    planned = []
    for obj in deletion_workers.of_cluster(work):
        if obj["kind"] != "Machine":
            planned.append(Planned(step, Action.DELETE, _named(obj), "it belongs to the Cluster"))
        elif preview.lets_go("machines") or lets_go(obj, "machines"):
            planned.append(Planned(step, Action.DELETE, _named(obj), f"its VM stays, {_ON_WORD}"))
        elif preview.unreachable is not None:
            planned.append(Planned(step, Action.STOP, _named(obj), preview.unreachable.message))
        else:
            ending = await machine_preview.ending(_machine_work(work, obj), work.losses, step=step)
            planned.append(ending.planned)
            preview.gone |= {ending.vm} if ending.vm else set()
    return planned


def _machine_work(work: Work, obj: Object) -> machine_actions.Work:
    cluster, record = work.cluster, work.status.folder
    return machine_actions.Work(
        obj,
        work.there,
        work.installation,
        cluster_id=cluster.metadata.annotations.get(ID_ANNOTATION, cluster.metadata.uid),
        folder=MoRef(record.mo_ref) if record and record.mo_ref else None,
    )


async def _folder(preview: Preview) -> list[Planned]:
    step, work = DeletionStep.FOLDER, preview.work
    record = work.status.folder
    if not deletion_folder.is_concerned(work):
        external = record is not None
        why = "a person named it in the spec, and it is only used" if external else ""
        return [Planned(step, Action.KEEP, f"folder {record.path}", why)] if record is not None else []
    name = f"folder {record.path}" if record is not None else "a folder whose creation was cut off"
    if preview.unreachable is not None and not preview.lets_go("folder"):
        return [Planned(step, Action.STOP, name, preview.unreachable.message)]
    if record is None and preview.lets_go("folder"):
        return [Planned(step, Action.LEAVE, name, _ON_WORD)]
    if record is None:
        where = folder.place(work.there.offer, work.cluster, work.id)
        return [Planned(step, Action.DELETE, name, f"if it lies at {where.parent}/{where.working_name}")]
    return [await _folder_end(preview, step, name)]


async def _folder_end(preview: Preview, step: DeletionStep, name: str) -> Planned:
    work = preview.work
    record = work.status.folder
    vcenter = work.there.instance_uuid if work.access is not None else ""
    end = folder_end.plan(folder_end.Seen(record, vcenter, preview.lets_go("folder")))
    if isinstance(end, folder_end.LookInside):
        contents = await deletion_folder.contents_of(work, end.moref)
        left = _without(contents, preview.gone)
        inside = left.value if isinstance(left, Present) else []
        names = deletion_folder.names_of(work.there.vcenter.inventory, inside)
        end = folder_end.plan(folder_end.Seen(record, vcenter, contents=left, names=names))
    match end:
        case folder_end.Block(problem=problem):
            return Planned(step, Action.STOP, name, problem.message)
        case folder_end.Destroy():
            return Planned(
                step, Action.DELETE, name, "made for this Cluster, and nothing else is in it by then"
            )
        case folder_end.LeaveBehind():
            return Planned(step, Action.LEAVE, name, f"{_ON_WORD}; its tags are taken off")
        case folder_end.LeaveAdopted():
            return Planned(
                step, Action.KEEP, name, "it was there before this Cluster; its tags are taken off"
            )
        case folder_end.Forget(why=why):
            return Planned(step, Action.KEEP, name, why)
    return Planned(step, Action.KEEP, name, "there is nothing to do")


def _without(contents: Answer[list[MoRef]], gone: set[MoRef]) -> Answer[list[MoRef]]:
    return (
        Present([m for m in contents.value if m not in gone]) if isinstance(contents, Present) else contents
    )


async def _tags(preview: Preview) -> list[Planned]:
    step, work = DeletionStep.TAGS, preview.work
    tags, categories = work.status.tags, work.status.categories
    things = [f'tag "{t.name}"' for t in tags] + [f'tag category "{c.name}"' for c in categories]
    if preview.lets_go("tags"):
        return [Planned(step, Action.LEAVE, thing, _ON_WORD) for thing in things]
    if preview.unreachable is not None:
        return [Planned(step, Action.STOP, thing, preview.unreachable.message) for thing in things]
    record = work.status.folder
    gone = preview.gone | ({MoRef(record.mo_ref)} if record and record.mo_ref else set())  # gone, or untagged
    planned = [await tag_preview.of_tag(work, tag, gone, step=step) for tag in tags]
    deleted = {t.id for t, p in zip(tags, planned, strict=True) if p.action is Action.DELETE}
    return [*planned, *[await tag_preview.of_category(work, c, deleted, step=step) for c in categories]]


def _delivered(preview: Preview) -> list[Planned]:
    step, left = DeletionStep.USER_CLUSTER, preview.lets_go("userCluster")
    names = [delivery_actions.name_of(place) for place in preview.work.status.delivered]
    if left:
        return [Planned(step, Action.LEAVE, name, _ON_WORD) for name in names]
    return [
        Planned(step, Action.DELETE, name, "written into the user cluster by this operator") for name in names
    ]


async def _secrets(preview: Preview) -> list[Planned]:
    work = preview.work
    meta = metadata(work.obj)
    found = [
        await work.objects.read("Secret", meta["namespace"], f"{meta['name']}{suffix}")
        for suffix in (CLOUD_CONFIG_SUFFIX, CSI_CONFIG_SUFFIX)
    ]
    return [
        Planned(_SECRETS, Action.DELETE, f"Secret {metadata(s)['name']}", "Kubernetes takes it along")
        for s in found
        if s is not None and _owned(s, meta["uid"])
    ]


def _owned(secret: Object, uid: str) -> bool:
    return any(r.get("uid") == uid for r in metadata(secret).get("ownerReferences") or [])


def _named(obj: Object) -> str:
    meta = metadata(obj)
    inside = obj["kind"] in ("Service", "Pod")
    return f"{obj['kind']} {meta['namespace']}/{meta['name']}" if inside else f"{obj['kind']} {meta['name']}"
