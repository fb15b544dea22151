"""What the queue holds: the name of an object, never the object."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as its API sends it. Whatever comes from the store is shared: read it, do not write
to it."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The identity of an object in the API; `namespace` is "" for what is cluster scoped."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


working_on: ContextVar[Key | None] = ContextVar("working_on", default=None)
"""The key that the current task reconciles; logs and calls to the outside name it."""


def key_of(obj: Object) -> Key:
    """The key of an object that carries its own `kind`; KeyError if it has no kind or name."""
    metadata = obj["metadata"]
    return Key(obj["kind"], metadata.get("namespace") or "", metadata["name"])


def version_of(obj: Object) -> int:
    """The resourceVersion as the integer that Kubernetes 1.35 and newer promise it to be; 0 when there is
    none."""
    version: str = obj["metadata"].get("resourceVersion") or "0"
    return int(version)


def being_deleted(obj: Object | None) -> bool:
    """Whether somebody asked for this object's deletion and only finalizers hold it."""
    return obj is not None and "deletionTimestamp" in obj["metadata"]
