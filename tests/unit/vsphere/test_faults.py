"""The table of faults: one row a line, and what wraps them."""

from __future__ import annotations

import http.client
import re
import socket
import ssl

import pytest
import requests

from vsphere_operator.vsphere import faults
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.vmomi import vim, vmodl

C = FaultClass


@pytest.mark.parametrize("row", [*faults.TABLE.values(), *faults.AUTOMATION_TABLE.values()])
def test_every_row_has_a_camel_case_reason_and_words(row: faults.Row) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", row.reason)
    assert len(row.words) > 10
    assert not row.words.endswith(".")


@pytest.mark.parametrize("name", sorted(faults.TABLE))
def test_every_name_in_the_table_is_a_fault_that_exists(name: str) -> None:
    places = (vim.fault, vmodl.fault, vmodl, vmodl.query)
    assert any(getattr(getattr(place, name, None), "_wsdlName", None) == name for place in places)


def test_a_wrapper_is_opened() -> None:
    found = faults.from_vim(vmodl.fault.SystemError(faultCause=vim.fault.NoDiskSpace(datastore="LocalDS_0")))
    assert (found.kind, found.fault_class) == ("NoDiskSpace", C.CAPACITY)
    assert "LocalDS_0" in found.message


def test_a_specific_fault_is_not_replaced_by_its_cause() -> None:
    found = faults.from_vim(vim.fault.TaskInProgress(faultCause=vmodl.fault.SystemError()))
    assert found.kind == "TaskInProgress"


def test_an_envelope_is_opened() -> None:
    found = faults.from_vim(
        vmodl.LocalizedMethodFault(fault=vim.fault.InvalidPowerState(), localizedMessage="x")
    )
    assert found.kind == "InvalidPowerState"


def test_a_taken_name_names_what_has_it() -> None:
    found = faults.from_vim(vim.fault.DuplicateName(name="shop", object=vim.Folder("group-v7")))
    assert found.object == "Folder:group-v7"
    assert "shop" in found.message


def test_a_missing_privilege_is_named() -> None:
    fault = vim.fault.NoPermission(
        privilegeId="VirtualMachine.Inventory.Create", object=vim.Folder("group-v7")
    )
    assert "VirtualMachine.Inventory.Create on Folder:group-v7" in faults.from_vim(fault).message


def test_localized_text_is_quoted_only_where_our_words_are_general() -> None:
    assert "Kein Zugriff" not in faults.from_vim(vim.fault.NoPermission(msg="Kein Zugriff")).message
    quoted = faults.from_vim(vmodl.fault.SystemError(msg="Etwas ging\n schief." + "x" * 1000)).message
    assert "Etwas ging schief" in quoted
    assert len(quoted) < 400


@pytest.mark.parametrize(
    ("error", "fault_class", "reason"),
    [
        (ConnectionRefusedError(111, "refused"), C.UNREACHABLE, "ConnectionRefused"),
        (socket.gaierror(-2, "Name or service not known"), C.UNREACHABLE, "NameNotResolved"),
        (TimeoutError("timed out"), C.UNREACHABLE, "TimedOut"),
        (http.client.HTTPException("503 Service Unavailable"), C.UNREACHABLE, "HTTPError"),
        (http.client.RemoteDisconnected("gone"), C.UNREACHABLE, "ConnectionFailed"),
        (ConnectionResetError(104, "reset"), C.UNREACHABLE, "ConnectionFailed"),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), C.UNTRUSTED, "CertificateUntrusted"),
        (requests.ConnectionError(ssl.SSLCertVerificationError(1, "x")), C.UNTRUSTED, "CertificateUntrusted"),
        (requests.ConnectTimeout(TimeoutError()), C.UNREACHABLE, "TimedOut"),
    ],
)
def test_a_transport_error_has_a_class_and_a_reason(
    error: Exception, fault_class: FaultClass, reason: str
) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    for argument in error.args:
        if isinstance(argument, ssl.SSLCertVerificationError):
            argument.verify_message = "self-signed certificate"
    found = faults.from_transport(error, where="vc.example.com:443")
    assert (found.fault_class, found.reason) == (fault_class, reason)
    assert "vc.example.com:443" in found.message


def test_after_a_change_that_got_no_answer_the_message_says_so() -> None:
    fault = faults.from_transport(ConnectionResetError(), where="vc:443", mutating=True)
    assert "not known" in fault.message


@pytest.mark.parametrize(("status", "fault_class"), [(401, C.PERMISSION), (403, C.PERMISSION), (404, C.GONE),
                                                     (507, C.CAPACITY), (500, C.TRANSIENT)])  # fmt: skip
def test_file_transfers_have_faults(status: int, fault_class: FaultClass) -> None:
    assert faults.from_http_status(status, what="the upload of x").fault_class is fault_class


@pytest.mark.parametrize(
    "error",
    [
        faults.ConnectFailedError(),
        ConnectionRefusedError(111, "refused"),
        socket.gaierror(-2, "unknown"),
        requests.ConnectTimeout(TimeoutError()),
    ],
)
def test_without_a_connection_nothing_can_have_happened(error: Exception) -> None:
    fault = faults.from_transport(error, where="vc:443", mutating=True)
    assert fault.executed is faults.Executed.NO
    assert "not known" not in fault.message


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("read"),
        ConnectionResetError(),
        http.client.RemoteDisconnected("x"),
        http.client.HTTPException("503 x"),
        http.client.HTTPException("504 x"),
        requests.ReadTimeout(TimeoutError()),
    ],
)
def test_after_sending_anything_can_have_happened(error: Exception) -> None:
    assert faults.from_transport(error, where="vc:443", mutating=True).executed is faults.Executed.UNKNOWN


def test_a_connection_that_fails_keeps_its_reason() -> None:
    error = faults.ConnectFailedError()
    error.__cause__ = TimeoutError()
    fault = faults.from_transport(error, where="vc:443")
    assert (fault.reason, fault.kind) == ("TimedOut", "TimeoutError")
