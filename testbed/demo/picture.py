"""What the demo shows at one moment; the screen, the plain lines and the checks all start from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.demo.kubernetes_view import Row
from testbed.demo.vcenter_view import VCenterView


@dataclass(frozen=True)
class Check:
    """One thing that was checked, in words; `detail` says what was found instead."""

    passed: bool
    text: str
    detail: str = ""

    @property
    def line(self) -> str:
        """The line that is printed for it."""
        if self.passed:
            return f"ok    {self.text}"
        return f"FAIL  {self.text}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Picture:
    """The objects in Kubernetes, and what is new in vCenter. `seconds` is the demo's age."""

    seconds: float = 0.0
    rows: tuple[Row, ...] = ()
    vcenter: VCenterView = field(default_factory=VCenterView)
    note: str = ""

    def rows_of(self, kind: str, owner: str = "") -> tuple[Row, ...]:
        """Return the rows of a kind; with `owner`, of those whose names start with it."""
        return tuple(
            row for row in self.rows if row.kind == kind and (not owner or row.name.startswith(f"{owner}-"))
        )

    @property
    def all_ready(self) -> bool:
        """Whether every object is as its spec wants it, and has the Machines that it wants."""
        return bool(self.rows) and all(row.is_ready for row in self.rows)

    @property
    def laggards(self) -> tuple[Row, ...]:
        """The objects that are not Ready."""
        return tuple(row for row in self.rows if not row.is_ready)


@dataclass(frozen=True)
class Caption:
    """The words around a picture: what the demo is doing, and the lines below."""

    headline: str = ""
    done: bool = False
    log: str = ""
    lines: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
