"""Models become structural schemas, the subset of OpenAPI v3 that CustomResourceDefinitions accept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic.json_schema import models_json_schema

from vsphere_operator.api.base import MATERIALISED, VALIDATIONS, Column, Resource
from vsphere_operator.api.names import GROUP, VERSION

Schema: TypeAlias = dict[str, Any]

_KEPT: Final[tuple[str, ...]] = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "nullable",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    VALIDATIONS,
)
_DROPPED: Final = frozenset({"title", "examples", "default", MATERIALISED})
_CONVERTED: Final = frozenset(
    {
        "$ref",
        "anyOf",
        "const",
        "properties",
        "items",
        "additionalProperties",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
)
_BOUNDS: Final = {"string": "maxLength", "array": "maxItems"}


class SchemaError(TypeError):
    """A model holds something that a structural schema cannot say."""


@dataclass(frozen=True)
class _Place:
    """Where the conversion is, and inside which models."""

    definitions: Mapping[str, Schema]
    path: str
    models: frozenset[str] = frozenset()

    def at(self, step: str) -> "_Place":
        return replace(self, path=self.path + step)

    def within(self, model: str) -> "_Place":
        if model in self.models:
            raise SchemaError(f"{self.path}: {model} contains itself")
        return replace(self, models=self.models | {model})


def structural_schema(model: type[Resource]) -> Schema:
    """The `openAPIV3Schema` of a kind.

    Raises SchemaError for what has no structural form: recursion, unions, unknown keywords.
    """
    _, raw = models_json_schema([(model, "validation")], by_alias=True)
    definitions: dict[str, Schema] = raw["$defs"]
    schema = _convert({"$ref": f"#/$defs/{model.__name__}"}, _Place(definitions, model.__name__))
    schema["description"] = _first_line(model)
    schema["properties"] = {
        "apiVersion": {
            "type": "string",
            "description": "The version of the group that this object is written in.",
        },
        "kind": {"type": "string", "description": "The object's kind."},
        "metadata": {"type": "object"},
        "spec": schema["properties"]["spec"],
        "status": schema["properties"]["status"],
    }
    schema["required"] = ["spec"]
    return schema


def custom_resource_definition(model: type[Resource]) -> Schema:
    """The CustomResourceDefinition of a kind."""
    definition = model.definition
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
        "subresources": _subresources(scalable=definition.scalable),
        "schema": {"openAPIV3Schema": structural_schema(model)},
    }
    if definition.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable_fields]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": definition.scope,
            "names": {
                "kind": model.__name__,
                "listKind": f"{model.__name__}List",
                "plural": definition.plural,
                "singular": definition.singular,
                "shortNames": list(definition.short_names),
                "categories": ["userclusters"],
            },
            "versions": [version],
        },
    }


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every part of a schema with its path: `.spec.tags[]`, `.spec.templates{}`."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from walk(part, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def missing_bounds(schema: Schema) -> list[str]:
    """Paths that CEL's cost estimate would take for endless: strings, lists and maps without a limit."""
    return [
        path for path, part in walk(schema) if (bound := _bound_of(part)) is not None and bound not in part
    ]


def _bound_of(part: Schema) -> str | None:
    if "enum" in part or "format" in part:
        return None
    if "additionalProperties" in part:
        return "maxProperties"
    return _BOUNDS.get(part.get("type", ""))


def _convert(raw: Schema, place: _Place) -> Schema:
    raw, place = _resolved(raw, place)
    unknown = raw.keys() - _DROPPED - _CONVERTED - set(_KEPT)
    if unknown:
        raise SchemaError(f"{place.path}: no structural form for {', '.join(sorted(unknown))}")
    schema: Schema = {keyword: raw[keyword] for keyword in _KEPT if keyword in raw}
    if "const" in raw:
        schema["enum"] = [raw["const"]]
    if raw.get(MATERIALISED):
        schema["default"] = raw["default"]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in raw:
            schema |= {bound.lower(): raw[f"exclusive{bound}"], f"exclusive{bound}": True}
    if schema.get("type") == "integer":
        schema.setdefault("format", "int32")
    return schema | _nested(raw, place)


def _nested(raw: Schema, place: _Place) -> Schema:
    nested: Schema = {}
    if "items" in raw:
        nested["x-kubernetes-list-type"] = raw.get("x-kubernetes-list-type", "atomic")
        nested["items"] = _convert(raw["items"], place.at("[]"))
    if "properties" in raw:
        nested["properties"] = {
            name: _convert(part, place.at(f".{name}")) for name, part in raw["properties"].items()
        }
    elif isinstance(raw.get("additionalProperties"), dict):
        nested["additionalProperties"] = _convert(raw["additionalProperties"], place.at("{}"))
    return nested


def _resolved(raw: Schema, place: _Place) -> tuple[Schema, _Place]:
    """The schema with its references and its optionality replaced by what they stand for."""
    while "$ref" in raw or "anyOf" in raw:
        if "anyOf" in raw:
            inner = _only_alternative(raw["anyOf"], place)
            raw = _merged(inner, {key: value for key, value in raw.items() if key != "anyOf"})
            continue
        name = raw["$ref"].removeprefix("#/$defs/")
        place = place.within(name)
        raw = _merged(place.definitions[name], {key: value for key, value in raw.items() if key != "$ref"})
    return raw, place


def _only_alternative(alternatives: list[Schema], place: _Place) -> Schema:
    """What an optional field holds: absence, not null, is how Kubernetes says that there is nothing."""
    present = [alternative for alternative in alternatives if alternative.get("type") != "null"]
    if len(present) != 1:
        raise SchemaError(f"{place.path}: a union has no structural form; use optional members and a rule")
    return present[0]


def _merged(schema: Schema, beside: Schema) -> Schema:
    """Keywords beside a reference win over those behind it; rules add up."""
    both = schema | beside
    validations = [*schema.get(VALIDATIONS, []), *beside.get(VALIDATIONS, [])]
    return both | {VALIDATIONS: validations} if validations else both


def _column(column: Column) -> Schema:
    rendered: Schema = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return rendered | {"priority": column.priority} if column.priority else rendered


def _subresources(*, scalable: bool) -> Schema:
    if not scalable:
        return {"status": {}}
    return {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def _first_line(model: type[Resource]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
