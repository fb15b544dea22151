"""Which vCenter sessions are in use: those that an object's last reconcile asked for. The others are logged out."""

from __future__ import annotations

from typing import Protocol

from vsphere_operator.controllers.datacenters import VCenterPool
from vsphere_operator.runtime.engine import Controller, Result
from vsphere_operator.runtime.keys import Key, working_on
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Fault
from vsphere_operator.vsphere.vcenters import VCenter, VCenterId


class RetainingPool(VCenterPool, Protocol):
    """A pool that can be told which of its sessions are still wanted."""

    def retain(self, in_use: set[VCenterId]) -> None: ...


class SessionUse:
    """A pool that notes who uses what: after a rotation, or when an object goes, the old session goes too."""

    def __init__(self, pool: RetainingPool) -> None:
        self._pool = pool
        self._used_by: dict[Key, set[VCenterId]] = {}
        self._asked_for: dict[Key, set[VCenterId]] = {}

    def get(self, endpoint: Endpoint, credentials: Credentials) -> VCenter:
        """The vCenter, noted for the object that is being reconciled."""
        vcenter = self._pool.get(endpoint, credentials)
        key = working_on.get()
        if key is not None:
            self._asked_for.setdefault(key, set()).add(vcenter.id)
        return vcenter

    def scope(self, authority: str, datacenters: frozenset[str]) -> None:
        self._pool.scope(authority, datacenters)

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None:
        return await self._pool.check_login(endpoint, credentials)

    def settle(self, key: Key) -> None:
        """A reconcile has ended. One that asked for nothing (paused, no Secret) says nothing about the use."""
        asked = self._asked_for.pop(key, None)
        if asked is None:
            return
        before = self._used_by.get(key, set())
        self._used_by[key] = asked
        if before - asked:
            self._retain()

    def forget(self, key: Key) -> None:
        """The object is gone; its last reconcile, which may still be on its way home, has no say any more."""
        used, asked = self._used_by.pop(key, None), self._asked_for.pop(key, None)
        if used or asked:
            self._retain()

    def _retain(self) -> None:
        sets = (*self._used_by.values(), *self._asked_for.values())
        self._pool.retain({i for ids in sets for i in ids})


class Tracked:
    """A controller whose sessions are noted."""

    def __init__(self, controller: Controller, use: SessionUse) -> None:
        self._controller = controller
        self._use = use

    @property
    def kind(self) -> str:
        return self._controller.kind

    async def reconcile(self, key: Key) -> Result:
        try:
            return await self._controller.reconcile(key)
        finally:
            self._use.settle(key)
