"""Every branch of the two plans of a Machine: what is seen decides what is done next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.vcenter import VM_FOLDER, Vm, a_vm, fault
from vsphere_operator.api.machine import Machine, MachineStatus
from vsphere_operator.api.operations import Operation
from vsphere_operator.bootstrap.delivery import Delivery, GuestInfoDelivery, IsoDelivery
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine import operations, plan_create, plan_delete, steps
from vsphere_operator.controllers.machine.observed import Observed, Prepared
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.inventory.entities import StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import NotOurs, Proof, VmMark
from vsphere_operator.vsphere.questions import Choice, Question
from vsphere_operator.vsphere.tasks import Failed, Forgotten, Running, Succeeded
from vsphere_operator.vsphere.vm_details import CdRom, Disk, VmDetails

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VM, OTHER, TASK = MoRef("VirtualMachine:vm-1"), MoRef("VirtualMachine:vm-99"), "Task:task-1"
LOCKED = Question("4", "The guest has locked the CD", (Choice("0", "Yes"), Choice("1", "No")),
                  ("msg.cdromdisconnect.locked",))  # fmt: skip
OTHER_QUESTION = Question("5", "Did you move it or copy it?", (Choice("0", "Moved"),), ("msg.uuid.altered",))
GONE: dict[str, Any] = {"details": Absent("p")}
ISO_PATH = "[LocalDS_0] worker-1/cloud-init.iso"
BIOS = "4200aaaa-0000-4000-8000-000000000001"
DETAILS = a_vm(VM, "worker-1", VM_FOLDER, bios_uuid=BIOS)
ENTITY = Vm(DETAILS).entity()
RUNNING = Vm(replace(DETAILS, power_state="poweredOn"), ("10.0.0.1",)).entity()
POD = StoragePod(MoRef("StoragePod:pod0"), "Pod_0", drs_enabled=True, automated=True)
OURS = Proof(VmMark("i", "c", "m", "n", "u"))
PROBLEM = Problem("VMCloned", "Busy", "words")
RECORDED = {"vm": {"moRef": VM, "vCenter": "vc"}}
KNOWN = {"vm": {"moRef": VM, "vCenter": "vc", "path": "[LocalDS_0] worker-1", "disks": [f"uuid-of-{VM}"]}}
WITH_ISO = {"vm": {**KNOWN["vm"], "isoPath": ISO_PATH}}
DRIVE = CdRom(3000, 200, ISO_PATH, False, start_connected=True)


def _machine(status: dict[str, Any], provider_id: str | None = None) -> Machine:
    obj = samples.a_machine()
    obj["spec"] |= {"providerID": provider_id} if provider_id else {}
    return Machine.model_validate({**obj, "status": status})


def _seen(status: dict[str, Any] | None = None, *, provider_id: str | None = None, **fields: Any) -> Observed:
    return Observed(machine=_machine(status or {}, provider_id), now=NOW, vcenter="vc", **fields)


def _read(details: VmDetails = DETAILS, ownership: Proof | NotOurs = OURS) -> dict[str, Any]:
    return {"details": Present(details), "ownership": ownership}


def _prepared(delivery: Delivery | None = None, tags: tuple[str, ...] = ()) -> Prepared:
    """Plans look at the delivery and the tags only."""
    nothing = cast("Any", None)
    return Prepared(
        template=DETAILS,
        folder=VM_FOLDER,
        datacenter=nothing,
        pool=nothing,
        compute=nothing,
        storage=nothing,
        networks=None,
        delivery=delivery or IsoDelivery(iso=b""),
        tags=(),
        tag_ids=tags,
        effective=nothing,
    )


ANOTHERS = NotOurs("its mark names another machine", anothers=True)
GUESTINFO = GuestInfoDelivery(extra_config={"guestinfo.ignition.config.data": "x"}, vapp_properties={})
READY_VM = replace(DETAILS, extra_config={"guestinfo.ignition.config.data": "x"})
TAGGED = {**KNOWN, "conditions": [{"type": "TagsAttached", "status": "True", "reason": "Attached", "message": "",
                                   "lastTransitionTime": "2026-01-01T00:00:00Z"}]}  # fmt: skip


def _kind(step: steps.Step) -> str:
    """The step's kind, with the reason that a person reads."""
    name = type(step).__name__
    match step:
        case steps.Block(problem=problem):
            return f"{name} {problem.reason}"
        case steps.Wait(reason=reason) | steps.Fail(reason=reason):
            return f"{name} {reason}"
    return name


CREATE: list[tuple[str, Observed, str]] = [
    ("nothing there", _seen(), "Prepare"),
    ("prepared", _seen(prepared=_prepared()), "Clone"),
    ("not to be prepared", _seen(prepared=PROBLEM), "Block Busy"),
    ("refused lately", _seen(setback=(PROBLEM, 3.0)), "Block Busy"),
    ("a namesake", _seen(namesakes=[ENTITY]), "Block NameTaken"),
    ("a namesake being made", _seen(namesakes=[replace(ENTITY, instance_uuid=None)]), "Wait Cloning"),
    ("our UUID, not read", _seen(vm=ENTITY), "Inspect"),
    ("our UUID and mark", _seen(vm=ENTITY, **_read()), "RecordVm"),
    ("our UUID, no mark", _seen(vm=ENTITY, **_read(ownership=NotOurs("no"))), "Block NotOurs"),
    ("our UUID, gone", _seen(vm=ENTITY, details=Absent("p")), "Wait VMUnknown"),
    ("our UUID, unreadable", _seen(vm=ENTITY, details=Unknown("w")), "Wait VMUnknown"),
    ("failed for good", _seen({"failureReason": "VMRemoved"}), "Fail VMRemoved"),
    ("another vCenter", _seen({"vm": {"moRef": VM, "vCenter": "x"}}), "Block OtherVCenter"),
    ("recorded, off", _seen(RECORDED, vm=ENTITY), "Inspect"),
    ("recorded, not shown", _seen(RECORDED), "Inspect"),
    ("recorded, gone", _seen(RECORDED, details=Absent("p")), "ProveAbsence"),
    ("recorded, proven gone", _seen(RECORDED, **GONE, absence=Absent("p")), "Fail VMRemoved"),
    ("recorded, perhaps gone", _seen(RECORDED, **GONE, absence=Unknown("w")), "Wait VMUnknown"),
    ("recorded, somewhere else", _seen(RECORDED, **GONE, absence=Present(OTHER)), "Wait VMUnknown"),
    ("under another MoRef", _seen(RECORDED, vm=replace(RUNNING, moref=OTHER)), "Inspect"),
    ("under another MoRef, read", _seen(RECORDED, vm=replace(RUNNING, moref=OTHER), **_read()), "RecordVm"),
    ("a copy under another MoRef", _seen(RECORDED, vm=replace(RUNNING, moref=OTHER),
                                         **_read(ownership=NotOurs("copy"))), "Block NotOurs"),
    ("recorded, unreadable", _seen(RECORDED, details=Unknown("w")), "Wait VMUnknown"),
    ("refused lately, off", _seen(RECORDED, vm=ENTITY, setback=(PROBLEM, 1.0)), "Block Busy"),
    ("host away", _seen(RECORDED, vm=replace(RUNNING, connection_state="disconnected")), "Wait HostDisconnected"),
    ("no configuration", _seen(RECORDED, **_read(replace(DETAILS, config_ready=False))), "Wait Cloning"),
    ("not ours", _seen(RECORDED, **_read(ownership=NotOurs("copy"))), "Block NotOurs"),
    ("MoRef given to another machine's VM", _seen(RECORDED, **_read(ownership=ANOTHERS)), "ProveAbsence"),
    ("MoRef given away, proven gone", _seen(RECORDED, **_read(ownership=ANOTHERS), absence=Absent("p")),
     "Fail VMRemoved"),
    ("host away when read", _seen(RECORDED, **_read(replace(DETAILS, connection_state="notResponding"))),
     "Wait HostDisconnected"),
    ("on already", _seen(RECORDED, **_read(replace(DETAILS, power_state="poweredOn"))), "Wait PoweringOn"),
    ("details unknown", _seen(RECORDED, **_read()), "RecordDetails"),
    ("to be prepared", _seen(KNOWN, **_read()), "Prepare"),
    ("preparation fails", _seen(KNOWN, **_read(), prepared=PROBLEM), "Block Busy"),
    ("tags first", _seen(KNOWN, **_read(), prepared=_prepared(tags=("t",))), "AttachTags"),
    ("tags are on", _seen(TAGGED, **_read(), prepared=_prepared(tags=("t",))), "DeliverIso"),
    ("ISO not there", _seen(KNOWN, **_read(), prepared=_prepared()), "DeliverIso"),
    ("ISO of another", _seen(WITH_ISO, **_read(replace(DETAILS, cdroms=(replace(DRIVE, iso_path="[x] y"),))),
                             prepared=_prepared()), "DeliverIso"),
    ("ISO not connected", _seen(WITH_ISO, **_read(replace(DETAILS, cdroms=(replace(DRIVE, start_connected=False),))),
                                prepared=_prepared()), "DeliverIso"),
    ("ISO in the drive", _seen(WITH_ISO, **_read(replace(DETAILS, cdroms=(DRIVE,))), prepared=_prepared()), "PowerOn"),
    ("a foreign ISO and none of ours", _seen(KNOWN, **_read(replace(DETAILS, cdroms=(DRIVE,))), prepared=_prepared()),
     "DeliverIso"),
    ("guestinfo there", _seen(KNOWN, **_read(READY_VM), prepared=_prepared(GUESTINFO)), "PowerOn"),
    ("ISO in the drive, on a pod that moves", _seen(WITH_ISO, **_read(replace(DETAILS, cdroms=(DRIVE,))),
                                                    prepared=_prepared(), moved_by=POD), "SwitchStorageDrsOff"),
    ("guestinfo there, on a pod that moves", _seen(KNOWN, **_read(READY_VM), prepared=_prepared(GUESTINFO),
                                                   moved_by=POD), "SwitchStorageDrsOff"),
    ("ISO not there, on a pod that moves", _seen(KNOWN, **_read(), prepared=_prepared(), moved_by=POD), "DeliverIso"),
    ("guestinfo missing", _seen(KNOWN, **_read(), prepared=_prepared(GUESTINFO)), "Block BootstrapDataMissing"),
    ("asks about a locked CD", _seen(RECORDED, vm=replace(RUNNING, question=LOCKED)), "Inspect"),
    ("asks about a locked CD, read", _seen(RECORDED, vm=replace(RUNNING, question=LOCKED), **_read()),
     "AnswerQuestion"),
    ("a foreign VM asks", _seen(RECORDED, vm=replace(RUNNING, question=LOCKED), **_read(ownership=NotOurs("no"))),
     "SetProviderId"),
    ("asks something else", _seen(RECORDED, vm=replace(RUNNING, question=OTHER_QUESTION)), "Block QuestionPending"),
    ("runs", _seen(RECORDED, vm=RUNNING), "SetProviderId"),
    ("runs, known", _seen(RECORDED, vm=RUNNING, provider_id=f"vsphere://{BIOS}"), "Settle"),
    ("runs, another id", _seen(RECORDED, vm=RUNNING, provider_id="vsphere://x"), "Block ProviderIDMismatch"),
    ("runs on a pod that moves", _seen(RECORDED, vm=RUNNING, provider_id=f"vsphere://{BIOS}", moved_by=POD),
     "Inspect"),
    ("runs on a pod that moves, read", _seen(RECORDED, vm=RUNNING, provider_id=f"vsphere://{BIOS}", moved_by=POD,
                                             **_read()), "SwitchStorageDrsOff"),
    ("runs on a pod that moves, not ours", _seen(RECORDED, vm=RUNNING, provider_id=f"vsphere://{BIOS}", moved_by=POD,
                                                 **_read(ownership=NotOurs("copy"))), "Settle"),
    ("runs on a pod that moves, unreadable", _seen(RECORDED, vm=RUNNING, provider_id=f"vsphere://{BIOS}",
                                                   moved_by=POD, details=Unknown("w")), "Settle"),
    ("runs, no address", _seen(RECORDED, vm=replace(RUNNING, guest_nics=()), provider_id=f"vsphere://{BIOS}"),
     "Wait WaitingForAddress"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "step"), [r[1:] for r in CREATE], ids=[r[0] for r in CREATE])
def test_the_next_step_towards_a_running_vm(seen: Observed, step: str) -> None:
    assert _kind(plan_create.plan(seen)) == step


def test_no_details_whatever_power_on_a_vm_without_its_data() -> None:
    """Of all rows, only those whose data is proven to be there end in a power-on."""
    starts = [name for name, seen, _ in CREATE if isinstance(plan_create.plan(seen), steps.PowerOn)]
    assert starts == ["ISO in the drive", "guestinfo there"]


FOREIGN = Disk(2001, 1000, 1, 1, "csi", ("[LocalDS_0] fcd/x.vmdk",))
FCD_INSIDE = Disk(2001, 1000, 1, 1, f"uuid-of-{VM}", ("[LocalDS_0] worker-1/x.vmdk",), fcd_id="fcd")
INSIDE = Disk(2001, 1000, 1, 1, "later", ("[LocalDS_0] worker-1/x.vmdk",))


def _with(*disks: Disk, **fields: Any) -> dict[str, Any]:
    return _read(replace(DETAILS, disks=(*DETAILS.disks, *disks), **fields))


DELETE: list[tuple[str, Observed, str]] = [
    ("never recorded", _seen(), "ProveAbsence"),
    ("never made", _seen(absence=Absent("p")), "Release"),
    ("made and not shown", _seen(absence=Present(VM)), "Wait VMUnknown"),
    ("perhaps made", _seen(absence=Unknown("w")), "Wait VMUnknown"),
    ("another vCenter", _seen({"vm": {"moRef": VM, "vCenter": "x"}}), "Block OtherVCenter"),
    ("refused lately", _seen(KNOWN, setback=(PROBLEM, 1.0)), "Block Busy"),
    ("recorded", _seen(KNOWN), "Inspect"),
    ("found by its UUID", _seen(vm=ENTITY), "Inspect"),
    ("gone", _seen(KNOWN, **GONE), "ProveAbsence"),
    ("proven gone", _seen(KNOWN, **GONE, absence=Absent("p")), "Release"),
    ("perhaps gone", _seen(KNOWN, **GONE, absence=Unknown("w")), "Wait VMUnknown"),
    ("somewhere else", _seen(KNOWN, **GONE, absence=Present(OTHER)), "Wait VMUnknown"),
    ("under another MoRef", _seen(KNOWN, vm=replace(ENTITY, moref=OTHER)), "Inspect"),
    ("under another MoRef, read", _seen(KNOWN, vm=replace(ENTITY, moref=OTHER), **_read()), "RecordVm"),
    ("gone, ISO left", _seen(WITH_ISO, **GONE, absence=Absent("p")), "DeleteIso"),
    ("unknown", _seen(KNOWN, details=Unknown("w")), "Wait VMUnknown"),
    ("no configuration", _seen(KNOWN, **_read(replace(DETAILS, config_ready=False))), "Wait Cloning"),
    ("not ours", _seen(KNOWN, **_read(ownership=NotOurs("copy"))), "Block NotOurs"),
    ("MoRef given to another machine's VM", _seen(KNOWN, **_read(ownership=ANOTHERS)), "ProveAbsence"),
    ("MoRef given away, proven gone", _seen(RECORDED, **_read(ownership=ANOTHERS), absence=Absent("p")), "Release"),
    ("host away", _seen(KNOWN, **_with(connection_state="disconnected")), "Wait HostDisconnected"),
    ("runs", _seen(KNOWN, **_with(power_state="poweredOn")), "PowerOff"),
    ("asks about a locked CD", _seen(RECORDED, vm=replace(RUNNING, question=LOCKED), **_read()), "AnswerQuestion"),
    ("asks something else", _seen(RECORDED, vm=replace(RUNNING, question=OTHER_QUESTION),
                                  **_with(power_state="poweredOn")), "PowerOff"),
    ("suspended", _seen(KNOWN, **_with(power_state="suspended")), "PowerOff"),
    ("off", _seen(KNOWN, **_read()), "Destroy"),
    ("off, ISO left", _seen(WITH_ISO, **_read()), "DeleteIso"),
    ("a foreign disk", _seen(KNOWN, **_with(FOREIGN)), "DetachDisks"),
    ("a volume in its directory", _seen(KNOWN, **_with(FCD_INSIDE)), "DetachDisks"),
    ("a disk added later", _seen(KNOWN, **_with(INSIDE)), "DetachDisks"),
    ("never recorded, own disk only", _seen(RECORDED, **_read()), "Destroy"),
    ("never recorded, disk inside", _seen(RECORDED, **_with(INSIDE)), "Destroy"),
    ("never recorded, disk elsewhere", _seen(RECORDED, **_with(FOREIGN)), "DetachDisks"),
    ("foreign disk, snapshot", _seen(KNOWN, **_with(FOREIGN, has_snapshot=True)), "Block SnapshotHoldsForeignDisks"),
    ("snapshot of its own", _seen(KNOWN, **_with(has_snapshot=True)), "Destroy"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "step"), [r[1:] for r in DELETE], ids=[r[0] for r in DELETE])
def test_the_next_step_towards_proven_absence(seen: Observed, step: str) -> None:
    assert _kind(plan_delete.plan(seen)) == step


def _operation(type_: str, *, task: str | None = None, age: float = 60.0, vcenter: str = "vc") -> Operation:
    started = NOW - timedelta(seconds=age)
    return Operation(type=type_, task_ref=task, vcenter=vcenter, started_at=started)


FRESH, STALE = NOW - timedelta(seconds=1), NOW - timedelta(seconds=58)
CLONE, ON = operations.CLONE, operations.POWER_ON
BEING_MADE = replace(ENTITY, instance_uuid=None)
FAULT = fault()
IN_FOLDER: dict[str, Any] = {"folder": VM_FOLDER}
RESOLVE: list[tuple[str, Operation, dict[str, Any], str]] = [
    ("task runs", _operation(ON, task=TASK), {"task": Running()}, "Wait PoweringOn"),
    ("task not told yet", _operation(ON, task=TASK), {}, "Wait PoweringOn"),
    ("task done", _operation(ON, task=TASK), {"task": Succeeded()}, "OperationDone"),
    ("task failed", _operation(ON, task=TASK), {"task": Failed(FAULT)}, "OperationFailed"),
    ("task forgotten", _operation(ON, task=TASK), {"task": Forgotten()}, "OperationDone"),
    ("other vCenter", _operation(ON, task=TASK, vcenter="x"), {"task": Succeeded()}, "Block OtherVCenter"),
    ("just written", _operation(ON, age=1), {"inventory_at": NOW}, "Wait PoweringOn"),
    ("long ago", _operation(ON), {"inventory_at": FRESH}, "OperationDone"),
    ("long ago, silent watch", _operation(ON), {"inventory_at": STALE}, "OperationDone"),
    ("clone, silent watch", _operation(CLONE), {"inventory_at": STALE, **IN_FOLDER}, "LookIntoFolder"),
    ("clone, no watch", _operation(CLONE), {"inventory_at": None, **IN_FOLDER}, "LookIntoFolder"),
    ("clone, no folder", _operation(CLONE), {"inventory_at": STALE}, "Wait Cloning"),
    ("clone, just written", _operation(CLONE, age=1), {"inventory_at": STALE, **IN_FOLDER}, "Wait Cloning"),
    (
        "clone, nothing unseen",
        _operation(CLONE),
        {"folder_unseen": Present([]), **IN_FOLDER},
        "OperationDone",
    ),
    (
        "clone, something unseen",
        _operation(CLONE),
        {"folder_unseen": Present([VM]), **IN_FOLDER},
        "Wait Cloning",
    ),
    (
        "clone, folder unreadable",
        _operation(CLONE),
        {"folder_unseen": Unknown("w"), **IN_FOLDER},
        "Wait Cloning",
    ),
    ("clone, VM there", _operation(CLONE), {"vm": ENTITY, "inventory_at": FRESH}, "OperationDone"),
    ("clone runs", _operation(CLONE), {"clone_running": True, "inventory_at": FRESH}, "Wait Cloning"),
    (
        "clone of our name",
        _operation(CLONE),
        {"namesakes": [BEING_MADE], "inventory_at": FRESH},
        "Wait Cloning",
    ),
    ("a namesake", _operation(CLONE), {"namesakes": [ENTITY], "inventory_at": FRESH}, "OperationDone"),
    ("clone never arrived", _operation(CLONE), {"inventory_at": FRESH}, "OperationDone"),
]


@pytest.mark.parametrize(
    ("operation", "fields", "step"), [r[1:] for r in RESOLVE], ids=[r[0] for r in RESOLVE]
)
def test_what_becomes_of_an_operation(operation: Operation, fields: dict[str, Any], step: str) -> None:
    seen = _seen({"operation": operation.to_json()}, **fields)
    assert _kind(plan_create.plan(seen)) == step
    assert _kind(plan_delete.plan(seen)) == step


@pytest.mark.parametrize(("task", "succeeded"), [(Succeeded(VM), True), (Forgotten(), False)])
def test_only_vcenters_word_counts_as_success(task: Any, succeeded: bool) -> None:
    step = plan_create.plan(_seen({"operation": _operation(CLONE, task=TASK).to_json()}, task=task))
    assert isinstance(step, steps.OperationDone)
    assert (step.succeeded, step.result) == (succeeded, VM if succeeded else None)


@pytest.mark.parametrize(
    ("seen", "step"),
    [({"clone_running": True}, "Wait Cloning"), ({}, "OperationDone"), ({"vm": ENTITY}, "OperationDone")],
)
def test_a_clone_whose_task_is_not_known_may_be_the_one_that_runs(seen: dict[str, Any], step: str) -> None:
    status = {"operation": _operation(CLONE, task=TASK).to_json()}
    assert _kind(plan_create.plan(_seen(status, task=Forgotten(), **seen))) == step


def test_a_destroy_that_ended_well_is_proof() -> None:
    operation = _operation(operations.DESTROY, task=TASK)
    status = {**KNOWN, "operation": operation.to_json()}
    assert isinstance(plan_delete.plan(_seen(status, task=Succeeded())), steps.Release)
    assert _kind(plan_delete.plan(_seen(status, task=Forgotten()))) == "OperationDone"


def test_every_operation_has_words() -> None:
    for type_ in (CLONE, ON, "DeliverISO", "PowerOff", "DetachDisks", "DeleteISO", "Destroy"):
        assert operations.doing(Operation(type=type_)) != operations.doing(Operation(type="Other"))
    assert MachineStatus().operation is None
