"""The table of faults: one row a line, and what wraps them."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from typing import Any

import pytest
import requests

from vsphere_operator.vsphere import faults
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.vmomi import vim, vmodl

C = FaultClass


@pytest.mark.parametrize(
    ("fault", "fault_class", "reason"),
    [
        (vim.fault.InvalidLogin(), C.CREDENTIALS, "InvalidLogin"),
        (vim.fault.PasswordExpired(), C.CREDENTIALS, "PasswordExpired"),
        (vim.fault.NoPermission(), C.PERMISSION, "NoPermission"),
        (vim.fault.NotAuthenticated(), C.TRANSIENT, "NotAuthenticated"),
        (vmodl.fault.SecurityError(), C.PERMISSION, "NoPermission"),
        (vmodl.fault.ManagedObjectNotFound(), C.GONE, "NotFound"),
        (vim.fault.NotFound(), C.GONE, "NotFound"),
        (vim.fault.FileNotFound(), C.GONE, "FileNotFound"),
        (vim.fault.DuplicateName(), C.CONFLICT, "NameTaken"),
        (vim.fault.AlreadyExists(), C.CONFLICT, "AlreadyExists"),
        (vim.fault.FileAlreadyExists(), C.CONFLICT, "FileExists"),
        (vim.fault.ConcurrentAccess(), C.CONFLICT, "ChangedMeanwhile"),
        (vim.fault.TaskInProgress(), C.TRANSIENT, "Busy"),
        (vim.fault.VAppTaskInProgress(), C.TRANSIENT, "Busy"),
        (vim.fault.ResourceInUse(), C.TRANSIENT, "InUse"),
        (vim.fault.FileLocked(), C.TRANSIENT, "FileLocked"),
        (vim.fault.MethodDisabled(), C.TRANSIENT, "MethodDisabled"),
        (vmodl.fault.RequestCanceled(), C.TRANSIENT, "Canceled"),
        (vim.fault.Timedout(), C.TRANSIENT, "TimedOut"),
        (vim.fault.QuestionPending(), C.TRANSIENT, "QuestionPending"),
        (vim.fault.InvalidState(), C.TRANSIENT, "InvalidState"),
        (vim.fault.InvalidPowerState(), C.CONFLICT, "InvalidPowerState"),
        (vim.fault.NoDiskSpace(), C.CAPACITY, "NoDiskSpace"),
        (vim.fault.InsufficientResourcesFault(), C.CAPACITY, "InsufficientResources"),
        (vim.fault.InsufficientMemoryResourcesFault(), C.CAPACITY, "InsufficientResources"),
        (vim.fault.InsufficientStorageSpace(), C.CAPACITY, "NoDiskSpace"),
        (vim.fault.NoCompatibleDatastore(), C.CAPACITY, "NoCompatibleDatastore"),
        (vim.fault.CannotPlaceWithoutPrerequisiteMoves(), C.CAPACITY, "OtherDisksInTheWay"),
        (vim.fault.InvalidDatastoreState(), C.TRANSIENT, "DatastoreUnavailable"),
        (vim.fault.NoCompatibleHost(), C.CAPACITY, "NoCompatibleHost"),
        (vim.fault.NoActiveHostInCluster(), C.CAPACITY, "NoActiveHost"),
        (vmodl.fault.HostNotConnected(), C.TRANSIENT, "HostUnreachable"),
        (vim.fault.InaccessibleDatastore(), C.TRANSIENT, "DatastoreInaccessible"),
        (vim.fault.InvalidDatastore(), C.TERMINAL, "InvalidDatastore"),
        (vim.fault.CannotAccessNetwork(), C.TERMINAL, "NetworkInaccessible"),
        (vim.fault.InvalidName(), C.TERMINAL, "InvalidName"),
        (vim.fault.InvalidFolder(), C.TERMINAL, "InvalidFolder"),
        (vmodl.fault.InvalidArgument(), C.TERMINAL, "InvalidArgument"),
        (vim.fault.InvalidDeviceSpec(), C.TERMINAL, "InvalidVmConfig"),
        (vmodl.fault.NotSupported(), C.TERMINAL, "NotSupported"),
        (vmodl.fault.SystemError(), C.TRANSIENT, "SystemError"),
        (vmodl.query.InvalidCollectorVersion(), C.TRANSIENT, "Resync"),
        (vmodl.RuntimeFault(), C.TRANSIENT, "VCenterFault"),
        (vmodl.MethodFault(), C.TRANSIENT, "VCenterFault"),
        (vim.fault.VimFault(), C.TRANSIENT, "VCenterFault"),
    ],
)
def test_a_vim_fault_has_a_class_and_a_reason(fault: Any, fault_class: FaultClass, reason: str) -> None:
    found = faults.from_vim(fault)
    assert (found.fault_class, found.reason) == (fault_class, reason)
    assert found.retry_after > 0
    assert found.message.endswith(".")


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
    ("name", "fault_class", "reason"),
    [
        ("Unauthenticated", C.TRANSIENT, "NotAuthenticated"),
        ("Unauthorized", C.PERMISSION, "NoPermission"),
        ("NotFound", C.GONE, "NotFound"),
        ("AlreadyExists", C.CONFLICT, "AlreadyExists"),
        ("ConcurrentChange", C.CONFLICT, "ChangedMeanwhile"),
        ("ResourceBusy", C.TRANSIENT, "Busy"),
        ("ResourceInUse", C.TRANSIENT, "InUse"),
        ("UnableToAllocateResource", C.CAPACITY, "InsufficientResources"),
        ("InvalidArgument", C.TERMINAL, "InvalidArgument"),
        ("OperationNotFound", C.TERMINAL, "NotSupported"),
        ("TimedOut", C.TRANSIENT, "TimedOut"),
        ("ServiceUnavailable", C.UNREACHABLE, "ServiceUnavailable"),
        ("InternalServerError", C.TRANSIENT, "SystemError"),
        ("Error", C.TRANSIENT, "SystemError"),
    ],
)
def test_an_automation_fault_has_a_class_and_a_reason(
    name: str, fault_class: FaultClass, reason: str
) -> None:
    from com.vmware.vapi.std import errors_client

    found = faults.from_automation(getattr(errors_client, name)())
    assert (found.fault_class, found.reason, found.kind) == (fault_class, reason, f"vapi.{name}")


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
