"""Status and scale on a real API server: what controllers write is kept, what autoscalers write counts."""

from typing import Any

import pytest

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.schema import structural_schema

from .api_server import APPLY, MERGE, ApiServer
from .objects import changed, collection, create, good, remove

pytestmark = pytest.mark.testbed

Schema = dict[str, Any]

NAMES = [kind.__name__ for kind in KINDS]


def full(schema: Schema) -> Any:
    """A value that uses every field of a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object" if "additionalProperties" in schema:
            return {"key": full(schema["additionalProperties"])}
        case "object":
            return {name: full(part) for name, part in schema["properties"].items()}
        case "array":
            return [full(schema["items"])]
        case "string":
            return "2026-01-02T03:04:05Z" if schema.get("format") == "date-time" else "Text"
        case "integer":
            return 7
    return True


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_status_keeps_every_field_that_a_controller_may_write(api: ApiServer, kind: Any) -> None:
    document = good(kind.__name__, "full-status")
    status = full(structural_schema(kind)["properties"]["status"])
    identity = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
    create(api, document)
    try:
        where = f"{collection(kind.__name__)}/full-status/status"
        answer = api.call("PATCH", where, identity | {"status": status}, APPLY, force="true")
    finally:
        remove(api, document)
    assert (answer.status, answer.message, answer.warning) == (200, "", None)
    assert answer.body["status"] == status
    assert kind.model_validate(answer.body).status.to_json() == status


@pytest.mark.parametrize("kind", NAMES)
def test_a_write_of_the_object_leaves_its_status_alone(api: ApiServer, kind: str) -> None:
    document = good(kind, "split")
    create(api, document)
    try:
        where = f"{collection(kind)}/split"
        answer = api.call("PATCH", where, {"status": {"observedGeneration": 99}}, MERGE)
        generation = answer.body["metadata"]["generation"]
        status = api.call("PATCH", f"{where}/status", {"status": {"observedGeneration": 1}}, MERGE)
    finally:
        remove(api, document)
    assert "status" not in answer.body
    assert status.body["status"] == {"observedGeneration": 1}
    assert status.body["metadata"]["generation"] == generation


@pytest.mark.parametrize("kind", ["MachineDeployment", "MachineSet"])
def test_replicas_are_scaled_and_shown_with_a_selector(api: ApiServer, kind: str) -> None:
    document = good(kind, "scaled")
    create(api, document)
    try:
        where = f"{collection(kind)}/scaled"
        counts = {"replicas": 2, "selector": "pool=workers"}
        assert api.call("PATCH", f"{where}/status", {"status": counts}, MERGE).status == 200
        scaled = api.call("PATCH", f"{where}/scale", {"spec": {"replicas": 5}}, MERGE)
        refused = api.call("PATCH", f"{where}/scale", {"spec": {"replicas": -1}}, MERGE)
        now = api.call("GET", where)
    finally:
        remove(api, document)
    assert scaled.body["spec"] == {"replicas": 5}
    assert scaled.body["status"] == counts
    assert refused.status == 422
    assert now.body["spec"]["replicas"] == 5


@pytest.mark.parametrize("kind", ["MachineDeployment", "MachineSet"])
def test_replicas_left_out_are_one_and_then_whoever_scales_owns_them(api: ApiServer, kind: str) -> None:
    document = good(kind, "unset")
    del document["spec"]["replicas"]
    where = f"{collection(kind)}/unset"
    try:
        first = api.call("PATCH", where, document, APPLY, force="true")
        assert api.call("PATCH", f"{where}/scale", {"spec": {"replicas": 4}}, MERGE).status == 200
        again = api.call("PATCH", where, document, APPLY, force="true")
    finally:
        remove(api, document)
    assert first.body["spec"]["replicas"] == 1
    assert again.body["spec"]["replicas"] == 4


def test_nothing_else_is_written_into_a_spec(api: ApiServer) -> None:
    for kind in NAMES:
        document = good(kind, "as-written")
        kept = create(api, document)
        remove(api, document)
        assert kept["spec"] == document["spec"]


def test_conditions_of_two_writers_live_side_by_side(api: ApiServer) -> None:
    document = good("Cluster", "shared")
    identity = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
    where = f"{collection('Cluster')}/shared/status"
    create(api, document)
    try:
        for writer, type_ in (("one", "Ready"), ("two", "Audited")):
            condition = {
                "type": type_,
                "status": "True",
                "reason": "Fine",
                "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
            mine = changed(identity, "status.conditions", [condition])
            answer = api.call("PATCH", where, mine, APPLY, fieldManager=writer)
            assert answer.status == 200, answer.message
    finally:
        remove(api, document)
    assert [condition["type"] for condition in answer.body["status"]["conditions"]] == ["Ready", "Audited"]


def test_machines_can_be_listed_by_their_cluster(api: ApiServer) -> None:
    document = good("Machine", "selected")
    create(api, document)
    try:
        found = api.call(
            "GET", collection("Machine"), fieldSelector="spec.clusterName=shop,metadata.name=selected"
        )
        others = api.call("GET", collection("Machine"), fieldSelector="spec.clusterName=other")
    finally:
        remove(api, document)
    assert [item["metadata"]["name"] for item in found.body["items"]] == ["selected"]
    assert others.body["items"] == []
