"""What a call of the Automation API was about: its refusal names neither operation, nor object, nor privilege.

An `unauthorized` is to disclose nothing of that (vSphere Automation API reference, `com.vmware.vapi.std.errors`); which
privilege an operation needs is told by the documentation of the tagging services only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SERVICES = "com.vmware.cis."
_PRIVILEGES = "InventoryService.Tagging."
_ON_TAGS = {
    "tagging.category.create": "CreateCategory",
    "tagging.category.delete": "DeleteCategory",
    "tagging.tag.create": "CreateTag",
    "tagging.tag.delete": "DeleteTag",
}
_ON_OBJECTS = ("attach_multiple_tags_to_object", "detach_multiple_tags_from_object")
_NAMING = ("object_id", "tag_id", "category_id", "create_spec")
"""The arguments that say what a call is about, the most telling first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation by its short name, `tagging.tag.create`, and what it was about; empty where nothing is named."""

    operation: str
    target: str = ""

    def __str__(self) -> str:
        on = f" of {self.target}" if self.target else ""
        return f"{self.operation}{on} needs {self.privilege}"

    @property
    def privilege(self) -> str:
        if self.operation in _ON_TAGS:
            return _PRIVILEGES + _ON_TAGS[self.operation]
        if self.operation.endswith(_ON_OBJECTS):
            return f"{_PRIVILEGES}AttachTag on the tags and System.Read on the object"
        return "System.Read"


def asked(service_id: str, operation_id: str, arguments: Any) -> Asked:
    """From what the SDK sends; `arguments` is a vAPI `StructValue`."""
    name = f"{service_id}.{operation_id}".removeprefix(_SERVICES)
    return Asked(name, next(filter(None, (_named(arguments, field) for field in _NAMING)), ""))


def _named(arguments: Any, field: str) -> str:
    if not arguments.has_field(field):
        return ""
    value = arguments.get_field(field)
    if field == "object_id":
        return f"{value.get_field('type').value}:{value.get_field('id').value}"
    if field == "create_spec":
        return f'"{value.get_field("name").value}"'
    return str(value.value)
