"""A Kubernetes API server, its controller manager and etcd; and what the test bed asks of them over HTTPS."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = Mapping[str, Any]


class KubernetesError(Exception):
    """The API server refused something that the test bed asked of it."""


@dataclass(frozen=True)
class KubernetesApi:
    """A running API server, as its administrator."""

    name: str
    port: int
    pki: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        """Call the API and return the decoded answer.

        Raises KubernetesError for an answer that is none of 2xx, and OSError when there is none.
        """
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": content_type})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status >= 300:
            raise KubernetesError(f"{method} {path} on {self.name}: {response.status} {text[:500]}")
        return json.loads(text) if text.startswith(("{", "[")) else text

    def is_ready(self) -> bool:
        """Whether /readyz says so, and the default namespace is there."""
        try:
            self.request("GET", "/readyz")
            self.request("GET", "/api/v1/namespaces/default")
        except (OSError, http.client.HTTPException, KubernetesError):
            return False
        return True

    def apply(self, manifest: Manifest) -> None:
        """Apply one of the kinds that `is_applicable` knows, server-side."""
        path = _COLLECTIONS[manifest["kind"]].format(namespace=manifest["metadata"].get("namespace"))
        name = manifest["metadata"]["name"]
        query = "?fieldManager=testbed&force=true"
        self.request("PATCH", f"{path}/{name}{query}", manifest, "application/apply-patch+yaml")

    def token(self, namespace: str, service_account: str) -> str:
        """Return a token of a ServiceAccount that outlives any test bed (a year)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        spec = {"expirationSeconds": 365 * 24 * 3600}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.request("POST", path, body)["status"]["token"])

    def kubeconfig(self, user: Manifest, namespace: str = "default") -> dict[str, Any]:
        """Return a kubeconfig for this server and the given credentials."""
        cluster = {"server": self.url, "certificate-authority": str(self.pki / "ca.crt")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": cluster}],
            "users": [{"name": "user", "user": dict(user)}],
            "contexts": [
                {
                    "name": self.name,
                    "context": {"cluster": self.name, "user": "user", "namespace": namespace},
                }
            ],
            "current-context": self.name,
        }

    def client_certificate(self, name: str) -> dict[str, str]:
        """Return the credentials of one of the client certificates, for `kubeconfig`."""
        return {
            "client-certificate": str(self.pki / f"{name}.crt"),
            "client-key": str(self.pki / f"{name}.key"),
        }


def self_contained(kubeconfig: Manifest) -> dict[str, Any]:
    """Return a kubeconfig with the contents of the files that it names, so that it can go into a Secret."""
    document: dict[str, Any] = json.loads(json.dumps(kubeconfig))
    parts = [entry["cluster"] for entry in document["clusters"]]
    parts += [entry["user"] for entry in document["users"]]
    for part in parts:
        for key in ("certificate-authority", "client-certificate", "client-key"):
            if file := part.pop(key, None):
                part[f"{key}-data"] = base64.b64encode(Path(file).read_bytes()).decode()
    return document


_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{namespace}}/rolebindings",
}
_ORDER = tuple(_COLLECTIONS)


def applicable(directory: Path) -> list[Manifest]:
    """Return the manifests in a directory that give the operator its identity and rights, in order."""
    found: list[Manifest] = []
    for file in sorted(directory.glob("*.yaml")):
        documents = yaml.safe_load_all(file.read_text())
        found += [d for d in documents if isinstance(d, dict) and d.get("kind") in _COLLECTIONS]
    return sorted(found, key=lambda manifest: _ORDER.index(manifest["kind"]))


def api_server_command(
    binary: Path, *, pki: Path, etcd_pki: Path, port: int, etcd_port: int, prefix: str, services: str
) -> Sequence[str | Path]:
    """Return the command line of a kube-apiserver that needs neither root nor nodes."""
    return [
        binary,
        f"--etcd-servers=https://127.0.0.1:{etcd_port}",
        f"--etcd-prefix={prefix}",
        f"--etcd-cafile={etcd_pki / 'ca.crt'}",
        f"--etcd-certfile={etcd_pki / 'admin.crt'}",
        f"--etcd-keyfile={etcd_pki / 'admin.key'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-accounts.key'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={services}",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def controller_manager_command(binary: Path, *, pki: Path, kubeconfig: Path) -> Sequence[str | Path]:
    """Return the command line of a controller manager with just what objects need: no nodes, no pods."""
    controllers = [
        "garbage-collector-controller",
        "namespace-controller",
        "serviceaccount-controller",
        "serviceaccount-token-controller",
        "root-ca-certificate-publisher-controller",
        "clusterrole-aggregation-controller",
    ]
    return [
        binary,
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(controllers)}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def etcd_command(binary: Path, *, pki: Path, data: Path, port: int, peer_port: int) -> Sequence[str | Path]:
    """Return the command line of a one-member etcd that trades durability for speed."""
    client, peer = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        binary,
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={pki / 'server.crt'}",
        f"--key-file={pki / 'server.key'}",
        f"--trusted-ca-file={pki / 'ca.crt'}",
        "--client-cert-auth=true",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]
