"""The CRDs install on a real API server without a word, and it serves what they promise."""

import json
from typing import Any

import pytest

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.names import API_VERSION
from vsphere_operator.api.schema import structural_schema

from .api_server import Answer, ApiServer
from .conftest import DEFINITIONS

pytestmark = pytest.mark.testbed

NAMES = [kind.__name__ for kind in KINDS]


@pytest.mark.parametrize("kind", NAMES)
def test_a_definition_installs_without_a_warning(installed: dict[str, Answer], kind: str) -> None:
    answer = installed[kind]
    assert (answer.status in (200, 201), answer.message, answer.warning) == (True, "", None)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_definition_is_established_and_structural(api: ApiServer, kind: Any) -> None:
    definition = api.call("GET", f"{DEFINITIONS}/{kind.definition.plural}.userclusters.io").body
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_api_serves_the_kind_under_its_names(api: ApiServer, kind: Any) -> None:
    resources = {entry["name"]: entry for entry in api.call("GET", f"/apis/{API_VERSION}").body["resources"]}
    entry = resources[kind.definition.plural]
    assert entry["kind"] == kind.__name__
    assert entry["namespaced"] is (kind.definition.scope == "Namespaced")
    assert entry["categories"] == ["userclusters"]
    assert entry["shortNames"] == list(kind.definition.short_names)
    assert f"{kind.definition.plural}/status" in resources
    assert (f"{kind.definition.plural}/scale" in resources) is kind.definition.scalable


def test_the_autoscaler_finds_the_group_in_its_preferred_version(api: ApiServer) -> None:
    groups = {group["name"]: group for group in api.call("GET", "/apis").body["groups"]}
    assert groups["userclusters.io"]["preferredVersion"]["groupVersion"] == API_VERSION


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_api_server_keeps_the_schema_as_it_was_sent(api: ApiServer, kind: Any) -> None:
    definition = api.call("GET", f"{DEFINITIONS}/{kind.definition.plural}.userclusters.io").body
    stored = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert json.dumps(stored, sort_keys=True) == json.dumps(structural_schema(kind), sort_keys=True)
