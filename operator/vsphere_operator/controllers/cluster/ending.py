"""What all steps of a Cluster's deletion share: the Cluster, the way to vCenter, and the words that help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vsphere_operator.api.cluster import DeletionPolicy, DeletionStatus, DeletionStep
from vsphere_operator.api.names import ORPHAN_ANNOTATION
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.lifecycle import lets_go
from vsphere_operator.controllers.ports import Events
from vsphere_operator.controllers.user_clusters import USER_CLUSTER_REACHABLE, UserClusterPool

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
    leaves: bool = False
    """Whether something of ours stays, which an event has named."""

    def leave(self, words: str) -> None:
        """Something of ours stays: say what and why."""
        self.leaves = True
        self.events.warning(self.work.obj, "LeftBehind", words)

    def lets_go(self, thing: str) -> bool:
        """Whether a person has said that this kind of thing may be left behind."""
        return lets_go(self.work.obj, thing)

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
    {"DeletingFolder", "Connecting", "WaitingForWorkers", "WaitingForVolumes", "WaitingForLoadBalancers"}
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
