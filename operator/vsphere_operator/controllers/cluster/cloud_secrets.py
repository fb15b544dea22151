"""The Secrets beside a Cluster that hold its cloud configuration: written, kept, and nobody else's overwritten.

Ours is what carries the label with this Cluster's cluster id. Kubernetes' garbage collector takes them away with
their owner.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from vsphere_operator.api.names import (
    CHECKSUM_ANNOTATION,
    CLOUD_CONFIG_SUFFIX,
    CLUSTER_ID_LABEL,
    CLUSTER_NAME_LABEL,
    CSI_CONFIG_SUFFIX,
)
from vsphere_operator.controllers.cluster.cloud_config import (
    CLOUD_CONFIG_READY,
    CloudFiles,
    Data,
    checksum,
)
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.drift import CLOUD_CONFIG, Difference, Drift
from vsphere_operator.controllers.lifecycle import labels_of, metadata, owner_reference
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.kube.errors import AlreadyExists, Conflict, KubeError, Unavailable
from vsphere_operator.runtime.keys import Key


@dataclass(frozen=True, slots=True)
class _Written:
    uid: str
    version: str
    checksum: str
    owner: str


class CloudSecrets:
    """Writes the Secrets; remembers which version of each was right, so that an unchanged one costs no call."""

    def __init__(self, objects: Objects, drift: Drift) -> None:
        self._objects = objects
        self._drift = drift
        self._written: dict[Key, _Written] = {}

    async def ensure(self, work: Work, files: CloudFiles) -> Problem | None:
        """Both Secrets as they shall be, as far as they can be written; the first problem of either."""
        problems = list(files.problems)
        for key, content in ((_cloud(work), files.ccm), (_csi(work), files.csi)):
            if content is None:
                continue
            try:
                problem = await self._keep(work, key, content, files.config.cluster_id)
            except KubeError as error:
                problem = _explain(key, error)
            if problem is not None:
                problems.append(problem)
        return problems[0] if problems else None

    def forget(self, cluster: Key) -> None:
        """The Cluster is gone."""
        for suffix in (CLOUD_CONFIG_SUFFIX, CSI_CONFIG_SUFFIX):
            self._written.pop(Key("Secret", cluster.namespace, cluster.name + suffix), None)

    async def _keep(self, work: Work, key: Key, content: Data, cluster: str) -> Problem | None:
        obj = self._objects.get("Secret", key.namespace, key.name)
        wanted = checksum(work.installation, content)
        before = self._written.get(key)
        if obj is not None and before == _as_written(obj, wanted, work):
            return None
        manifest = _manifest(work, key, content, cluster, wanted)
        if obj is None:
            obj = await self._made(manifest)
        if labels_of(obj).get(CLUSTER_ID_LABEL) != cluster:
            return _foreign(key)
        after = await self._apply(manifest, obj)
        self._written[key] = _as_written(after, wanted, work)
        if before is not None and before.checksum == wanted and _version(obj) != _version(after):
            words = f"The Secret {key.name} was changed or deleted by somebody else, and is as it was again."
            self._drift.repaired(work.obj, Difference(CLOUD_CONFIG, words))
        return None

    async def _made(self, manifest: dict[str, Any]) -> Object:
        """The Secret without content, or the one of its name that is there: the store may lag behind.

        Apply alone would write over what somebody made a moment ago.
        """
        meta = manifest["metadata"]
        try:
            return await self._objects.create({k: v for k, v in manifest.items() if k != "data"})
        except AlreadyExists:
            found = await self._objects.read("Secret", meta["namespace"], meta["name"])
            if found is None:
                raise
            return found

    async def _apply(self, manifest: dict[str, Any], found: Object) -> Object:
        guard = {"uid": metadata(found)["uid"], "resourceVersion": _version(found)}
        return await self._objects.apply({**manifest, "metadata": {**manifest["metadata"], **guard}})


def _cloud(work: Work) -> Key:
    return _key(work, CLOUD_CONFIG_SUFFIX)


def _csi(work: Work) -> Key:
    return _key(work, CSI_CONFIG_SUFFIX)


def _key(work: Work, suffix: str) -> Key:
    meta = metadata(work.obj)
    return Key("Secret", meta["namespace"], meta["name"] + suffix)


def _manifest(work: Work, key: Key, content: Data, cluster: str, wanted: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": key.namespace,
            "name": key.name,
            "labels": {CLUSTER_NAME_LABEL: metadata(work.obj)["name"], CLUSTER_ID_LABEL: cluster},
            "annotations": {CHECKSUM_ANNOTATION: wanted},
            "ownerReferences": [owner_reference(work.obj)],
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode() for name, value in content.items()},
    }


def _as_written(obj: Object, wanted: str, work: Work) -> _Written:
    return _Written(metadata(obj)["uid"], _version(obj), wanted, metadata(work.obj)["uid"])


def _version(obj: Object) -> str:
    return str(metadata(obj)["resourceVersion"])


def _foreign(key: Key) -> Problem:
    words = (
        f"there is a Secret {key.name} that was not made for this Cluster, and is left as it is; "
        "rename or delete it, then it is written"
    )
    return Problem(CLOUD_CONFIG_READY, "SecretTaken", words)


def _explain(key: Key, error: KubeError) -> Problem:
    """Words of our own: an answer may quote what was sent."""
    if isinstance(error, Conflict | AlreadyExists):
        words = f"the Secret {key.name} was changed at the same moment; looks again"
        return Problem(CLOUD_CONFIG_READY, "SecretChanged", words, stalled=False, retry_after=1.0)
    if isinstance(error, Unavailable):
        words = f"the Secret {key.name} could not be written, the API server does not answer; tries again"
        return Problem(CLOUD_CONFIG_READY, "Unavailable", words, stalled=False, retry_after=5.0)
    words = (
        f"the API server refuses to write the Secret {key.name} ({error.reason or error.status}): the operator may "
        "lack the right to, or the Secret is immutable"
    )
    return Problem(CLOUD_CONFIG_READY, "WriteRefused", words, retry_after=60.0)
