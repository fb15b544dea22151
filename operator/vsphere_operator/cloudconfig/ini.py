"""The INI dialect of gopkg.in/gcfg.v1, which CCM and CSI parse their files with.

Within double quotes everything stands for itself but the backslash and the double quote, each written with a
backslash before it; `#`, `;` and `%` mean nothing there, and spaces at either end stay.
Source: the scanner and `unquote` of gcfg v1.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vsphere_operator.cloudconfig.config import writable

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Section:
    """`[name]` or `[name "subsection"]`; values that are None are left out."""

    name: str
    subsection: str | None = None
    values: Sequence[tuple[str, Value | None]] = field(default=(), repr=False)


def render(sections: Sequence[Section]) -> bytes:
    """The file: sections in the order given, an empty line between them."""
    return "\n".join(_section(section) for section in sections).encode()


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _section(section: Section) -> str:
    subsection = (
        "" if section.subsection is None else f" {quoted(writable(section.name, section.subsection))}"
    )
    lines = [f"[{section.name}{subsection}]"]
    lines += [f"{key} = {_value(key, value)}" for key, value in section.values if value is not None]
    return "\n".join(lines) + "\n"


def _value(key: str, value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(writable(f"the {key}", str(value)))
