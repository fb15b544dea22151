"""The reference for people, made from the same schemas as the CRDs.

`python -m vsphere_operator.api.reference docs/api` writes it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from vsphere_operator.api.base import VALIDATIONS, Resource
from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.names import API_VERSION
from vsphere_operator.api.schema import Schema, structural_schema, walk


def render_reference() -> dict[str, str]:
    """Markdown by file name: a page for each kind."""
    return {f"{kind.definition.singular}.md": _page(kind) for kind in KINDS}


def _page(kind: type[Resource]) -> str:
    definition, schema = kind.definition, structural_schema(kind)
    lines = [
        f"# {kind.__name__}",
        "",
        schema["description"],
        "",
        f"`apiVersion: {API_VERSION}` · {definition.scope.lower()} · `kubectl get {definition.plural}` or "
        f"`{'`, `'.join(definition.short_names)}`",
        "",
        *_table("spec", schema),
        *_rules(schema),
        *_table("status", schema),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(part: str, schema: Schema) -> Iterator[str]:
    yield from (f"## {part}", "", "| field | type | meaning |", "|---|---|---|")
    required = _required(schema["properties"][part])
    for path, field in walk(schema["properties"][part]):
        if path and not path.endswith(("[]", "{}")):
            mark = " **required**" if path in required else ""
            meaning = _cell(field.get("description", ""))
            yield f"| `{path.removeprefix('.')}` | {_type(field)} | {meaning}{mark} |"
    yield ""


def _rules(schema: Schema) -> Iterator[str]:
    """Each rule once, with the fields that it is for."""
    fields: dict[str, list[str]] = {}
    for path, field in walk(schema):
        for rule in field.get(VALIDATIONS, []):
            fields.setdefault(rule["message"], []).append(path.removeprefix("."))
    yield from ("## rules", "", "| for | rule |", "|---|---|") if fields else ()
    for message, paths in fields.items():
        where = ", ".join(f"`{path or 'metadata.name'}`" for path in paths)
        yield f"| {where} | {_cell(message)} |"
    yield ""


def _required(schema: Schema) -> set[str]:
    return {f"{path}.{name}" for path, part in walk(schema) for name in part.get("required", [])}


def _type(field: Schema) -> str:
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or percentage"
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field["type"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(directory: Path) -> None:
    """Write the pages into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in render_reference().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
