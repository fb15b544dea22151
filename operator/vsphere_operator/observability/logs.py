"""Logs for people by default and for machines on request, never with a secret in them.

Each line names the object that is worked on. Two nets catch secrets that a library puts into a message:
values that were hidden by name (`hide`), and what looks like a credential.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Literal, TextIO

from vsphere_operator.runtime.keys import working_on

LogFormat = Literal["plain", "json"]

MASK = "[hidden]"
SHORTEST = 6
"""Characters from which on a value is hidden by itself; shorter ones would mask half of the words."""
REMEMBERED = 10_000

_NAMES = (
    r"password|passwd|pwd|secret|token|api[-_]?key|private[-_]?key|authorization|session[-_]?id|user-?data"
)
_VALUE = r"""("[^"]*"|'[^']*'|(?:Basic |Bearer )?[^\s,;})]+)"""
_PATTERNS = (
    # name: value, name=value, "name": "value"; not `secret team/name` or `secretRef: x`
    re.compile(rf"""(?i)(\b(?:[\w-]*[-_.])?(?:{_NAMES})\b["']?\s*[:=]\s*){_VALUE}"""),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)([\w.~+/=-]{8,})"),
    re.compile(r"(<(?:\w+:)?password[^>]*>)([^<]*)"),
    re.compile(r"(\w+://[^/\s:@]+:)([^@\s/]+)(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*?)(?=-----END|\Z)", re.DOTALL),
)

_hidden: OrderedDict[str, None] = OrderedDict()


def hide(value: str) -> None:
    """Never show this value in a log line from now on. Values of fewer than six characters are not hidden."""
    if len(value) < SHORTEST:
        return
    _hidden[value] = None
    _hidden.move_to_end(value)
    while len(_hidden) > REMEMBERED:
        _hidden.popitem(last=False)


def redacted(text: str) -> str:
    """The text without hidden values and without what looks like a credential."""
    for value in _hidden:
        if value in text:
            text = text.replace(value, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


class PlainFormatter(logging.Formatter):
    """`17:04:05 INFO  Machine team-shop/workers-1  created VM …`"""

    def format(self, record: logging.LogRecord) -> str:
        key = working_on.get()
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        who = f"{key}: " if key is not None else ""
        text = f"{moment} {record.levelname:<7} {who}{record.getMessage()}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return redacted(text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and kind, namespace, name of the object."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        key = working_on.get()
        if key is not None:
            line |= {"kind": key.kind, "namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def setup(level: str = "info", style: LogFormat = "plain", stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream` (default: stderr) in one style."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("vsphere_operator").setLevel(level.upper())
