"""What CCM and CSI read: the Secrets beside a Cluster, through all that people do to them."""

from __future__ import annotations

from typing import Any

import yaml

from tests.e2e.world import CCM, SECRET, Tenant
from tests.unit.cloudconfig import gcfg

AWKWARD = f'  {SECRET}"a\\b#c;d%e  '


def beside(tenant: Tenant, name: str) -> dict[str, bytes]:
    """The content of a Secret that is there."""
    return tenant.eventually(
        lambda: tenant.api.read_secret(tenant.namespace, name), f"Secret {name} is there"
    )


def ccm_vcenter(tenant: Tenant) -> dict[str, Any]:
    document = yaml.safe_load(beside(tenant, "shop-cloud-config").get("vsphere.yaml", b"{vcenter: {}}"))
    return dict(next(iter(document["vcenter"].values()), {}))


def csi(tenant: Tenant) -> gcfg.Sections:
    return gcfg.parse(beside(tenant, "shop-csi-config").get("csi-vsphere.conf", b"").decode())


def csi_vcenter(tenant: Tenant) -> dict[str, str]:
    return next((values for (name, _), values in csi(tenant).items() if name == "VirtualCenter"), {})


def checksum(tenant: Tenant, name: str) -> str:
    found = tenant.api.read_secret_object(tenant.namespace, name)
    return str((found or {})["metadata"]["annotations"]["userclusters.io/checksum"])


def test_ccm_and_csi_find_all_they_need_and_it_goes_with_the_cluster(tenant: Tenant) -> None:
    tenant.shop()
    password = tenant.world.password(CCM)
    vcenter = ccm_vcenter(tenant)
    assert (vcenter["user"], vcenter["password"]) == (CCM, password)
    assert vcenter["datacenters"] == ["DC0"]
    assert f"https://{vcenter['server']}:{vcenter['port']}" == tenant.world.double.url.rstrip("/")
    assert csi_vcenter(tenant)["password"] == password
    assert len(csi(tenant)["Global", None]["cluster-id"]) <= 64
    legacy = gcfg.parse(beside(tenant, "shop-cloud-config")["vsphere.conf"].decode())
    assert (
        legacy["Workspace", None]["folder"] == tenant.must_get("Cluster", "shop")["status"]["folder"]["path"]
    )
    for name in ("shop-cloud-config", "shop-csi-config"):
        assert beside(tenant, name)["ca.crt"].decode().strip() == tenant.world.ca().strip()
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    for name in ("shop-cloud-config", "shop-csi-config"):
        tenant.eventually(
            lambda name=name: tenant.api.read_secret(tenant.namespace, name) is None,  # type: ignore[misc]
            f"the Secret {name} went with its owner",
            seconds=90,  # Kubernetes' garbage collector looks for new kinds every 30 s
        )


def test_a_rotated_awkward_password_reaches_both_copies(tenant: Tenant) -> None:
    tenant.shop()
    before = checksum(tenant, "shop-csi-config")
    tenant.write_login("ccm", CCM, AWKWARD + "\n\n")
    tenant.eventually(lambda: csi_vcenter(tenant).get("password") == AWKWARD, "CSI's copy is rotated")
    tenant.eventually(lambda: ccm_vcenter(tenant).get("password") == AWKWARD, "CCM's copy is rotated")
    assert checksum(tenant, "shop-csi-config") != before
    tenant.condition("Cluster", "shop", "CredentialsValid", "False", "InvalidLogin")


def test_what_is_changed_or_deleted_behind_our_back_comes_back(tenant: Tenant) -> None:
    tenant.shop()
    right = beside(tenant, "shop-csi-config")
    tenant.api.write_secret(tenant.namespace, "shop-csi-config", {"csi-vsphere.conf": "[Global]\n"})
    tenant.eventually(lambda: beside(tenant, "shop-csi-config") == right, "the change is undone")
    tenant.api.delete_secret(tenant.namespace, "shop-csi-config")
    tenant.eventually(lambda: beside(tenant, "shop-csi-config") == right, "the Secret is back")
    tenant.eventually(lambda: tenant.told("DriftRepaired", "shop-csi-config"), "an event tells")


def test_a_foreign_secret_of_that_name_is_never_overwritten(tenant: Tenant) -> None:
    tenant.api.write_secret(tenant.namespace, "shop-cloud-config", {"precious": "yes"})
    tenant.create_cluster()
    words = tenant.condition("Cluster", "shop", "CloudConfigReady", "False", "SecretTaken")
    assert "shop-cloud-config" in words
    assert beside(tenant, "shop-cloud-config") == {"precious": b"yes"}
    tenant.condition("Cluster", "shop", "FolderReady", "True", "Created")
    tenant.api.delete_secret(tenant.namespace, "shop-cloud-config")
    tenant.ready("Cluster", "shop")
    assert ccm_vcenter(tenant)


def test_without_a_user_of_its_own_nothing_is_written(tenant: Tenant) -> None:
    tenant.create_cluster(changes={"cloud": {"vsphere": {"credentialsSecretRef": None}}})
    tenant.ready("Cluster", "shop")
    tenant.condition("Cluster", "shop", "CloudConfigReady", "False", "ConsumerCredentialsMissing")
    assert tenant.api.read_secret(tenant.namespace, "shop-cloud-config") is None
