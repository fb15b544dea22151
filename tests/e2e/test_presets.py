"""Presets from end to end: whose setting holds, whose login is used, what a tenant may name, and a preset that goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.vcenter import Vm
from tests.e2e.world import CCM, INFRA, ROTATED, Tenant

Change = Callable[[Mapping[str, Any]], None]
PORTGROUP = "DC0_DVPG0"
FROM_PRESET = {"networks": [{"name": PORTGROUP}], "datastore": "LocalDS_1"}


@pytest.fixture
def preset(tenant: Tenant) -> Iterator[Change]:
    """Writes the tenant's preset: the first time it is created, then its spec is replaced. It goes with the test."""

    def write(spec: Mapping[str, Any]) -> None:
        if tenant.api.get("Preset", tenant.seed, "") is None:
            manifest = objects.preset(tenant.seed, spec)
            tenant.api.create(manifest)
        else:
            before = tenant.api.get("Preset", tenant.seed, "") or {}
            cleared = dict.fromkeys(before["spec"])
            tenant.api.patch("Preset", tenant.seed, "", {"spec": cleared | dict(spec)})

    yield write
    tenant.api.delete("Preset", tenant.seed, "")


def networks(vm: Vm) -> list[str]:
    return [network.name for network in vm.network]


def use(tenant: Tenant, *, policy: str = "Follow", **vsphere: Any) -> None:
    changes = {"presetRef": {"name": tenant.seed}, "presetPolicy": policy, "cloud": {"vsphere": vsphere}}
    tenant.create_cluster(changes=changes)


def effective(tenant: Tenant) -> dict[str, Any]:
    return dict(tenant.must_get("Cluster", "shop")["status"]["effective"])


def networks_become(tenant: Tenant, expected: list[str]) -> None:
    tenant.eventually(
        lambda: effective(tenant).get("networks") == expected, f"the networks are {expected}", seconds=8
    )


def test_a_worker_is_made_from_the_presets_settings_and_the_clusters_over_them(
    tenant: Tenant, preset: Change
) -> None:
    preset({"vsphere": {**FROM_PRESET, "tags": [{"name": f"of-preset-{tenant.namespace}"}]}})
    use(tenant, datastore="LocalDS_2", tags=None)
    tenant.ready("Cluster", "shop")
    tenant.create_machine("alone")
    tenant.ready("Machine", "alone")
    vm = tenant.vm("alone")
    assert networks(vm) == [PORTGROUP]
    assert [d.name for d in vm.datastore] == ["LocalDS_2"]
    found = effective(tenant)
    sources = found["sources"]
    assert (sources["networks"], sources["datastore"], sources["tags"]) == ("Preset", "Cluster", "Preset")
    assert (found["volumeDatastore"], sources["volumeDatastore"]) == ("LocalDS_2", "Cluster")
    tag_ids = tenant.vcenter.tags.on(tenant.vcenter.find(tenant.folder()))
    assert len(tag_ids) == 1
    told = tenant.ready("Preset", tenant.seed)
    assert told["status"]["clusters"] == 1


def test_a_changed_preset_is_followed_and_a_pinned_one_is_not(tenant: Tenant, preset: Change) -> None:
    preset({"vsphere": FROM_PRESET})
    use(tenant, policy="Pin")
    tenant.ready("Cluster", "shop")
    networks_become(tenant, [PORTGROUP])
    preset({"vsphere": {"networks": [{"name": "VM Network"}]}})
    tenant.create_machine("alone")
    tenant.ready("Machine", "alone")
    assert networks(tenant.vm("alone")) == [PORTGROUP]
    tenant.patch("Cluster", "shop", {"spec": {"presetPolicy": "Follow"}})
    networks_become(tenant, ["VM Network"])
    preset({"vsphere": {"networks": [{"name": PORTGROUP}]}})
    networks_become(tenant, [PORTGROUP])
    tenant.ready("Cluster", "shop")


def test_a_preset_that_is_deleted_in_use_leaves_all_as_it_is(tenant: Tenant, preset: Change) -> None:
    preset({"vsphere": FROM_PRESET})
    use(tenant)
    tenant.ready("Cluster", "shop")
    tenant.create_machine("alone")
    tenant.ready("Machine", "alone")
    before = tenant.vcenter.state()
    tenant.api.delete("Preset", tenant.seed, "")
    message = tenant.condition("Cluster", "shop", "PresetReady", "False", "PresetNotFound")
    assert tenant.seed in message
    tenant.create_machine("late")
    tenant.condition("Machine", "late", "Ready", "False", "PresetNotFound")
    tenant.ready("Machine", "alone")
    assert tenant.vcenter.state()["virtualMachines"] == before["virtualMachines"]
    preset({"vsphere": FROM_PRESET})
    tenant.ready("Cluster", "shop")
    tenant.ready("Machine", "late")


def test_a_cluster_goes_without_its_preset_and_without_its_users_secret(
    tenant: Tenant, preset: Change
) -> None:
    tenant.write_login("preset-infra", ROTATED)
    secret = {"namespace": tenant.namespace, "name": "preset-infra"}
    preset({"vsphere": {"infraManagementUser": {"secretRef": secret}}})
    use(tenant)
    tenant.ready("Cluster", "shop")
    tenant.api.delete("Preset", tenant.seed, "")
    tenant.api.delete_secret(tenant.namespace, "preset-infra")
    tenant.condition("Cluster", "shop", "PresetReady", "False", "PresetNotFound")
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.find(tenant.folder()) is None


def test_a_namespace_without_the_labels_is_told_which_ones(tenant: Tenant, preset: Change) -> None:
    preset({"allowedNamespaces": {"matchLabels": {"e2e-tenant": "yes"}}})
    use(tenant)
    message = tenant.condition("Cluster", "shop", "PresetReady", "False", "NamespaceNotAllowed")
    assert "e2e-tenant=yes" in message
    assert tenant.vcenter.find(tenant.folder()) is None
    tenant.api.label_namespace(tenant.namespace, {"e2e-tenant": "yes"})
    tenant.ready("Cluster", "shop", seconds=8)


@pytest.mark.parametrize("spelling", [PORTGROUP, f"/DC0/network/{PORTGROUP}"])
def test_a_forbidden_network_is_refused_by_name_and_by_path(tenant: Tenant, spelling: str) -> None:
    tenant.change_datacenter({"allowed": {"networks": []}})
    tenant.create_cluster(changes={"cloud": {"vsphere": {"networks": [{"name": spelling}]}}})
    there = tenant.condition("Cluster", "shop", "PlacementReady", "False", "NetworkNotAllowed")
    tenant.create_machine("alone")
    tenant.condition("Machine", "alone", "PlacementReady", "False", "NetworkNotAllowed")
    missing = spelling.replace(PORTGROUP, "no-such-network")
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"networks": [{"name": missing}]}}}})

    def told() -> str | None:
        text = tenant.condition("Cluster", "shop", "PlacementReady", "False", "NetworkNotAllowed")
        return text if "no-such-network" in text else None

    assert tenant.eventually(told, "the other name is judged") == there.replace(PORTGROUP, "no-such-network")
    assert tenant.vms() == []
    tenant.change_datacenter({"allowed": None})
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"networks": [{"name": spelling}]}}}})
    tenant.ready("Machine", "alone")


def test_a_half_filled_secret_of_a_preset_is_an_error_and_no_reason_to_take_another(
    tenant: Tenant, preset: Change
) -> None:
    tenant.api.write_secret(tenant.namespace, "half", {"username": ROTATED, "password": "\n"})
    secret = {"namespace": tenant.namespace, "name": "half"}
    preset({"vsphere": {"infraManagementUser": {"secretRef": secret}}})
    use(tenant)
    message = tenant.condition("Cluster", "shop", "CredentialsValid", "False", "SecretIncomplete")
    assert f"{tenant.namespace}/half" in message
    assert "the key password is empty" in message
    assert tenant.vcenter.find(tenant.folder()) is None
    tenant.write_login("half", INFRA)
    tenant.ready("Cluster", "shop")


def test_a_presets_rotated_secret_is_used_at_once(tenant: Tenant, preset: Change) -> None:
    tenant.write_login("preset-infra", CCM, f"{tenant.world.password(CCM)}\n")
    secret = {"namespace": tenant.namespace, "name": "preset-infra"}
    preset({"vsphere": {"infraManagementUser": {"secretRef": secret}, "credentialsSecretRef": secret}})
    use(tenant, credentialsSecretRef=None)
    tenant.ready("Cluster", "shop")
    message = tenant.condition("Cluster", "shop", "CredentialsValid", "True", "LoggedIn")
    assert message.count(f"{tenant.namespace}/preset-infra that the Preset names") == 2
    tenant.write_login("preset-infra", ROTATED)
    tenant.eventually(
        lambda: tenant.vcenter.sessions(ROTATED)["soap"] == 1, "the new user is logged in", seconds=8
    )
    tenant.create_machine("alone")
    tenant.ready("Machine", "alone")
    (clone,) = tenant.world.double.calls(since=tenant.first_call, method="CloneVM_Task", user=ROTATED)
    assert clone["status"] == 200


def test_a_storage_policy_is_given_to_the_vm_and_a_missing_one_is_told(
    tenant: Tenant, preset: Change
) -> None:
    preset({"vsphere": {"storagePolicy": "no such policy"}})
    use(tenant)
    message = tenant.condition("Cluster", "shop", "StoragePolicyReady", "False", "StoragePolicyNotFound")
    assert "no such policy" in message
    tenant.eventually(lambda: tenant.vcenter.find(tenant.folder()), "the folder is there")
    preset({"vsphere": {"storagePolicy": "VVol No Requirements Policy"}})
    tenant.ready("Cluster", "shop")
    tenant.create_machine("alone")
    tenant.ready("Machine", "alone")
    vm = tenant.vm("alone")
    assert tenant.vcenter.policies_of(vm) == {"VVol No Requirements Policy"}
