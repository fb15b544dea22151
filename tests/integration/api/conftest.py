"""The CRDs on a real API server."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vsphere_operator.api.crds import render_crds

from .api_server import APPLY, Answer, ApiServer, from_kubeconfig, wait_until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACE = "api-tests"


@pytest.fixture(scope="module")
def bare_api(test_bed: Any, tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """The seed's API, with or without our kinds."""
    return from_kubeconfig(Path(test_bed.info.kubeconfig.admin), tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def installed(bare_api: ApiServer) -> dict[str, Answer]:
    """What the API server said to each CRD, once it serves them all."""
    answers = {}
    for text in render_crds().values():
        document = yaml.safe_load(text)
        path = f"{DEFINITIONS}/{document['metadata']['name']}"
        answers[document["spec"]["names"]["kind"]] = bare_api.call(
            "PATCH", path, document, APPLY, force="true"
        )
    for document in map(yaml.safe_load, render_crds().values()):
        plural = document["spec"]["names"]["plural"]
        served = f"/apis/userclusters.io/v1alpha1/{plural}"
        wait_until(lambda served=served: bare_api.call("GET", served, limit="1").status == 200, served)  # type: ignore[misc]
    return answers


@pytest.fixture(scope="module")
def api(bare_api: ApiServer, installed: dict[str, Answer]) -> ApiServer:
    """The seed's API with our kinds and a namespace to try them in."""
    assert {answer.status for answer in installed.values()} <= {200, 201}
    path = f"/api/v1/namespaces/{NAMESPACE}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert bare_api.call("PATCH", path, namespace, APPLY, force="true").status in (200, 201)
    return bare_api
