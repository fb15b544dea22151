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
DATASTORE = "datastore"
"""Where a clone goes, in its operation's details."""

_KINDS: Mapping[str, tuple[str, Precedence]] = {
    operations.CLONE: (PROVISIONING, Precedence.CREATE),
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

    def may_begin(
        self, key: Key, machine: Machine, access: Access, type_: str, place: MoRef | None = None
    ) -> bool:
        """Whether the operation may begin now; if not, the key is woken when its turn has come."""
        if type_ not in _KINDS:
            return True
        self._count_once(access)
        self._kept[key] = access.endpoint.authority
        request = _request(key, machine, access.offer.vsphere.limits, type_, place)
        return self._admissions.of(access.endpoint.authority).ask(request)

    def has_room(self, access: Access, datastore: MoRef) -> bool:
        """Whether one more clone may go onto this datastore now."""
        self._count_once(access)
        in_place = self._admissions.of(access.endpoint.authority).in_place(PROVISIONING, datastore)
        return in_place < access.offer.vsphere.limits.per_datastore

    def carry_on(self, key: Key, machine: Machine, access: Access) -> None:
        """An operation is under way, whoever began it."""
        operation = machine.status.operation
        if operation is None or operation.type not in _KINDS:
            return
        self._kept[key] = access.endpoint.authority
        place = operation.details.get(DATASTORE)
        request = _request(
            key, machine, access.offer.vsphere.limits, operation.type, MoRef(place) if place else None
        )
        self._admissions.of(access.endpoint.authority).hold(request)

    def settle(self, key: Key) -> None:
        """A reconcile ended: what it neither began, nor waits for, nor saw under way is free again."""
        self._admissions.settle(key, keep_in=self._kept.pop(key, None))

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
