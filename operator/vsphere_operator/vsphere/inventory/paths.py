r"""Inventory paths: `/DC0/vm/kubernetes/x`. vCenter escapes `/`, `\` and `%` inside names as %2f, %5c and
%25."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"%(2f|5c|25)", re.IGNORECASE)
_UNESCAPED = {"2f": "/", "5c": "\\", "25": "%"}
_AMBIGUOUS = re.compile(r"%(?=2f|5c|25)", re.IGNORECASE)


def unescape(name: str) -> str:
    """A name as vCenter's API tells it -> as people see it."""
    return _ESCAPED.sub(lambda match: _UNESCAPED[match.group(1).lower()], name)


def escape(name: str) -> str:
    """A name as people see it -> one segment of a path that `split` takes apart again."""
    return _AMBIGUOUS.sub("%25", name).replace("/", "%2f")


def split(path: str) -> list[str]:
    """The names along a path, as people see them. Slashes at the ends and doubled ones do not matter."""
    return [unescape(segment) for segment in path.split("/") if segment]


def join(names: list[str]) -> str:
    return "/" + "/".join(escape(name) for name in names)
