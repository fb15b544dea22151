"""A user cluster in memory: what its API server keeps, and nothing that works on it unless a test does."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.unit.controllers.fakes.interruptions import Outgoing
from vsphere_operator.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from vsphere_operator.kube.kinds import Kind
from vsphere_operator.kube.tenant_kubeconfig import KubeconfigError

Json = dict[str, Any]
Place = tuple[str, str, str]


class FakeUserCluster:
    """``fail`` is what every call is answered with; ``work`` runs before each, as controllers of its own would."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.objects: dict[Place, Json] = {}
        self.fail: KubeError | None = None
        self.unserved: set[str] = set()
        self.work: Callable[[], None] = lambda: None
        self.hangs: Callable[[], Awaitable[object]] | None = None
        self._outgoing = outgoing
        self._numbers = 0

    def put(self, kind: str, name: str, namespace: str = "", **fields: Any) -> Json:
        meta = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
        self._numbers += 1
        meta.setdefault("uid", f"uid-{self._numbers}")
        obj: Json = {"kind": kind, "metadata": meta, "spec": {}, **fields}
        self.objects[kind, namespace, name] = obj
        return obj

    def has(self, kind: str, name: str, namespace: str = "") -> bool:
        return (kind, namespace, name) in self.objects

    def remove_finalizers(self, kind: str, name: str, namespace: str = "") -> None:
        """As a controller does that is done with an object; one that is deleted then goes."""
        obj = self.objects[kind, namespace, name]
        obj["metadata"]["finalizers"] = []
        if "deletionTimestamp" in obj["metadata"]:
            del self.objects[kind, namespace, name]

    async def select(
        self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Json]:
        self._ask(kind.kind)
        if self.hangs is not None:
            await self.hangs()
        found = [o for (k, n, _), o in self.objects.items() if k == kind.kind and namespace in ("", n)]
        if fields == "spec.nodeName!=":
            found = [o for o in found if o["spec"].get("nodeName")]
        return copy.deepcopy(found)

    async def find(self, kind: str, namespace: str, name: str) -> Json | None:
        self._ask(kind)
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def create(self, obj: Mapping[str, Any]) -> Json:
        self._ask(obj["kind"])

        async def effect() -> Json:
            meta = obj["metadata"]
            if (obj["kind"], meta.get("namespace", ""), meta["name"]) in self.objects:
                raise AlreadyExists(409, "AlreadyExists", "it exists")
            rest = {k: v for k, v in obj.items() if k not in ("kind", "metadata")}
            return self.put(obj["kind"], meta["name"], meta.get("namespace", ""), **rest)

        return await self._outgoing.call(f"user: create {obj['kind']}", effect)

    async def create_applied(self, obj: Mapping[str, Any]) -> Json:
        self._ask(obj["kind"])

        async def effect() -> Json:
            if self._key(obj) in self.objects:
                raise AlreadyExists(409, "AlreadyExists", "it exists")
            namespace = obj["metadata"].get("namespace")
            if namespace not in (None, "kube-system") and not self.has("Namespace", namespace):
                raise NotFound(404, "NotFound", f'namespaces "{namespace}" not found')
            return self._write(obj)

        return await self._outgoing.call(f"user: create {obj['kind']}", effect)

    async def apply_over(self, obj: Mapping[str, Any], found: Mapping[str, Any]) -> Json:
        self._ask(obj["kind"])

        async def effect() -> Json:
            known = self.objects.get(self._key(obj))
            if known is None or known["metadata"] != found["metadata"]:
                raise Conflict(409, "Conflict", "not what it was")
            return self._write(obj, known)

        return await self._outgoing.call(f"user: apply {obj['kind']}", effect)

    def _write(self, obj: Mapping[str, Any], known: Json | None = None) -> Json:
        rest = {k: copy.deepcopy(v) for k, v in obj.items() if k not in ("kind", "metadata")}
        if known and isinstance(known.get("data"), Mapping):
            rest["data"] = {**known["data"], **rest.get("data", {})}
        before = known["metadata"] if known else {}
        meta = {**before, **obj["metadata"]}
        for part in ("labels", "annotations"):
            meta[part] = {**before.get(part, {}), **obj["metadata"].get(part, {})}
        return self.put(obj["kind"], meta["name"], meta.get("namespace") or "", metadata=meta, **rest)

    @staticmethod
    def _key(obj: Mapping[str, Any]) -> Place:
        return obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"]

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> Json:
        self._ask(kind)

        async def effect() -> Json:
            obj = self.objects.get((kind, namespace, name))
            if obj is None:
                raise NotFound(404, "NotFound", "gone")
            if uid not in (None, obj["metadata"]["uid"]):
                raise Conflict(409, "Conflict", "another one")
            if obj["metadata"].get("finalizers"):
                obj["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
            else:
                del self.objects[kind, namespace, name]
            return obj

        return await self._outgoing.call(f"user: delete {kind} {name}", effect)

    def _ask(self, kind: str) -> None:
        if self.fail is not None:
            raise self.fail
        if kind in self.unserved:
            raise NotFound(404, "NotFound", f"no {kind}")
        self.work()


class FakeUserClusters:
    """Gives it for the kubeconfig ``good``."""

    def __init__(self, cluster: FakeUserCluster) -> None:
        self.cluster = cluster

    async def get(self, cluster: str, kubeconfig: bytes) -> FakeUserCluster:
        if kubeconfig != b"good":
            raise KubeconfigError("it is no kubeconfig")
        return self.cluster
