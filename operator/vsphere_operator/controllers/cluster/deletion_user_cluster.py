"""The end of what a user cluster made in vSphere: load balancers and volumes, while their controllers still run.

That is before the Machines go: the CSI driver deletes a disk, and the CCM a load balancer, from a worker's Pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from vsphere_operator.api.cluster import DeletionPolicy, DeletionStatus, DeletionStep
from vsphere_operator.controllers import conditions, status, user_clusters
from vsphere_operator.controllers.cluster import new_things, volumes_end
from vsphere_operator.controllers.cluster.ending import DELETING, Ending
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import is_deleting, metadata
from vsphere_operator.controllers.ports import Object
from vsphere_operator.controllers.user_clusters import UserCluster
from vsphere_operator.kube.errors import Conflict, NotFound
from vsphere_operator.kube.kinds import KINDS

_AT_ONCE = 8

Look = Callable[[Ending, UserCluster], Awaitable[Problem | None]]


async def load_balancers(ending: Ending) -> Problem | None:
    """Services of type LoadBalancer, where `spec.deletion` says so."""
    policy = ending.work.cluster.spec.deletion.load_balancers
    return await _end(ending, DeletionStep.LOAD_BALANCERS, policy, "loadBalancers", _look_at_load_balancers)


async def volumes(ending: Ending) -> Problem | None:
    """Claims and volumes of the vSphere CSI driver, where `spec.deletion` says so."""
    policy = ending.work.cluster.spec.deletion.volumes
    return await _end(ending, DeletionStep.VOLUMES, policy, "volumes", _look_at_volumes)


async def load_balancers_of(cluster: UserCluster) -> list[Object]:
    """The Services that have to go."""
    services = await cluster.select(KINDS["Service"])
    return [s for s in services if (s.get("spec") or {}).get("type") == "LoadBalancer"]


async def volumes_of(cluster: UserCluster) -> volumes_end.Plan:
    """What has to go for the volumes to go, from one look at claims, volumes and the Pods that may use them."""
    all_volumes = await cluster.select(KINDS["PersistentVolume"])
    claims = volumes_end.claims_of(all_volumes, await cluster.select(KINDS["PersistentVolumeClaim"]))
    namespaces = sorted({c["metadata"]["namespace"] for c in claims})
    pods = [
        pod
        for namespace in namespaces
        for pod in await cluster.select(KINDS["Pod"], namespace=namespace, fields="spec.nodeName!=")
    ]
    return volumes_end.plan(all_volumes, claims, pods)


async def let_new_ones_be_made(ending: Ending) -> Problem | None:
    """The last act, when no worker is left: as far as the user cluster is still there, and told where it is not."""
    before = ending.work.status.deletion
    steps = [s for s in NOUNS if before is not None and s in before.done]
    if not steps:
        return None

    async def act(cluster: UserCluster) -> None:
        for step in steps:
            await new_things.allow(cluster, step)

    problem = await ending.in_user_cluster("allow", act)
    if problem is None or problem.condition != user_clusters.USER_CLUSTER_REACHABLE:
        return problem
    names = ", ".join(o["metadata"]["name"] for s in steps for o in new_things.manifests(s)[:1])
    words = (
        f"The user cluster cannot be asked; if it lives on, delete its ValidatingAdmissionPolicies {names}."
    )
    ending.leave(words)
    return None


async def _end(
    ending: Ending, step: DeletionStep, policy: DeletionPolicy, word: str, look: Look
) -> Problem | None:
    before = ending.work.status.deletion
    if policy is DeletionPolicy.KEEP or (before is not None and step in before.done):
        return None
    if ending.lets_go(word):
        await _done(ending, step)
        ending.work.over.add(user_clusters.USER_CLUSTER_REACHABLE)
        words = "Let go on a person's word: what the user cluster has of " + NOUNS[step] + "."
        ending.events.warning(ending.work.obj, "LeftBehind", words)
        return None

    async def act(cluster: UserCluster) -> Problem | None:
        await new_things.forbid(cluster, step)
        return await look(ending, cluster)

    problem = await ending.in_user_cluster(step, act)
    if problem is None:
        await _done(ending, step)
    return problem


async def _done(ending: Ending, step: DeletionStep) -> None:
    """Written down, because later the user cluster may be gone, and then nobody could tell any more."""
    work = ending.work
    before = work.status.deletion or DeletionStatus(
        step=step, reason="Done", since=status.now().replace(microsecond=0)
    )
    if step not in before.done:
        told = before.model_copy(update={"done": [*before.done, step]})
        await work.save(work.status.model_copy(update={"deletion": told}))


async def _look_at_load_balancers(ending: Ending, cluster: UserCluster) -> Problem | None:
    left = await load_balancers_of(cluster)
    await _delete(cluster, [s for s in left if not is_deleting(s)])
    if not left:
        return None
    names = tuple(_service(s) for s in left)
    words = f"waits until the user cluster's load balancers are gone: {conditions.named(names)}"
    return _waiting("WaitingForLoadBalancers", words, names)


async def _look_at_volumes(ending: Ending, cluster: UserCluster) -> Problem | None:
    plan = await volumes_of(cluster)
    for group in plan.delete:
        await _delete(cluster, group)
    if plan.waits_for:
        words = f"waits until the user cluster's volumes are gone: {conditions.named(plan.waits_for)}"
        return _waiting("WaitingForVolumes", words, plan.waits_for)
    if plan.kept:
        words = f"Left in the user cluster, with their disks: {conditions.named(plan.kept)}."
        ending.events.warning(ending.work.obj, "VolumesKept", words)
    return None


async def _delete(cluster: UserCluster, objects: Sequence[Object]) -> None:
    for start in range(0, len(objects), _AT_ONCE):
        await asyncio.gather(*(_delete_one(cluster, one) for one in objects[start : start + _AT_ONCE]))


async def _delete_one(cluster: UserCluster, obj: Object) -> None:
    meta = metadata(obj)
    try:
        await cluster.delete(obj["kind"], meta.get("namespace") or "", meta["name"], uid=meta["uid"])
    except (NotFound, Conflict):
        return  # gone, or another one of this name: the next look tells


def _waiting(reason: str, words: str, names: tuple[str, ...]) -> Problem:
    return Problem(DELETING, reason, words, stalled=False, waits_for=names)


def _service(service: Object) -> str:
    meta = metadata(service)
    held = ", ".join(meta.get("finalizers") or [])
    return f"Service {meta['namespace']}/{meta['name']}" + (f" (finalizer {held})" if held else "")


NOUNS = {DeletionStep.LOAD_BALANCERS: "load balancers", DeletionStep.VOLUMES: "volumes"}
