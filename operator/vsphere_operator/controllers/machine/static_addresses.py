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

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine
from vsphere_operator.api.names import ADDRESS_TERM_ANNOTATION
from vsphere_operator.controllers import address_pools, indexes
from vsphere_operator.controllers.address_pools import ADDRESSES_READY, Exhausted, canonical
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import annotations_of, identity
from vsphere_operator.controllers.machine import mac_addresses
from vsphere_operator.controllers.machine.actions import Actions, Work
from vsphere_operator.controllers.machine.address_claims import Claim, Claims, known_macs, reported_addresses
from vsphere_operator.controllers.machine.steps import Block, TakeAddresses, Wait
from vsphere_operator.controllers.ports import Object, Objects

_READ_AGAIN = 5.0
_LOOK_AGAIN = 60.0
"""Seconds until an exhausted pool is looked at again; an address that a Machine gives back wakes sooner."""


class StaticAddresses:
    """Hands addresses out, and makes sure before each clone that they are nobody else's."""

    def __init__(self, objects: Objects, actions: Actions) -> None:
        self._objects = objects
        self._actions = actions
        self._terms: dict[str, str] = {}
        self._beginning: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._claims = Claims(objects)

    async def take(self, work: Work, wanted: TakeAddresses) -> Block | None:
        """Choose addresses and write them into the Machine's status; nothing outside has been made by then."""
        cluster = self._cluster(work.machine)
        await self._hold(cluster)
        where = {"network": wanted.network, "vcenter": work.access.instance_uuid}
        claim = Claim.of(work.obj, {"network": wanted.network, "vCenter": work.access.instance_uuid})
        inventory, own = work.access.vcenter.inventory, work.instance_uuid
        unread = self._claims.unread(claim, work.installation, inventory)
        if unread is not None:
            return Block(_unread(unread))
        known = reported_addresses(inventory, wanted.network, but=own) | self._claims.held_in_cluster(claim)
        chosen = address_pools.choose(
            cluster.spec.machine_networks or [], lambda a: a in known or self._claims.has_address(a, claim)
        )
        if isinstance(chosen, Exhausted):
            return Block(_exhausted(chosen, cluster))
        mac = self._mac(work, claim) if wanted.with_mac else None
        given = [a.model_copy(update={**where, "mac": mac}) for a in chosen]
        status = work.machine.status.model_copy(update={"static_addresses": given})
        with self._claims.promise([*(a.address for a in given), *([mac] if mac else [])], claim):
            await self._actions.save(work, status, guarded=True)
        return None

    def _mac(self, work: Work, claim: Claim) -> str:
        known = known_macs(work.access.vcenter.inventory, but=work.instance_uuid)
        return mac_addresses.choose(
            identity(work.obj), lambda mac: mac in known or self._claims.has_mac(mac, claim)
        )

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
        doubled = self._doubled(work)
        if not doubled:
            return None
        given_back = work.machine.status.model_copy(update={"static_addresses": []})
        await self._actions.save(work, given_back, guarded=True)
        words = f"Another Machine has {' and '.join(doubled)} as well; this one, which has no VM yet, takes another."
        return Wait("AddressTaken", words, after=1.0)

    def _doubled(self, work: Work) -> list[str]:
        """What the Machine holds and another one, too."""
        doubled: dict[str, None] = {}
        for held in indexes.static_addresses(work.obj):
            claim, mac = Claim.of(work.obj, held), held.get("mac")
            if self._claims.has_address(canonical(held["address"]), claim):
                doubled[held["address"]] = None
            if mac and self._claims.has_mac(mac, claim):
                doubled[mac] = None
        return list(doubled)

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

    def _cluster(self, machine: Machine) -> Cluster:
        found = self._objects.get("Cluster", machine.metadata.namespace or "", machine.spec.cluster_name)
        assert found is not None  # noqa: S101 - the controller has just read it, and nothing was awaited since
        return Cluster.model_validate(found)


def _term(cluster: Object) -> str | None:
    return annotations_of(cluster).get(ADDRESS_TERM_ANNOTATION)


def _unread(machine: str) -> Problem:
    words = (
        f'waits until the VM of the Machine "{machine}", which its status does not name, has been read: it has '
        "addresses of its own"
    )
    return Problem(ADDRESSES_READY, "AddressesUnread", words, stalled=False, retry_after=_READ_AGAIN)


def _exhausted(chosen: Exhausted, cluster: Cluster) -> Problem:
    words = (
        f"no address is free in {', '.join(chosen.cidrs)}; enlarge or add to spec.machineNetworks of the Cluster "
        f'"{cluster.metadata.name}", or delete a Machine: its address is free when its VM is gone'
    )
    return Problem(
        ADDRESSES_READY, "PoolExhausted", words, stalled=False, certain=True, retry_after=_LOOK_AGAIN
    )
