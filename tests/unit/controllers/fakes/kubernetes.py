"""An API server in memory and the store that a process keeps of it: versions, generations, finalizers, conflicts."""

from __future__ import annotations

import base64
import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from vsphere_operator.controllers.conditions import timestamp
from vsphere_operator.controllers.indexes import INDEXES
from vsphere_operator.kube.errors import AlreadyExists, Conflict, NotFound
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.runtime.store import Changed, Store

Json = dict[str, Any]
T = TypeVar("T")


class ApiServer:
    """What outlives the operator's process."""

    def __init__(self, clock: Clock) -> None:
        self.objects: dict[Key, Json] = {}
        self.secrets: dict[Key, dict[str, bytes]] = {}
        self.version = 100
        self.written: list[Json] = []
        """Every object as it was after each write, to be searched for what must not be in it."""
        self.watchers: list[Callable[[Key, Json | None], None]] = []
        self._clock = clock

    def put(self, obj: Json) -> Json:
        """Write an object as a person would; a changed spec is a new generation."""
        key = key_of(obj)
        old = self.objects.get(key)
        new = copy.deepcopy(obj)
        meta = new["metadata"]
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{key.name}-{self.version}")
        meta.setdefault("creationTimestamp", timestamp(self._clock.now()))
        generation = old["metadata"].get("generation", 1) if old else 1
        changed = old is not None and (
            old.get("spec") != new.get("spec")
            or ("deletionTimestamp" in meta) != ("deletionTimestamp" in old["metadata"])
        )
        meta["generation"] = generation + 1 if changed else generation
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self.objects.pop(key, None)
            self._tell(key, None)
            return new
        self.objects[key] = new
        self.written.append(new)  # never changed again: each write makes a new one
        self._tell(key, new)
        return new

    def secret(self, namespace: str, name: str, **data: str) -> None:
        """Write a Secret; only its metadata shows in the store."""
        key = Key("Secret", namespace, name)
        self.secrets[key] = {k: v.encode() for k, v in data.items()}
        meta = {"namespace": namespace, "name": name}
        self.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta})

    def apply(self, obj: Mapping[str, Any]) -> Json:
        """Server-side apply of a whole object, as far as one writer of it can tell; content shows in no object."""
        key = key_of(obj)
        old = self.objects.get(key)
        meta = dict(obj["metadata"])
        version, uid = meta.pop("resourceVersion", None), meta.pop("uid", None)
        if old is None or (version, uid) != (old["metadata"]["resourceVersion"], old["metadata"]["uid"]):
            raise Conflict(409, "Conflict", f"{key} was changed")
        content = {k: base64.b64decode(v) for k, v in (obj.get("data") or {}).items()}
        new = _merged(old, {"metadata": meta})
        if new == old and self.secrets.get(key) == content:
            return old
        self.secrets[key] = content
        return self.put(new)

    def config_map(self, namespace: str, name: str, **data: str) -> None:
        meta = {"namespace": namespace, "name": name}
        key = Key("ConfigMap", namespace, name)
        self.secrets[key] = {k: v.encode() for k, v in data.items()}
        self.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

    def get(self, kind: str, namespace: str, name: str) -> Json:
        return copy.deepcopy(self.objects[Key(kind, namespace, name)])

    def edit(self, kind: str, namespace: str, name: str, **patch: Any) -> Json:
        """A person's merge patch."""
        return self.put(_merged(self.get(kind, namespace, name), patch))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        key = Key(kind, namespace, name)
        obj = self.get(kind, namespace, name)
        if not obj["metadata"].get("finalizers"):
            del self.objects[key]
            self.secrets.pop(key, None)
            self._tell(key, None)
            return
        if "deletionTimestamp" not in obj["metadata"]:
            obj["metadata"]["deletionTimestamp"] = timestamp(self._clock.now())
            self.put(obj)

    def _tell(self, key: Key, obj: Json | None) -> None:
        for watcher in list(self.watchers):
            watcher(key, obj)


class FakeObjects:
    """The controllers' port: reads from a store that follows the API server, writes through it."""

    def __init__(self, api: ApiServer, outgoing: Outgoing) -> None:
        self._api = api
        self._outgoing = outgoing
        self.store = Store()
        for kind, index, function in INDEXES:
            self.store.add_index(kind, index, function)
        self.fail: dict[str, Exception] = {}
        self.held_back: list[tuple[Key, Json | None]] | None = None
        """What a watch that lags has not brought yet; None: it does not lag."""
        for obj in api.objects.values():
            self.store.observe(obj)
        api.watchers.append(self._follow)

    def subscribe(self, listener: Callable[[Changed], None]) -> None:
        self.store.subscribe(listener)

    def stop(self) -> None:
        self._api.watchers.remove(self._follow)

    def get(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.store.get(Key(kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Mapping[str, Any]]:
        return self.store.list(kind, namespace)

    def by_index(self, kind: str, index: str, value: str) -> Sequence[Mapping[str, Any]]:
        return self.store.by_index(kind, index, value)

    async def read(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        async def effect() -> Json | None:
            found = self._api.objects.get(Key(kind, namespace, name))
            if found is not None:
                self.store.observe(found)
            return found

        return await self._outgoing.call(f"kube: read {kind}", effect)

    async def refresh(self, kind: str, namespace: str) -> None:
        async def effect() -> None:
            for key, obj in self._api.objects.items():
                if (key.kind, key.namespace) == (kind, namespace):
                    self.store.observe(obj)

        await self._outgoing.call(f"kube: list {kind}", effect)

    async def create(self, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        async def effect() -> Json:
            if key_of(obj) in self._api.objects:
                raise AlreadyExists(409, "AlreadyExists", f"{key_of(obj)} exists")
            return self._api.put(copy.deepcopy(dict(obj)))

        return await self._write(f"create {obj['kind']}", effect)

    async def apply(self, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        async def effect() -> Json:
            return self._api.apply(obj)

        return await self._write(f"apply {obj['kind']}", effect)

    async def json_patch(
        self, kind: str, namespace: str, name: str, ops: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        async def effect() -> Json:
            obj = self._found(kind, namespace, name)
            for op in ops:
                _apply_op(obj, op)
            return self._api.put(obj)

        return await self._write(f"patch {kind}", effect)

    async def merge_patch(
        self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        async def effect() -> Json:
            return self._api.put(_merged(self._found(kind, namespace, name), patch))

        return await self._write(f"patch {kind}", effect)

    async def apply_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> Mapping[str, Any]:
        async def effect() -> Json:
            obj = self._known(kind, namespace, name)
            if resource_version not in (None, obj["metadata"]["resourceVersion"]):
                raise Conflict(409, "Conflict", f"{kind} {name} was changed")
            if obj.get("status") == status:
                return obj
            return self._api.put({**obj, "status": dict(status)})

        return await self._write(f"status {kind}", effect)

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str | None = None) -> None:
        async def effect() -> None:
            obj = self._api.objects.get(Key(kind, namespace, name))
            if obj is None:
                return
            if uid not in (None, obj["metadata"]["uid"]):
                raise Conflict(409, "Conflict", "another UID")
            self._api.delete(kind, namespace, name)

        await self._write(f"delete {kind}", effect)

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self._api.secrets.get(Key("Secret", namespace, name))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        found = self._api.secrets.get(Key("ConfigMap", namespace, name))
        return None if found is None else {k: v.decode() for k, v in found.items()}

    async def _write(self, name: str, effect: Callable[[], Awaitable[T]]) -> T:
        if name in self.fail:
            raise self.fail[name]
        result = await self._outgoing.call(f"kube: {name}", effect)
        if self.held_back is not None and isinstance(result, dict):
            self._take_over(result)
        return result

    def _take_over(self, obj: Json) -> None:
        """The answer of a call is in the store at once, also while the watch lags."""
        meta = obj["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self.store.forget(key_of(obj))
        else:
            self.store.observe(obj)

    def catch_up_by_one(self) -> None:
        """The watch, which lags, brings one event."""
        if self.held_back:
            key, obj = self.held_back.pop(0)
            if obj is None:
                self.store.forget(key)
            else:
                self.store.observe(obj)

    def _found(self, kind: str, namespace: str, name: str) -> Json:
        return copy.deepcopy(self._known(kind, namespace, name))

    def _known(self, kind: str, namespace: str, name: str) -> Json:
        key = Key(kind, namespace, name)
        if key not in self._api.objects:
            raise NotFound(404, "NotFound", f"{key} not found")
        return self._api.objects[key]

    def catch_up(self) -> None:
        """The watch brings what it held back."""
        late, self.held_back = self.held_back or [], None
        for key, obj in late:
            self._follow(key, obj)

    def _follow(self, key: Key, obj: Json | None) -> None:
        if self.held_back is not None:
            self.held_back.append((key, obj))
        elif obj is None:
            self.store.forget(key)
        else:
            self.store.observe(obj)


class FakeEvents:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def normal(self, obj: Mapping[str, Any], reason: str, message: str) -> None:
        self.told.append(("Normal", reason, message))

    def warning(self, obj: Mapping[str, Any], reason: str, message: str) -> None:
        self.told.append(("Warning", reason, message))


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _apply_op(obj: Json, op: Mapping[str, Any]) -> None:
    *path, last = [p.replace("~1", "/").replace("~0", "~") for p in op["path"].lstrip("/").split("/")]
    target: Any = obj
    for part in path:
        target = target[int(part)] if isinstance(target, list) else target[part]
    match op["op"], target:
        case "test", _:
            if target.get(last) != op["value"]:
                raise Conflict(409, "Conflict", f"test of {op['path']} failed")
        case "add", list():
            target.append(op["value"]) if last == "-" else target.insert(int(last), op["value"])
        case "add", _:
            target[last] = copy.deepcopy(op["value"])
        case "remove", list():
            del target[int(last)]
        case "remove", _:
            del target[last]
