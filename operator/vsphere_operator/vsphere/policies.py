"""Storage policies, asked of the policy service (PBM) that stands beside vCenter's own API and uses its session.

The service may be down, or closed to the user (`StorageProfile.View`), while vCenter is well: what it does says
nothing about vCenter, so its failures never count as vCenter's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import VSphereError, from_transport
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.soap import TRANSPORT_ERRORS
from vsphere_operator.vsphere.vmomi import pbm

R = TypeVar("R")

FRESH = 60.0
"""Seconds for which answers are believed, also that there is no such policy and that none can be told."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A storage policy for VMs; `id` is what specifications name."""

    id: str
    name: str


class Policies:
    """Reads policies for all; what was answered is kept for a while. Belongs to one event loop."""

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._clock = clock
        self._asking = asyncio.Lock()
        self._kept: dict[object, tuple[float, Any]] = {}

    async def find(self, name_or_id: str, *, op_id: str) -> Answer[Policy]:
        """The policy with this name or id. Never raises `VSphereError`."""
        known = await self._once("all", lambda: self._read_all(op_id))
        if isinstance(known, Unknown):
            return known
        for policy in known:
            if name_or_id in (policy.name, policy.id):
                return Present(policy)
        return Absent(f"vCenter has no storage policy {name_or_id!r}")

    async def unfit(
        self, policy: Policy, datastores: Iterable[MoRef], *, op_id: str
    ) -> Mapping[MoRef, str] | Unknown:
        """Those of the datastores that cannot serve the policy, and why. Never raises `VSphereError`."""
        asked = tuple(sorted(datastores))
        found: Mapping[MoRef, str] | Unknown = await self._once(
            (policy.id, asked), lambda: self._check(policy, asked, op_id)
        )
        return found

    async def _once(self, key: object, ask: Callable[[], Any]) -> Any:
        """The kept answer, or a new one; one question at a time, so that a hundred Clusters ask once."""
        async with self._asking:
            now = self._clock()
            self._kept = {k: v for k, v in self._kept.items() if now - v[0] < FRESH}
            if key not in self._kept:
                try:
                    answer = await ask()
                except VSphereError as error:
                    answer = Unknown(error.fault.message, error.fault)
                self._kept[key] = (self._clock(), answer)
            return self._kept[key][1]

    async def _read_all(self, op_id: str) -> list[Policy]:
        def read(service: Any) -> list[Policy]:
            profiles = service.profileManager
            storage = pbm.profile.ResourceType(resourceType="STORAGE")
            ids = profiles.QueryProfile(resourceType=storage, profileCategory="REQUIREMENT")
            found = profiles.RetrieveContent(profileIds=ids) if ids else []
            return [Policy(p.profileId.uniqueId, p.name) for p in found]

        return await self._ask(read, op_id)

    async def _check(self, policy: Policy, datastores: tuple[MoRef, ...], op_id: str) -> Mapping[MoRef, str]:
        hubs = [pbm.placement.PlacementHub(hubType="Datastore", hubId=morefs.id_of(m)) for m in datastores]

        def check(service: Any) -> Mapping[MoRef, str]:
            profile = pbm.profile.ProfileId(uniqueId=policy.id)
            found = service.placementSolver.CheckCompatibility(hubsToSearch=hubs, profile=profile)
            bad = {f"Datastore:{r.hub.hubId}": _words(r.error) for r in found if r.error}
            return {m: bad[m] for m in datastores if m in bad}

        return await self._ask(check, op_id)

    async def _ask(self, question: Callable[[Any], R], op_id: str) -> R:
        session = self._calls.session

        def ask(_: Any) -> R:
            try:
                with session.policy_service() as service:
                    return question(service)
            except TRANSPORT_ERRORS as error:
                where = f"the storage policy service of {session.where}"
                raise VSphereError(from_transport(error, where=where)) from error

        return await self._calls.soap(ask, op_id=op_id, mutating=False)


def _words(errors: Iterable[Any]) -> str:
    """What PBM says of a datastore; its faults often have a type and no message."""
    told = [str(getattr(e, "msg", "") or type(e).__name__.rpartition(".")[2]) for e in errors]
    return "; ".join(told)
