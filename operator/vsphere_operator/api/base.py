"""What all models share: camelCase names, lenient reading, and the schema keywords that Kubernetes adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vsphere_operator.api.durations import PATTERN as DURATION_PATTERN
from vsphere_operator.api.names import API_VERSION

_SPELLINGS: Final = {
    "id": "ID",
    "uid": "UID",
    "uuid": "UUID",
    "uuids": "UUIDs",
    "mb": "MB",
    "gb": "GB",
    "mhz": "MHz",
    "vcenter": "VCenter",
    "vms": "VMs",
}
_FIRST_SPELLINGS: Final = {"vcenter": "vCenter"}

VALIDATIONS: Final = "x-kubernetes-validations"
MATERIALISED: Final = "x-materialised-default"
"""Marks a default that the API server writes into the object. All others exist in this program only."""


def camel(name: str) -> str:
    """The JSON name of a field: `memory_mb` is `memoryMB`, `mo_ref` is `moRef`."""
    first, *rest = name.split("_")
    head = _FIRST_SPELLINGS.get(first, first)
    return head + "".join(_SPELLINGS.get(word, word.capitalize()) for word in rest)


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the CRD with the message that tells people what to do."""

    rule: str
    message: str
    field_path: str | None = None

    def to_schema(self) -> dict[str, str]:
        """The rule as an entry of `x-kubernetes-validations`."""
        schema = {"rule": self.rule, "message": self.message}
        return schema if self.field_path is None else schema | {"fieldPath": self.field_path}


@dataclass(frozen=True)
class Keywords:
    """Schema keywords on a field or an annotated type; a later one beside it wins."""

    values: Mapping[str, Any]

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core_schema) | dict(self.values)

    def __hash__(self) -> int:
        return hash(tuple(self.values))  # `Annotated[…] | None` hashes its metadata; mappings have no hash


@dataclass(frozen=True)
class Rules:
    """CEL rules on a field or an annotated type."""

    rules: tuple[Rule, ...]

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        earlier = cast("list[dict[str, str]]", schema.get(VALIDATIONS, []))
        return schema | {VALIDATIONS: earlier + [rule.to_schema() for rule in self.rules]}


def cel(*pairs: tuple[str, str]) -> Rules:
    """CEL rules from (rule, message) pairs."""
    return Rules(tuple(Rule(rule, message) for rule, message in pairs))


def map_list(*keys: str) -> Keywords:
    """A list whose entries are told apart by these keys, and merged one by one by server-side apply."""
    return Keywords({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


SET_LIST: Final = Keywords({"x-kubernetes-list-type": "set"})
ATOMIC_MAP: Final = Keywords({"x-kubernetes-map-type": "atomic"})
MATERIALISED_DEFAULT: Final = Keywords({MATERIALISED: True})


class Model(BaseModel):
    """A part of an object: immutable, read leniently (a newer CRD may know more fields)."""

    model_config = ConfigDict(
        alias_generator=camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    keywords: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        schema.update(vars(cls).get("keywords", {}))
        inherited = [rule for base in reversed(cls.__mro__) for rule in vars(base).get("rules", ())]
        if inherited:
            schema[VALIDATIONS] = [rule.to_schema() for rule in inherited]
        return schema

    def to_json(self) -> dict[str, Any]:
        """The part as plain JSON with the API's names; what is None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class OwnerReference(Model):
    """Who an object belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Model):
    """The part of Kubernetes' object metadata that this operator reads."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    owner_references: list[OwnerReference] = Field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    json_path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    priority: int = 0


READY_COLUMN: Final = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
REASON_COLUMN: Final = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason')
MESSAGE_COLUMN: Final = Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1)
AGE_COLUMN: Final = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Definition:
    """What a CRD says about a kind beside its schema."""

    plural: str
    singular: str
    short_names: tuple[str, ...]
    scope: Literal["Cluster", "Namespaced"]
    columns: tuple[Column, ...]
    scalable: bool = False
    selectable_fields: tuple[str, ...] = ()


class Resource(Model):
    """A kind of the group."""

    definition: ClassVar[Definition]

    api_version: str = API_VERSION
    metadata: ObjectMeta


def name_limit(limit: int, why: str) -> Rule:
    """A limit to the object's own name."""
    return Rule(
        f"self.metadata.name.size() <= {limit}",
        f"the name may have at most {limit} characters, because {why}; choose a shorter one",
    )


Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=1, max_length=20)]
"""A Go-style duration; `durations.parse_duration` gives its seconds."""

Text = Annotated[str, Field(min_length=1, max_length=256)]
DNSLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""The name of a Kubernetes object."""

_PART = r"([^/\\%]|%(2[fF]|5[cC]|25)){1,80}"
_PARTS_RULE = (
    f"self.matches(r'^/?{_PART}(/{_PART})*$')",
    "write names with / between them and none at the end; a name has at most 80 characters, "
    r"and %25, %2f and %5c stand for a percent sign, a slash and a backslash inside it",
)
"""vCenter's own spelling of inventory paths, checked in one match to stay within CEL's cost budget."""
_NO_DOTS_RULE = (
    "!self.matches('(^|/)[.]{1,2}(/|$)')",
    "write the path without . and ..",
)

InventoryName = Annotated[str, Field(min_length=1, max_length=256), cel(_PARTS_RULE)]
"""The name of something in vCenter's inventory, or its full inventory path where the name is not unique."""

FolderPath = Annotated[str, Field(min_length=1, max_length=512), cel(_PARTS_RULE, _NO_DOTS_RULE)]
"""An inventory path, absolute or relative."""

AbsolutePath = Annotated[
    FolderPath,
    cel(
        (
            "self.startsWith('/')",
            "the path must be absolute: begin with /<datacenter>/vm, for example /DC0/vm/kubernetes",
        )
    ),
]
"""A full inventory path."""

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=16384)]], Field(max_length=64)]
Int64 = Annotated[int, Keywords({"format": "int64"})]
