"""What a tag and a category are, and the form of their ids."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

CATEGORY_URN = "urn:vmomi:InventoryServiceCategory:"
TAG_URN = "urn:vmomi:InventoryServiceTag:"


@dataclass(frozen=True, slots=True)
class Category:
    """`cardinality`: SINGLE or MULTIPLE tags of it an object. `associable_types`: empty for all."""

    id: str
    name: str
    description: str
    cardinality: str
    associable_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tag:
    id: str
    name: str
    description: str
    category_id: str


def new_category_id() -> str:
    """An id to create a category with, so that it is found again when the answer is lost."""
    return f"{CATEGORY_URN}{uuid.uuid4()}:GLOBAL"


def new_tag_id() -> str:
    """An id to create a tag with, so that it is found again when the answer is lost."""
    return f"{TAG_URN}{uuid.uuid4()}:GLOBAL"


def category_of(model: Any) -> Category:
    """From the SDK's `CategoryModel`."""
    return Category(
        model.id,
        model.name,
        model.description or "",
        str(model.cardinality),
        frozenset(model.associable_types or ()),
    )


def tag_of(model: Any) -> Tag:
    """From the SDK's `TagModel`."""
    return Tag(model.id, model.name, model.description or "", model.category_id)
