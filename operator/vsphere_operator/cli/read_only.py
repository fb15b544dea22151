"""Objects for those who only look: whatever would write is a bug, and is refused before it leaves the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from vsphere_operator.kube.objects import Objects

Object = Mapping[str, Any]


class ReadOnlyError(Exception):
    """Something tried to write in a command that only looks."""


class ReadOnly:
    """Passes reads on."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._objects.get(kind, namespace, name)

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Object]:
        return self._objects.list(kind, namespace)

    def by_index(self, kind: str, index: str, value: str) -> Sequence[Object]:
        return self._objects.by_index(kind, index, value)

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        return await self._objects.read(kind, namespace, name)

    async def refresh(self, kind: str, namespace: str) -> None:
        await self._objects.refresh(kind, namespace)

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return await self._objects.secret(namespace, name)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return await self._objects.config_map(namespace, name)

    async def create(self, obj: Object) -> Object:
        self._refuse(f"create {obj['kind']}")

    async def apply(self, obj: Object) -> Object:
        self._refuse(f"apply {obj['kind']}")

    async def json_patch(self, kind: str, namespace: str, name: str, ops: Sequence[Object]) -> Object:
        self._refuse(f"patch {kind} {name}")

    async def merge_patch(self, kind: str, namespace: str, name: str, patch: Object) -> Object:
        self._refuse(f"patch {kind} {name}")

    async def apply_status(
        self, kind: str, namespace: str, name: str, status: Object, *, resource_version: str | None = None
    ) -> Object:
        self._refuse(f"write the status of {kind} {name}")

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str | None = None) -> None:
        self._refuse(f"delete {kind} {name}")

    @staticmethod
    def _refuse(what: str) -> NoReturn:
        raise ReadOnlyError(f"a plan changes nothing, and tried to {what}")
