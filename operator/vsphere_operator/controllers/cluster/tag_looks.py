"""Whose tags are watched, and when a Cluster's tags were last gone through one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from vsphere_operator.controllers.drift import Difference
from vsphere_operator.controllers.tag_watches import TagWatches
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
    differences: tuple[Difference, ...]


class TagLooks:
    """Of all Clusters of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._watches = TagWatches()
        self._looks: dict[Key, _Look] = {}
        self._names_read: dict[Key, float] = {}

    def watch(self, key: Key, tags: Tags, objects: Mapping[MoRef, Collection[str] | None]) -> None:
        """Watch these objects, and no others for this Cluster; with each, what a record says is on it."""
        self._watches.watch(key, tags, objects)

    def unwatch(self, key: Key) -> None:
        self._watches.unwatch(key)

    def forget(self, key: Key) -> None:
        """The Cluster is gone."""
        self.unwatch(key)
        self._looks.pop(key, None)
        self._names_read.pop(key, None)

    def names_are_believed(self, key: Key) -> bool:
        """A record is believed for a day of this process's life."""
        return self._clock() - self._names_read.setdefault(key, self._clock()) < NAMES_BELIEVED

    def recent(self, key: Key, fingerprint: str, interval: float) -> Sequence[Difference] | None:
        """The differences that were left when the same was gone through less than ``interval`` seconds ago."""
        look = self._looks.get(key)
        if look is None or look.fingerprint != fingerprint or self._clock() - look.at >= interval:
            return None
        return look.differences

    def ended_well(self, key: Key, fingerprint: str, differences: Sequence[Difference]) -> None:
        self._looks[key] = _Look(fingerprint, self._clock(), tuple(differences))
        self._names_read[key] = self._clock()
