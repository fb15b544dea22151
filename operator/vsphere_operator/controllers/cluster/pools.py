"""What is told about a Cluster's pools of addresses: Machines get theirs whatever is said here."""

from __future__ import annotations

from collections.abc import Iterable

from vsphere_operator.api.cluster import Cluster, MachineNetwork
from vsphere_operator.controllers import address_pools, clusters, indexes, settings
from vsphere_operator.controllers.address_pools import ADDRESSES_READY
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import metadata
from vsphere_operator.controllers.ports import Object, Objects

_NAMED = 3
"""Machines that a message names."""


def tell(work: Work) -> None:
    """Pools that another Cluster hands out of as well, and Machines that have addresses of pools that are no more."""
    cluster = work.cluster
    pools = cluster.spec.machine_networks or []
    problem = _overlap(work.objects, cluster, pools) or _outside(work.objects, cluster, pools)
    if problem is not None:
        work.remark(problem)
    elif pools:
        work.found(ADDRESSES_READY, "PoolsReady")


def _overlap(objects: Objects, cluster: Cluster, pools: list[MachineNetwork]) -> Problem | None:
    if not pools:
        return None
    network = _first_network(objects, cluster)
    for obj in objects.by_index("Cluster", indexes.POOLS, cluster.spec.datacenter):
        if metadata(obj)["uid"] == cluster.metadata.uid:
            continue
        other = Cluster.model_validate(obj)
        shared = address_pools.overlap(pools, other.spec.machine_networks or [])
        if shared and _may_be_one(network, _first_network(objects, other)):
            return _shared(cluster, other, shared)
    return None


def _may_be_one(network: str | None, other: str | None) -> bool:
    return network is None or other is None or network == other


def _shared(cluster: Cluster, other: Cluster, cidrs: list[str]) -> Problem:
    same = other.metadata.namespace == cluster.metadata.namespace
    who = f'the Cluster "{other.metadata.name}"' if same else "a Cluster of another namespace"
    words = (
        f"{who} on the same network hands out addresses of {', '.join(cidrs)}, too; each leaves out what the other "
        "has given. Change spec.machineNetworks of one of them"
    )
    return Problem(ADDRESSES_READY, "PoolsOverlap", words)


def _outside(objects: Objects, cluster: Cluster, pools: list[MachineNetwork]) -> Problem | None:
    meta = cluster.metadata
    machines = objects.by_index("Machine", indexes.CLUSTER, f"{meta.namespace}/{meta.name}")
    names = sorted(str(metadata(m)["name"]) for m in machines if _has_other_addresses(m, pools))
    if not names:
        return None
    more = " and others" if len(names) > _NAMED else ""
    words = (
        f"{', '.join(names[:_NAMED])}{more} keep addresses that are in none of spec.machineNetworks any more; "
        "new Machines get addresses of the present pools"
    )
    return Problem(ADDRESSES_READY, "AddressesOutsidePools", words)


def _has_other_addresses(machine: Object, pools: Iterable[MachineNetwork]) -> bool:
    known = {pool.cidr for pool in pools}
    held = [a for a in indexes.static_addresses(machine) if a.get("cidr") not in known]
    return any(not address_pools.contains(pools, a["address"]) for a in held)


def _first_network(objects: Objects, cluster: Cluster) -> str | None:
    """The network of workers' first NICs, by name; None when it is the template's or cannot be told."""
    offer = clusters.offer_for(objects, cluster)
    if isinstance(offer, Problem):
        return None
    setting = settings.for_cluster(offer, cluster).get("networks")
    return str(setting.value[0]) if setting is not None and setting.value else None
