"""How vCenter's own log names our calls: this operator and the object that a call is for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vsphere_operator.vsphere.vmomi import get_request_context

PREFIX = "userclusters-"
SESSION = f"{PREFIX}session"
"""Calls that are for no object: logins, logouts, checks."""
_KEY = "operationID"


def named(op_id: str) -> str:
    """The opID as vCenter gets it."""
    return op_id if op_id.startswith(PREFIX) else f"{PREFIX}{op_id}"


@contextlib.contextmanager
def operation_id(op_id: str) -> Iterator[None]:
    """Name this thread's SOAP calls."""
    with header(_KEY, named(op_id)):
        yield


@contextlib.contextmanager
def header(key: str, value: str) -> Iterator[None]:
    """An element of the header of this thread's SOAP calls. pyVmomi keeps it by thread: the one before comes back."""
    context = get_request_context()
    before = context.get(key)
    context[key] = value
    try:
        yield
    finally:
        if before is None:
            context.pop(key, None)
        else:
            context[key] = before


def current() -> str:
    """The opID of this thread's SOAP calls."""
    return str(get_request_context().get(_KEY) or SESSION)
