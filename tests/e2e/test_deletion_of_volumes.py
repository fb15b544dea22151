"""A user cluster's volumes and load balancers go with the Cluster, while its workers still run. A real API server keeps
them; the test plays the CSI driver and the CCM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest

from tests.e2e.world import Tenant

_client: Any = kubernetes.client
_config: Any = kubernetes.config
ApiException: Any = _client.ApiException
DRIVER = "csi.vsphere.vmware.com"
GUARD = "external-provisioner.volume.kubernetes.io/finalizer"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


class UserCluster:
    """What a person sees of it, and what its controllers would do."""

    def __init__(self, tenant: Tenant) -> None:
        self.file = tenant.world.bed.info.kubeconfig.user_cluster
        api: Any = _config.new_client_from_config(str(self.file))
        self.core = _client.CoreV1Api(api)
        self.name = tenant.namespace

    def furnish(self) -> None:
        self.core.create_namespace({"metadata": {"name": self.name}})
        self.volume("ours", DRIVER)
        self.volume("films", "nfs.csi.k8s.io")
        self.core.create_namespaced_service(
            self.name,
            {
                "metadata": {"name": "shop", "finalizers": [CLEANUP]},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
            },
        )

    def volume(self, name: str, driver: str) -> None:
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": driver, "volumeHandle": name},
            "storageClassName": "none",
        }
        meta = {"name": self.full(name), "finalizers": [GUARD]}
        self.core.create_persistent_volume({"metadata": meta, "spec": spec})
        self.core.patch_persistent_volume_status(self.full(name), {"status": {"phase": "Bound"}})
        self.claim(name, volume=self.full(name))

    def claim(self, name: str, volume: str, **options: Any) -> None:
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "none",
            "volumeName": volume,
        }
        self.core.create_namespaced_persistent_volume_claim(
            self.name, {"metadata": {"name": name}, "spec": spec}, **options
        )

    def refuses_claims(self) -> bool:
        """Whether a claim that is only tried is refused; policies take a moment to work."""
        try:
            self.claim("another", volume="", dry_run="All")
        except ApiException as error:
            return "no new ones are made" in str(error)
        return False

    def full(self, name: str) -> str:
        return f"{self.name}-{name}"

    def act_as_ccm(self) -> None:
        self.core.patch_namespaced_service("shop", self.name, {"metadata": {"finalizers": None}})

    def act_as_driver(self) -> None:
        """Kubernetes lets the claim go; the driver deletes the disk and takes its finalizer and the volume away."""
        nothing = {"metadata": {"finalizers": None}}
        self.core.patch_namespaced_persistent_volume_claim("ours", self.name, nothing)
        self.core.delete_persistent_volume(self.full("ours"))
        self.core.patch_persistent_volume(self.full("ours"), nothing)

    def clean(self) -> None:
        for claim in self.core.list_namespaced_persistent_volume_claim(self.name).items:
            nothing = {"metadata": {"finalizers": None}}
            self.core.patch_namespaced_persistent_volume_claim(claim.metadata.name, self.name, nothing)
            self.core.delete_namespaced_persistent_volume_claim(claim.metadata.name, self.name)
        for volume in self.core.list_persistent_volume().items:
            if volume.metadata.name.startswith(self.name):
                self.core.patch_persistent_volume(volume.metadata.name, {"metadata": {"finalizers": None}})
                self.core.delete_persistent_volume(volume.metadata.name)
        for service in self.core.list_namespaced_service(self.name).items:
            self.core.patch_namespaced_service(
                service.metadata.name, self.name, {"metadata": {"finalizers": None}}
            )


@pytest.fixture
def user_cluster(tenant: Tenant) -> Iterator[UserCluster]:
    cluster = UserCluster(tenant)
    cluster.furnish()
    tenant.api.write_secret(tenant.namespace, "kubeconfig", {"value": cluster.file.read_text()})
    yield cluster
    cluster.clean()


def _told(tenant: Tenant) -> dict[str, Any]:
    return dict((tenant.must_get("Cluster", "shop").get("status") or {}).get("deletion") or {})


def _wait_for(tenant: Tenant, step: str, reason: str) -> str:
    tenant.eventually(
        lambda: (_told(tenant).get("step"), _told(tenant).get("reason")) == (step, reason),
        f"{step}: {reason}",
    )
    return tenant.condition("Cluster", "shop", "Deleting", "True", reason)


def test_volumes_and_load_balancers_go_before_the_workers_and_foreign_volumes_stay(
    tenant: Tenant, user_cluster: UserCluster
) -> None:
    deletion = {"volumes": "Delete", "loadBalancers": "Delete"}
    tenant.shop(kubeconfigSecretRef={"name": "kubeconfig"}, deletion=deletion)
    tenant.deploy()
    tenant.all_ready("workers", 1)
    tenant.delete("Cluster", "shop")

    words = _wait_for(tenant, "LoadBalancers", "WaitingForLoadBalancers")
    assert f"Service {tenant.namespace}/shop (finalizer {CLEANUP})" in words
    user_cluster.act_as_ccm()
    words = _wait_for(tenant, "Volumes", "WaitingForVolumes")
    assert f"PersistentVolumeClaim {tenant.namespace}/ours (finalizer kubernetes.io/pvc-protection)" in words
    assert len(tenant.vms()) == 1, "the CSI driver needs its worker"
    tenant.eventually(user_cluster.refuses_claims, "new claims are refused")

    user_cluster.act_as_driver()
    tenant.gone("Cluster", "shop", seconds=40)
    left = {v.metadata.name for v in user_cluster.core.list_persistent_volume().items}
    assert user_cluster.full("films") in left
    assert user_cluster.full("ours") not in left
    (claim,) = user_cluster.core.list_namespaced_persistent_volume_claim(tenant.namespace).items
    assert claim.metadata.name == "films"
    assert claim.metadata.deletion_timestamp is None
    tenant.eventually(lambda: not user_cluster.refuses_claims(), "new claims are taken again")


def test_volumes_are_kept_unless_somebody_asks(tenant: Tenant, user_cluster: UserCluster) -> None:
    tenant.shop(kubeconfigSecretRef={"name": "kubeconfig"})
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    claims = user_cluster.core.list_namespaced_persistent_volume_claim(tenant.namespace).items
    assert {c.metadata.name for c in claims} == {"ours", "films"}
    assert all(c.metadata.deletion_timestamp is None for c in claims)


def test_a_user_cluster_that_is_gone_is_let_go_of_on_a_persons_word(tenant: Tenant) -> None:
    tenant.shop(kubeconfigSecretRef={"name": "kubeconfig"}, deletion={"volumes": "Delete"})
    tenant.delete("Cluster", "shop")
    words = _wait_for(tenant, "Volumes", "KubeconfigMissing")
    assert "userclusters.io/orphan: volumes" in words
    tenant.patch("Cluster", "shop", {"metadata": {"annotations": {"userclusters.io/orphan": "volumes"}}})
    tenant.gone("Cluster", "shop")
    assert tenant.told("LeftBehind", "volumes")
