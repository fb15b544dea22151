"""The schemas stay within what an API server accepts, and say what people need to know."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from vsphere_operator.api.base import VALIDATIONS, Definition, Model, Resource, Rule
from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.schema import (
    SchemaError,
    custom_resource_definition,
    missing_bounds,
    structural_schema,
    walk,
)

Schema = dict[str, Any]

ALLOWED_KEYWORDS = {
    *("type", "format", "description", "enum", "default", "pattern", "nullable"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("properties", "required", "additionalProperties", "items"),
    *("x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    *("x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields", VALIDATIONS),
}


def parts() -> Iterator[tuple[str, Schema]]:
    for kind in KINDS:
        for path, part in walk(structural_schema(kind)):
            yield f"{kind.__name__}{path}", part


def made(**fields: Any) -> type[Resource]:
    """A throw-away kind whose spec has these annotated fields."""
    spec = type("Spec", (Model,), {"__annotations__": fields, "__module__": __name__})
    body = {"__annotations__": {"spec": spec, "status": spec}, "__module__": __name__, "__doc__": "A kind."}
    return type("Made", (Resource,), body)


def test_every_keyword_is_one_that_structural_schemas_know() -> None:
    unknown = {(path, *extra) for path, part in parts() if (extra := part.keys() - ALLOWED_KEYWORDS)}
    assert unknown == set()


def test_every_part_says_its_type() -> None:
    untyped = [path for path, part in parts() if "type" not in part]
    assert all("x-kubernetes-int-or-string" in part for path, part in parts() if path in untyped)
    assert untyped


def test_properties_and_additional_properties_never_stand_together() -> None:
    assert [path for path, part in parts() if {"properties", "additionalProperties"} <= part.keys()] == []


def test_everything_that_people_write_has_an_upper_bound() -> None:
    for kind in KINDS:
        spec = structural_schema(kind)["properties"]["spec"]
        assert missing_bounds(spec) == [], kind.__name__


def test_a_missing_bound_is_noticed() -> None:
    kind = made(names=list[Annotated[str, Field(max_length=3)]], notes=dict[str, str])
    spec = structural_schema(kind)["properties"]["spec"]
    assert missing_bounds(spec) == [".names", ".notes", ".notes{}"]


def test_strings_that_people_write_are_left_out_rather_than_empty() -> None:
    may_be_empty = {
        path
        for path, part in parts()
        if ".spec" in path
        and part.get("type") == "string"
        and "enum" not in part
        and part.get("minLength", 0) < 1
        and not path.endswith(("{}", "values[]"))
    }
    assert {path.rsplit(".", 2)[-2] for path in may_be_empty} <= {"taints[]"}


def test_integers_say_their_size() -> None:
    wrong = [
        path
        for path, part in parts()
        if part.get("type") == "integer" and part["format"] not in ("int32", "int64")
    ]
    assert wrong == []


def test_every_list_says_how_it_merges() -> None:
    lists = {path: part for path, part in parts() if part.get("type") == "array"}
    assert all(part["x-kubernetes-list-type"] in ("atomic", "set", "map") for part in lists.values())
    for path, part in lists.items():
        keys = part.get("x-kubernetes-list-map-keys", [])
        assert set(keys) <= set(part["items"].get("required", [])), path
        assert bool(keys) == (part["x-kubernetes-list-type"] == "map"), path


def test_sets_hold_scalars_only() -> None:
    """The API server accepts sets of objects with a warning."""
    assert all(
        part["items"]["type"] == "string"
        for _, part in parts()
        if part.get("x-kubernetes-list-type") == "set"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_conditions_are_merged_by_type(kind: type[Resource]) -> None:
    status = structural_schema(kind)["properties"]["status"]["properties"]
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert set(status["conditions"]["items"]["required"]) == {
        *("type", "status", "reason", "message", "lastTransitionTime"),
    }
    assert status["observedGeneration"] == {
        "description": "The generation of the spec that this status is about.",
        "type": "integer",
        "format": "int64",
    }


def test_only_replicas_are_written_into_specs_by_the_api_server() -> None:
    defaults = {path: part["default"] for path, part in parts() if "default" in part}
    assert defaults == {"MachineDeployment.spec.replicas": 1, "MachineSet.spec.replicas": 1}


def test_every_field_is_described() -> None:
    silent = [
        path
        for path, part in parts()
        if "description" not in part and not path.endswith(("[]", "{}", ".metadata"))
    ]
    assert silent == []


def test_every_rule_tells_what_to_do_in_one_line() -> None:
    for path, part in parts():
        for rule in part.get(VALIDATIONS, []):
            assert rule["rule"].strip(), path
            assert "\n" not in rule["message"], path
            assert 20 <= len(rule["message"]) <= 250, path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_shows_whether_it_is_ready_and_how_old_it_is(kind: type[Resource]) -> None:
    version = custom_resource_definition(kind)["spec"]["versions"][0]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert "Ready" in columns
    assert columns[-1] == "Age"
    assert version["subresources"]["status"] == {}


def test_columns_point_to_fields_that_exist() -> None:
    for kind in KINDS:
        known = {path.replace("[]", "") for path, _ in walk(structural_schema(kind))}
        for column in kind.definition.columns:
            path = column.json_path
            if not path.startswith(".metadata"):
                assert "".join(part.split("]")[-1] for part in path.split("[?")) in known, column


def test_names_of_kinds_do_not_clash() -> None:
    names = [name for kind in KINDS for name in (kind.definition.plural, *kind.definition.short_names)]
    assert len(names) == len(set(names))


def test_what_the_autoscaler_reads_is_where_it_reads_it() -> None:
    by_kind = {kind.__name__: custom_resource_definition(kind) for kind in KINDS}
    assert by_kind["MachineDeployment"]["metadata"]["name"] == "machinedeployments.userclusters.io"
    assert by_kind["MachineSet"]["metadata"]["name"] == "machinesets.userclusters.io"
    assert by_kind["Machine"]["metadata"]["name"] == "machines.userclusters.io"
    known = {path for path, _ in parts()}
    for owner in ("MachineDeployment", "MachineSet"):
        assert by_kind[owner]["spec"]["versions"][0]["subresources"]["scale"] == {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
        for field in (
            "selector.matchLabels",
            "clusterName",
            "template.spec.taints[].key",
            "template.metadata.labels",
        ):
            assert f"{owner}.spec.{field}" in known
    for field in ("spec.clusterName", "spec.providerID", "status.nodeRef.name", "status.phase"):
        assert f"Machine.{field}" in known
    assert {"Machine.status.failureMessage", "Machine.status.failureReason"} <= known


def test_fields_of_later_work_are_there_from_the_start() -> None:
    known = {path for path, _ in parts()}
    deployment, template = "MachineDeployment.spec", "MachineDeployment.spec.template.spec"
    assert {
        *(f"Cluster.spec.{name}" for name in ("deletion", "driftPolicy", "orphanPolicy", "presetPolicy")),
        *(f"{deployment}.{name}" for name in ("healthCheck", "paused", "minReadySeconds", "deletePolicy")),
        *(f"{deployment}.{name}" for name in ("progressDeadlineSeconds", "revisionHistoryLimit")),
        *(f"{template}.{name}" for name in ("delivery", "updatePolicy", "failureDomain", "powerOffTimeout")),
        *(f"{template}.{name}" for name in ("nodeDrainTimeout", "nodeVolumeDetachTimeout")),
        *(f"{template}.vsphere.{name}" for name in ("cloneMode", "coresPerSocket", "extraDisks[].sizeGB")),
        "Seed.spec.datacenters{}.vsphere.failureDomains[].zone",
        "Seed.spec.datacenters{}.vsphere.createTagCategory",
        "Preset.spec.allowedNamespaces.matchLabels",
    } <= known


class Loop(Model):
    inner: "Loop | None" = None


class Ruled(Model):
    rules: ClassVar = (Rule("self.x > 0", "x must be more than nothing"),)
    x: int


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        (int | str, "a union has no structural form"),
        (Loop, "Loop contains itself"),
        (tuple[int, str], "no structural form for prefixItems"),
    ],
)
def test_what_has_no_structural_form_is_refused_by_name(annotation: Any, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        structural_schema(made(field=annotation))


def test_rules_of_a_part_and_of_the_field_that_holds_it_add_up() -> None:
    from vsphere_operator.api.base import cel

    kind = made(field=Annotated[Ruled, cel(("self.x < 9", "x must be less than nine"))])
    field = structural_schema(kind)["properties"]["spec"]["properties"]["field"]
    assert [rule["rule"] for rule in field[VALIDATIONS]] == ["self.x > 0", "self.x < 9"]


def test_limits_that_exclude_their_end_are_written_as_openapi_3_does() -> None:
    kind = made(field=Annotated[int, Field(gt=3)])
    field = structural_schema(kind)["properties"]["spec"]["properties"]["field"]
    assert (field["minimum"], field["exclusiveMinimum"]) == (3, True)


def test_the_definition_of_a_kind_is_its_own() -> None:
    assert all(isinstance(kind.definition, Definition) for kind in KINDS)
