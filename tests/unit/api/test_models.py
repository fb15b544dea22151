"""What people write is read as they mean it, and nothing of it is lost or made up."""

from typing import Any

import pytest
from pydantic import ValidationError

from vsphere_operator.api.base import camel
from vsphere_operator.api.cluster import Cluster, DriftPolicy, OrphanPolicy, PresetPolicy
from vsphere_operator.api.conditions import Condition, ConditionStatus, find
from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.machine import Machine, MachineStatus, VirtualMachineStatus
from vsphere_operator.api.machinedeployment import MachineDeployment, RollingUpdate
from vsphere_operator.api.names import API_VERSION
from vsphere_operator.api.seed import Seed

from .manifests import SAMPLES, documents

MACHINE: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "Machine",
    "metadata": {"name": "workers-x", "namespace": "team-shop"},
    "spec": {
        "clusterName": "shop",
        "operatingSystem": "ubuntu",
        "bootstrap": {"dataSecretName": "shop-bootstrap"},
        "vsphere": {"cpus": 2, "memoryMB": 4096},
    },
}
CLUSTER: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "Cluster",
    "metadata": {"name": "shop", "namespace": "team-shop"},
    "spec": {"datacenter": "frankfurt", "cloud": {"vsphere": {}}},
}


@pytest.mark.parametrize(
    ("python", "json"),
    [
        ("memory_mb", "memoryMB"),
        ("disk_size_gb", "diskSizeGB"),
        ("provider_id", "providerID"),
        ("category_id", "categoryID"),
        ("id", "id"),
        ("instance_uuid", "instanceUUID"),
        ("bios_uuid", "biosUUID"),
        ("mo_ref", "moRef"),
        ("vcenter", "vCenter"),
        ("cpu_mhz", "cpuMHz"),
        ("tag_vms", "tagVMs"),
        ("ca_bundle_ref", "caBundleRef"),
        ("kubeconfig_secret_ref", "kubeconfigSecretRef"),
        ("dns_servers", "dnsServers"),
        ("cidr", "cidr"),
    ],
)
def test_fields_are_spelled_as_the_api_conventions_want(python: str, json: str) -> None:
    assert camel(python) == json


def test_every_sample_is_read_and_written_back_unchanged() -> None:
    kinds = {kind.__name__: kind for kind in KINDS}
    ours = [document for document in documents(SAMPLES) if document["apiVersion"] == API_VERSION]
    assert {document["kind"] for document in ours} == {"Seed", "Preset", "Cluster", "MachineDeployment"}
    for document in ours:
        read = kinds[document["kind"]].model_validate(document)
        assert read.model_dump(mode="json", exclude_unset=True) == document


def test_an_absent_field_inherits_and_an_empty_list_clears() -> None:
    absent = Cluster.model_validate(CLUSTER).spec.cloud.vsphere
    empty = Cluster.model_validate(
        CLUSTER | {"spec": {"datacenter": "frankfurt", "cloud": {"vsphere": {"networks": [], "tags": []}}}}
    ).spec.cloud.vsphere
    assert (absent.networks, absent.tags, absent.datastore) == (None, None, None)
    assert (empty.networks, empty.tags) == ([], [])


def test_fields_of_a_newer_version_are_passed_over() -> None:
    machine = Machine.model_validate(MACHINE | {"spec": MACHINE["spec"] | {"tomorrow": {"x": 1}}})
    assert "tomorrow" not in machine.to_json()["spec"]


def test_python_names_are_accepted_too() -> None:
    assert VirtualMachineStatus(mo_ref="vm-1", bios_uuid="x").to_json() == {
        "moRef": "vm-1",
        "biosUUID": "x",
        "disks": [],
    }


def test_a_model_cannot_be_changed_in_place() -> None:
    cluster = Cluster.model_validate(CLUSTER)
    with pytest.raises(ValidationError, match="frozen"):
        cluster.spec.paused = True  # type: ignore[misc]


def test_policies_have_the_careful_default() -> None:
    spec = Cluster.model_validate(CLUSTER).spec
    assert spec.drift_policy is DriftPolicy.REPAIR
    assert spec.orphan_policy is OrphanPolicy.REPORT
    assert spec.preset_policy is PresetPolicy.FOLLOW
    assert (spec.deletion.volumes, spec.deletion.load_balancers) == ("Keep", "Keep")


def test_an_object_that_was_never_reconciled_has_an_empty_status() -> None:
    assert Machine.model_validate(MACHINE).status == MachineStatus()


def test_surge_is_a_number_or_a_percentage_and_stays_what_it_is() -> None:
    read = RollingUpdate.model_validate({"maxSurge": "25%", "maxUnavailable": 0})
    assert (read.max_surge, read.max_unavailable) == ("25%", 0)
    assert RollingUpdate.model_validate({"maxSurge": "1"}).max_surge == "1"


def test_a_deployment_without_replicas_has_one() -> None:
    sample = next(document for document in documents(SAMPLES) if document["kind"] == "MachineDeployment")
    del sample["spec"]["replicas"]
    assert MachineDeployment.model_validate(sample).spec.replicas == 1


def test_limits_have_the_documented_defaults() -> None:
    sample = next(document for document in documents(SAMPLES) if document["kind"] == "Seed")
    limits = Seed.model_validate(sample).spec.datacenters["frankfurt"].vsphere.limits
    assert (limits.provisioning, limits.power, limits.per_datastore) == (20, 50, 8)


def test_a_condition_is_found_by_its_type() -> None:
    ready = Condition.model_validate(
        {
            "type": "Ready",
            "status": "True",
            "reason": "AllGood",
            "message": "",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
    )
    assert find([ready], "Ready") is ready
    assert find([ready], "Stalled") is None
    assert ready.status is ConditionStatus.TRUE
    assert ready.to_json()["lastTransitionTime"] == "2026-01-02T03:04:05Z"
