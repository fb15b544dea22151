"""What is known of the names below one place: items by id with an age, hints, and names that were not there."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from vsphere_operator.vsphere.tags.models import Category, Tag

NEGATIVE_SECONDS = 60.0
"""How long a name that was not found is not looked for again."""
HIT_SECONDS = 600.0
"""How long an item is believed to have the name that is looked for: people rename tags."""
MISS_SECONDS = 6 * 3600.0
"""How long an item is believed to have another name. To read all of a large category again is what costs, and a
tag that is wanted is made far more often than it comes from renaming another one."""

N = TypeVar("N", Category, Tag)


class Names(Generic[N]):
    """A cache without I/O. `now` is in seconds of any clock that does not step."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._items: dict[str, tuple[N, float]] = {}
        self._by_name: dict[str, str] = {}
        self._hints: dict[str, str] = {}
        self._absent_until: dict[str, float] = {}

    def find(self, name: str, now: float) -> N | None:
        """The item of that name, read not long ago."""
        item, read_at = self._items.get(self._by_name.get(name, ""), (None, 0.0))
        return item if now - read_at < HIT_SECONDS else None

    def get(self, item_id: str) -> N | None:
        """What was last known of an id, however old."""
        return self._items.get(item_id, (None, 0.0))[0]

    def candidate(self, name: str) -> str | None:
        """The id that the name had before, or that a record gives it: worth one look before any search."""
        return self._by_name.get(name) or self._hints.get(name)

    def hint(self, item_id: str, name: str) -> None:
        self._hints[name] = item_id

    def is_absent(self, name: str, now: float) -> bool:
        return self._absent_until.get(name, now) > now

    def missed(self, name: str, now: float) -> None:
        self._absent_until = {n: until for n, until in self._absent_until.items() if until > now}
        self._absent_until[name] = now + NEGATIVE_SECONDS

    def expect(self, name: str) -> None:
        """The name may exist by now."""
        self._absent_until.pop(name, None)

    def to_read(self, ids: list[str], name: str, now: float) -> list[str]:
        """Which of a place's ids have to be read to find a name: what had it before first, then the unknown."""
        had = self._by_name.get(name)

        def believed(item_id: str) -> bool:
            item, read_at = self._items.get(item_id, (None, 0.0))
            return item is not None and item.name != name and now - read_at < MISS_SECONDS

        wanted = [i for i in ids if not believed(i)]
        return sorted(wanted, key=lambda i: (i != had, i in self._items))

    def remember(self, item: N, now: float) -> None:
        self.drop(item.id)
        self._items[item.id] = (item, now)
        self._by_name[item.name] = item.id
        self._absent_until.pop(item.name, None)

    def drop(self, item_id: str) -> None:
        item, _ = self._items.pop(item_id, (None, 0.0))
        if item is not None and self._by_name.get(item.name) == item_id:
            del self._by_name[item.name]
        for name in [n for n, hinted in self._hints.items() if hinted == item_id]:
            del self._hints[name]

    def keep_only(self, ids: set[str]) -> None:
        for item_id in set(self._items) - ids:
            self.drop(item_id)

    def distrust(self) -> None:
        """What was absent may be there, and what was found may be gone; other names are still other names."""
        self._absent_until.clear()
        self._hints |= self._by_name
        self._by_name.clear()
