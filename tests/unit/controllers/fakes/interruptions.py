"""Time that only tests move, and a process that can be made to die around any call that leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NoReturn, TypeVar

from vsphere_operator.kube.errors import Unavailable
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError

T = TypeVar("T")
Phase = Literal["before", "after"]


class Crash(BaseException):
    """The process is gone: nothing catches this, nothing runs after it."""


def _no_answer(name: str) -> Exception:
    if name.startswith(("kube", "user")):
        return Unavailable(0, "Timeout", "the API server gave no answer")
    words = "vCenter gave no answer."
    return VSphereError(
        Fault(FaultClass.UNREACHABLE, "TimedOut", words, 30.0, "TimeoutError", executed=Executed.UNKNOWN)
    )


@dataclass
class Clock:
    """Seconds; starts at a round moment so that failures can be read."""

    seconds: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Outgoing:
    """Every call that leaves the process, in order; ``die_at`` (1 is the first) ends it there."""

    die_at: int | None = None
    phase: Phase = "before"
    lose_at: int | None = None
    """The call that gets no answer: `phase` says whether it is carried out."""
    names: list[str] = field(default_factory=list)
    dead: bool = False
    """Died in a call; whatever else is under way in that life gets no further."""

    async def call(self, name: str, effect: Callable[[], Awaitable[T]]) -> T:
        if self.dead:
            raise Crash(name)
        self.names.append(name)
        mine = len(self.names)
        if self.lose_at == mine:
            if self.phase == "after":
                await effect()
            raise _no_answer(name)
        if self.die_at == mine and self.phase == "before":
            self.die(name)
        await asyncio.sleep(0)  # others get their turn, as with a real call
        dies = self.die_at == mine and self.phase == "after"
        try:
            result = await effect()
        except Exception:
            if dies:
                self.die(name)
            raise
        await asyncio.sleep(0)
        if dies:
            self.die(name)
        return result

    def die(self, name: str) -> NoReturn:
        self.dead = True
        raise Crash(name)

    def count(self, *parts: str) -> int:
        """How many calls had one of these texts in their name."""
        return sum(any(p in n for p in parts) for n in self.names)
