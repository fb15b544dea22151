"""The control API: what a test sees behind the double, and how it disturbs it."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator

import pytest
from com.vmware.vapi.std.errors_client import ServiceUnavailable
from pyVmomi import vim
from pyVmomi.VmomiSupport import GetRequestContext

from testbed import TestBed, VCenter
from tests.integration.testbed.clients import Seat, automation, result

pytestmark = pytest.mark.testbed


@pytest.fixture
def vcenter(test_bed: TestBed) -> Iterator[VCenter]:
    yield test_bed.info.vcenter
    test_bed.info.vcenter.control("/faults", method="DELETE")
    test_bed.info.vcenter.control("/latency", {"ms": 0})


def _last(vcenter: VCenter) -> int:
    return max((call["sequence"] for call in vcenter.calls()), default=0)


def test_every_call_is_logged_with_who_what_and_why(vcenter: VCenter, folder: vim.Folder) -> None:
    since = _last(vcenter)
    GetRequestContext()["operationID"] = "op-7"
    try:
        folder.CreateFolder("logged")
    finally:
        del GetRequestContext()["operationID"]
    (call,) = vcenter.calls(since=since, method="CreateFolder")
    assert call["object"] == f"Folder:{folder._moId}"
    assert (call["user"], call["opID"], call["protocol"]) == (vcenter.username, "op-7", "soap")
    assert "pyvmomi" in call["userAgent"].lower()
    assert call["status"] == 200


def test_a_failed_call_is_logged_with_its_fault(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    since = _last(vcenter)
    with pytest.raises(vim.fault.DuplicateName):
        folder.parent.CreateFolder(folder.name)
    (call,) = vcenter.calls(since=since, method="CreateFolder")
    assert (call["status"], call["fault"]) == (500, "DuplicateName")


def test_calls_of_the_other_protocols_are_logged(vcenter: VCenter, seat: Seat) -> None:
    since = _last(vcenter)
    client = automation(vcenter)
    client.tagging.Tag.list()
    client.session_svc.delete()
    seat.put("LocalDS_0", "ubuntu-22.04/logged", b"x")
    seat.delete("LocalDS_0", "ubuntu-22.04/logged")
    rest = [call["method"] for call in vcenter.calls(since=since, protocol="rest")]
    assert rest == [
        "com.vmware.cis.session.create",
        "com.vmware.cis.tagging.tag.list",
        "com.vmware.cis.session.delete",
    ]
    files = [(c["method"], c["object"], c["user"]) for c in vcenter.calls(since=since, protocol="http")]
    path = "/folder/ubuntu-22.04/logged"
    assert files == [("PUT", path, vcenter.username), ("DELETE", path, vcenter.username)]


def test_no_password_is_in_the_log(vcenter: VCenter) -> None:
    client = automation(vcenter)
    client.session_svc.delete()
    assert vcenter.password not in str(vcenter.calls())


def test_state_is_the_same_when_all_is_undone(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    before = vcenter.control("/state")
    vm = result(seat.clone(folder, "undone"))
    during = vcenter.control("/state")
    (added,) = [one for one in during["virtualMachines"] if one not in before["virtualMachines"]]
    assert added["path"] == f"/DC0/vm/kubernetes/{folder.name}/undone"
    assert added["instanceUuid"] == vm.config.instanceUuid
    result(vm.Destroy_Task())
    assert vcenter.control("/state") == before


def test_latency_delays_all_methods_or_one(vcenter: VCenter, seat: Seat, folder: vim.Folder) -> None:
    def seconds() -> float:
        started = time.monotonic()
        _ = folder.name
        return time.monotonic() - started

    vcenter.control("/latency", {"ms": 300})
    assert seconds() >= 0.3
    vcenter.control("/latency", {"ms": 0, "methods": {"CreateFolder": 300}})
    assert seconds() < 0.3
    started = time.monotonic()
    folder.CreateFolder("delayed")
    assert time.monotonic() - started >= 0.3


def test_an_injected_fault_stops_the_call_a_number_of_times(
    vcenter: VCenter, seat: Seat, folder: vim.Folder
) -> None:
    vcenter.control("/faults", {"method": "CreateFolder", "fault": "NoPermission", "count": 2})
    for _ in range(2):
        with pytest.raises(vim.fault.NoPermission):
            folder.CreateFolder("later")
    assert folder.CreateFolder("later").name == "later"


def test_the_automation_api_can_fail_too(vcenter: VCenter) -> None:
    client = automation(vcenter)
    fault = {"method": "com.vmware.cis.tagging.tag.list", "fault": "service_unavailable"}
    vcenter.control("/faults", fault)
    with pytest.raises(ServiceUnavailable):
        client.tagging.Tag.list()
    client.tagging.Tag.list()
    client.session_svc.delete()


def test_a_fault_that_does_not_exist_is_refused(vcenter: VCenter) -> None:
    with pytest.raises(urllib.error.HTTPError):
        vcenter.control("/faults", {"method": "CreateFolder", "fault": "Nonsense"})
