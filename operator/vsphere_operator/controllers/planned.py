"""What would be done and why, one line a thing: what `vsphere-operator plan` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What becomes of a thing."""

    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    ATTACH = "attach"
    DETACH = "detach"
    DELETE = "delete"
    KEEP = "keep"
    LEAVE = "leave behind"
    STOP = "stop"
    """Nothing: it stands in the way of all that follows."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One thing: which kind of work it belongs to, what it is, and the reason."""

    step: str
    action: Action
    thing: str
    why: str = ""

    @property
    def stops(self) -> bool:
        return self.action is Action.STOP


def stopping(steps: Sequence[Planned]) -> list[Planned]:
    """What would stop it, in the order in which it would."""
    return [one for one in steps if one.stops]
