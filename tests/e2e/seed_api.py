"""The seed's Kubernetes API as a person with kubectl has it: the official client, synchronous."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes
import yaml

from tests.e2e.polling import eventually

_client: Any = kubernetes.client
_config: Any = kubernetes.config
ApiException: Any = _client.ApiException

GROUP, VERSION = "userclusters.io", "v1alpha1"
PLURALS = {
    "Seed": "seeds",
    "Preset": "presets",
    "Cluster": "clusters",
    "MachineDeployment": "machinedeployments",
    "MachineSet": "machinesets",
    "Machine": "machines",
}
_CLUSTER_SCOPED = {"Seed", "Preset"}

Object = dict[str, Any]


class SeedApi:
    """Reads and writes objects; every method is one request."""

    def __init__(self, kubeconfig: Path) -> None:
        api = _config.new_client_from_config(str(kubeconfig))
        self._custom = _client.CustomObjectsApi(api)
        self._core = _client.CoreV1Api(api)
        self._leases = _client.CoordinationV1Api(api)
        self._definitions = _client.ApiextensionsV1Api(api)

    def install(self, directory: Path) -> None:
        """Create what `crds/` holds and wait until it is served."""
        for file in sorted(directory.glob("*.yaml")):
            with _already_there():
                self._definitions.create_custom_resource_definition(yaml.safe_load(file.read_text()))
        for kind in PLURALS:
            eventually(lambda kind=kind: self._serves(kind), f"{kind} is served")  # type: ignore[misc]

    def _serves(self, kind: str) -> bool:
        try:
            self._custom.list_cluster_custom_object(GROUP, VERSION, PLURALS[kind])
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create one of our kinds; raises ApiException when the API server refuses it."""
        plural, namespace = PLURALS[manifest["kind"]], manifest["metadata"].get("namespace")
        strict = {"field_validation": "Strict"}
        body = dict(manifest)
        if namespace is None:
            return dict(self._custom.create_cluster_custom_object(GROUP, VERSION, plural, body, **strict))
        return dict(
            self._custom.create_namespaced_custom_object(GROUP, VERSION, namespace, plural, body, **strict)
        )

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """The object, or None when it is not there."""
        try:
            if kind in _CLUSTER_SCOPED:
                return dict(self._custom.get_cluster_custom_object(GROUP, VERSION, PLURALS[kind], name))
            return dict(
                self._custom.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind], name)
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def find_all(self, kind: str, namespace: str, labels: str = "") -> list[Object]:
        """All objects of a kind in the namespace."""
        if kind in _CLUSTER_SCOPED:
            answer = self._custom.list_cluster_custom_object(GROUP, VERSION, PLURALS[kind])
        else:
            answer = self._custom.list_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURALS[kind], label_selector=labels
            )
        return [{"kind": kind, **item} for item in answer["items"]]

    def patch(self, kind: str, name: str, namespace: str, patch: Mapping[str, Any]) -> Object:
        """A merge patch, as `kubectl patch --type merge`."""
        body = dict(patch)
        if kind in _CLUSTER_SCOPED:
            return dict(self._custom.patch_cluster_custom_object(GROUP, VERSION, PLURALS[kind], name, body))
        return dict(
            self._custom.patch_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind], name, body)
        )

    def scale(self, kind: str, name: str, namespace: str, replicas: int) -> None:
        """As `kubectl scale` does it, through the subresource."""
        body = {"spec": {"replicas": replicas}}
        self._custom.patch_namespaced_custom_object_scale(
            GROUP, VERSION, namespace, PLURALS[kind], name, body
        )

    def read_scale(self, kind: str, name: str, namespace: str) -> Object:
        """The scale subresource, as an autoscaler reads it."""
        return dict(
            self._custom.get_namespaced_custom_object_scale(GROUP, VERSION, namespace, PLURALS[kind], name)
        )

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """Ask for its end; harmless when it is gone."""
        with _gone_already():
            if kind in _CLUSTER_SCOPED:
                self._custom.delete_cluster_custom_object(GROUP, VERSION, PLURALS[kind], name)
            else:
                self._custom.delete_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind], name)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self._core.create_namespace({"metadata": {"name": name, "labels": dict(labels or {})}})

    def label_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        self._core.patch_namespace(name, {"metadata": {"labels": dict(labels)}})

    def namespace_exists(self, name: str) -> bool:
        try:
            self._core.read_namespace(name)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def delete_namespace(self, name: str) -> None:
        with _gone_already():
            self._core.delete_namespace(name)

    def write_secret(self, namespace: str, name: str, data: Mapping[str, str | None]) -> None:
        """Create the Secret or change its keys; None removes one."""
        values = {k: v if v is None else base64.b64encode(v.encode()).decode() for k, v in data.items()}
        try:
            present = {k: v for k, v in values.items() if v is not None}
            self._core.create_namespaced_secret(namespace, {"metadata": {"name": name}, "data": present})
        except ApiException as error:
            if error.status != 409:
                raise
            self._core.patch_namespaced_secret(name, namespace, {"data": values})

    def read_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The decoded content, None when there is no such Secret."""
        found = self.read_secret_object(namespace, name)
        data = (found or {}).get("data") or {}
        return None if found is None else {k: base64.b64decode(v) for k, v in data.items()}

    def read_secret_object(self, namespace: str, name: str) -> Object | None:
        """The whole Secret as the API spells it, None when there is none."""
        try:
            found = self._core.read_namespaced_secret(name, namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return dict(self._core.api_client.sanitize_for_serialization(found))

    def delete_secret(self, namespace: str, name: str) -> None:
        with _gone_already():
            self._core.delete_namespaced_secret(name, namespace)

    def write_config_map(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        try:
            self._core.create_namespaced_config_map(
                namespace, {"metadata": {"name": name}, "data": dict(data)}
            )
        except ApiException as error:
            if error.status != 409:
                raise
            self._core.patch_namespaced_config_map(name, namespace, {"data": dict(data)})

    def delete_config_map(self, namespace: str, name: str) -> None:
        with _gone_already():
            self._core.delete_namespaced_config_map(name, namespace)

    def events(self, namespace: str) -> list[Object]:
        """The namespace's events, as plain dictionaries."""
        answer = self._core.list_namespaced_event(namespace)
        return [event.to_dict() for event in answer.items]

    def lease_holder(self, namespace: str, name: str) -> str | None:
        try:
            lease = self._leases.read_namespaced_lease(name, namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return lease.spec.holder_identity or None

    def delete_lease(self, namespace: str, name: str) -> None:
        with _gone_already():
            self._leases.delete_namespaced_lease(name, namespace)


@contextlib.contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        if error.status != 404:
            raise


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        if error.status != 409:
            raise
