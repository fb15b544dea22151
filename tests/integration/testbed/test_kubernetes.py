"""The two Kubernetes APIs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from testbed import TestBed
from tests.integration.testbed.clients import Kubernetes, eventually

pytestmark = pytest.mark.testbed


@pytest.fixture
def admin(test_bed: TestBed) -> Kubernetes:
    return Kubernetes(test_bed.info.kubeconfig.admin)


@pytest.fixture
def namespace(admin: Kubernetes) -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    assert admin("POST", "/api/v1/namespaces", {"metadata": {"name": name}})[0] == 201
    yield name
    admin("DELETE", f"/api/v1/namespaces/{name}")


def test_the_server_says_its_real_version(admin: Kubernetes) -> None:
    assert admin("GET", "/version")[1]["gitVersion"] == "v1.37.2"


def test_the_operator_is_its_own_service_account(test_bed: TestBed) -> None:
    operator = Kubernetes(test_bed.info.kubeconfig.operator)
    _, review = operator(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    )
    username = review["status"]["userInfo"]["username"]
    assert username == "system:serviceaccount:vsphere-operator:vsphere-operator"


def test_the_operator_has_no_more_than_its_rights(test_bed: TestBed) -> None:
    operator = Kubernetes(test_bed.info.kubeconfig.operator)
    assert operator("DELETE", "/api/v1/namespaces/default")[0] == 403
    assert operator("GET", "/api/v1/nodes")[0] == 403


def test_the_user_cluster_is_another_cluster(test_bed: TestBed, namespace: str) -> None:
    user_cluster = Kubernetes(test_bed.info.kubeconfig.user_cluster)
    assert user_cluster("GET", "/api/v1/namespaces/default")[0] == 200
    assert user_cluster("GET", f"/api/v1/namespaces/{namespace}")[0] == 404
    token = Kubernetes(test_bed.info.kubeconfig.operator)
    assert token("GET", "/api/v1/namespaces")[0] in (200, 403)


def test_dependents_go_with_their_owner(admin: Kubernetes, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    _, owner = admin("POST", path, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    admin("POST", path, {"metadata": {"name": "dependent", "ownerReferences": [reference]}})
    assert admin("DELETE", f"{path}/owner")[0] == 200
    eventually(lambda: admin("GET", f"{path}/dependent")[0] == 404, 30)


def test_a_deleted_namespace_goes_away_with_its_contents(admin: Kubernetes, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    admin("POST", f"{path}/secrets", {"metadata": {"name": "secret"}})
    admin("DELETE", path)
    eventually(lambda: admin("GET", path)[0] == 404, 30)


def test_a_namespace_gets_its_default_account_and_root_certificate(admin: Kubernetes, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    eventually(lambda: admin("GET", f"{path}/serviceaccounts/default")[0] == 200)
    eventually(lambda: admin("GET", f"{path}/configmaps/kube-root-ca.crt")[0] == 200)
