"""The election's lease as a Kubernetes Lease, readable by `kubectl get lease`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vsphere_operator.runtime.leadership import LeaseConflict, LeaseRecord

from .client import KubeApi
from .errors import AlreadyExists, Conflict, NotFound


class KubeLease:
    """A LeaseStore on one Lease object."""

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._acquired_at = ""

    async def get(self) -> LeaseRecord | None:
        try:
            obj = await self._api.get("Lease", self._namespace, self._name)
        except NotFound:
            return None
        return self._record(obj)

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        self._acquired_at = _now()
        try:
            return self._record(await self._api.create(self._object(record)))
        except AlreadyExists:
            raise LeaseConflict from None

    async def update(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        if acquired or not self._acquired_at:
            self._acquired_at = _now()
        try:
            return self._record(await self._api.replace(self._object(record)))
        except (Conflict, NotFound):
            raise LeaseConflict from None

    def _record(self, obj: dict[str, Any]) -> LeaseRecord:
        spec = obj.get("spec") or {}
        self._acquired_at = spec.get("acquireTime") or ""
        return LeaseRecord(
            holder=spec.get("holderIdentity") or "",
            duration=float(spec.get("leaseDurationSeconds") or 0),
            transitions=spec.get("leaseTransitions") or 0,
            version=obj["metadata"]["resourceVersion"],
        )

    def _object(self, record: LeaseRecord) -> dict[str, Any]:
        metadata = {"name": self._name, "namespace": self._namespace}
        if record.version:
            metadata["resourceVersion"] = record.version
        spec: dict[str, Any] = {
            "leaseDurationSeconds": max(1, round(record.duration)),
            "leaseTransitions": record.transitions,
            "acquireTime": self._acquired_at,
            "renewTime": _now(),
        }
        if record.holder:  # the API refuses an empty one
            spec["holderIdentity"] = record.holder
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
