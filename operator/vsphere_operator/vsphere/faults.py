"""One table: what vCenter or the way there says -> class, delay, condition reason, words to act on.

Types decide, never the localized text: that differs between languages and releases. Wrappers are opened
first.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import requests
import urllib3


class Executed(Enum):
    """Whether what a failed call asked for may have happened all the same."""

    NO = "no"
    """Never sent, or refused before anything was done."""
    UNKNOWN = "unknown"
    """Only a look at the object tells."""


class FaultClass(Enum):
    TRANSIENT = "transient"
    """Passes by itself; try again soon."""
    TERMINAL = "terminal"
    """The same request will fail again: something in the specification has to change."""
    PERMISSION = "permission"
    """The user lacks a privilege."""
    CAPACITY = "capacity"
    """Something is full; room has to be made or another place chosen."""
    CONFLICT = "conflict"
    """Somebody else was there first: look again."""
    GONE = "gone"
    """The object of the call does not exist."""
    CREDENTIALS = "credentials"
    """User name or password were refused."""
    UNREACHABLE = "unreachable"
    """vCenter did not answer; what a call did says `Fault.executed`."""
    UNTRUSTED = "untrusted"
    """vCenter's certificate is not trusted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call or a task failed.

    `reason` is CamelCase for a condition, `message` says what to do, `retry_after` is in seconds, `kind` is
    the fault's type name, `object` the MoRef it names (the existing object of a `DuplicateName`).
    `executed` matters for calls that change something; a failed task has ended in any case.
    """

    fault_class: FaultClass
    reason: str
    message: str
    retry_after: float
    kind: str
    object: str | None = None
    executed: Executed = Executed.NO


class ConnectFailedError(ConnectionError):
    """No connection came about, so nothing was sent; the cause says why."""


class VSphereError(Exception):
    """The only exception that leaves this package, apart from programming errors."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Row:
    fault_class: FaultClass
    reason: str
    words: str
    retry_after: float
    quotes: bool = False
    """Whether vCenter's own text is added: only where our words cannot be specific."""


_SOON, _LATER, _RARELY = 5.0, 30.0, 300.0
REJECTED_LOGIN_PAUSE = 900.0
"""Seconds between two tries of a refused password: directories lock users who fail too often."""

_C = FaultClass

TABLE: dict[str, Row] = {
    # Access
    "InvalidLogin": Row(
        _C.CREDENTIALS,
        "InvalidLogin",
        "vCenter refused the user name or password. Correct the Secret; if they are right, the directory"
        " behind"
        " vCenter may be down",
        REJECTED_LOGIN_PAUSE,
    ),
    "PasswordExpired": Row(
        _C.CREDENTIALS,
        "PasswordExpired",
        "The vCenter user's password has expired. Set a new one",
        REJECTED_LOGIN_PAUSE,
    ),
    "NoPermission": Row(_C.PERMISSION, "NoPermission", "The vCenter user lacks a privilege", _RARELY),
    "NotAuthenticated": Row(
        _C.TRANSIENT, "NotAuthenticated", "The vCenter session ended; logging in again", _SOON
    ),
    "SecurityError": Row(
        _C.PERMISSION, "NoPermission", "vCenter denied the operation for security reasons", _RARELY
    ),
    # Gone, there already, changed meanwhile
    "ManagedObjectNotFound": Row(_C.GONE, "NotFound", "The object no longer exists in vCenter", _SOON),
    "NotFound": Row(_C.GONE, "NotFound", "What was asked for does not exist in vCenter", _SOON),
    "FileNotFound": Row(_C.GONE, "FileNotFound", "A file on the datastore does not exist", _LATER),
    "DuplicateName": Row(_C.CONFLICT, "NameTaken", "Something of this name is in the folder already", _LATER),
    "AlreadyExists": Row(_C.CONFLICT, "AlreadyExists", "It exists already", _LATER),
    "FileAlreadyExists": Row(
        _C.CONFLICT, "FileExists", "A file of this name is on the datastore already", _LATER
    ),
    "ConcurrentAccess": Row(
        _C.CONFLICT, "ChangedMeanwhile", "Somebody else changed the object meanwhile", _SOON
    ),
    # Busy
    "TaskInProgress": Row(_C.TRANSIENT, "Busy", "Another task works on the object", _SOON),
    "VAppTaskInProgress": Row(_C.TRANSIENT, "Busy", "Another task works on the vApp", _SOON),
    "ResourceInUse": Row(_C.TRANSIENT, "InUse", "The object is in use", _LATER),
    "FileLocked": Row(
        _C.TRANSIENT, "FileLocked", "A file of the virtual machine is locked by another host", _LATER
    ),
    "MethodDisabled": Row(
        _C.TRANSIENT,
        "MethodDisabled",
        "Another product (often a backup) has blocked this operation; waiting",
        _LATER,
    ),
    "RequestCanceled": Row(_C.TRANSIENT, "Canceled", "The operation was canceled in vCenter", _LATER),
    "Timedout": Row(
        _C.TRANSIENT, "TimedOut", "vCenter gave the operation up after its own time limit", _LATER
    ),
    "QuestionPending": Row(
        _C.TRANSIENT,
        "QuestionPending",
        "The virtual machine waits for the answer to a question in vCenter",
        _LATER,
    ),
    "InvalidState": Row(
        _C.TRANSIENT, "InvalidState", "The object is in a state that does not allow this", _LATER
    ),
    "InvalidPowerState": Row(
        _C.CONFLICT, "InvalidPowerState", "The virtual machine is in another power state than was seen", _SOON
    ),
    "ToolsUnavailable": Row(_C.TRANSIENT, "ToolsUnavailable", "VMware Tools do not run in the guest", _LATER),
    # Full
    "NoDiskSpace": Row(
        _C.CAPACITY, "NoDiskSpace", "The datastore is full. Free space on it or name another one", _RARELY
    ),
    "InsufficientResourcesFault": Row(
        _C.CAPACITY,
        "InsufficientResources",
        "The resource pool or its hosts have not enough CPU, memory or storage left",
        _RARELY,
    ),
    "InsufficientStorageSpace": Row(
        _C.CAPACITY,
        "NoDiskSpace",
        "No datastore of the datastore cluster has enough free space. Free some, or add a datastore",
        _RARELY,
    ),
    "NoCompatibleDatastore": Row(
        _C.CAPACITY,
        "NoCompatibleDatastore",
        "No datastore of the datastore cluster can take the virtual machine. Check that one is accessible, out of"
        " maintenance and mounted by the compute cluster's hosts",
        _RARELY,
    ),
    "CannotPlaceWithoutPrerequisiteMoves": Row(
        _C.CAPACITY,
        "OtherDisksInTheWay",
        "Storage DRS would have to move other virtual machines' disks first, which is not asked of it",
        _RARELY,
    ),
    "NoCompatibleHost": Row(
        _C.CAPACITY,
        "NoCompatibleHost",
        "No host can run this virtual machine. Check that the hosts are connected and reach the datastore"
        " and networks",
        _RARELY,
    ),
    "NoActiveHostInCluster": Row(
        _C.CAPACITY,
        "NoActiveHost",
        "The compute cluster has no connected host outside maintenance mode",
        _RARELY,
    ),
    "NotEnoughCpus": Row(_C.TERMINAL, "NotEnoughCpus", "No host has that many CPUs. Ask for fewer", _RARELY),
    "MemorySizeNotSupported": Row(
        _C.TERMINAL, "MemorySizeNotSupported", "The memory size is not supported", _RARELY
    ),
    "NotEnoughLicenses": Row(
        _C.CAPACITY, "NotEnoughLicenses", "vCenter has not enough licenses for this", _RARELY
    ),
    "LicenseExpired": Row(_C.CAPACITY, "LicenseExpired", "A vSphere license has expired", _RARELY),
    # Hosts and storage
    "HostCommunication": Row(
        _C.TRANSIENT, "HostUnreachable", "vCenter cannot talk to the host at the moment", _LATER
    ),
    "HostConnectFault": Row(
        _C.TRANSIENT, "HostUnreachable", "vCenter cannot talk to the host at the moment", _LATER
    ),
    "InvalidDatastoreState": Row(
        _C.TRANSIENT, "DatastoreUnavailable", "The datastore is in or on its way into maintenance", _LATER
    ),
    "InvalidHostState": Row(
        _C.TRANSIENT, "HostUnavailable", "The host is disconnected or in maintenance mode", _LATER
    ),
    "InaccessibleDatastore": Row(
        _C.TRANSIENT, "DatastoreInaccessible", "The datastore is not accessible", _LATER
    ),
    "DatastoreNotWritableOnHost": Row(
        _C.TRANSIENT, "DatastoreNotWritable", "The host cannot write to the datastore", _LATER
    ),
    "InvalidDatastore": Row(
        _C.TERMINAL, "InvalidDatastore", "The datastore cannot be used for this", _RARELY
    ),
    "InvalidDatastorePath": Row(
        _C.TERMINAL, "InvalidDatastorePath", "A datastore path is malformed", _RARELY
    ),
    "CannotAccessFile": Row(
        _C.TRANSIENT, "FileInaccessible", "A file on the datastore cannot be accessed", _LATER
    ),
    "CannotAccessNetwork": Row(
        _C.TERMINAL,
        "NetworkInaccessible",
        "The host cannot reach the network. Check the network's hosts",
        _RARELY,
    ),
    "FileFault": Row(_C.TRANSIENT, "FileFault", "A file operation on the datastore failed", _LATER, True),
    "SnapshotFault": Row(_C.TERMINAL, "SnapshotFault", "A snapshot stands in the way", _RARELY, True),
    # The request itself
    "InvalidName": Row(_C.TERMINAL, "InvalidName", "vCenter does not accept this name", _RARELY),
    "InvalidFolder": Row(_C.TERMINAL, "InvalidFolder", "The folder cannot hold this kind of object", _RARELY),
    "InvalidArgument": Row(
        _C.TERMINAL, "InvalidArgument", "vCenter does not accept a value of the request", _RARELY, True
    ),
    "InvalidRequest": Row(
        _C.TERMINAL, "InvalidRequest", "vCenter does not understand the request", _RARELY, True
    ),
    "VmConfigFault": Row(
        _C.TERMINAL,
        "InvalidVmConfig",
        "vCenter or a host does not accept the hardware asked for",
        _RARELY,
        True,
    ),
    "RuleViolation": Row(_C.TERMINAL, "RuleViolation", "A DRS rule forbids this", _RARELY),
    "DisallowedOperationOnFailoverHost": Row(
        _C.TERMINAL, "FailoverHost", "The host is kept for failover", _RARELY
    ),
    "NotSupported": Row(
        _C.TERMINAL, "NotSupported", "This vCenter does not support the operation", _RARELY, True
    ),
    "NotImplemented": Row(
        _C.TERMINAL, "NotSupported", "This vCenter does not support the operation", _RARELY, True
    ),
    "RestrictedVersion": Row(
        _C.TERMINAL, "NotLicensed", "The host's license does not allow the operation", _RARELY
    ),
    # Collections that only this package sees
    "InvalidCollectorVersion": Row(_C.TRANSIENT, "Resync", "The watch has to begin anew", _SOON),
    # Last resorts: a base type, so that every vim fault finds a row
    "SystemError": Row(_C.TRANSIENT, "SystemError", "vCenter reports an internal error", _LATER, True),
    "UnexpectedFault": Row(_C.TRANSIENT, "SystemError", "vCenter reports an unexpected fault", _LATER, True),
    "VimFault": Row(_C.TRANSIENT, "VCenterFault", "vCenter refused the operation", _LATER, True),
    "RuntimeFault": Row(
        _C.TRANSIENT, "VCenterFault", "vCenter failed to carry out the operation", _LATER, True
    ),
    "MethodFault": Row(
        _C.TRANSIENT, "VCenterFault", "vCenter failed to carry out the operation", _LATER, True
    ),
}

AUTOMATION_TABLE: dict[str, Row] = {
    "Unauthenticated": TABLE["NotAuthenticated"],
    "Unauthorized": TABLE["NoPermission"],
    "NotFound": TABLE["NotFound"],
    "AlreadyExists": TABLE["AlreadyExists"],
    "AlreadyInDesiredState": Row(_C.CONFLICT, "AlreadyExists", "It is as asked for already", _SOON),
    "ConcurrentChange": TABLE["ConcurrentAccess"],
    "ResourceInUse": TABLE["ResourceInUse"],
    "ResourceBusy": TABLE["TaskInProgress"],
    "ResourceInaccessible": Row(
        _C.TRANSIENT, "Inaccessible", "vCenter cannot access the object at the moment", _LATER
    ),
    "UnableToAllocateResource": TABLE["InsufficientResourcesFault"],
    "NotAllowedInCurrentState": TABLE["InvalidState"],
    "InvalidArgument": TABLE["InvalidArgument"],
    "InvalidRequest": TABLE["InvalidRequest"],
    "InvalidElementType": TABLE["InvalidArgument"],
    "InvalidElementConfiguration": TABLE["InvalidArgument"],
    "OperationNotFound": TABLE["NotSupported"],
    "UnexpectedInput": TABLE["InvalidRequest"],
    "Unsupported": TABLE["NotSupported"],
    "TimedOut": TABLE["Timedout"],
    "Canceled": TABLE["RequestCanceled"],
    "ServiceUnavailable": Row(
        _C.UNREACHABLE,
        "ServiceUnavailable",
        "vCenter's Automation API is not available at the moment",
        _LATER,
    ),
    "InternalServerError": TABLE["SystemError"],
    "FeatureInUse": TABLE["ResourceInUse"],
    "Error": TABLE["SystemError"],
}

# These say only that something inside failed; their cause, where there is one, says what.
_WRAPPERS = frozenset(
    {
        "SystemError", "UnexpectedFault", "VimFault", "RuntimeFault", "MethodFault", "VmConfigFault",
        "GenericVmConfigFault", "InvalidVmConfig", "GenericDrsFault", "HostConfigFault",
    }
)  # fmt: skip

_MAX_QUOTE = 200


def from_vim(error: Any) -> Fault:
    """The fault of a SOAP call or a task (a pyVmomi `MethodFault`)."""
    fault = _innermost(error)
    kind = _wsdl_name(type(fault)) or type(fault).__name__
    row = next((TABLE[name] for name in _lineage(fault) if name in TABLE), TABLE["MethodFault"])
    message = row.words + _vim_details(fault, kind)
    text = getattr(fault, "msg", None) or getattr(error, "msg", None)
    if row.quotes and text:
        message += f" (vCenter says: {_quote(text)})"
    return Fault(row.fault_class, row.reason, message + ".", row.retry_after, kind, _object_of(fault))


def from_automation(error: Any) -> Fault:
    """The fault of an Automation API call (an SDK `VapiError`)."""
    names = [base.__name__ for base in type(error).__mro__]
    kind = next((name for name in names if name in AUTOMATION_TABLE), "Error")
    row = AUTOMATION_TABLE[kind]
    message = row.words
    texts = [
        m.default_message
        for m in getattr(error, "messages", None) or []
        if getattr(m, "default_message", None)
    ]
    if row.quotes and texts:
        message += f" (vCenter says: {_quote(texts[0])})"
    return Fault(row.fault_class, row.reason, message + ".", row.retry_after, f"vapi.{kind}")


def from_transport(error: BaseException, *, where: str, mutating: bool = False) -> Fault:
    """The fault of a connection to `where`, `host:port`.

    What a change did is unknown unless the connection had not even come about.
    """
    causes = [c for c in _causes(error) if not isinstance(c, ConnectFailedError)]
    untrusted = next((f for f in (_untrusted(cause, where) for cause in causes) if f is not None), None)
    if untrusted is not None:
        return untrusted
    reason, words = _silence(causes, where)
    sent = not any(isinstance(c, _BEFORE_SENDING) for c in _causes(error))
    if mutating and sent:
        words += _DOUBT
    kind = type(causes[0] if causes else error).__name__
    return Fault(
        _C.UNREACHABLE, reason, words, _LATER, kind, executed=Executed.UNKNOWN if sent else Executed.NO
    )


_DOUBT = " Whether the last change was carried out is not known; it is looked at before anything is repeated."
_BEFORE_SENDING = (
    ConnectFailedError,
    ConnectionRefusedError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
    requests.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
)


def _untrusted(cause: BaseException, where: str) -> Fault | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = (
            f"The certificate of {where} is not trusted ({cause.verify_message}). Give its CA in caBundleRef, or"
            " use the name that the certificate is made for."
        )
        return Fault(_C.UNTRUSTED, "CertificateUntrusted", words, _RARELY, "SSLCertVerificationError")
    if isinstance(cause, ssl.SSLError) and "NO_CERTIFICATE_OR_CRL_FOUND" in str(cause):
        words = "The CA bundle holds no certificate. It has to be PEM text with BEGIN CERTIFICATE lines."
        return Fault(_C.UNTRUSTED, "CABundleInvalid", words, _RARELY, "SSLError")
    return None


def _silence(causes: Sequence[BaseException], where: str) -> tuple[str, str]:
    """Reason and words for a connection that failed."""
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            words = f"The name of {where} does not resolve. Check the endpoint and the DNS of this cluster."
            return "NameNotResolved", words
        if isinstance(cause, ConnectionRefusedError):
            words = (
                f"Nothing listens at {where}. Check the datacenter's endpoint, or wait until vCenter is up."
            )
            return "ConnectionRefused", words
        if isinstance(cause, TimeoutError):
            return "TimedOut", f"{where} did not answer in time."
    first = causes[0] if causes else None
    if isinstance(first, http.client.HTTPException) and not isinstance(first, ConnectionError) and first.args:
        return "HTTPError", f"{where} answered with {_quote(str(first.args[0]))}."
    return "ConnectionFailed", f"The connection to {where} failed ({type(first).__name__})."


def refused_login() -> Fault:
    """User name or password were refused by an API that has no fault of its own for it."""
    row = TABLE["InvalidLogin"]
    return Fault(row.fault_class, row.reason, row.words + ".", row.retry_after, "vapi.InvalidLogin")


def from_automation_status(status: int, *, where: str, mutating: bool) -> Fault:
    """The fault of an Automation API call that was answered by HTTP alone, often by the proxy before it."""
    if status == 401:
        row = TABLE["NotAuthenticated"]
        return Fault(row.fault_class, row.reason, row.words + ".", row.retry_after, "vapi.Unauthenticated")
    if status == 403:
        words = f"{where} denied the Automation API to this user (HTTP 403)."
        return Fault(_C.PERMISSION, "NoPermission", words, _RARELY, "HTTP403")
    refused = status in (400, 404, 405, 413, 429)
    words = f"The Automation API of {where} answered with HTTP status {status}."
    if mutating and not refused:
        words += _DOUBT
    executed = Executed.NO if refused else Executed.UNKNOWN
    return Fault(_C.UNREACHABLE, "HTTPError", words, _LATER, f"HTTP{status}", executed=executed)


def from_http_status(status: int, *, what: str) -> Fault:
    """The fault of a datastore file request."""
    if status in (401, 403):
        words = f"vCenter denied {what} (HTTP {status}). The user needs Datastore.FileManagement on the datastore."
        return Fault(_C.PERMISSION, "NoPermission", words, _RARELY, f"HTTP{status}")
    if status == 404:
        return Fault(
            _C.GONE, "FileNotFound", f"vCenter does not know the target of {what}.", _LATER, "HTTP404"
        )
    if status == 507:
        return Fault(_C.CAPACITY, "NoDiskSpace", TABLE["NoDiskSpace"].words + ".", _RARELY, "HTTP507")
    return Fault(
        _C.TRANSIENT, "FileTransferFailed", f"vCenter failed {what} (HTTP {status}).", _LATER, f"HTTP{status}"
    )


def invalid(reason: str, message: str, *, kind: str = "InvalidRequest") -> VSphereError:
    """A request that is refused here, before any call: it could only fail or harm."""
    return VSphereError(Fault(_C.TERMINAL, reason, message, _RARELY, kind))


def _innermost(error: Any) -> Any:
    fault = error
    for _ in range(5):
        # A LocalizedMethodFault is only an envelope around the fault.
        inner = getattr(fault, "fault", None)
        cause = inner if inner is not None else getattr(fault, "faultCause", None)
        if cause is None or (inner is None and _wsdl_name(type(fault)) not in _WRAPPERS):
            return fault
        fault = cause
    return fault


def _lineage(fault: Any) -> Iterator[str]:
    for base in type(fault).__mro__:
        name = _wsdl_name(base)
        if name:
            yield name


def _wsdl_name(kind: type) -> str:
    return str(getattr(kind, "_wsdlName", ""))


def _object_of(fault: Any) -> str | None:
    for attribute in ("object", "obj"):
        target = getattr(fault, attribute, None)
        if target is not None and getattr(target, "_moId", None):
            return f"{target._wsdlName}:{target._moId}"
    return None


def _vim_details(fault: Any, kind: str) -> str:
    if kind == "NoPermission":
        target = _object_of(fault)
        on = f" on {target}" if target else ""
        return f": {fault.privilegeId}{on}" if getattr(fault, "privilegeId", None) else on
    if kind in ("DuplicateName", "InvalidName") and getattr(fault, "name", None):
        return f": {_quote(fault.name)}"
    if kind == "InvalidArgument" and getattr(fault, "invalidProperty", None):
        return f": {fault.invalidProperty}"
    if kind == "NoDiskSpace" and getattr(fault, "datastore", None):
        return f": {_quote(str(fault.datastore))}"
    return ""


def _quote(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _MAX_QUOTE else line[: _MAX_QUOTE - 1] + "…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: requests puts the socket's error into args, reason or context."""
    seen: set[int] = set()
    queue: list[Any] = [error]
    while queue:
        current = queue.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
