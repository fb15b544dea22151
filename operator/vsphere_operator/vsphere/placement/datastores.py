"""Which datastore takes a new VM: the one with the most space left, of those that can. Pure.

For a datastore cluster without Storage DRS, for a list of datastores, and to choose among recommendations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.inventory import ComputeCluster, Datastore, Host, Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import GIB

RESERVE = 1 * GIB
"""Bytes that stay free on a datastore beside what is asked for: logs, ISO images, snapshots' first blocks."""
_MIB = 1024 * 1024
_MAINTENANCE = {"enteringMaintenance": "is on its way into maintenance", "inMaintenance": "is in maintenance"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A datastore that can take the VM."""

    datastore: Datastore
    free_after: int
    """Bytes left once this VM and all that is promised are there."""
    mounted_by_all: bool
    """Whether every usable host of the compute cluster mounts it; else DRS and HA have fewer to choose from."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A datastore that cannot take the VM. `why` continues its name in a sentence: "is in maintenance"."""

    datastore: Datastore
    why: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, the best first, and everything that was left out."""

    candidates: tuple[Candidate, ...] = ()
    excluded: tuple[Excluded, ...] = ()

    @property
    def best(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None

    def explain(self) -> str:
        """Why there is no candidate, for a condition. Sizes are rounded, so that it seldom changes."""
        if not self.excluded:
            return "there is no datastore to choose from"
        return "; ".join(f'"{one.datastore.name or one.datastore.moref}" {one.why}' for one in self.excluded)


def rank(
    datastores: Iterable[Datastore],
    hosts: Iterable[Host],
    *,
    needed: int,
    promised: Callable[[MoRef], int],
    reserve: int = RESERVE,
) -> Ranking:
    """Rank datastores for a VM that needs `needed` bytes and will run on one of these hosts.

    Datastores that every usable host mounts come first, then those with the most space left after what is
    `promised` (bytes, by datastore); the name, then the MoRef, break ties.
    """
    usable = [host for host in hosts if host.connection_state == "connected" and not host.in_maintenance]
    candidates: list[Candidate] = []
    excluded: list[Excluded] = []
    for datastore in {one.moref: one for one in datastores}.values():
        mounting = sum(host.moref in datastore.hosts for host in usable)
        left = datastore.free_space - promised(datastore.moref) - needed
        why = _why_not(datastore, mounting, len(usable), left - reserve)
        if why is not None:
            excluded.append(Excluded(datastore, why))
        else:
            candidates.append(Candidate(datastore, left, mounting == len(usable)))
    return Ranking(
        tuple(sorted(candidates, key=_order)),
        tuple(sorted(excluded, key=lambda one: (one.datastore.name or "", one.datastore.moref))),
    )


def _order(one: Candidate) -> tuple[bool, int, str, str]:
    return (not one.mounted_by_all, -one.free_after, one.datastore.name or "", one.datastore.moref)


def _why_not(datastore: Datastore, mounting: int, usable: int, left: int) -> str | None:
    if not datastore.accessible:
        return "is not accessible"
    if datastore.maintenance_mode != "normal":
        return _MAINTENANCE.get(datastore.maintenance_mode, "is in maintenance")
    if not usable:
        return "is reached by no host: none of the compute cluster is connected and out of maintenance"
    if not mounting:
        return "is mounted by no usable host of the compute cluster"
    if left < 0:
        return f"lacks about {_gib(-left)} GiB, counting what is promised to clones in flight"
    return None


def _gib(size: int) -> int:
    return -(-size // GIB)


def of_pod(inventory: Inventory, pod: MoRef) -> list[Datastore]:
    """The datastores of a datastore cluster, as far as they are visible."""
    return [one for one in inventory.children(pod) if isinstance(one, Datastore)]


def hosts_of(inventory: Inventory, cluster: ComputeCluster) -> list[Host]:
    """All hosts of a compute cluster, usable or not, as far as they are visible."""
    found = (inventory.get(moref) for moref in cluster.hosts)
    return [host for host in found if isinstance(host, Host)]


def needed_bytes(request: CloneRequest) -> int:
    """What a clone may come to take: its disks in full, thin ones too, and the swap file of its memory."""
    sizes = [disk.capacity_bytes for disk in request.template_details.disks]
    if sizes and request.disk_gib is not None:
        sizes[0] = max(sizes[0], request.disk_gib * GIB)
    return sum(sizes) + request.memory_mib * _MIB
