"""When a step may begin: a vCenter is given only so many clones and power operations at once, the urgent ones first.

An operation holds its token from its intent to its end. After a restart the statuses tell who holds one.
"""

from __future__ import annotations

from collections.abc import Mapping

from vsphere_operator.api.machine import Machine
from vsphere_operator.api.seed import Limits
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.machine import operations
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.runtime.admission import Admissions, Place, Precedence, Request
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.vsphere.morefs import MoRef

PROVISIONING, POWER = "provisioning", "power"
DATASTORE, SIZE = "datastore", "bytes"
"""Where a clone goes and what it may come to take there, in its operation's details."""

_KINDS: Mapping[str, tuple[str, Precedence]] = {
    operations.CLONE: (PROVISIONING, Precedence.CREATE),
    operations.SWITCH_STORAGE_DRS_OFF: (POWER, Precedence.POWER),
    operations.POWER_ON: (POWER, Precedence.POWER),
    operations.POWER_OFF: (POWER, Precedence.DELETE),
    operations.DETACH_DISKS: (POWER, Precedence.DELETE),
    operations.DESTROY: (POWER, Precedence.DELETE),
}
"""Everything short shares the power tokens: a deletion never waits for the long clones of others."""


class Turns:
    """The tokens of all Machines, by the vCenter that they are in."""

    def __init__(self, admissions: Admissions, objects: Objects) -> None:
        self._admissions = admissions
        self._objects = objects
        self._counted: set[str] = set()
        self._kept: dict[Key, str] = {}
        self._lines: dict[Key, MoRef] = {}
        """The datastore that each one waits for, or had to wait for before it could begin."""

    def may_begin(
        self, key: Key, machine: Machine, access: Access, type_: str, place: MoRef | None = None
    ) -> bool:
        """Whether the operation may begin now; if not, the key is woken when its turn has come."""
        if type_ not in _KINDS:
            return True
        self._count_once(access)
        self._kept[key] = access.endpoint.authority
        if type_ == operations.CLONE:
            place = place or self._lines.get(key)
        request = _request(key, machine, access.offer.vsphere.limits, type_, place)
        return self._admissions.of(access.endpoint.authority).ask(request)

    def move(self, key: Key, machine: Machine, access: Access, datastore: MoRef) -> bool:
        """The clone that may begin goes onto this datastore; False: this one has no room, it waits for it."""
        admission, limits = self._admissions.of(access.endpoint.authority), access.offer.vsphere.limits
        request = _request(key, machine, limits, operations.CLONE, datastore)
        there = admission.in_place(PROVISIONING, datastore)
        if there < limits.per_datastore or self._lines.get(key) == datastore:
            admission.hold(request)
            return True
        self._lines[key] = datastore
        return admission.ask(request)

    def carry_on(self, key: Key, machine: Machine, access: Access) -> None:
        """An operation is under way, whoever began it."""
        operation = machine.status.operation
        if operation is None or operation.type not in _KINDS:
            return
        self._kept[key] = access.endpoint.authority
        self._lines.pop(key, None)
        place = operation.details.get(DATASTORE)
        request = _request(
            key, machine, access.offer.vsphere.limits, operation.type, MoRef(place) if place else None
        )
        self._admissions.of(access.endpoint.authority).hold(request)

    def settle(self, key: Key) -> None:
        """A reconcile ended: what it neither began, nor waits for, nor saw under way is free again."""
        scope = self._kept.pop(key, None)
        self._admissions.settle(key, keep_in=scope)
        if scope is None:
            self._lines.pop(key, None)

    def _count_once(self, access: Access) -> None:
        """Before the first operation of this process: what an earlier one began is under way."""
        if access.endpoint.authority in self._counted:
            return
        self._counted.add(access.endpoint.authority)
        for obj in self._objects.list("Machine"):
            begun = (obj.get("status") or {}).get("operation") or {}
            if begun.get("type") in _KINDS and begun.get("vCenter") == access.instance_uuid:
                self.carry_on(key_of(obj), Machine.model_validate(obj), access)
                self._kept.pop(key_of(obj), None)


def _request(key: Key, machine: Machine, limits: Limits, type_: str, place: MoRef | None) -> Request:
    pool, precedence = _KINDS[type_]
    return Request(
        owner=key,
        pool=pool,
        limit=limits.provisioning if pool == PROVISIONING else limits.power,
        priority=precedence,
        group=f"{machine.metadata.namespace}/{machine.spec.cluster_name}",
        place=Place(place, limits.per_datastore) if place else None,
    )
