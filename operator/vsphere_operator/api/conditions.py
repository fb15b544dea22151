"""Conditions as Kubernetes and kstatus read them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from vsphere_operator.api.base import Int64, Model, map_list

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"


class ConditionStatus(StrEnum):
    """Kubernetes' three answers."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of an object's state."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """What the condition is about, in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Annotated[Int64, Field(ge=0)] | None = None
    """The generation of the object that this was judged from."""
    last_transition_time: datetime
    """When the status changed last."""
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, and what to do, for people."""


Conditions = Annotated[list[Condition], map_list("type")]


def find(conditions: list[Condition], type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == type_), None)


class Status(Model):
    """What the status of every kind has."""

    observed_generation: Int64 | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = Field(default_factory=list)
    """Ready always; Reconciling and Stalled while true; then one condition a concern."""
