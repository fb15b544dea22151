"""What is written down before and after a call that changes vCenter, and whose things are."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from vsphere_operator.api.base import Model


class Operation(Model):
    """A change of vCenter that is intended (no `taskRef` yet) or under way."""

    type: str
    """What is done, in CamelCase: CreateFolder, CloneVM, PowerOn …"""
    target: str | None = None
    """What it is done to: a path, a name or a MoRef."""
    task_ref: str | None = None
    """The vCenter task's MoRef, once there is one."""
    vcenter: str | None = None
    """The instance UUID of the vCenter that the task runs in."""
    started_at: datetime | None = None
    """When the intent was written."""
    resource_version: str | None = None
    """The object's resourceVersion that the step was planned from."""
    details: dict[str, str] = Field(default_factory=dict)
    """What else is needed to find out after a crash whether it happened. Never a secret."""


class Origin(StrEnum):
    """How a thing in vCenter came to be used."""

    CREATED = "Created"
    """Made by this operator, and deleted by it."""
    ADOPTED = "Adopted"
    """Found where it was needed: used, never deleted."""
    EXTERNAL = "External"
    """Named by a person in the spec: used, never changed."""
