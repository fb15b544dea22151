"""What a scenario found: rows beside their targets, tables of detail, notes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """How much is measured: the short form, or the long one that takes an hour."""

    long: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result. `met` None: there is no target, or it cannot be judged here."""

    what: str
    measured: str
    target: str = ""
    elsewhere: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "missed", None: ""}[self.met]


@dataclass(frozen=True)
class Detail:
    """A table of what is behind the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that a scenario has to say. `data` goes into the JSON file only."""

    rows: Sequence[Row]
    details: Sequence[Detail] = ()
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """Something to measure. `about` tells how, in a paragraph."""

    name: str
    title: str
    about: str
    run: Callable[[Settings], Outcome]


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """The median and the range of repeated measurements, as people read it."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"{middle:.{digits}f} {unit}"
    return f"{middle:.{digits}f} {unit} (of {len(values)}: {low:.{digits}f} to {high:.{digits}f})"


def by_method(counts: Mapping[str, int]) -> list[str]:
    """`Method: n`, most frequent first; the Automation API's long names end with what they do."""
    shortened = ((name.replace("com.vmware.", ""), count) for name, count in counts.items())
    return [f"{name}: {count}" for name, count in sorted(shortened, key=lambda item: (-item[1], item[0]))]
