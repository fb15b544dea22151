"""One copy of what objects have in common: thousands of Machines differ in little but their names.

Each event brings its own strings, lists and maps. Whatever was seen lately is used again, part by part from the leaves
up; so what is returned must not be changed by anybody.
"""

from __future__ import annotations

from sys import intern
from typing import Any

_KEPT = 2048
"""Parts that are remembered in each of two generations: what was not met again for that many others is forgotten."""
_LONGEST = 128
"""Characters of the strings that are shared; longer ones are seldom the same."""


class Sharing:
    """Rebuilds JSON values from parts that it knows. Belongs to one thread."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._young: dict[Any, Any] = {}
        self._old: dict[Any, Any] = {}

    @property
    def remembered(self) -> int:
        """How many parts are known."""
        return len(self._young) + len(self._old)

    def shared(self, value: Any) -> Any:
        """An equal value, made of shared parts as far as they are known; names of fields are always shared."""
        kind = type(value)
        if kind is str:
            return self._known(value, value) if len(value) <= _LONGEST else value
        if kind is dict:
            parts = {intern(key): self.shared(item) for key, item in value.items()}
            return self._known((*parts, *map(id, parts.values())), parts)
        if kind is list:
            items = [self.shared(item) for item in value]
            return self._known((None, *map(id, items)), items)
        # A tuple, because 1 is equal to true; -0.0 is equal to 0.0 and therefore left alone, as all fractions are.
        return self._known((int, value), value) if kind is int else value

    def _known(self, key: Any, value: Any) -> Any:
        """The part that was remembered under this key, or else this one from now on.

        A key of a map or list names its parts by their ids. They cannot be given to other objects while the key is
        remembered, because what is remembered under it holds them.
        """
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.pop(key, value)
        if len(self._young) >= self._kept:
            self._old, self._young = self._young, {}
        self._young[key] = found
        return found
