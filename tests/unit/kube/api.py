"""An API server in memory, as far as `kube.objects` and its neighbours can tell."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from vsphere_operator.kube.client import KubeApi, Listed
from vsphere_operator.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from vsphere_operator.runtime.keys import Key


class FakeApi(KubeApi):
    """Keeps whole objects, counts versions, notes calls; `away` makes every call fail."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.version = 100
        self.calls: list[tuple[str, Key]] = []
        self.away = False

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Write an object as somebody else would: without a call of ours."""
        self.version += 1
        key = _key(obj)
        old = self.objects.get(key)
        uid = old["metadata"]["uid"] if old else f"uid-{self.version}"
        metadata = {**obj["metadata"], "resourceVersion": str(self.version), "uid": uid}
        self.objects[key] = {**obj, "metadata": metadata}
        return self.objects[key]

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return self._found("get", Key(kind, namespace, name))

    async def list(self, kind: str, namespace: str = "") -> Listed:
        self._note("list", Key(kind, namespace, ""))
        found = [o for k, o in self.objects.items() if k.kind == kind and namespace in ("", k.namespace)]
        return found, str(self.version)

    async def create(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(obj)
        self._note("create", key)
        if key in self.objects:
            raise AlreadyExists(409, "AlreadyExists", f"{key} exists")
        return self.put(dict(obj))

    async def apply(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(obj)
        found = self._found("apply", key)
        version = obj["metadata"].get("resourceVersion")
        if version not in (None, found["metadata"]["resourceVersion"]):
            raise Conflict(409, "Conflict", "modified")
        return self.put({**found, **obj, "metadata": {**found["metadata"], **obj["metadata"]}})

    async def merge_patch(
        self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> dict[str, Any]:
        obj = self._found("merge_patch", Key(kind, namespace, name))
        metadata = {**obj["metadata"], **patch.get("metadata", {})}
        if "finalizers" in metadata and not metadata["finalizers"] and "deletionTimestamp" in metadata:
            return {**self.objects.pop(_key(obj)), "metadata": metadata}
        return self.put({**obj, **patch, "metadata": metadata})

    async def json_patch(
        self, kind: str, namespace: str, name: str, ops: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        raise NotImplementedError

    async def apply_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> dict[str, Any]:
        obj = self._found("apply_status", Key(kind, namespace, name))
        if resource_version not in (None, obj["metadata"]["resourceVersion"]):
            raise Conflict(409, "Conflict", "modified")
        return self.put({**obj, "status": dict(status)})

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> dict[str, Any]:
        obj = self._found("delete", Key(kind, namespace, name))
        if uid not in (None, obj["metadata"]["uid"]):
            raise Conflict(409, "Conflict", "another UID")
        if obj["metadata"].get("finalizers"):
            return self.put({**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "now"}})
        del self.objects[_key(obj)]
        return {"kind": "Status", "status": "Success"}

    def _found(self, verb: str, key: Key) -> dict[str, Any]:
        self._note(verb, key)
        if key not in self.objects:
            raise NotFound(404, "NotFound", f"{key} not found")
        return self.objects[key]

    def _note(self, verb: str, key: Key) -> None:
        self.calls.append((verb, key))
        if self.away:
            raise Unavailable(0, "Unreachable", "no route to the API")


def _key(obj: Mapping[str, Any]) -> Key:
    return Key(obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"])


def a_secret(name: str = "token", **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "team"},
        "data": encoded,
    }


def a_cluster(name: str = "shop", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "userclusters.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": "team", **metadata},
        "spec": {},
    }
