"""From no VM to a running one: one decision at a time, from what is there now. Pure."""

from __future__ import annotations

from vsphere_operator.bootstrap.delivery import GuestInfoDelivery, IsoDelivery
from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine import address_record, pending_questions
from vsphere_operator.controllers.machine.addresses import not_reported, routable
from vsphere_operator.controllers.machine.observed import Observed, Prepared
from vsphere_operator.controllers.machine.operations import other_vcenter, resolve
from vsphere_operator.controllers.machine.steps import (
    AttachTags,
    Block,
    Clone,
    DeliverIso,
    Fail,
    Inspect,
    PowerOn,
    Prepare,
    ProveAbsence,
    RecordDetails,
    RecordVm,
    SetProviderId,
    Settle,
    Step,
    SwitchStorageDrsOff,
    TakeAddresses,
    Wait,
)
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import NotOurs
from vsphere_operator.vsphere.vm_details import VmDetails

VM_CLONED = "VMCloned"
TAGS_ATTACHED = "TagsAttached"
POWERED_OFF = "PoweredOffByOthers"


def plan(seen: Observed) -> Step:
    """The next step towards a running VM."""
    status = seen.machine.status
    if status.failure_reason:
        return Fail(status.failure_reason, status.failure_message or status.failure_reason)
    if seen.recorded_elsewhere:
        return Block(other_vcenter())
    asked = pending_questions.answer(seen) or pending_questions.unanswered(seen)
    if asked is not None:
        return asked
    if status.operation is not None:
        return resolve(seen, status.operation)
    if seen.recorded is None and seen.vm is None:
        return _missing(seen)
    if seen.vm is not None and seen.vm.moref != seen.recorded:
        return claim(seen, seen.vm.moref)
    if seen.vm is not None and seen.vm.connection_state != "connected":
        return Wait("HostDisconnected", "The VM's host does not answer vCenter, so its state is not known.")
    if seen.vm is not None and seen.vm.power_state == "poweredOn":
        return _running(seen, seen.vm)
    if seen.setback:
        return Block(seen.setback[0])
    return _off(seen)


def claim(seen: Observed, moref: MoRef) -> Step:
    """A VM with our UUID under a MoRef that no status speaks of: ours only if its mark says so."""
    match seen.details:
        case None:
            return Inspect(moref)
        case Present(value=details) if isinstance(seen.ownership, NotOurs):
            return Block(not_ours(details, seen.ownership))
        case Present(value=details):
            return RecordVm(moref, address_record.read(details.extra_config))
        case Absent():
            return Wait("VMUnknown", "Waits until the inventory shows that the VM is gone.", after=2.0)
        case Unknown(why=why):
            return Wait("VMUnknown", f"The VM cannot be read now: {why}", after=10.0)


def _missing(seen: Observed) -> Step:
    """There is no VM: make one, unless its name is taken by one that is not ours."""
    for vm in seen.namesakes:
        if not vm.config_ready:
            return Wait("Cloning", "A VM of this name is being made; waits to see whose it is.", after=2.0)
        return Block(name_taken(seen.machine.metadata.name, vm))
    if seen.setback:
        return Block(seen.setback[0])
    match seen.prepared:
        case None:
            return Prepare()
        case Problem() as problem:
            return Block(problem)
        case TakeAddresses() as step:
            return step
        case Prepared():
            return Clone()


def _off(seen: Observed) -> Step:
    """The VM is not running, or the inventory lags: look at it before anything else."""
    if seen.recorded is None or seen.details is None:
        assert seen.recorded is not None  # noqa: S101 - plan() has checked
        return Inspect(seen.recorded)
    match seen.details:
        case Absent():
            return _removed(seen, seen.recorded)
        case Unknown(why=why):
            return Wait("VMUnknown", f"The VM cannot be read now: {why}", after=10.0)
        case Present(value=details):
            return _first_boot(seen, details)


def _removed(seen: Observed, moref: MoRef | None) -> Step:
    """``moref`` None: vCenter has given the recorded one to another machine's VM."""
    match seen.absence:
        case None:
            return ProveAbsence(moref)
        case Absent(proof=proof):
            return Fail("VMRemoved", f"The VM was removed from vCenter by somebody else ({proof}).")
        case Unknown(why=why):
            return Wait("VMUnknown", f"Whether the VM is gone cannot be told now: {why}", after=10.0)
        case Present():
            return Wait("VMUnknown", "Waits until the inventory shows where the VM is now.", after=2.0)


def _first_boot(seen: Observed, details: VmDetails) -> Step:
    if not details.config_ready:
        return Wait("Cloning", "The VM has no configuration yet.", after=2.0)
    if isinstance(seen.ownership, NotOurs):
        if seen.ownership.anothers:
            return _removed(seen, None)
        return Block(not_ours(details, seen.ownership))
    if details.connection_state != "connected":
        return Wait("HostDisconnected", "The VM's host does not answer vCenter.", after=10.0)
    if details.power_state == "poweredOn":
        return Wait("PoweringOn", "The VM has been powered on.", after=2.0)
    if seen.only_told and seen.machine.spec.provider_id is not None:
        words = (
            "the VM ran and was powered off by somebody, and driftPolicy is Report; power it on in vCenter"
        )
        return Block(Problem("VMReady", POWERED_OFF, words))
    vm = seen.machine.status.vm
    if vm is None or vm.path is None:
        return RecordDetails(details)
    match seen.prepared:
        case None:
            return Prepare()
        case Problem() as problem:
            return Block(problem)
        case TakeAddresses() as step:
            return step
        case Prepared() as prepared:
            return _boot(seen, details, prepared)


def _boot(seen: Observed, details: VmDetails, prepared: Prepared) -> Step:
    attached = conditions.is_true([c.to_json() for c in seen.machine.status.conditions], TAGS_ATTACHED)
    if prepared.tag_ids and not attached:
        return AttachTags(details)
    match prepared.delivery:
        case IsoDelivery():
            vm = seen.machine.status.vm
            return _start(seen, details) if vm and has_iso(details, vm.iso_path) else DeliverIso(details)
        case GuestInfoDelivery(extra_config=wanted):
            if all(details.extra_config.get(k) == v for k, v in wanted.items()):
                return _start(seen, details)
            words = "the VM does not carry its bootstrap data; delete the Machine, so that a new one is made"
            return Block(Problem("BootstrapReady", "BootstrapDataMissing", words))


def _start(seen: Observed, details: VmDetails) -> Step:
    """Before a VM runs, and CSI can give it volumes, Storage DRS no longer moves its disks."""
    return SwitchStorageDrsOff(details, seen.moved_by) if seen.moved_by is not None else PowerOn(details)


def has_iso(details: VmDetails, path: str | None) -> bool:
    """Whether the VM will see that ISO when it starts."""
    return path is not None and any(c.iso_path == path and c.start_connected for c in details.cdroms)


def _running(seen: Observed, vm: VmEntity) -> Step:
    wanted = provider_id(vm)
    known = seen.machine.spec.provider_id
    if known is None and wanted is not None:
        return SetProviderId(wanted)
    if wanted is not None and known != wanted:
        words = f"the VM's BIOS UUID says {wanted}, but spec.providerID is {known}; nothing is changed"
        return Block(Problem("ProviderIDReady", "ProviderIDMismatch", words))
    kept_still = _keep_still(seen, vm)
    if kept_still is not None:
        return kept_still
    if seen.tags is not None:
        return seen.tags
    if not routable(vm.addresses):
        return Wait(
            "WaitingForAddress", "The guest has not reported an address: VMware Tools must run in it."
        )
    given = [held.address for held in seen.machine.status.static_addresses]
    missing = not_reported(given, vm.addresses)
    if missing is not None:
        return Wait("StaticAddressNotReported", f"{missing[0].upper()}{missing[1:]}.")
    return Settle()


def _keep_still(seen: Observed, vm: VmEntity) -> Step | None:
    """A running VM that was moved onto a datastore cluster, or whose datastore cluster moves disks since lately."""
    if seen.moved_by is None:
        return None
    if seen.details is None:
        return Inspect(vm.moref)
    if isinstance(seen.details, Present) and not isinstance(seen.ownership, NotOurs):
        return SwitchStorageDrsOff(seen.details.value, seen.moved_by)
    return None


def provider_id(vm: VmEntity) -> str | None:
    """As the cloud controller manager writes it on the Node."""
    return f"vsphere://{vm.bios_uuid.lower()}" if vm.bios_uuid else None


def name_taken(name: str, vm: VmEntity) -> Problem:
    words = (
        f'a VM named "{name}" is in the folder already ({vm.moref}) and is not this Machine\'s; it is left alone. '
        "Rename or move it, or delete this Machine so that one of another name is made"
    )
    return Problem(VM_CLONED, "NameTaken", words)


def not_ours(details: VmDetails, why: NotOurs) -> Problem:
    words = f'the VM "{details.name}" ({details.moref}) is left alone: {why.reason}'
    return Problem("OwnershipProven", "NotOurs", words)
