"""Which faults are tried at which calls: all that are possible, or a selection that fits into every test run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.faults.calls import BY_HOST, CALLS, DOWN, UP, Call
from tests.e2e.faults.kinds import DISK_FULL, HANG, KINDS, LASTING, ONCE, THRICE, Kind

_EVERY = 5
"""The selection has every so many of the combinations, turn by turn over calls and faults."""


@dataclass(frozen=True)
class Combination:
    """One fault at one call, and for how long."""

    call: Call
    kind: Kind
    lasts: str

    def __str__(self) -> str:
        return f"{self.call.kind}: {self.call.name}, {self.kind.name}, {self.lasts}"

    def rule(self, op_id: str) -> dict[str, Any]:
        """The double's rule, for the calls of that name only."""
        count = {ONCE: 1, THRICE: 3, LASTING: -1}[self.lasts]
        rule = {"method": self.call.method, "opID": op_id, "count": count, **self.kind.rule}
        if self.call.protocol not in ("http", "host") or self.kind.name == DISK_FULL:
            return rule
        return rule | {"protocol": self.call.protocol}

    def may_hit(self, call: Mapping[str, Any]) -> bool:
        """Whether that call from the double's log was disturbed by this."""
        same = call["protocol"] == self.call.protocol or self.kind.name == DISK_FULL
        return bool(call.get("injected")) and same and call["method"] == self.call.method.split()[0]

    @property
    def words(self) -> str:
        """A pattern for the message of a condition."""
        return f"{self.kind.words}|{self.call.falls_back}" if self.call.falls_back else self.kind.words

    @property
    def is_by_host(self) -> bool:
        """Whether the ISO is, or may be, uploaded by way of a host."""
        return self.call.needs == BY_HOST or self.kind.name == DISK_FULL

    @property
    def shows(self) -> bool:
        """Whether a condition has to speak of it. A read may be made again before anybody has read one."""
        if self.kind.name in self.call.gets_by or (self.call.gets_by == ("*",) and not self.kind.unanswered):
            return False
        passes = self.call.reads or self.kind.has_a_way_round or self.call.needs == BY_HOST
        return not self.kind.silent and (not passes or self.lasts == LASTING)


def combinations() -> list[Combination]:
    """Everything that is possible."""
    return [
        Combination(call, kind, lasts)
        for call in CALLS
        for kind in KINDS
        if kind.impossible_at(call) is None
        for lasts in kind.lasts
    ]


def impossible() -> list[tuple[Call, Kind, str]]:
    """The rest, and why."""
    return [(c, k, why) for c in CALLS for k in KINDS if (why := k.impossible_at(c)) is not None]


def selection() -> list[Combination]:
    """Each call with several faults, each fault at several calls, and each call that changes something without its
    answer."""
    everything = [c for c in combinations() if c.kind.name != HANG]
    chosen = [c for i, c in enumerate(everything) if i % _EVERY == 0 or _lost_answer(c)]
    return chosen + _of_missing_kinds(everything, chosen)


def _lost_answer(combination: Combination) -> bool:
    return combination.kind.name == "cut after" and combination.lasts == ONCE and not combination.call.reads


def _of_missing_kinds(everything: Sequence[Combination], chosen: Sequence[Combination]) -> list[Combination]:
    seen, added = {(c.kind.name, c.lasts) for c in chosen}, []
    for one in everything:
        if (one.kind.name, one.lasts) not in seen:
            seen.add((one.kind.name, one.lasts))
            added.append(one)
    return added


def pairs(chosen: Sequence[Combination], kind: str) -> list[tuple[Combination | None, Combination | None]]:
    """One life each: a fault on its way up and one on its way down."""
    up = [c for c in chosen if c.call.kind == kind and c.call.phase == UP]
    down = [c for c in chosen if c.call.kind == kind and c.call.phase == DOWN]
    longest = max(len(up), len(down))
    return list(
        zip([*up, *[None] * (longest - len(up))], [*down, *[None] * (longest - len(down))], strict=True)
    )
