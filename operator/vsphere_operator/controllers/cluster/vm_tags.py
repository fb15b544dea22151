"""With `tagVMs` the Cluster's tags are on its VMs, too: what differs there, and setting it right a tag at a time.

A VM gets them with its own tags before it first runs; this is for all that comes later. One call serves a tag and
2,000 VMs, and what is attached is polled for all VMs together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsphere_operator.api.cluster import Cluster, TagStatus
from vsphere_operator.controllers import indexes, settings
from vsphere_operator.controllers.cluster import ledger
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.datacenters import Offer
from vsphere_operator.controllers.lifecycle import identity, is_deleting, metadata
from vsphere_operator.controllers.ports import Object
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import TagBatchError


@dataclass(frozen=True, slots=True)
class Worker:
    """A VM of the Cluster's that has run. ``own`` are the ids of its Machine's tags, ``attached`` what is on it."""

    moref: MoRef
    own: frozenset[str]
    attached: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """By tag: the VMs that lack it, and those that carry it and should not."""

    attach: Mapping[str, tuple[MoRef, ...]]
    detach: Mapping[str, tuple[MoRef, ...]]

    def __bool__(self) -> bool:
        return bool(self.attach or self.detach)


def changes(workers: Iterable[Worker], *, wanted: Iterable[str], ledger: Sequence[TagStatus]) -> Changes:
    """Only what the ledger says was put on VMs is taken off them, and never what a Machine asks for itself.

    VMs of which nothing is known are left alone until the next poll.
    """
    known = [w for w in workers if w.attached is not None]
    keep = set(wanted)
    attach = {i: tuple(w.moref for w in known if i not in (w.attached or ())) for i in dict.fromkeys(wanted)}
    unwanted = [t.id for t in ledger if t.vms and t.id not in keep]
    detach = {
        i: tuple(w.moref for w in known if i in (w.attached or ()) and i not in w.own) for i in unwanted
    }
    return Changes({i: on for i, on in attach.items() if on}, {i: on for i, on in detach.items() if on})


def workers(work: Work) -> list[Worker]:
    """The VMs that are this Cluster's for certain: recorded, and under that MoRef with the UUID they were made with."""
    meta = metadata(work.obj)
    found = work.objects.by_index("Machine", indexes.CLUSTER, f"{meta['namespace']}/{meta['name']}")
    return [w for w in (_worker(work, machine) for machine in found) if w is not None]


def for_new_vms(offer: Offer, cluster: Cluster) -> list[str]:
    """The ids of the Cluster's tags that a VM gets before it first runs, as far as the ledger speaks of them."""
    wanted = settings.cluster_tags(offer, cluster)
    found = [ledger.recorded(cluster.status.tags, one) for one in wanted]
    return [t.id for t in found if t is not None and t.vms]


def seen(work: Work, found: Iterable[Worker]) -> list[Worker]:
    """The same with what the poll has seen on them."""
    tags = work.there.vcenter.tags
    result = []
    for worker in found:
        answer = tags.attached_last(worker.moref)
        on = answer.value if isinstance(answer, Present) else None
        result.append(Worker(worker.moref, worker.own, on))
    return result


async def detach(work: Work, needed: Changes) -> None:
    await _each(work, needed.detach, work.there.vcenter.tags.detach_from_many)


async def attach(work: Work, needed: Changes) -> None:
    await _each(work, needed.attach, work.there.vcenter.tags.attach_to_many)


async def _each(work: Work, needed: Mapping[str, tuple[MoRef, ...]], call: Any) -> None:
    """One VM that cannot take a tag keeps no other tag from any VM; it is told in the end."""
    refused: TagBatchError | None = None
    for tag_id, morefs in needed.items():
        try:
            await call(tag_id, morefs, op_id=work.op_id)
        except TagBatchError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _worker(work: Work, machine: Object) -> Worker | None:
    status = machine.get("status") or {}
    recorded = status.get("vm") or {}
    if not recorded.get("moRef") or recorded.get("vCenter") != work.there.instance_uuid:
        return None
    if is_deleting(machine) or not machine["spec"].get("providerID"):
        return None  # it goes, or has its tags attached before it first runs
    vm = work.there.vcenter.inventory.vm(MoRef(recorded["moRef"]))
    if vm is None or (vm.instance_uuid or "").lower() != instance_uuid(identity(machine)):
        return None
    return Worker(vm.moref, frozenset(t["id"] for t in status.get("tags") or []))
