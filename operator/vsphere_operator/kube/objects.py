"""What controllers see of Kubernetes: reads from the store, writes through the API, and each write read at
once."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsphere_operator.runtime.keys import Key, Object
from vsphere_operator.runtime.queue import Clock
from vsphere_operator.runtime.store import Changed, Store

from .client import KubeApi
from .errors import NotFound

UNUSED_AFTER = 600.0
"""Seconds after which the content of a Secret or ConfigMap that nobody asked for is dropped from memory."""


@dataclass(slots=True)
class _Content:
    version: tuple[str, str]
    data: Mapping[str, bytes]
    used_at: float

    def __repr__(self) -> str:
        return f"_Content(version={self.version})"


class Objects:
    """The objects of one API server, as far as the store keeps them.

    What `get`, `list` and `by_index` return is shared: read it, do not write to it. Writes raise KubeErrors.
    """

    def __init__(self, store: Store, api: KubeApi, *, clock: Clock = time.monotonic) -> None:
        self._store = store
        self._api = api
        self._clock = clock
        self._contents: dict[Key, _Content] = {}
        self._fetches: dict[Key, asyncio.Task[Mapping[str, bytes] | None]] = {}
        self._swept_at = clock()
        store.subscribe(self._on_change)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as last seen, None if it was never seen or is gone."""
        return self._store.get(Key(kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Object]:
        """All objects of a kind, in one namespace or (None) in all."""
        return self._store.list(kind, namespace)

    def by_index(self, kind: str, index: str, value: str) -> Sequence[Object]:
        """The objects that an index finds; KeyError if there is no such index."""
        return self._store.by_index(kind, index, value)

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as it is in the API now; None is proof of its absence."""
        known = self._uid(kind, namespace, name)
        try:
            return self._observed(await self._api.get(kind, namespace, name))
        except NotFound:
            self._forget(Key(kind, namespace, name), known)
            return None

    async def refresh(self, kind: str, namespace: str) -> None:
        """Take over all objects of a kind in a namespace as they are in the API now.

        Every write that the API took before this call is in the store after it; what is gone is left to the watch.
        """
        for obj in (await self._api.list(kind, namespace))[0]:
            self._store.observe(obj)

    async def create(self, obj: Mapping[str, Any]) -> Object:
        """Create an object; AlreadyExists if there is one of its name."""
        return self._observed(await self._api.create(obj))

    async def apply(self, obj: Mapping[str, Any]) -> Object:
        """Server-side apply; with a `metadata.resourceVersion`, Conflict if it is not the latest."""
        metadata = obj["metadata"]
        place = obj["kind"], metadata.get("namespace") or "", metadata["name"]
        return await self._written(*place, self._api.apply(obj))

    async def json_patch(
        self, kind: str, namespace: str, name: str, ops: Sequence[Mapping[str, Any]]
    ) -> Object:
        """Apply JSON patch operations; Conflict when one of its `test` operations fails."""
        return await self._written(kind, namespace, name, self._api.json_patch(kind, namespace, name, ops))

    async def merge_patch(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        """Merge into the object; with a `metadata.resourceVersion` in the patch, Conflict if it is stale."""
        return await self._written(kind, namespace, name, self._api.merge_patch(kind, namespace, name, patch))

    async def apply_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> Object:
        """Apply our own fields of the status; with a `resource_version`, Conflict if it is not the latest."""
        call = self._api.apply_status(kind, namespace, name, status, resource_version=resource_version)
        return await self._written(kind, namespace, name, call)

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> None:
        """Ask for an object's deletion; that it is gone already is fine. Conflict if it has another UID."""
        known = self._uid(kind, namespace, name)
        try:
            answer = await self._api.delete(kind, namespace, name, uid=uid, propagation=propagation)
        except NotFound:
            self._forget(Key(kind, namespace, name), known)
            return
        if answer.get("kind") == kind:
            self._store.observe(answer)
        else:
            self._forget(Key(kind, namespace, name), known)

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The decoded content of a Secret; None is proof that there is none (or no such namespace)."""
        return await self._content(Key("Secret", namespace, name))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The text content of a ConfigMap; None is proof that there is none."""
        content = await self._content(Key("ConfigMap", namespace, name))
        return None if content is None else {key: value.decode() for key, value in content.items()}

    def drop_unused(self) -> None:
        """Forget contents that nobody asked for in the last ten minutes."""
        now = self._clock()
        self._swept_at = now
        for key, content in list(self._contents.items()):
            if now - content.used_at > UNUSED_AFTER:
                del self._contents[key]

    async def _content(self, key: Key) -> Mapping[str, bytes] | None:
        if self._clock() - self._swept_at > UNUSED_AFTER:
            self.drop_unused()
        known, content = self._store.get(key), self._contents.get(key)
        if content is not None and known is not None and content.version == _version(known):
            content.used_at = self._clock()
            return content.data
        fetch = self._fetches.get(key)
        if fetch is None:
            # One request for however many machines boot from the same Secret.
            fetch = self._fetches[key] = asyncio.create_task(self._fetch(key), name=f"read {key}")
            fetch.add_done_callback(lambda done: self._fetched(key, done))
        return await asyncio.shield(fetch)

    async def _fetch(self, key: Key) -> Mapping[str, bytes] | None:
        known = self._uid(key.kind, key.namespace, key.name)
        try:
            obj = await self._api.get(key.kind, key.namespace, key.name)
        except NotFound:
            self._contents.pop(key, None)
            self._forget(key, known)
            return None
        self._store.observe(obj)
        data = _decoded(obj)
        self._contents[key] = _Content(_version(obj), data, self._clock())
        return data

    def _fetched(self, key: Key, fetch: asyncio.Task[Mapping[str, bytes] | None]) -> None:
        self._fetches.pop(key, None)
        if not fetch.cancelled():
            fetch.exception()  # whoever waited has it; asyncio would log it if all of them were cancelled

    async def _written(self, kind: str, namespace: str, name: str, call: Any) -> Object:
        known = self._uid(kind, namespace, name)
        try:
            obj: dict[str, Any] = await call
        except NotFound:
            self._forget(Key(kind, namespace, name), known)
            raise
        return self._observed(obj)

    def _observed(self, obj: dict[str, Any]) -> Object:
        # A patch that takes the last finalizer off a deleted object answers with the object as it was: gone
        # now.
        metadata = obj["metadata"]
        key = Key(obj["kind"], metadata.get("namespace") or "", metadata["name"])
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._forget(key, metadata.get("uid"))
            return obj
        self._store.observe(obj)
        return obj

    def _forget(self, key: Key, uid: str | None) -> None:
        """Take over that the object of this UID is gone; one that came in its place meanwhile is left
        alone."""
        if uid is not None and self._uid(key.kind, key.namespace, key.name) == uid:
            self._store.forget(key)

    def _uid(self, kind: str, namespace: str, name: str) -> str | None:
        obj = self._store.get(Key(kind, namespace, name))
        return None if obj is None else obj["metadata"].get("uid")

    def _on_change(self, change: Changed) -> None:
        content = self._contents.get(change.key)
        if content is not None and (change.new is None or _version(change.new) != content.version):
            del self._contents[change.key]


def _version(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("uid", ""), metadata.get("resourceVersion", "")


def _decoded(obj: Object) -> Mapping[str, bytes]:
    data = obj.get("data") or {}
    if obj["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}
