"""What the test bed applies of the manifests that ship."""

from pathlib import Path

import yaml

from testbed.bed import BASE_MANIFESTS
from testbed.kubernetes_api import KubernetesApi, applicable, self_contained


def _write(directory: Path, name: str, *manifests: dict[str, object]) -> None:
    (directory / name).write_text(yaml.safe_dump_all(manifests))


def _named(kind: str, name: str = "x") -> dict[str, object]:
    return {"kind": kind, "metadata": {"name": name}}


def test_identity_and_rights_are_applied_in_order_and_nothing_else(tmp_path: Path) -> None:
    _write(tmp_path, "a.yaml", _named("ClusterRoleBinding"), _named("Deployment"), _named("ClusterRole"))
    _write(tmp_path, "b.yaml", _named("ServiceAccount"), _named("Namespace"), _named("Kustomization"))
    kinds = [manifest["kind"] for manifest in applicable(tmp_path)]
    assert kinds == ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"]


def test_a_missing_directory_has_nothing_to_apply(tmp_path: Path) -> None:
    assert applicable(tmp_path / "nowhere") == []


def test_the_operators_own_account_is_among_what_ships() -> None:
    found = {(m["kind"], m["metadata"]["name"]) for m in applicable(BASE_MANIFESTS)}
    assert ("ServiceAccount", "vsphere-operator") in found
    assert "ClusterRoleBinding" in {kind for kind, _ in found}


def test_a_kubeconfig_names_its_server_and_its_ca(tmp_path: Path) -> None:
    api = KubernetesApi(name="seed", port=12345, pki=tmp_path)
    config = api.kubeconfig({"token": "t"}, "here")
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:12345"
    assert config["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")
    assert config["contexts"][0]["context"]["namespace"] == "here"


def test_a_self_contained_kubeconfig_names_no_file(tmp_path: Path) -> None:
    for name in ("ca.crt", "admin.crt", "admin.key"):
        (tmp_path / name).write_text(name)
    api = KubernetesApi(name="seed", port=12345, pki=tmp_path)
    config = self_contained(api.kubeconfig(api.client_certificate("admin")))
    assert str(tmp_path) not in str(config)
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2EuY3J0"
    assert config["users"][0]["user"]["client-key-data"] == "YWRtaW4ua2V5"
