"""Which folders' tags are watched, and when a Cluster's tags were last gone through one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Tags

NAMES_BELIEVED = 24 * 3600.0
"""Seconds until a tag's name is read again although nothing differs: a rename is the one thing that a look at what
is attached does not show."""


@dataclass(frozen=True, slots=True)
class _Look:
    fingerprint: str
    at: float


class TagLooks:
    """Of all Clusters of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._watched: dict[Key, tuple[Tags, MoRef]] = {}
        self._looks: dict[Key, _Look] = {}
        self._names_read: dict[Key, float] = {}

    def watch(self, key: Key, tags: Tags, folder: MoRef) -> None:
        """Watch this folder, and no other for this Cluster."""
        before = self._watched.get(key)
        if before == (tags, folder):
            return
        self.unwatch(key)
        self._watched[key] = (tags, folder)
        tags.watch(folder)

    def unwatch(self, key: Key) -> None:
        tags, folder = self._watched.pop(key, (None, None))
        if tags is not None and folder is not None:
            tags.unwatch(folder)

    def forget(self, key: Key) -> None:
        """The Cluster is gone."""
        self.unwatch(key)
        self._looks.pop(key, None)
        self._names_read.pop(key, None)

    def names_are_believed(self, key: Key) -> bool:
        """A record is believed for a day of this process's life."""
        return self._clock() - self._names_read.setdefault(key, self._clock()) < NAMES_BELIEVED

    def is_recent(self, key: Key, fingerprint: str, interval: float) -> bool:
        """Whether the same was gone through less than ``interval`` seconds ago, and ended well."""
        look = self._looks.get(key)
        return look is not None and look.fingerprint == fingerprint and self._clock() - look.at < interval

    def ended_well(self, key: Key, fingerprint: str) -> None:
        self._looks[key] = _Look(fingerprint, self._clock())
        self._names_read[key] = self._clock()
