"""Cloud configuration in a user cluster's own API, a real one: written, kept, rotated, taken back."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from tests.e2e.world import CCM, SECRET, Tenant
from tests.unit.cloudconfig import gcfg

_client: Any = kubernetes.client
_config: Any = kubernetes.config
ApiException: Any = _client.ApiException

CSI = ("vmware-system-csi", "vsphere-config-secret")
CCM_SECRET = ("kube-system", "vsphere-cloud-secret")
CONFIG = ("kube-system", "vsphere-cloud-config")
CLASS = "vsphere-csi"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
AWKWARD = f'{SECRET}"a\\b#c;d%e'
KUBECONFIG = {"kubeconfigSecretRef": {"name": "kubeconfig"}}
SOON = {"resyncInterval": "10s"}


class UserCluster:
    """What a person with kubectl sees there."""

    def __init__(self, kubeconfig: Path) -> None:
        self.text = kubeconfig.read_text()
        api: Any = _config.new_client_from_config(str(kubeconfig))
        self.core, self.storage = _client.CoreV1Api(api), _client.StorageV1Api(api)

    def secret(self, place: tuple[str, str]) -> dict[str, str]:
        """The decoded content, nothing when it is not there."""
        found = _or_none(lambda: self.core.read_namespaced_secret(place[1], place[0]))
        data = (found.data if found else None) or {}
        return {k: base64.b64decode(v).decode() for k, v in data.items()}

    def config_map(self, place: tuple[str, str]) -> dict[str, str]:
        found = _or_none(lambda: self.core.read_namespaced_config_map(place[1], place[0]))
        return dict((found.data if found else None) or {})

    def storage_class(self, name: str = CLASS) -> Any:
        return _or_none(lambda: self.storage.read_storage_class(name))

    def csi_password(self) -> str | None:
        sections = gcfg.parse(self.secret(CSI).get("csi-vsphere.conf", ""))
        found = (values for (name, _), values in sections.items() if name == "VirtualCenter")
        return next(found, {}).get("password")

    def ccm_password(self) -> str | None:
        return next((v for k, v in self.secret(CCM_SECRET).items() if k.endswith(".password")), None)

    def is_empty(self) -> bool:
        there = (self.secret(CSI), self.secret(CCM_SECRET), self.config_map(CONFIG), self.storage_class())
        return not any(there)

    def make_default_class(self, name: str) -> None:
        meta = {"name": name, "annotations": {DEFAULT: "true"}}
        self.storage.create_storage_class({"metadata": meta, "provisioner": "example.com/none"})


def _or_none(read: Any) -> Any:
    try:
        return read()
    except ApiException as error:
        if error.status == 404:
            return None
        raise


@pytest.fixture
def user_cluster(newcomer: Tenant) -> Iterator[UserCluster]:
    """An empty one, whose kubeconfig the tenant has; its Seed is looked at every few seconds."""
    newcomer.settle_in(SOON)
    newcomer.ready("Seed", newcomer.seed)
    cluster = UserCluster(newcomer.world.bed.info.kubeconfig.user_cluster)
    newcomer.api.write_secret(newcomer.namespace, "kubeconfig", {"value": cluster.text})
    yield cluster
    for name in ("fast", CLASS):
        _or_none(lambda name=name: cluster.storage.delete_storage_class(name))
    _or_none(lambda: cluster.core.delete_namespaced_secret(CSI[1], CSI[0]))


def delivered(tenant: Tenant) -> None:
    tenant.ready("Cluster", "shop")
    tenant.condition("Cluster", "shop", "CloudConfigDelivered", "True", "Delivered")


def test_all_that_ccm_and_csi_expect_is_there_and_goes_with_the_cluster(
    newcomer: Tenant, user_cluster: UserCluster
) -> None:
    newcomer.shop(**KUBECONFIG)
    delivered(newcomer)
    password = newcomer.world.password(CCM)
    assert (user_cluster.csi_password(), user_cluster.ccm_password()) == (password, password)
    (vcenter,) = yaml.safe_load(user_cluster.config_map(CONFIG)["vsphere.conf"])["vcenter"].values()
    assert (vcenter["secretNamespace"], vcenter["secretName"]) == CCM_SECRET
    assert f"{vcenter['server']}.username" in user_cluster.secret(CCM_SECRET)
    assert SECRET not in user_cluster.config_map(CONFIG)["vsphere.conf"]
    for content in (user_cluster.secret(CSI), user_cluster.config_map(CONFIG)):
        assert content["ca.crt"].strip() == newcomer.world.ca().strip()
    assert user_cluster.config_map(("kube-system", "vsphere-ca-bundle"))
    made = user_cluster.storage_class()
    assert (made.volume_binding_mode, made.allow_volume_expansion) == ("WaitForFirstConsumer", True)
    assert made.metadata.annotations[DEFAULT] == "true"
    newcomer.delete("Cluster", "shop")
    newcomer.gone("Cluster", "shop")
    assert user_cluster.is_empty()


def test_a_rotated_password_reaches_every_copy(newcomer: Tenant, user_cluster: UserCluster) -> None:
    newcomer.shop(**KUBECONFIG)
    delivered(newcomer)
    newcomer.write_login("ccm", CCM, AWKWARD + "\n")
    newcomer.eventually(lambda: user_cluster.csi_password() == AWKWARD, "CSI's login is rotated")
    newcomer.eventually(lambda: user_cluster.ccm_password() == AWKWARD, "CCM's login is rotated")


def test_what_is_changed_or_deleted_there_comes_back(newcomer: Tenant, user_cluster: UserCluster) -> None:
    newcomer.shop(**KUBECONFIG)
    delivered(newcomer)
    right = user_cluster.secret(CSI)
    user_cluster.core.delete_namespaced_secret(CSI[1], CSI[0])
    user_cluster.core.patch_namespaced_config_map(CONFIG[1], CONFIG[0], {"data": {"vsphere.conf": "none"}})
    user_cluster.storage.delete_storage_class(CLASS)
    user_cluster.make_default_class("fast")
    newcomer.eventually(lambda: user_cluster.secret(CSI) == right, "CSI's Secret is back")
    newcomer.eventually(
        lambda: "vcenter" in user_cluster.config_map(CONFIG)["vsphere.conf"], "CCM's file is right"
    )
    newcomer.eventually(lambda: user_cluster.storage_class() is not None, "the StorageClass is back")
    assert user_cluster.storage_class().metadata.annotations[DEFAULT] == "false"


def test_a_class_of_ours_with_other_fixed_fields_is_made_anew(
    newcomer: Tenant, user_cluster: UserCluster
) -> None:
    newcomer.shop(**KUBECONFIG)
    delivered(newcomer)
    found = user_cluster.storage_class()
    labels = found.metadata.labels
    user_cluster.storage.delete_storage_class(CLASS)
    user_cluster.storage.create_storage_class(
        {
            "metadata": {"name": CLASS, "labels": labels},
            "provisioner": "csi.vsphere.vmware.com",
            "parameters": {"storagepolicyname": "another"},
        }
    )
    newcomer.eventually(
        lambda: (c := user_cluster.storage_class()) and c.volume_binding_mode == "WaitForFirstConsumer",
        "the StorageClass is right",
    )
    assert not user_cluster.storage_class().parameters


def test_what_is_not_ours_there_is_left_alone(newcomer: Tenant, user_cluster: UserCluster) -> None:
    user_cluster.make_default_class(CLASS)
    newcomer.create_cluster("shop", KUBECONFIG)
    words = newcomer.condition("Cluster", "shop", "CloudConfigDelivered", "False", "ObjectTaken")
    assert f"StorageClass {CLASS}" in words
    assert user_cluster.storage_class().provisioner == "example.com/none"
    assert user_cluster.csi_password() == newcomer.world.password(CCM)
    newcomer.delete("Cluster", "shop")
    newcomer.gone("Cluster", "shop")
    assert user_cluster.storage_class().provisioner == "example.com/none"


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_user_cluster_that_does_not_answer_delays_nothing(
    newcomer: Tenant, user_cluster: UserCluster, silent_server: int
) -> None:
    config = json.loads(user_cluster.text)
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{silent_server}"
    newcomer.api.write_secret(newcomer.namespace, "kubeconfig", {"value": json.dumps(config)})
    newcomer.shop(**KUBECONFIG)
    words = newcomer.condition(
        "Cluster", "shop", "UserClusterReachable", "False", "UserClusterUnreachable", seconds=40
    )
    assert "127.0.0.1" in words
    assert newcomer.ready("Cluster", "shop")
    newcomer.api.write_secret(newcomer.namespace, "kubeconfig", {"value": user_cluster.text})
    delivered(newcomer)


def test_a_kubeconfig_that_would_run_a_program_is_refused(
    newcomer: Tenant, user_cluster: UserCluster, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    config = json.loads(user_cluster.text)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(trace)]}
    config["users"][0]["user"] = {"exec": {**plugin, "interactiveMode": "Never"}}
    newcomer.api.write_secret(newcomer.namespace, "kubeconfig", {"value": json.dumps(config)})
    newcomer.create_cluster("shop", KUBECONFIG)
    words = newcomer.condition("Cluster", "shop", "UserClusterReachable", "False", "KubeconfigInvalid")
    assert "exec" in words
    newcomer.condition("Cluster", "shop", "FolderReady", "True", "Created")
    assert not trace.exists()
    assert user_cluster.is_empty()
