"""Whether it may be believed that a VM is gone: not when many are at once, until a person says so.

The inventory remembers what it has seen; what was lost before this process began shows against the statuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsphere_operator.api.names import ACCEPT_LOSSES_ANNOTATION
from vsphere_operator.controllers.conditions import Condition
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.lifecycle import is_deleting, metadata
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.inventory.brake import judge, name_of
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

VMS_COMPLETE = "VMsComplete"
_BELIEVED_FOR = 5.0
"""Seconds for which one count over all Machines answers for all who ask."""
COUNTED_AGAIN = 10.0
"""Seconds until whoever told of a loss looks again: the last VM that comes back wakes its Machine only."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Many VMs that are gone at once. ``id`` names this very loss, for a person who confirms it."""

    id: str
    why: str
    morefs: frozenset[str] = frozenset()


class Losses:
    """Doubts about what seems gone, for those who would act on it."""

    def __init__(self, objects: Objects, clock: Callable[[], float] = time.monotonic) -> None:
        self._objects = objects
        self._clock = clock
        self._confirmed: set[str] = set()
        self._counted: dict[str, tuple[float, Loss | None]] = {}

    def doubt(self, access: Access, *references: str) -> Unknown | None:
        """Why nothing follows from not finding a VM, by its MoRef or instance UUID; None: nothing speaks against it."""
        self._accept(access)
        for reference in references:
            unknown = access.vcenter.inventory.missing(reference)
            if unknown is not None:
                return Unknown(f"{unknown.why}; {_confirm(access)}")
        loss = self._against_statuses(access)
        if loss is None or loss.morefs.isdisjoint(references) or loss.id in accepted(self._seed(access)):
            return None
        return Unknown(loss.why)

    def unsettled(self, access: Access) -> Unknown | None:
        """Why nothing that this vCenter says it does not know may be made anew; None: no loss is in doubt there."""
        condition = self.condition(access)
        return None if condition.status == "True" else Unknown(condition.message)

    def condition(self, access: Access) -> Condition:
        """For the Seed's datacenter: whether all VMs that there should be are seen."""
        self._accept(access)
        doubt = access.vcenter.inventory.doubt
        if doubt is not None:
            return Condition(VMS_COMPLETE, "False", "ManyVMsGone", f"{doubt.why}; {_confirm(access)}")
        loss = self._against_statuses(access)
        if loss is not None and loss.id not in accepted(self._seed(access)):
            return Condition(VMS_COMPLETE, "False", "ManyVMsGone", loss.why)
        return Condition(VMS_COMPLETE, "True", "AllSeen")

    def _accept(self, access: Access) -> None:
        doubt = access.vcenter.inventory.doubt
        if doubt is not None and doubt.id in accepted(self._seed(access)):
            self._confirmed |= {vm.moref for vm in access.vcenter.inventory.missing_vms}
            self._counted.pop(access.instance_uuid, None)
            access.vcenter.accept_losses(doubt.id)

    def _seed(self, access: Access) -> Object | None:
        return self._objects.get("Seed", "", access.offer.seed)

    def _against_statuses(self, access: Access) -> Loss | None:
        until, loss = self._counted.get(access.instance_uuid, (0.0, None))
        if until <= self._clock():
            loss = self._count(access)
            self._counted[access.instance_uuid] = (self._clock() + _BELIEVED_FOR, loss)
        return loss

    def _count(self, access: Access) -> Loss | None:
        recorded, missing = 0, {}
        for obj in self._objects.list("Machine"):
            status = obj.get("status") or {}
            vm = status.get("vm") or {}
            if vm.get("vCenter") != access.instance_uuid or not vm.get("moRef"):
                continue
            # Those that were told to go, or told as gone, are no surprise; what is at work may show a moment later.
            if is_deleting(obj) or status.get("failureReason") or status.get("operation"):
                continue
            recorded += 1
            if not _seen(access.vcenter.inventory, vm) and vm["moRef"] not in self._confirmed:
                missing[str(vm["moRef"])] = str(vm.get("instanceUUID") or vm["moRef"])
        if not judge(recorded, len(missing)):
            return None
        name = name_of(missing.values())
        words = (
            f"{len(missing)} of {recorded} Machines' virtual machines are not in vCenter's inventory: it may have been "
            "restored, or the user lost a permission. Nothing is concluded from that until most are back, or the loss "
            f"{name} is confirmed; {_confirm(access)}"
        )
        return Loss(name, words, frozenset(missing))


def accepted(seed: Object | None) -> frozenset[str]:
    """The losses that a person has confirmed on the Seed."""
    text = (metadata(seed).get("annotations") or {}).get(ACCEPT_LOSSES_ANNOTATION, "") if seed else ""
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _confirm(access: Access) -> str:
    return f"to confirm, annotate the Seed {access.offer.seed} with {ACCEPT_LOSSES_ANNOTATION}=<that id>"


def _seen(inventory: Inventory, vm: Object) -> bool:
    if inventory.vm(MoRef(vm["moRef"])) is not None:
        return True
    return bool(vm.get("instanceUUID")) and bool(inventory.vms_by_instance_uuid(vm["instanceUUID"]))
