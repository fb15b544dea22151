"""What goes wrong with a call: the double's rule for it, and what a condition then has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.faults.calls import Call

ONCE, THRICE, LASTING = "once", "thrice", "until it is lifted"

NO_ANSWER = r"did not answer|failed \(|connection|HTTP|not available|in time|answered"


@dataclass(frozen=True)
class Kind:
    """A fault; `words` is a pattern for the condition's message."""

    name: str
    rule: Mapping[str, Any] = field(hash=False)
    words: str
    protocols: frozenset[str] = frozenset({"soap", "rest", "http", "host"})
    lasts: tuple[str, ...] = (ONCE,)
    silent: bool = False
    """Whether the operator gets over it without a word."""
    unanswered: bool = False
    """Whether the operator cannot know what became of the call; a read is then simply made again."""
    has_a_way_round: bool = False
    """Whether another host may do what one could not."""
    heals_by_itself: bool = False
    """Whether the matrix waits for the operator's own next try, where for others a person hurries it on."""

    @property
    def in_task(self) -> bool:
        return self.rule.get("when") == "task"

    def impossible_at(self, call: Call) -> str | None:
        """Why this cannot happen at that call."""
        if call.protocol not in self.protocols:
            return f"{call.protocol} does not speak of it"
        if self.in_task and not call.is_task:
            return "the call starts no task"
        fault = self.rule.get("fault", "")
        if call.protocol == "soap" and not self.in_task and fault.isalpha() and not call.declares(fault):
            return f"{call.method} declares no {fault}"
        if self.name == HANG and call.name not in ("clone", "power off", "upload the ISO"):
            return "a time-out of a minute is tried at three calls only"
        return None


_SOAP, _REST, _HTTP = frozenset({"soap"}), frozenset({"rest"}), frozenset({"http", "host"})
DISK_FULL = "disk full in the middle"
HANG = "no answer at all"
_ON_FOLDER = {"privilegeId": "Folder.Create", "object": {"type": "Folder", "value": "group-v3"}}
_FULL = {"file": "[LocalDS_0] a.vmdk", "datastore": "LocalDS_0"}
_WITH_PRIVILEGE = r"lacks a privilege: tagging\.\w+\.\w+ .*needs"
_DISABLED = "blocked this operation|blocked"

KINDS = (
    Kind("cut before", {"cut": True}, NO_ANSWER, lasts=(ONCE, THRICE, LASTING), unanswered=True),
    Kind("cut after", {"cut": True, "when": "after"}, NO_ANSWER, lasts=(ONCE, THRICE), unanswered=True),
    Kind("503 before", {"fault": "503"}, f"503|{NO_ANSWER}", unanswered=True, lasts=(ONCE, THRICE)),
    Kind(
        "504 after",
        {"fault": "504", "when": "after"},
        f"504|{NO_ANSWER}",
        unanswered=True,
        heals_by_itself=True,
    ),
    Kind(HANG, {"hang": True}, NO_ANSWER, unanswered=True),
    Kind("3 s slow", {"delayMs": 3000}, "", silent=True),
    Kind("NotAuthenticated", {"fault": "NotAuthenticated"}, "", _SOAP, silent=True),
    Kind(
        "NoPermission",
        {"fault": "NoPermission", "data": _ON_FOLDER},
        "privilege.*Folder.Create.*group-v3",
        _SOAP,
        lasts=(ONCE, LASTING),
    ),
    Kind("InvalidState", {"fault": "InvalidState"}, "state", _SOAP),
    Kind("ResourceInUse", {"fault": "ResourceInUse"}, "in use", _SOAP),
    Kind("NoDiskSpace", {"fault": "NoDiskSpace", "data": _FULL}, "full.*LocalDS_0", _SOAP, lasts=(ONCE, LASTING)),
    Kind("TaskInProgress", {"fault": "TaskInProgress"}, "[Aa]nother task", _SOAP),
    Kind("ConcurrentAccess", {"fault": "ConcurrentAccess"}, "changed", _SOAP),
    Kind("MethodDisabled", {"fault": "MethodDisabled"}, _DISABLED, _SOAP),
    Kind("NoDiskSpace in the task", {"when": "task", "fault": "NoDiskSpace", "data": _FULL}, "full.*LocalDS_0", _SOAP),
    Kind("InvalidState in the task", {"when": "task", "fault": "InvalidState"}, "state", _SOAP),
    Kind("ResourceInUse in the task", {"when": "task", "fault": "ResourceInUse"}, "in use", _SOAP),
    Kind(
        "NoPermission in the task",
        {"when": "task", "fault": "NoPermission", "data": _ON_FOLDER},
        "Folder.Create",
        _SOAP,
    ),
    Kind(
        "HostNotConnected inside a SystemError, in the task",
        {"when": "task", "fault": "SystemError", "data": {"reason": "x"}, "cause": {"fault": "HostNotConnected"}},
        "host",
        _SOAP,
    ),
    Kind("RequestCanceled in the task", {"when": "task", "fault": "RequestCanceled", "delayMs": 500}, "cancel", _SOAP),
    Kind("unauthenticated", {"fault": "unauthenticated"}, "", _REST, silent=True),
    Kind("unauthorized", {"fault": "unauthorized"}, _WITH_PRIVILEGE, _REST, lasts=(ONCE, LASTING)),
    Kind("service_unavailable", {"fault": "service_unavailable"}, "not available", _REST, unanswered=True),
    Kind("internal_server_error", {"fault": "internal_server_error"}, "internal error", _REST),
    Kind("401", {"fault": "401"}, "Datastore.FileManagement", _HTTP),
    Kind("403", {"fault": "403"}, "Datastore.FileManagement", _HTTP, lasts=(ONCE, LASTING)),
    Kind(
        DISK_FULL,
        {"fault": "500", "afterBytes": 1000, "partial": True},
        "500",
        _HTTP,
        lasts=(ONCE, LASTING),
        has_a_way_round=True,
    ),
    Kind(
        "cut in the middle",
        {"cut": True, "afterBytes": 1000, "partial": True},
        NO_ANSWER,
        _HTTP,
        unanswered=True,
        lasts=(ONCE, THRICE),
    ),
)  # fmt: skip
