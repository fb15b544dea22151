"""The samples, with the three things of one's own put in."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.demo import samples
from testbed.demo.errors import DemoError
from testbed.demo.story import advice, folder_path
from tests.unit.api.manifests import SAMPLES

ENDPOINT = samples.Endpoint("https://127.0.0.1:4443", "-----BEGIN CERTIFICATE-----\nours\n")
PASSWORDS = {"infra@vsphere.local": "first-password", "shop-ccm@vsphere.local": "second-password"}


@pytest.fixture
def shipped() -> list[dict[str, Any]]:
    return samples.load(SAMPLES)


def completed(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return samples.completed(manifests, endpoint=ENDPOINT, passwords=PASSWORDS)


def test_the_shipped_samples_name_the_users_that_need_passwords(shipped: list[dict[str, Any]]) -> None:
    assert set(samples.users(shipped)) == set(PASSWORDS)
    assert samples.infrastructure_user(shipped) == "infra@vsphere.local"


def test_every_place_of_ones_own_is_replaced(shipped: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump_all(completed(shipped))
    for placeholder in ("change-me", "vcenter.example.com", "put the certificate"):
        assert placeholder not in text
    assert text.count("ours") == 1


def test_each_user_gets_his_own_password(shipped: list[dict[str, Any]]) -> None:
    logins = [m["stringData"] for m in completed(shipped) if "password" in m.get("stringData", {})]
    assert {login["username"]: login["password"] for login in logins} == PASSWORDS


def test_nothing_else_is_changed_and_the_original_stays(shipped: list[dict[str, Any]]) -> None:
    before = yaml.safe_dump_all(shipped)
    after = completed(shipped)
    assert yaml.safe_dump_all(shipped) == before
    changed = [new["kind"] for old, new in zip(shipped, after, strict=True) if old != new]
    assert changed == ["Secret", "Secret", "ConfigMap", "Seed"]


def test_a_seed_that_names_a_missing_bundle_is_told_so(shipped: list[dict[str, Any]]) -> None:
    without = [m for m in shipped if m["kind"] != "ConfigMap"]
    with pytest.raises(DemoError, match="ConfigMap vsphere-operator/vcenter-ca"):
        completed(without)


def test_a_directory_without_samples_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no YAML files"):
        samples.load(tmp_path)


def test_a_tag_without_a_category_gets_the_datacenters(shipped: list[dict[str, Any]]) -> None:
    cluster = samples.one(shipped, "Cluster")
    assert samples.wanted_tags(cluster, shipped) == {"k8c:env-prod", "owner:team-shop"}


def test_the_folder_that_is_expected_follows_from_root_path_and_names(shipped: list[dict[str, Any]]) -> None:
    cluster = samples.one(shipped, "Cluster")
    assert folder_path(cluster, shipped) == "/DC0/vm/kubernetes/team-shop-shop"


def test_passwords_and_bootstrap_data_are_what_a_log_must_not_hold(shipped: list[dict[str, Any]]) -> None:
    found = samples.secrets_in(completed(shipped))
    assert set(PASSWORDS.values()) < set(found)
    assert "Worker <MACHINE_NAME> of the cluster shop." in found
    assert all(len(text) >= 8 for text in found), "a short one would be found anywhere"


def test_the_advice_fits_a_narrow_terminal_and_names_what_is_there(shipped: list[dict[str, Any]]) -> None:
    kubeconfig = Path("/tmp/vsphere-operator-testbed-12345678/1/admin.kubeconfig")
    lines = advice(kubeconfig, shipped, kubectl=True)
    assert f"export KUBECONFIG={kubeconfig}" in lines
    assert "kubectl -n team-shop scale machinedeployment workers --replicas=3" in lines
    assert max(len(line) for line in lines) <= 80
