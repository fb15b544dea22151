"""A small judge of values against structural schemas, written from the API server's rules."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}


def objections(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """What the API server would refuse or prune, CEL aside."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield f"{path}: neither integer nor string"
        return
    if not _is_of_type(value, schema):
        yield f"{path}: not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: not one of {schema['enum']}"
    judge = _JUDGES.get(schema["type"])
    if judge is not None:
        yield from judge(value, schema, path)


def _is_of_type(value: Any, schema: Schema) -> bool:
    expected = _TYPES[schema["type"]]
    return isinstance(value, expected) and not (isinstance(value, bool) and expected != (bool,))


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    yield from _size(value, schema, path, "Properties")
    if "additionalProperties" in schema:
        for name, part in value.items():
            yield from objections(part, schema["additionalProperties"], f"{path}.{name}")
        return
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name}: required"
    if "properties" not in schema:
        return
    for name, part in value.items():
        if name not in schema["properties"]:
            yield f"{path}.{name}: pruned"
        else:
            yield from objections(part, schema["properties"][name], f"{path}.{name}")


def _array(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    yield from _size(value, schema, path, "Items")
    for index, item in enumerate(value):
        yield from objections(item, schema["items"], f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys")
    if keys:
        seen = [tuple(item.get(key) for key in keys) for item in value]
        if len(set(seen)) != len(seen):
            yield f"{path}: the keys {keys} repeat"
    if schema["x-kubernetes-list-type"] == "set" and len({repr(item) for item in value}) != len(value):
        yield f"{path}: items repeat"


def _string(value: str, schema: Schema, path: str) -> Iterator[str]:
    yield from _size(value, schema, path, "Length")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{path}: does not match {schema['pattern']}"
    if schema.get("format") == "date-time":
        datetime.fromisoformat(value)


def _integer(value: int, schema: Schema, path: str) -> Iterator[str]:
    limit = 2 ** (31 if schema["format"] == "int32" else 63)
    if (
        not max(schema.get("minimum", -limit), -limit)
        <= value
        <= min(schema.get("maximum", limit), limit - 1)
    ):
        yield f"{path}: out of range"


def _size(value: Any, schema: Schema, path: str, what: str) -> Iterator[str]:
    if not schema.get(f"min{what}", 0) <= len(value) <= schema.get(f"max{what}", float("inf")):
        yield f"{path}: too short or too long"


_JUDGES: dict[str, Callable[[Any, Schema, str], Iterator[str]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
}
