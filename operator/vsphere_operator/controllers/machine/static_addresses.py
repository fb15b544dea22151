"""Addresses of a Cluster's pools for its Machines: never one for two, whoever else believes to lead.

Within a process a choice and its promise are one step between two awaits. Between processes a term decides: who hands
out writes a token of its own on the Cluster, and only then lists the Machines afresh. Right before a clone the token is
read again. Still there, nobody has listed the Machines since without seeing this Machine's addresses; otherwise nothing
is made, and a new term begins. See docs/decisions.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine, StaticAddress
from vsphere_operator.api.names import ADDRESS_TERM_ANNOTATION
from vsphere_operator.controllers import address_pools, indexes
from vsphere_operator.controllers.address_pools import ADDRESSES_READY, Exhausted, canonical
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import annotations_of, metadata
from vsphere_operator.controllers.machine.actions import Actions, Work
from vsphere_operator.controllers.machine.steps import Block, Wait
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.morefs import MoRef

_LOOK_AGAIN = 60.0
"""Seconds until an exhausted pool is looked at again; an address that a Machine gives back wakes sooner."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """Whose an address is, and in which network."""

    machine: str
    cluster: str
    vcenter: str | None
    network: str | None

    def excludes(self, other: _Claim) -> bool:
        """Whether the two cannot have the same address: networks that are not known are taken for the same."""
        if self.machine == other.machine:
            return False
        if self.cluster == other.cluster:
            return True
        if None not in (self.vcenter, other.vcenter) and self.vcenter != other.vcenter:
            return False
        return None in (self.network, other.network) or self.network == other.network


class StaticAddresses:
    """Hands addresses out, and makes sure before each clone that they are nobody else's."""

    def __init__(self, objects: Objects, actions: Actions) -> None:
        self._objects = objects
        self._actions = actions
        self._terms: dict[str, str] = {}
        self._beginning: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._promised: defaultdict[str, list[_Claim]] = defaultdict(list)

    async def take(self, work: Work, network: MoRef | None) -> Block | None:
        """Choose addresses and write them into the Machine's status; nothing outside has been made by then."""
        cluster = self._cluster(work.machine)
        await self._hold(cluster)
        claim = _Claim(work.machine.metadata.uid, _key(work.obj), work.access.instance_uuid, network)
        reported = _reported(work, network)
        chosen = address_pools.choose(
            cluster.spec.machine_networks or [], lambda a: a in reported or self._is_taken(a, claim)
        )
        if isinstance(chosen, Exhausted):
            return Block(_exhausted(chosen, cluster))
        given = [a.model_copy(update={"network": network, "vcenter": claim.vcenter}) for a in chosen]
        status = work.machine.status.model_copy(update={"static_addresses": given})
        with self._promise(given, claim):
            await self._actions.save(work, status, guarded=True)
        return None

    async def confirm(self, work: Work) -> Wait | None:
        """Right before the clone: None when the addresses in the status are this Machine's alone."""
        if not indexes.static_addresses(work.obj):
            return None
        cluster = self._cluster(work.machine)
        await self._hold(cluster)
        uid, name = cluster.metadata.uid, cluster.metadata.name
        now = await self._objects.read("Cluster", cluster.metadata.namespace or "", name)
        if now is None or _term(now) != self._terms.get(uid):
            self._terms.pop(uid, None)
            words = f'Another operator hands out addresses of the Cluster "{name}"; looks again what it gave to whom.'
            return Wait("AddressesUnconfirmed", words, after=1.0)
        doubled = [
            a["address"]
            for a in indexes.static_addresses(work.obj)
            if self._is_taken(canonical(a["address"]), _claim_of(work.obj, a))
        ]
        if not doubled:
            return None
        given_back = work.machine.status.model_copy(update={"static_addresses": []})
        await self._actions.save(work, given_back, guarded=True)
        words = f"Another Machine has {' and '.join(doubled)} as well; this one, which has no VM yet, takes another."
        return Wait("AddressTaken", words, after=1.0)

    async def _hold(self, cluster: Cluster) -> None:
        """Be the one who hands out: from the list on, every address that somebody else gave is in the store."""
        meta = cluster.metadata
        uid, namespace = meta.uid, meta.namespace or ""
        async with self._beginning[uid]:
            known = self._objects.get("Cluster", namespace, meta.name)
            if known is not None and _term(known) is not None and _term(known) == self._terms.get(uid):
                return
            term = uuid.uuid4().hex
            patch = {"metadata": {"uid": uid, "annotations": {ADDRESS_TERM_ANNOTATION: term}}}
            await self._objects.merge_patch("Cluster", namespace, meta.name, patch)
            await self._objects.refresh("Machine", namespace)
            self._terms[uid] = term

    def _is_taken(self, address: str, claim: _Claim) -> bool:
        for obj in self._objects.by_index("Machine", indexes.STATIC_ADDRESS, address):
            if any(_claim_of(obj, held).excludes(claim) for held in indexes.static_addresses(obj)):
                return True
        return any(other.excludes(claim) for other in self._promised.get(address, ()))

    @contextmanager
    def _promise(self, addresses: Sequence[StaticAddress], claim: _Claim) -> Iterator[None]:
        """Until the status that says so is in the store."""
        for held in addresses:
            self._promised[held.address].append(claim)
        try:
            yield
        finally:
            for held in addresses:
                self._promised[held.address].remove(claim)
                if not self._promised[held.address]:
                    del self._promised[held.address]

    def _cluster(self, machine: Machine) -> Cluster:
        found = self._objects.get("Cluster", machine.metadata.namespace or "", machine.spec.cluster_name)
        assert found is not None  # noqa: S101 - the controller has just read it, and nothing was awaited since
        return Cluster.model_validate(found)


def _term(cluster: Object) -> str | None:
    return annotations_of(cluster).get(ADDRESS_TERM_ANNOTATION)


def _key(machine: Object) -> str:
    return f"{metadata(machine)['namespace']}/{machine['spec']['clusterName']}"


def _claim_of(machine: Object, held: Object) -> _Claim:
    return _Claim(str(metadata(machine)["uid"]), _key(machine), held.get("vCenter"), held.get("network"))


def _reported(work: Work, network: MoRef | None) -> frozenset[str]:
    """What VMs say that they have in that network: also those of Machines that were let go, or lost their status."""
    inventory = work.access.vcenter.inventory
    entity = inventory.get(network) if network else None
    name = entity.name if entity else None
    return frozenset(
        canonical(ip)
        for vm in inventory.all(VmEntity)
        if isinstance(vm, VmEntity) and vm.guest_nics and vm.instance_uuid != work.instance_uuid
        for nic in vm.guest_nics
        if name is None or nic.network in (None, "", name)
        for ip in nic.ips
    )


def _exhausted(chosen: Exhausted, cluster: Cluster) -> Problem:
    words = (
        f"no address is free in {', '.join(chosen.cidrs)}; enlarge or add to spec.machineNetworks of the Cluster "
        f'"{cluster.metadata.name}", or delete a Machine: its address is free when its VM is gone'
    )
    return Problem(
        ADDRESSES_READY, "PoolExhausted", words, stalled=False, certain=True, retry_after=_LOOK_AGAIN
    )
