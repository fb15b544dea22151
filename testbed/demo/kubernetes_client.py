"""A small client of the seed's API over one kept connection: just the verbs that the demo needs."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_TIMEOUT = 15.0
_NOT_YET = {404, 429, 500, 503}  # 429 says "storage is (re)initializing"
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


class KubernetesError(Exception):
    """The API server refused a request; the text is its own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Kind:
    """Where the objects of a kind are."""

    api: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of one object, of a namespace's, or of all of this kind."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.api}{inside}/{self.plural}" + (f"/{name}" if name else "")


_CORE = {
    "Namespace": Kind("/api/v1", "namespaces", False),
    "Secret": Kind("/api/v1", "secrets", True),
    "ConfigMap": Kind("/api/v1", "configmaps", True),
    "CustomResourceDefinition": Kind("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
}


def kinds(definitions: Iterable[Mapping[str, Any]]) -> dict[str, Kind]:
    """Return the core kinds, and those that CustomResourceDefinitions define."""
    found = dict(_CORE)
    for definition in definitions:
        spec = definition["spec"]
        version = next(v["name"] for v in spec["versions"] if v["served"])
        names = spec["names"]
        api = f"/apis/{spec['group']}/{version}"
        found[names["kind"]] = Kind(api, names["plural"], spec["scope"] == "Namespaced")
    return found


class Kubernetes:
    """The seed's API as a kubeconfig's user. Not for threads."""

    def __init__(self, kubeconfig: Path, known: Mapping[str, Kind]) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._address = urlsplit(cluster["server"])
        self._context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._context.load_cert_chain(user["client-certificate"], user["client-key"])
        self._connection: http.client.HTTPSConnection | None = None
        self._kinds = known
        self.warnings: list[str] = []

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, in all namespaces."""
        found: list[dict[str, Any]] = self.request("GET", self._kinds[kind].path())["items"]
        return found

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object, server-side."""
        metadata = manifest["metadata"]
        path = self._kinds[manifest["kind"]].path(metadata.get("namespace", ""), metadata["name"])
        self.request("PATCH", f"{path}?fieldManager=demo&force=true", manifest, _APPLY)

    def merge(self, manifest: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        """Merge a change into the object that a manifest names."""
        self.request("PATCH", self._path(manifest), change, _MERGE)

    def scale(self, manifest: Mapping[str, Any], replicas: int) -> None:
        """Set the replicas through the scale subresource, as `kubectl scale` and autoscalers do."""
        body = {"spec": {"replicas": replicas}}
        self.request("PATCH", f"{self._path(manifest)}/scale", body, _MERGE)

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Ask for the deletion of the object that a manifest names."""
        self.request("DELETE", self._path(manifest))

    def await_served(self, kind: str, seconds: float) -> None:
        """Wait until the API serves a kind that was just defined. Raises KubernetesError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.items(kind)
                return
            except KubernetesError as error:
                if error.status not in _NOT_YET or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _path(self, manifest: Mapping[str, Any]) -> str:
        metadata = manifest["metadata"]
        return self._kinds[manifest["kind"]].path(metadata.get("namespace", ""), metadata["name"])

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        """Call the API and return the decoded answer.

        Raises KubernetesError when it refuses, and OSError or HTTPException when there is no answer.
        """
        payload = None if body is None else json.dumps(body)
        try:
            connection = self._open()
            connection.request(method, path, payload, {"Content-Type": content_type})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        self.warnings += [value for name, value in response.getheaders() if name.lower() == "warning"]
        if response.status >= 300:
            raise KubernetesError(response.status, f"{method} {path}: {_message(text)}")
        return json.loads(text)

    def _open(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            host, port = self._address.hostname or "", self._address.port
            self._connection = http.client.HTTPSConnection(
                host, port, context=self._context, timeout=_TIMEOUT
            )
        return self._connection


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")[:300]
