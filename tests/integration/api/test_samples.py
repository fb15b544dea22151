"""What the samples say is what the API server takes."""

from typing import Any

import pytest

from tests.unit.api.manifests import SAMPLES, documents

from .api_server import APPLY, ApiServer
from .conftest import NAMESPACE
from .objects import collection

pytestmark = pytest.mark.testbed

_CORE = {"Secret": "secrets", "ConfigMap": "configmaps"}


def place(document: dict[str, Any]) -> str:
    """Where an object goes; that its namespace is another one here changes nothing that is checked."""
    kind, name = document["kind"], document["metadata"]["name"]
    if kind == "Namespace":
        return f"/api/v1/namespaces/{name}"
    if kind in _CORE:
        return f"/api/v1/namespaces/{NAMESPACE}/{_CORE[kind]}/{name}"
    return f"{collection(kind)}/{name}"


@pytest.mark.parametrize(
    "document", documents(SAMPLES), ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_a_sample_applies_without_a_warning(api: ApiServer, document: dict[str, Any]) -> None:
    if "namespace" in document["metadata"]:
        document = document | {"metadata": document["metadata"] | {"namespace": NAMESPACE}}
    answer = api.call("PATCH", place(document), document, APPLY, force="true", dryRun="All")
    assert (answer.status in (200, 201), answer.message, answer.warning) == (True, "", None)
