"""The manifests that ship fit together: rights, names and samples."""

from typing import Any

import yaml

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.names import BOOTSTRAP_KEY, GROUP, PASSWORD_KEY, USERNAME_KEY

from .manifests import BASE, SAMPLES, documents


def rights(kind: str) -> set[tuple[str, str, str]]:
    roles = [document for document in documents(BASE) if document["kind"] == kind]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def named(kind: str) -> dict[tuple[str | None, str], dict[str, Any]]:
    return {
        (document["metadata"].get("namespace"), document["metadata"]["name"]): document
        for document in documents(SAMPLES)
        if document["kind"] == kind
    }


def test_every_kind_can_be_watched_and_given_a_status() -> None:
    cluster_wide = rights("ClusterRole")
    for kind in KINDS:
        plural = kind.definition.plural
        assert {(GROUP, plural, verb) for verb in ("get", "list", "watch")} <= cluster_wide
        assert (GROUP, f"{plural}/status", "patch") in cluster_wide


def test_no_right_is_a_wildcard() -> None:
    every = rights("ClusterRole") | rights("Role")
    assert not any("*" in part for right in every for part in right)


def test_secrets_are_read_and_written_beside_clusters_and_never_deleted() -> None:
    verbs = {verb for _, resource, verb in rights("ClusterRole") if resource == "secrets"}
    assert verbs == {"get", "list", "watch", "create", "patch"}


def test_config_maps_of_others_are_only_read() -> None:
    verbs = {verb for _, resource, verb in rights("ClusterRole") if resource == "configmaps"}
    assert verbs == {"get", "list", "watch"}


def test_what_platform_engineers_and_users_own_is_never_deleted() -> None:
    deleted = {resource for _, resource, verb in rights("ClusterRole") if verb == "delete"}
    assert deleted == {"machinedeployments", "machinesets", "machines"}


def test_leases_are_for_the_own_namespace_only() -> None:
    assert ("coordination.k8s.io", "leases", "create") in rights("Role")
    assert not any(resource == "leases" for _, resource, _ in rights("ClusterRole"))


def test_the_base_lists_all_of_its_files() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(
        path.name for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml"
    )


def test_samples_name_only_secrets_that_come_with_them() -> None:
    secrets = named("Secret")
    seed = named("Seed")[None, "europe"]["spec"]["datacenters"]["frankfurt"]["vsphere"]
    cluster = named("Cluster")["team-shop", "shop"]["spec"]["cloud"]["vsphere"]
    infra = seed["infraManagementUser"]["secretRef"]
    for location in (
        (infra["namespace"], infra["name"]),
        ("team-shop", cluster["credentialsSecretRef"]["name"]),
    ):
        assert set(secrets[location]["stringData"]) == {USERNAME_KEY, PASSWORD_KEY}
    for deployment in named("MachineDeployment").values():
        bootstrap = deployment["spec"]["template"]["spec"]["bootstrap"]["dataSecretName"]
        assert "<MACHINE_NAME>" in secrets["team-shop", bootstrap]["stringData"][BOOTSTRAP_KEY]


def test_samples_name_only_what_comes_before_them() -> None:
    order = [(document["kind"], document["metadata"]["name"]) for document in documents(SAMPLES)]
    expected = [
        ("Namespace", "team-shop"),
        ("Secret", "frankfurt-infra"),
        ("ConfigMap", "vcenter-ca"),
        ("Seed", "europe"),
        ("Cluster", "shop"),
        ("Secret", "shop-bootstrap"),
        ("MachineDeployment", "workers"),
        ("MachineDeployment", "flatcar"),
    ]
    assert [entry for entry in order if entry in expected] == expected


def test_the_operator_runs_without_any_privilege() -> None:
    deployment = next(document for document in documents(BASE) if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
