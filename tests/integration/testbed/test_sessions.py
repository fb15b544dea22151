"""Sessions: who has them, and how they end by themselves."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from com.vmware.vapi.std.errors_client import Unauthenticated
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from testbed import Options, TestBed, VCenter
from tests.integration.testbed.clients import Seat, automation, eventually

pytestmark = pytest.mark.testbed


@pytest.fixture
def vcenter(test_bed: TestBed) -> Iterator[VCenter]:
    yield test_bed.info.vcenter
    test_bed.info.vcenter.control("/session-idle", {"soapMs": 0, "restMs": 0})


def _count(vcenter: VCenter, protocol: str) -> int:
    return sum(g["count"] for g in vcenter.control("/sessions") if g["protocol"] == protocol)


def test_open_sessions_are_counted_by_user_protocol_and_agent(vcenter: VCenter) -> None:
    before = {(g["protocol"], g["userAgent"]): g["count"] for g in vcenter.control("/sessions")}
    seats, client = [Seat(vcenter), Seat(vcenter)], automation(vcenter)
    groups = vcenter.control("/sessions")
    assert {g["user"] for g in groups} == {vcenter.username}
    soap = [g for g in groups if g["protocol"] == "soap" and "pyvmomi" in g["userAgent"].lower()]
    assert sum(g["count"] - before.get(("soap", g["userAgent"]), 0) for g in soap) == 2
    client.session_svc.delete()
    for seat in seats:
        Disconnect(seat.instance)
    after = {(g["protocol"], g["userAgent"]): g["count"] for g in vcenter.control("/sessions")}
    assert after == before


def test_an_idle_session_ends(vcenter: VCenter) -> None:
    seat, client = Seat(vcenter), automation(vcenter)
    vcenter.control("/session-idle", {"soapMs": 300, "restMs": 300})
    eventually(lambda: vcenter.control("/sessions") == [])
    with pytest.raises(vim.fault.NotAuthenticated):
        seat.content.rootFolder.CreateFolder("late")
    with pytest.raises(Unauthenticated):
        client.tagging.Tag.list()
    with contextlib.suppress(vim.fault.NotAuthenticated):
        Disconnect(seat.instance)


def test_a_session_with_a_call_under_way_is_not_idle(vcenter: VCenter) -> None:
    seat = Seat(vcenter)
    vcenter.control("/session-idle", {"soapMs": 500})
    query = vmodl.query.PropertyCollector
    seat.content.propertyCollector.CreateFilter(
        query.FilterSpec(
            objectSet=[query.ObjectSpec(obj=seat.content.rootFolder)],
            propSet=[query.PropertySpec(type=vim.Folder, pathSet=["name"])],
        ),
        partialUpdates=False,
    )
    version = seat.content.propertyCollector.WaitForUpdatesEx("", query.WaitOptions()).version
    answers: list[object] = []

    def wait() -> None:
        options = query.WaitOptions(maxWaitSeconds=2)
        answers.append(seat.content.propertyCollector.WaitForUpdatesEx(version, options))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiting.is_alive():
        assert _count(vcenter, "soap") >= 1
        waiting.join(0.2)
    assert answers == [None]
    Disconnect(seat.instance)


def test_an_administrator_terminates_a_session_and_its_waits(vcenter: VCenter) -> None:
    seat, other = Seat(vcenter), Seat(vcenter)
    waiting = threading.Thread(target=_wait_in_vain, args=(other,))
    waiting.start()
    eventually(lambda: [c for c in vcenter.calls(method="WaitForUpdatesEx") if c["status"] == 0])
    seat.content.sessionManager.TerminateSession([other.content.sessionManager.currentSession.key])
    waiting.join(10)
    assert not waiting.is_alive()
    Disconnect(seat.instance)


def _wait_in_vain(seat: Seat) -> None:
    with contextlib.suppress(vim.fault.NotAuthenticated):
        collector = seat.content.propertyCollector.CreatePropertyCollector()
        options = vmodl.query.PropertyCollector.WaitOptions()
        collector.WaitForUpdatesEx(collector.WaitForUpdatesEx("", options).version, options)


def test_a_second_vcenter_is_another_one_in_everything() -> None:
    with TestBed(Options(vms=1, vcenters=2, second_users=(("two@vsphere.local", "s3cret"),))) as bed:
        first, second = bed.info.vcenters
        assert first.url != second.url
        assert first.control_url != second.control_url
        assert first.ca_file.read_text() != second.ca_file.read_text()
        assert (first.users, second.users) == ({}, {"two@vsphere.local": "s3cret"})
        with pytest.raises(vim.fault.InvalidLogin):
            Seat(second, first.username, first.password)
        seats = Seat(first), Seat(second, "two@vsphere.local", "s3cret")
        assert len({seat.content.about.instanceUuid for seat in seats}) == 2
        seats[0].find(vim.Folder, "kubernetes").CreateFolder("only-here")
        paths = [vcenter.control("/state")["folders"] for vcenter in (first, second)]
        assert ["/DC0/vm/kubernetes/only-here" in found for found in paths] == [True, False]
        for seat in seats:
            Disconnect(seat.instance)
