"""What all steps of a Cluster's deletion share: the Cluster, the way to vCenter, and the words that help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vsphere_operator.api.cluster import DeletionPolicy, DeletionStatus, DeletionStep
from vsphere_operator.api.conditions import STALLED, find
from vsphere_operator.api.names import ORPHAN_ANNOTATION
from vsphere_operator.controllers import user_clusters
from vsphere_operator.controllers.cluster.user_cluster_looks import UserClusterLooks
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.lifecycle import lets_go
from vsphere_operator.controllers.ports import Events
from vsphere_operator.controllers.user_clusters import USER_CLUSTER_REACHABLE, UserCluster, UserClusterPool
from vsphere_operator.runtime.keys import key_of

DELETING = "Deleting"
"""True from the wish to delete to the end; its reason is what is waited for."""
_MOST_NAMED = 20


@dataclass
class Ending:
    """A Cluster that is on its way out."""

    work: Work
    events: Events
    reach: Callable[[Work], Awaitable[Access | Problem]]
    """Finds the vCenter and logs in; a Problem while it cannot be asked."""
    user_clusters: UserClusterPool | None = None
    looks: UserClusterLooks | None = None
    """Where the user cluster is asked, while others work."""
    leaves: bool = False
    """Whether something of ours stays, which an event has named."""

    def leave(self, words: str) -> None:
        """Something of ours stays: say what and why."""
        self.leaves = True
        self.events.warning(self.work.obj, "LeftBehind", words)

    def lets_go(self, thing: str) -> bool:
        """Whether a person has said that this kind of thing may be left behind."""
        return lets_go(self.work.obj, thing)

    async def in_user_cluster(
        self, what: str, act: Callable[[UserCluster], Awaitable[Problem | None]]
    ) -> Problem | None:
        """What is waited for there, or why it cannot be asked; None when nothing is left to wait for.

        ``act`` runs beside the workers, and raises KubeErrors.
        """
        work = self.work
        if self.user_clusters is None or self.looks is None:
            raise AssertionError("the user cluster is needed, and nobody gave the way to it")
        found = await user_clusters.connect(work.objects, self.user_clusters, work.cluster)
        if isinstance(found, Problem):
            return found
        cluster, key = found, key_of(work.obj)
        seen = self.looks.look(key, (what, cluster), lambda: act(cluster))
        if seen is None:
            return self._as_before()
        if isinstance(seen, Problem):
            return replace(seen, retry_after=self.looks.next_look(key))
        work.found(USER_CLUSTER_REACHABLE, "Answers")
        waits = seen.waits_for
        return waits and replace(waits, retry_after=self.looks.next_look(key))

    def _as_before(self) -> Problem:
        """While the answer is on its way, also after a restart, what was told of this step still holds."""
        before, told = self.work.status.deletion, find(self.work.status.conditions, DELETING)
        if before is None or told is None or (before.step, before.reason) != (self.work.step, told.reason):
            words = "waits for an answer of the user cluster"
            return Problem(DELETING, "AskingUserCluster", words, stalled=False)
        stalled = find(self.work.status.conditions, STALLED) is not None
        return Problem(
            DELETING, told.reason, told.message, stalled=stalled, waits_for=tuple(before.waits_for)
        )

    async def connect(self) -> Problem | None:
        """vCenter, which only the steps need that have something to do there."""
        if self.work.access is not None:
            return None
        found = await self.reach(self.work)
        return found if isinstance(found, Problem) else None


def progress(
    before: DeletionStatus | None, step: DeletionStep, problem: Problem, now: datetime
) -> DeletionStatus:
    """What the status tells: a wait for the same thing goes on since when it began."""
    same = before is not None and (before.step, before.reason) == (step, problem.reason)
    return DeletionStatus(
        step=step,
        reason=problem.reason,
        since=before.since if before is not None and same else now.replace(microsecond=0),
        waits_for=list(problem.waits_for[:_MOST_NAMED]),
        done=before.done if before is not None else [],
    )


_WORDS = {
    DeletionStep.LOAD_BALANCERS: "loadBalancers",
    DeletionStep.VOLUMES: "volumes",
    DeletionStep.WORKERS: "machines",
    DeletionStep.FOLDER: "folder",
    DeletionStep.TAGS: "tags",
    DeletionStep.USER_CLUSTER: "userCluster",
}
_IN_PROGRESS = frozenset(
    {
        "AskingUserCluster",
        "Connecting",
        "DeletingFolder",
        "WaitingForLoadBalancers",
        "WaitingForVolumes",
        "WaitingForWorkers",
    }
)
"""Reasons of what goes on by itself: for a while advice would be a temptation."""
_PATIENCE = 600.0  # seconds


def advised(work: Work, problem: Problem, now: datetime) -> Problem:
    """The problem with the way out in its words: how a person lets go of what cannot be removed now."""
    if ORPHAN_ANNOTATION in problem.message or work.step is None:
        return problem
    if problem.reason in _IN_PROGRESS and not _is_overdue(work, work.step, problem, now):
        return problem
    wanted = _stuck_with(work, work.step, problem)
    help_ = (
        f"if that cannot be mended, annotate the Cluster with {ORPHAN_ANNOTATION}: {','.join(wanted)} "
        f"to leave behind {_left(work, wanted)}"
    )
    return replace(problem, message=f"{problem.message.rstrip('.')}; {help_}")


def _is_overdue(work: Work, step: DeletionStep, problem: Problem, now: datetime) -> bool:
    before = work.status.deletion
    same = before is not None and (before.step, before.reason) == (step, problem.reason)
    return before is not None and same and (now - before.since).total_seconds() > _PATIENCE


def _stuck_with(work: Work, step: DeletionStep, problem: Problem) -> Sequence[str]:
    """The words for what needs the same that is missing now: without vCenter neither folder nor tags can go."""
    wanted = work.cluster.spec.deletion
    if problem.condition == USER_CLUSTER_REACHABLE and step is DeletionStep.LOAD_BALANCERS:
        return ("volumes", "loadBalancers") if wanted.volumes is DeletionPolicy.DELETE else ("loadBalancers",)
    if step is DeletionStep.FOLDER and work.access is None and (work.status.tags or work.status.categories):
        return (_WORDS[step], _WORDS[DeletionStep.TAGS])
    if step is DeletionStep.TAGS and lets_go(work.obj, "folder"):
        return ("folder", "tags")
    return (_WORDS[step],)


def _left(work: Work, words: Sequence[str]) -> str:
    folder = work.status.folder
    names = {
        "folder": f"the folder {folder.path}" if folder is not None else "the folder",
        "tags": "its tags",
        "machines": "the VMs",
        "volumes": "the volumes",
        "loadBalancers": "the load balancers",
        "userCluster": "what was written into the user cluster",
    }
    return " and ".join(names[word] for word in words)
