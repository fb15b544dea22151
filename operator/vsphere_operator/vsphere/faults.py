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
from typing import Any

import requests
import urllib3

from vsphere_operator.vsphere.fault_table import (
    AUTOMATION_TABLE,
    HTTP_TABLE,
    LATER,
    RARELY,
    REJECTED_LOGIN_PAUSE,
    TABLE,
    Executed,
    FaultClass,
    Row,
    of_status,
)

__all__ = [
    "AUTOMATION_TABLE",
    "HTTP_TABLE",
    "REJECTED_LOGIN_PAUSE",
    "TABLE",
    "ConnectFailedError",
    "Executed",
    "Fault",
    "FaultClass",
    "Row",
    "VSphereError",
]

_C = FaultClass


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
    return Fault(
        row.fault_class, row.reason, message + ".", row.retry_after, kind, _object_of(fault), row.executed
    )


def from_automation(error: Any, asked: object = None) -> Fault:
    """The fault of an Automation API call (an SDK `VapiError`); `asked` says what for, and what that needs."""
    names = [base.__name__ for base in type(error).__mro__]
    kind = next((name for name in names if name in AUTOMATION_TABLE), "Error")
    row = AUTOMATION_TABLE[kind]
    refused = row.fault_class is _C.PERMISSION
    message = f"{row.words}: {asked}" if refused and asked is not None else row.words
    texts = [
        m.default_message
        for m in getattr(error, "messages", None) or []
        if getattr(m, "default_message", None)
    ]
    if (row.quotes or refused) and texts:
        message += f" (vCenter says: {_quote(texts[0])})"
    return Fault(
        row.fault_class, row.reason, message + ".", row.retry_after, f"vapi.{kind}", executed=row.executed
    )


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
        _C.UNREACHABLE, reason, words, LATER, kind, executed=Executed.UNKNOWN if sent else Executed.NO
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
        return Fault(_C.UNTRUSTED, "CertificateUntrusted", words, RARELY, "SSLCertVerificationError")
    if isinstance(cause, ssl.SSLError) and "NO_CERTIFICATE_OR_CRL_FOUND" in str(cause):
        words = "The CA bundle holds no certificate. It has to be PEM text with BEGIN CERTIFICATE lines."
        return Fault(_C.UNTRUSTED, "CABundleInvalid", words, RARELY, "SSLError")
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
    row = of_status(status)
    if status == 401:
        return Fault(row.fault_class, row.reason, row.words + ".", row.retry_after, "vapi.Unauthenticated")
    words = f"The Automation API of {where} answered with HTTP status {status}: {row.words}."
    if mutating and row.executed is Executed.UNKNOWN:
        words += _DOUBT
    return Fault(row.fault_class, row.reason, words, row.retry_after, f"HTTP{status}", executed=row.executed)


def from_http_status(status: int, *, what: str) -> Fault:
    """The fault of a datastore file request."""
    if status in (401, 403):
        words = f"vCenter denied {what} (HTTP {status}). The user needs Datastore.FileManagement on the datastore."
        return Fault(_C.PERMISSION, "NoPermission", words, RARELY, f"HTTP{status}")
    if status == 404:
        words = f"vCenter does not know the target of {what}."
        return Fault(_C.GONE, "FileNotFound", words, LATER, "HTTP404")
    row = of_status(status)
    # The file service's errors are mostly those of one host or datastore, not of vCenter.
    passing = row.fault_class is _C.UNREACHABLE or row.reason == "SystemError"
    fault_class, reason = (_C.TRANSIENT, "FileTransferFailed") if passing else (row.fault_class, row.reason)
    words = f"vCenter failed {what} (HTTP {status}): {row.words}."
    return Fault(fault_class, reason, words, row.retry_after, f"HTTP{status}", executed=row.executed)


def invalid(reason: str, message: str, *, kind: str = "InvalidRequest") -> VSphereError:
    """A request that is refused here, before any call: it could only fail or harm."""
    return VSphereError(Fault(_C.TERMINAL, reason, message, RARELY, kind))


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
