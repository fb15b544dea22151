"""What a Machine's status says: the milestones of its life as conditions, and Ready in front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from vsphere_operator.api.conditions import Condition as Written
from vsphere_operator.api.conditions import ConditionStatus
from vsphere_operator.api.machine import Machine, MachinePhase, MachineStatus, MachineTag
from vsphere_operator.controllers import conditions, status, unsupported
from vsphere_operator.controllers.address_pools import ADDRESSES_READY
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.machine.addresses import not_reported, typed
from vsphere_operator.controllers.machine.operations import SWITCH_STORAGE_DRS_OFF, doing
from vsphere_operator.controllers.machine.plan_create import TAGS_ATTACHED, VM_CLONED
from vsphere_operator.controllers.machine.steps import Block, Fail, Settle, Wait
from vsphere_operator.controllers.ports import Object
from vsphere_operator.vsphere.inventory.entities import VmEntity

DELIVERED = "BootstrapDelivered"
POWERED_ON = "VMPoweredOn"
ADDRESS_KNOWN = "AddressKnown"

End = Wait | Block | Fail | Settle


def compose(
    obj: Object,
    new: MachineStatus,
    *,
    vm: VmEntity | None,
    end: End | None,
    deleting: bool,
    at: datetime,
    concerns: Sequence[Condition] = (),
) -> Object:
    """The status to write. ``end`` is how the look ended; None while steps go on."""
    spec: Mapping[str, Any] = obj["spec"]
    wanted = [
        *(_still_ready(new, vm, end, deleting=deleting) or _summary(new, end, deleting=deleting)),
        *concerns,
        *_milestones(new, vm),
        *([Condition(ADDRESSES_READY, "True", "Assigned")] if new.static_addresses else []),
        *([end.problem.as_condition()] if isinstance(end, Block) and _adds(end.problem) else []),
        *unsupported.told_of_machine(spec),
    ]
    fields = {k: v for k, v in new.to_json().items() if v not in ([], {}) and k not in _COMPOSED}
    fields["phase"] = _phase(new, vm, end, deleting=deleting).value
    return status.compose(obj, fields, _unique(wanted), at=at)


_COMPOSED = ("conditions", "observedGeneration", "phase")
MILESTONES = (VM_CLONED, TAGS_ATTACHED, DELIVERED, POWERED_ON, ADDRESS_KNOWN)
STORAGE_DRS_OFF = "StorageDrsOff"
KEPT = (*MILESTONES, STORAGE_DRS_OFF, ADDRESSES_READY)
"""What a look without vCenter says nothing new about."""


def observed(
    machine: Machine, vm: VmEntity | None, *, path: str | None, host: str | None, datastore: str | None
) -> MachineStatus:
    """The status with what the inventory shows of the VM."""
    before = machine.status
    if vm is None or before.vm is None:
        return before
    seen = before.vm.model_copy(
        update={
            "name": vm.name,
            "inventory_path": path,
            "bios_uuid": vm.bios_uuid,
            "instance_uuid": vm.instance_uuid or before.vm.instance_uuid,
            "power_state": vm.power_state,
            "host": host,
            "datastore": datastore,
        }
    )
    running = vm.power_state == "poweredOn"
    addresses = typed(machine.metadata.name, vm.addresses) if running else []
    return before.model_copy(update={"vm": seen, "addresses": addresses})


def with_tags(before: MachineStatus, tags: Iterable[MachineTag], *, attached: bool) -> MachineStatus:
    """Remember which tags are, or are about to be, on the VM; the conditions carry which of the two."""
    done = Written(
        type=TAGS_ATTACHED,
        status=ConditionStatus.TRUE,
        reason="Attached",
        message="",
        last_transition_time=status.now().replace(microsecond=0),
    )
    kept = [c for c in before.conditions if c.type != TAGS_ATTACHED]
    return before.model_copy(update={"tags": list(tags), "conditions": [*kept, done] if attached else kept})


def _still_ready(
    new: MachineStatus, vm: VmEntity | None, end: End | None, *, deleting: bool
) -> list[Condition]:
    """A worker that runs stays Ready while something is set right at it that it does not notice."""
    aside = new.operation is not None and new.operation.type == SWITCH_STORAGE_DRS_OFF
    underway = end is None or (aside and isinstance(end, Wait))
    on = vm is not None and vm.power_state == "poweredOn"
    if deleting or not on or not underway or (new.operation is not None and not aside):
        return []
    before = next((c for c in new.conditions if c.type == conditions.READY and c.status == "True"), None)
    return conditions.ready(before.reason, before.message) if before is not None else []


def _summary(new: MachineStatus, end: End | None, *, deleting: bool) -> list[Condition]:
    match end:
        case Settle():
            return conditions.ready("Running")
        case Fail(reason=reason, message=message):
            return conditions.stalled(reason, message)
        case Block(problem=problem):
            return conditions.summary(problem)
        case Wait(reason=reason, message=message):
            return conditions.reconciling(reason, message)
        case None:
            if new.operation is not None:
                return conditions.reconciling(*doing(new.operation))
            word = (
                ("Deleting", "The VM is being taken down.")
                if deleting
                else ("Provisioning", "The VM is being made.")
            )
            return conditions.reconciling(*word)


def _milestones(new: MachineStatus, vm: VmEntity | None) -> list[Condition]:
    """Each with the time of its own transition: the story of the Machine's making."""
    if new.vm is None or new.vm.mo_ref is None:
        return [Condition(VM_CLONED, "False", "NotYet")]
    on = vm is not None and vm.power_state == "poweredOn"
    result = [Condition(VM_CLONED, "True", "Cloned")]
    if any(c.type == TAGS_ATTACHED and c.status == "True" for c in new.conditions):
        result.append(Condition(TAGS_ATTACHED, "True", "Attached"))
    delivering = new.operation is not None and new.operation.type == "DeliverISO"
    if on or (new.vm.path and (new.vm.iso_path is None or not delivering) and _had(new, DELIVERED)):
        result.append(Condition(DELIVERED, "True", "Delivered"))
    result.append(Condition(POWERED_ON, "True" if on else "False", "PoweredOn" if on else "PoweredOff"))
    if on:
        result.append(_address_known(new))
    return result


def _address_known(new: MachineStatus) -> Condition:
    if not new.addresses:
        return Condition(ADDRESS_KNOWN, "False", "NotReported")
    given = [held.address for held in new.static_addresses]
    words = not_reported(given, [a.address for a in new.addresses])
    if words is not None:
        return Condition(ADDRESS_KNOWN, "False", "StaticAddressNotReported", words)
    return Condition(ADDRESS_KNOWN, "True", "Reported")


def _had(new: MachineStatus, type_: str) -> bool:
    return any(c.type == type_ and c.status == "True" for c in new.conditions)


def _adds(problem: Problem) -> bool:
    return problem.condition not in MILESTONES


def _phase(new: MachineStatus, vm: VmEntity | None, end: End | None, *, deleting: bool) -> MachinePhase:
    if deleting:
        return MachinePhase.DELETING
    if isinstance(end, Fail):
        return MachinePhase.FAILED
    idle = new.operation is None or new.operation.type == SWITCH_STORAGE_DRS_OFF
    if vm is not None and vm.power_state == "poweredOn" and idle:
        return MachinePhase.RUNNING
    if new.operation is not None or (new.vm is not None and new.vm.mo_ref):
        return MachinePhase.PROVISIONING
    return MachinePhase.PENDING


def _unique(wanted: list[Condition]) -> list[Condition]:
    """One condition a type; the first one said stays."""
    result: dict[str, Condition] = {}
    for condition in wanted:
        result.setdefault(condition.type, condition)
    return list(result.values())
