"""What CCM, CSI and their users find in the user cluster itself, under the names that upstream's manifests expect.

Pure: the objects as they shall be, and what of one that is there differs. Names: vsphere-csi-driver's
manifests/vanilla/vsphere-csi-driver.yaml and cloud-provider-vsphere's releases/*/vsphere-cloud-controller-manager.yaml.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vsphere_operator.api.cluster import DeliveredObject
from vsphere_operator.api.names import CHECKSUM_ANNOTATION, CLUSTER_ID_LABEL, CLUSTER_NAME_LABEL
from vsphere_operator.cloudconfig import CA_KEY, UnwritableError, ccm
from vsphere_operator.controllers.cluster.cloud_config import CloudFiles, Data, checksum
from vsphere_operator.controllers.ports import Object

CSI_NAMESPACE = "vmware-system-csi"
CCM_NAMESPACE = "kube-system"
CSI_SECRET = "vsphere-config-secret"  # noqa: S105 - a name
CCM_SECRET = ccm.SecretName(CCM_NAMESPACE, "vsphere-cloud-secret")
CCM_CONFIG_MAP, CCM_FILE = "vsphere-cloud-config", "vsphere.conf"
CA_CONFIG_MAP = "vsphere-ca-bundle"
STORAGE_CLASS = "vsphere-csi"
PROVISIONER = "csi.vsphere.vmware.com"

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_BETA_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
_FIXED = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
"""What the API server lets nobody change in a StorageClass."""

Difference = Literal["none", "changed", "remake"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of ours in the user cluster; ``obj`` is whole."""

    obj: Object = field(repr=False)

    @property
    def kind(self) -> str:
        return str(self.obj["kind"])

    @property
    def place(self) -> DeliveredObject:
        meta = self.obj["metadata"]
        return DeliveredObject(kind=self.kind, namespace=meta.get("namespace"), name=meta["name"])


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that one Cluster delivers. ``refused`` says what cannot be delivered, and why.

    Only a ``complete`` one shows what is wanted no more; what cannot be written now stays as it was.
    """

    cluster_id: str
    wanted: tuple[Wanted, ...] = ()
    refused: tuple[str, ...] = ()
    complete: bool = False

    @property
    def fingerprint(self) -> str:
        """Changes when anything does. Keep it in memory: passwords have gone into it."""
        text = json.dumps([self.cluster_id, self.refused, [w.obj for w in self.wanted]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def plan(files: CloudFiles, *, cluster: str, installation: str, storage_policy: str | None) -> Delivery:
    """What to deliver for the Cluster of that name; what cannot be written is left out, as beside the Cluster."""
    mark = _Mark(cluster, files.config.cluster_id, installation)
    wanted: list[Wanted] = []
    refused: list[str] = []
    if files.csi is not None:
        wanted.append(mark.secret(CSI_NAMESPACE, CSI_SECRET, files.csi))
        wanted.append(mark.storage_class(storage_policy))
    if files.ccm is not None:
        try:
            wanted += _for_ccm(mark, files)
        except UnwritableError as error:
            refused.append(str(error))
    if files.ca_bundle:
        wanted.append(mark.config_map(CCM_NAMESPACE, CA_CONFIG_MAP, {CA_KEY: files.ca_bundle}))
    complete = files.csi is not None and files.ccm is not None and not refused
    return Delivery(files.config.cluster_id, tuple(wanted), tuple(refused), complete)


def is_ours(found: Object, cluster_id: str) -> bool:
    """The proof: what we deliver carries this Cluster's own id."""
    return (found["metadata"].get("labels") or {}).get(CLUSTER_ID_LABEL) == cluster_id


def difference(found: Object, wanted: Object) -> Difference:
    """What has to be done to an object of ours; what others have added to it stays."""
    if wanted["kind"] == "StorageClass" and any(_of_class(found, k) != _of_class(wanted, k) for k in _FIXED):
        return "remake"
    for part in ("labels", "annotations"):
        if _lacks(found["metadata"].get(part), wanted["metadata"].get(part)):
            return "changed"
    if _lacks(found.get("data"), wanted.get("data")):
        return "changed"
    return "changed" if found.get("allowVolumeExpansion") != wanted.get("allowVolumeExpansion") else "none"


def as_default(wanted: Object, classes: Sequence[Object]) -> Object:
    """Our StorageClass, the default one if no other is."""
    others = (c for c in classes if c["metadata"]["name"] != wanted["metadata"]["name"])
    taken = any(_is_default(c) for c in others)
    meta = wanted["metadata"]
    # Written out either way: what was applied once and is left out later might stay.
    annotations = {**(meta.get("annotations") or {}), DEFAULT_CLASS: str(not taken).lower()}
    return {**wanted, "metadata": {**meta, "annotations": annotations}}


def _for_ccm(mark: _Mark, files: CloudFiles) -> list[Wanted]:
    config = {CCM_FILE: ccm.as_yaml(files.config, CCM_SECRET).decode()}
    if files.ca_bundle:
        config[CA_KEY] = files.ca_bundle
    return [
        mark.secret(CCM_SECRET.namespace, CCM_SECRET.name, ccm.credentials(files.config)),
        mark.config_map(CCM_NAMESPACE, CCM_CONFIG_MAP, config),
    ]


@dataclass(frozen=True, slots=True)
class _Mark:
    cluster: str
    cluster_id: str
    installation: str

    def secret(self, namespace: str, name: str, content: Data) -> Wanted:
        data = {key: base64.b64encode(value).decode() for key, value in content.items()}
        meta = self._metadata(name, namespace, content)
        return Wanted(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}
        )

    def config_map(self, namespace: str, name: str, content: Mapping[str, str]) -> Wanted:
        meta = self._metadata(name, namespace, {k: v.encode() for k, v in content.items()})
        return Wanted({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(content)})

    def storage_class(self, policy: str | None) -> Wanted:
        return Wanted(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": self._metadata(STORAGE_CLASS),
                "provisioner": PROVISIONER,
                "parameters": {"storagepolicyname": policy} if policy else {},
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": True,
            }
        )

    def _metadata(self, name: str, namespace: str = "", content: Data | None = None) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
        meta["labels"] = {CLUSTER_NAME_LABEL: self.cluster, CLUSTER_ID_LABEL: self.cluster_id}
        if content is not None:
            meta["annotations"] = {CHECKSUM_ANNOTATION: checksum(self.installation, content)}
        return meta


def _lacks(found: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> bool:
    return any((found or {}).get(key) != value for key, value in (wanted or {}).items())


def _of_class(obj: Object, key: str) -> Any:
    return obj.get(key) or None


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(_BETA_DEFAULT_CLASS))
