"""The end of what was delivered into the user cluster: last, because CCM and CSI need their logins until then."""

from __future__ import annotations

from vsphere_operator.cloudconfig import cluster_id
from vsphere_operator.controllers import user_clusters
from vsphere_operator.controllers.cluster.delivery_actions import name_of, remove_delivered
from vsphere_operator.controllers.cluster.ending import Ending
from vsphere_operator.controllers.conditions import Problem, named


async def end(ending: Ending) -> Problem | None:
    """Take it back, if a kubeconfig is still there: where it is gone, so is the user cluster, or soon."""
    work = ending.work
    recorded = work.status.delivered
    if not recorded:
        return None
    if ending.lets_go("userCluster") or ending.user_clusters is None:
        await _leave(ending, "Let go on a person's word")
        return None
    found = await user_clusters.connect(work.objects, ending.user_clusters, work.cluster)
    if isinstance(found, Problem):
        await _leave(ending, f"Left in the user cluster, because {found.message}")
        return None
    problem = await ending.in_user_cluster(
        "remove", lambda cluster: remove_delivered(cluster, cluster_id(work.id), recorded)
    )
    if problem is None:
        await work.save(work.status.model_copy(update={"delivered": []}))
    return problem


async def _leave(ending: Ending, why: str) -> None:
    work = ending.work
    names = named([name_of(place) for place in work.status.delivered])
    ending.events.warning(work.obj, "LeftBehind", f"{why}: {names}.")
    await work.save(work.status.model_copy(update={"delivered": []}))
