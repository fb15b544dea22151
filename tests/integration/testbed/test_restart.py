"""A vCenter that restarts: what it forgets, what it keeps, and what clients meet meanwhile."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import contextlib
import http.client
import threading
import urllib.error
import uuid
from collections.abc import Iterator

import pytest
import requests
from com.vmware.vapi.std.errors_client import Unauthenticated
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from testbed import Options, TestBed, VCenter
from tests.integration.testbed.clients import Seat, automation, eventually, http_session, result

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def restored_bed() -> Iterator[TestBed]:
    with TestBed(Options(vms=1)) as bed:
        yield bed


def _disconnect(seat: Seat) -> None:
    """Say good-bye to a vCenter that may have forgotten who we are."""
    with contextlib.suppress(vim.fault.NotAuthenticated, http.client.HTTPException, OSError):
        Disconnect(seat.instance)


def _is_up(vcenter: VCenter) -> bool:
    try:
        answer = http_session(vcenter).get(f"{vcenter.url}/sdk/vimServiceVersions.xml", timeout=5)
    except requests.ConnectionError:
        return False
    return answer.status_code == 200


def test_a_restart_forgets_sessions_and_tasks_and_keeps_the_inventory(test_bed: TestBed) -> None:
    vcenter = test_bed.info.vcenter
    before, client = Seat(vcenter), automation(vcenter)
    machine = before.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    task = machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="before the restart"))
    result(task)
    uuid = before.content.about.instanceUuid
    waiting = threading.Thread(target=_wait_for_updates, args=(Seat(vcenter),))
    waiting.start()
    eventually(lambda: vcenter.calls(method="WaitForUpdatesEx", user=vcenter.username))
    assert len(vcenter.control("/sessions")) >= 2
    vcenter.control("/restart", {"downMs": 0})
    waiting.join(10)
    assert not waiting.is_alive()
    assert vcenter.control("/sessions") == []
    with contextlib.suppress(OSError, http.client.HTTPException):
        machine.ReconfigVM_Task(vim.vm.ConfigSpec())  # on a connection that is dead
    with pytest.raises(vim.fault.NotAuthenticated):
        machine.ReconfigVM_Task(vim.vm.ConfigSpec())
    with pytest.raises(Unauthenticated):
        client.tagging.Tag.list()
    after = Seat(vcenter)
    assert after.content.about.instanceUuid == uuid
    assert after.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")._moId == machine._moId
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vim.Task(task._moId, after.instance._stub).info
    for seat in (before, after):
        _disconnect(seat)


def _wait_for_updates(seat: Seat) -> None:
    with contextlib.suppress(vim.fault.NotAuthenticated, http.client.HTTPException, OSError):
        seat.content.propertyCollector.WaitForUpdatesEx(
            None, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=60)
        )
        seat.content.propertyCollector.WaitForUpdatesEx(
            "1", vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=60)
        )
    with contextlib.suppress(vim.fault.NotAuthenticated, http.client.HTTPException, OSError):
        Disconnect(seat.instance)


def test_connections_are_refused_while_it_is_down(test_bed: TestBed) -> None:
    vcenter = test_bed.info.vcenter
    vcenter.control("/restart", {"downMs": 1500})
    with pytest.raises(requests.ConnectionError):
        http_session(vcenter).get(f"{vcenter.url}/sdk", timeout=5)
    eventually(lambda: _is_up(vcenter))
    seat = Seat(vcenter)
    _disconnect(seat)


def test_the_proxy_answers_503_while_the_services_start(test_bed: TestBed) -> None:
    vcenter = test_bed.info.vcenter
    seat = Seat(vcenter)
    vcenter.control("/restart", {"downMs": 1500, "while": "503"})
    assert http_session(vcenter).get(f"{vcenter.url}/api/session", timeout=5).status_code == 503
    with contextlib.suppress(OSError):
        seat.instance.RetrieveContent()  # on a connection that is dead
    with pytest.raises(http.client.HTTPException, match="503"):
        seat.instance.RetrieveContent()
    eventually(lambda: _is_up(vcenter))
    _disconnect(seat)
    _disconnect(Seat(vcenter))


def test_a_restored_vcenter_has_forgotten_the_latest_vms_and_gives_their_numbers_again(
    restored_bed: TestBed,
) -> None:
    vcenter = restored_bed.info.vcenter
    seat = Seat(vcenter)
    folder = seat.find(vim.Folder, "kubernetes")
    old = result(seat.clone(folder, "old"))
    vcenter.control("/backup", {})
    new = result(seat.clone(folder, "new"))
    result(new.PowerOnVM_Task())
    uuids = old.config.instanceUuid, new.config.instanceUuid
    vcenter.control("/restart", {"downMs": 0, "restored": True})
    after = Seat(vcenter)
    assert after.find(vim.VirtualMachine, "old")._moId == old._moId
    index = after.content.searchIndex
    assert index.FindByUuid(None, uuids[0], True, True) is not None
    assert index.FindByUuid(None, uuids[1], True, True) is None
    assert "new/new.vmx" in vcenter.control("/state")["files"]["LocalDS_0"]
    moid = new._moId
    folder = after.find(vim.Folder, "kubernetes")
    made = eventually(lambda: _next_vm(after, folder, moid))
    assert made.config.instanceUuid not in uuids
    for one in (seat, after):
        _disconnect(one)


def _next_vm(seat: Seat, folder: vim.Folder, moid: str) -> vim.VirtualMachine | None:
    """Make VMs until one has the number: others count, too."""
    vm: vim.VirtualMachine = result(seat.clone(folder, f"again-{uuid.uuid4()}"))
    return vm if vm._moId == moid else None


def test_a_restore_wants_a_backup() -> None:
    with TestBed(Options(vms=0)) as bed, pytest.raises(urllib.error.HTTPError, match="400"):
        bed.info.vcenter.control("/restart", {"restored": True})
