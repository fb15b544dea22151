"""The end of a Cluster's workers: owners are asked to go, and waited for until the last Machine is gone."""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.controllers import conditions, indexes
from vsphere_operator.controllers.cluster.ending import DELETING, Ending
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import controller_of, is_deleting, metadata
from vsphere_operator.controllers.ports import Object


async def end(ending: Ending) -> Problem | None:
    """Delete what nobody else will delete; a problem while any worker is left.

    VMs that a person lets go of are left by their Machines, which go all the same.
    """
    work = ending.work
    for obj in to_delete(work):
        meta = metadata(obj)
        await work.objects.delete(obj["kind"], meta["namespace"], meta["name"], uid=meta["uid"])
    left = of_cluster(work)
    return _waiting(left) if left else None


def of_cluster(work: Work) -> list[Object]:
    """All workers of the Cluster, owners first."""
    meta = metadata(work.obj)
    where = f"{meta['namespace']}/{meta['name']}"
    return [o for kind in indexes.WORKERS for o in work.objects.by_index(kind, indexes.CLUSTER, where)]


def to_delete(work: Work) -> list[Object]:
    """The workers that no owner takes along: those without one, and those whose owner is gone."""
    return [o for o in of_cluster(work) if not is_deleting(o) and not _is_owned(work, o)]


def _is_owned(work: Work, obj: Object) -> bool:
    owner = controller_of(obj)
    if owner is None:
        return False
    if owner["kind"] not in indexes.WORKERS:
        return True  # somebody else's, who will know
    found = work.objects.get(owner["kind"], metadata(obj)["namespace"], owner["name"])
    return found is not None and metadata(found)["uid"] == owner["uid"]


def _waiting(left: Sequence[Object]) -> Problem:
    hindered = [(obj, why) for obj in left if is_deleting(obj) and (why := _hindrance(obj)) is not None]
    first = [obj for obj, _ in hindered]
    names = tuple(_name(o) for o in (*first, *sorted((o for o in left if o not in first), key=_name)))
    words = f"waits until these are gone: {conditions.named(names)}"
    if not hindered:
        return Problem(DELETING, "WaitingForWorkers", words, stalled=False, waits_for=names)
    obj, why = hindered[0]
    stalled = conditions.is_true(_conditions(obj), conditions.STALLED)
    return Problem(
        DELETING, "WorkersCannotGo", f"{words}; {_name(obj)} says: {why}", stalled=stalled, waits_for=names
    )


def _hindrance(obj: Object) -> str | None:
    return conditions.hindrance(_conditions(obj))


def _conditions(obj: Object) -> Sequence[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _name(obj: Object) -> str:
    return f"{obj['kind']} {metadata(obj)['name']}"
