"""From a Cluster to its user cluster's API, by the kubeconfig that it names, or to the words that say why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.references import KubeconfigReference
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.kube.errors import Forbidden, KubeError, NotFound, Unauthorized
from vsphere_operator.kube.kinds import Kind
from vsphere_operator.kube.tenant_kubeconfig import KubeconfigError

USER_CLUSTER_REACHABLE = "UserClusterReachable"
MISSING = "KubeconfigMissing"
"""The reason while there is no kubeconfig to go by."""
_LONGEST = 300
_DEFAULT_KEYS = ("value", "kubeconfig")


class UserCluster(Protocol):
    """One user cluster's API; calls raise KubeErrors."""

    async def select(
        self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]: ...

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None: ...

    async def create(self, obj: Mapping[str, Any]) -> dict[str, Any]: ...

    async def create_applied(self, obj: Mapping[str, Any]) -> dict[str, Any]: ...

    async def apply_over(self, obj: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]: ...

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> dict[str, Any]: ...


class UserClusterPool(Protocol):
    """Clients by Cluster and kubeconfig; KubeconfigError for one that cannot be used."""

    async def get(self, cluster: str, kubeconfig: bytes) -> UserCluster: ...


async def connect(objects: Objects, pool: UserClusterPool, cluster: Cluster) -> UserCluster | Problem:
    """The client for the Cluster's kubeconfig; whether it answers shows with the first call."""
    reference, namespace = cluster.spec.kubeconfig_secret_ref, cluster.metadata.namespace or ""
    if reference is None:
        words = (
            "spec.kubeconfigSecretRef names no kubeconfig, so that the user cluster cannot be asked; set it"
        )
        return Problem(USER_CLUSTER_REACHABLE, MISSING, words)
    data = await objects.secret(namespace, reference.name)
    if data is None:
        words = f"the Secret {namespace}/{reference.name} with the user cluster's kubeconfig does not exist; create it"
        return Problem(USER_CLUSTER_REACHABLE, MISSING, words)
    document = _document(data, reference)
    if not document:
        keys = reference.key or " or ".join(_DEFAULT_KEYS)
        words = (
            f"the Secret {namespace}/{reference.name} has no kubeconfig under the key {keys}; put it there"
        )
        return Problem(USER_CLUSTER_REACHABLE, MISSING, words)
    try:
        return await pool.get(cluster.metadata.uid or f"{namespace}/{cluster.metadata.name}", document)
    except KubeconfigError as error:
        words = f"the kubeconfig in the Secret {namespace}/{reference.name} cannot be used: {error}"
        return Problem(USER_CLUSTER_REACHABLE, "KubeconfigInvalid", words)


def explain(error: KubeError) -> Problem:
    """Why a call to the user cluster failed, in words that quote nothing of what was sent."""
    if isinstance(error, Unauthorized):
        words = "the user cluster does not accept the login of its kubeconfig; renew the kubeconfig's Secret"
        return Problem(USER_CLUSTER_REACHABLE, "KubeconfigRejected", words, retry_after=30.0)
    if isinstance(error, Forbidden):
        words = "the login of its kubeconfig may not do what is needed in the user cluster"
        return Problem(
            USER_CLUSTER_REACHABLE, "UserClusterForbidden", f"{words}: {_said(error)}", retry_after=30.0
        )
    if isinstance(error, NotFound):
        words = "what answers as the user cluster does not serve what every Kubernetes API serves"
        return Problem(
            USER_CLUSTER_REACHABLE, "UserClusterUnknown", f"{words}: {_said(error)}", retry_after=30.0
        )
    words = f"the user cluster does not answer as it should: {_said(error)}"
    return Problem(
        USER_CLUSTER_REACHABLE, "UserClusterUnreachable", words, stalled=False, certain=True, retry_after=15.0
    )


def _said(error: KubeError) -> str:
    """What a tenant's server says is shown, but not at any length."""
    return error.message if len(error.message) <= _LONGEST else f"{error.message[:_LONGEST]}…"


def _document(data: Mapping[str, bytes], reference: KubeconfigReference) -> bytes:
    keys = (reference.key,) if reference.key else _DEFAULT_KEYS
    return next((data[key] for key in keys if data.get(key)), b"")
