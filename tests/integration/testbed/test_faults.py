"""Faults per call: instead of it, after it, in its task; connections that are cut, calls that hang."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
import pyVmomi
import requests
from com.vmware.vapi.std.errors_client import ServiceUnavailable, Unauthorized
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from testbed import TestBed, VCenter
from tests.integration.testbed.clients import Seat, automation, eventually, result

pytestmark = pytest.mark.testbed

_CONNECTION_ERRORS = (ConnectionError, http.client.HTTPException)


@pytest.fixture
def vcenter(test_bed: TestBed) -> Iterator[VCenter]:
    yield test_bed.info.vcenter
    test_bed.info.vcenter.control("/faults", method="DELETE")
    test_bed.info.vcenter.control("/latency", {"ms": 0})


@pytest.fixture
def own(vcenter: VCenter) -> Iterator[Seat]:
    """A session of the test's own, whose connections may break."""
    seat = Seat(vcenter)
    yield seat
    vcenter.control("/faults", method="DELETE")
    Disconnect(seat.instance)


def _names(folder: vim.Folder) -> list[str]:
    return [child.name for child in folder.childEntity]


def _task(vm: vim.VirtualMachine) -> vim.Task:
    return vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="changed"))


def test_a_connection_that_is_cut_before_the_call_leaves_no_trace(
    vcenter: VCenter, own: Seat, folder: vim.Folder
) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "cut": True})
    mine = own.find(vim.Folder, folder.name)
    with pytest.raises(_CONNECTION_ERRORS):
        mine.CreateFolder("cut")
    assert _names(folder) == []
    (call,) = vcenter.calls(method="CreateFolder", object=f"Folder:{folder._moId}")
    assert (call["status"], call["injected"]) == (-1, "before cut")


def test_a_connection_that_is_cut_after_the_call_leaves_it_done(
    vcenter: VCenter, own: Seat, folder: vim.Folder
) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "cut": True, "when": "after"})
    with pytest.raises(_CONNECTION_ERRORS):
        own.find(vim.Folder, folder.name).CreateFolder("cut")
    assert _names(folder) == ["cut"]


def test_the_reverse_proxy_can_give_up_while_the_work_is_done(
    vcenter: VCenter, own: Seat, folder: vim.Folder
) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "fault": "504", "when": "after"})
    with pytest.raises(http.client.HTTPException, match="504"):
        own.find(vim.Folder, folder.name).CreateFolder("late")
    assert _names(folder) == ["late"]


def test_the_automation_api_can_be_cut_and_answer_late_errors(vcenter: VCenter) -> None:
    client = automation(vcenter)
    spec = client.tagging.Category.CreateSpec(
        name="cut", description="", cardinality="MULTIPLE", associable_types=set()
    )
    create = "com.vmware.cis.tagging.category.create"
    vcenter.control("/faults", {"method": create, "cut": True, "when": "after"})
    with pytest.raises(requests.ConnectionError):
        client.tagging.Category.create(spec)
    (made,) = [c for c in vcenter.control("/state")["categories"] if c["name"] == "cut"]
    vcenter.control(
        "/faults",
        {"method": "com.vmware.cis.tagging.category.delete", "fault": "service_unavailable", "when": "after"},
    )
    with pytest.raises(ServiceUnavailable):
        client.tagging.Category.delete(made["id"])
    assert made not in vcenter.control("/state")["categories"]
    vcenter.control("/faults", {"method": "com.vmware.cis.session.get", "fault": "unauthorized"})
    with pytest.raises(Unauthorized):
        client.session_svc.get()
    client.session_svc.delete()


def test_a_call_hangs_until_it_is_released(vcenter: VCenter, own: Seat, folder: vim.Folder) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "hang": True})
    mine = own.find(vim.Folder, folder.name)
    worker = threading.Thread(target=mine.CreateFolder, args=("patient",))
    worker.start()
    eventually(lambda: vcenter.control("/faults")["hanging"])
    assert _names(folder) == []
    vcenter.control("/release", {})
    worker.join(10)
    assert _names(folder) == ["patient"]
    assert vcenter.control("/faults")["hanging"] == []


def test_a_call_that_hangs_after_its_work_has_done_it(
    vcenter: VCenter, own: Seat, folder: vim.Folder
) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "hang": True, "when": "after"})
    mine = own.find(vim.Folder, folder.name)
    worker = threading.Thread(target=mine.CreateFolder, args=("patient",))
    worker.start()
    eventually(lambda: vcenter.control("/faults")["hanging"])
    assert _names(folder) == ["patient"]
    vcenter.control("/release", {})
    worker.join(10)
    assert not worker.is_alive()


def test_a_call_is_slow_for_one_object_only(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    other = folder.CreateFolder("other")
    rule = {"method": "CreateFolder", "object": other._moId, "delayMs": 300}
    vcenter.control("/faults", rule)
    folder.CreateFolder("fast")
    assert vcenter.control("/faults")["rules"][0]["count"] == 1
    started = time.monotonic()
    other.CreateFolder("slow")
    assert time.monotonic() - started >= 0.3


def test_a_rule_lets_calls_pass_first_and_others_alone(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    rule = {"method": "Create*", "fault": "NoPermission", "skip": 1, "count": 1, "protocol": "soap"}
    vcenter.control("/faults", rule | {"user": "nobody@vsphere.local"})
    vcenter.control("/faults", rule | {"user": vcenter.username, "object": f"Folder:{folder._moId}"})
    folder.CreateFolder("first")
    with pytest.raises(vim.fault.NoPermission):
        folder.CreateFolder("second")
    folder.CreateFolder("third")
    assert _names(folder) == ["first", "third"]


def test_a_fault_carries_what_clients_read(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    def caught(rule: dict[str, Any]) -> Any:
        vcenter.control("/faults", {"method": "CreateFolder"} | rule)
        with pytest.raises(vmodl.MethodFault) as raised:
            folder.CreateFolder("later")
        return raised.value

    lacking = caught({"fault": "NoPermission", "data": {"privilegeId": "Folder.Create"}})
    assert (lacking.privilegeId, lacking.object) == ("Folder.Create", folder)
    assert isinstance(caught({"fault": "NotAuthenticated"}), vim.fault.NotAuthenticated)
    assert caught({"fault": "ManagedObjectNotFound"}).obj == folder
    other = {"fault": "ManagedObjectNotFound", "data": {"obj": {"type": "VirtualMachine", "value": "vm-9"}}}
    assert caught(other).obj._moId == "vm-9"
    used = caught({"fault": "ResourceInUse", "data": {"name": "disk"}, "message": "no"})
    assert (used.name, used.msg) == ("disk", "no")
    system = {
        "fault": "SystemError",
        "data": {"reason": "vpxd"},
        "cause": {"fault": "HostConnectFault", "message": "host-7"},
    }
    fault = caught(system)
    assert fault.reason == "vpxd"
    assert isinstance(fault.faultCause, vim.fault.HostConnectFault)
    assert fault.faultCause.msg == "host-7"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "data", "member"),
    [
        ("NoDiskSpace", {"file": "[LocalDS_0] a/a.vmdk", "datastore": "LocalDS_0"}, "datastore"),
        ("InvalidState", {}, ""),
        ("ResourceInUse", {"name": "a"}, "name"),
        ("TaskInProgress", {"task": {"type": "Task", "value": "task-1"}}, ""),
        ("InsufficientResourcesFault", {}, ""),
        (
            "DatastoreNotWritableOnHost",
            {"name": "ds", "host": {"type": "HostSystem", "value": "host-9"}},
            "name",
        ),
        ("GenericVmConfigFault", {"reason": "bad"}, "reason"),
    ],
)
def test_a_task_ends_in_a_fault_with_nothing_done(
    vcenter: VCenter, seat: Seat, fault: str, data: dict[str, Any], member: str
) -> None:
    vm = seat.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    before = vm.config.changeVersion
    rule = {"method": "ReconfigVM_Task", "object": vm._moId, "when": "task", "fault": fault, "data": data}
    vcenter.control("/faults", rule | {"message": "It failed."})
    task = _task(vm)
    with pytest.raises(getattr(vim.fault, fault)) as raised:
        result(task)
    assert raised.value.msg == "It failed."
    if member:
        assert getattr(raised.value, member) == data[member]
    assert (task.info.entity, task.info.descriptionId) == (vm, "VirtualMachine.reconfigure")
    assert isinstance(task.info.reason, vim.TaskReasonUser)
    assert task.info.reason.userName == vcenter.username
    assert vm.config.changeVersion == before


def test_a_task_that_fails_takes_its_time_and_tells_its_cause(vcenter: VCenter, seat: Seat) -> None:
    vm = seat.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    cause = {"fault": "NoDiskSpace", "data": {"file": "a", "datastore": "LocalDS_0"}}
    rule = {"method": "ReconfigVM_Task", "when": "task", "fault": "SystemError", "data": {"reason": "x"}}
    vcenter.control("/faults", rule | {"cause": cause, "delayMs": 500})
    task = _task(vm)
    assert task.info.state == "running"
    with pytest.raises(vmodl.fault.SystemError) as raised:
        result(task)
    assert raised.value.faultCause.datastore == "LocalDS_0"


def test_a_task_fault_waits_for_somebody_who_is_logged_in(vcenter: VCenter, seat: Seat) -> None:
    vm = seat.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    gone = Seat(vcenter)
    stale = gone.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    gone.content.sessionManager.Logout()
    vcenter.control("/faults", {"method": "ReconfigVM_Task", "when": "task", "fault": "InvalidState"})
    with pytest.raises(vim.fault.NotAuthenticated):
        _task(stale)
    result(_task(vm))


def test_a_datastore_can_be_full_in_the_middle_of_an_upload(vcenter: VCenter, seat: Seat) -> None:
    path = "ubuntu-22.04/full.iso"
    rule = {"method": "PUT /folder", "object": f"/folder/{path}", "fault": "500", "afterBytes": 1000}
    vcenter.control("/faults", rule)
    assert seat.put("LocalDS_0", path, b"x" * 300_000).status_code == 500
    assert seat.get("LocalDS_0", path).status_code == 404
    vcenter.control("/faults", rule | {"partial": True})
    assert seat.put("LocalDS_0", path, b"x" * 300_000).status_code == 500
    assert len(seat.get("LocalDS_0", path).content) == 1000
    vcenter.control("/faults", {"method": "DELETE /folder", "cut": True, "when": "after"})
    with pytest.raises(requests.ConnectionError):
        seat.delete("LocalDS_0", path)
    vcenter.control("/faults", {"method": "HEAD", "fault": "503"})
    assert seat.get("LocalDS_0", path).status_code == 404


def test_a_rule_for_ever_ends_when_it_is_cleared(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "fault": "503", "count": -1})
    for _ in range(3):
        with pytest.raises(http.client.HTTPException):
            folder.CreateFolder("never")
    vcenter.control("/faults", method="DELETE")
    folder.CreateFolder("now")


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "503"},
        {"method": "CreateFolder"},
        {"method": "CreateFolder", "fault": "NoPermission", "data": {"privilege": "Folder.Create"}},
        {"method": "CreateFolder", "fault": "NoPermission", "cut": True},
        {"method": "CreateFolder", "fault": "DatastoreNotWritableOnHost", "data": {"name": "ds"}},
        {"method": "CreateFolder", "fault": "NoPermission", "when": "task"},
        {"method": "CreateFolder", "fault": "NoPermission", "when": "later"},
        {"method": "CreateFolder", "fault": "503", "kount": 2},
        {"method": "PUT /folder", "fault": "NoDiskSpace"},
        {"method": "com.vmware.cis.tagging.tag.list", "fault": "NoPermission"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(vcenter: VCenter, rule: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        vcenter.control("/faults", rule)
    assert vcenter.control("/faults")["rules"] == []


def test_a_rule_may_be_for_one_operation_and_is_forgotten_by_its_opid(vcenter: VCenter, own: Seat) -> None:
    rules = [
        {"method": "CurrentTime", "opID": f"*shop-{n}", "fault": "NoPermission", "count": -1} for n in (1, 2)
    ]
    for rule in rules:
        vcenter.control("/faults", rule)
    now = own.instance.CurrentTime
    context = pyVmomi.VmomiSupport.GetRequestContext()
    for n in (1, 2):
        context["operationID"] = f"x-shop-{n}"
        with pytest.raises(vim.fault.NoPermission):
            now()
    vcenter.control("/faults?opID=*shop-1", method="DELETE")
    context["operationID"] = "x-shop-1"
    assert now()
    context["operationID"] = "x-shop-2"
    with pytest.raises(vim.fault.NoPermission):
        now()
    context.pop("operationID")
    assert now()


def test_the_log_tells_what_a_call_came_to_although_its_answer_was_lost(
    vcenter: VCenter, own: Seat, folder: vim.Folder
) -> None:
    mine = own.find(vim.Folder, folder.name)
    mine.CreateFolder("twice")
    vcenter.control("/faults", {"method": "CreateFolder", "cut": True, "when": "after"})
    with pytest.raises(_CONNECTION_ERRORS):
        mine.CreateFolder("twice")
    last = vcenter.calls(method="CreateFolder")[-1]
    assert (last["status"], last["fault"], last["injected"]) == (-1, "DuplicateName", "after cut")
