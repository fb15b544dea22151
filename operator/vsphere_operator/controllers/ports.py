"""What controllers need from the world, as small Protocols, so that each can be tested without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Object = Mapping[str, Any]
"""A Kubernetes object as its API sends it: read it, do not write to it."""


class Objects(Protocol):
    """Kubernetes objects: reads come from memory, writes go out and are seen by the next read."""

    def get(self, kind: str, namespace: str, name: str) -> Object | None: ...

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Object]: ...

    def by_index(self, kind: str, index: str, value: str) -> Sequence[Object]: ...

    async def read(self, kind: str, namespace: str, name: str) -> Object | None: ...

    async def refresh(self, kind: str, namespace: str) -> None: ...

    async def create(self, obj: Object) -> Object: ...

    async def apply(self, obj: Object) -> Object: ...

    async def json_patch(self, kind: str, namespace: str, name: str, ops: Sequence[Object]) -> Object: ...

    async def merge_patch(self, kind: str, namespace: str, name: str, patch: Object) -> Object: ...

    async def apply_status(
        self, kind: str, namespace: str, name: str, status: Object, *, resource_version: str | None = None
    ) -> Object: ...

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str | None = None) -> None: ...

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None: ...

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None: ...


class Events(Protocol):
    """Kubernetes Events on transitions; never blocks."""

    def normal(self, obj: Object, reason: str, message: str) -> None: ...

    def warning(self, obj: Object, reason: str, message: str) -> None: ...


Enqueue = Callable[..., None]
"""``enqueue(key, after=0.0)``"""
