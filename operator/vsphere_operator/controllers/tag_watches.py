"""Which objects' tags are polled on whose behalf."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Tags


class TagWatches:
    """Keeps each key's share of a vCenter's poll as it was last asked for."""

    def __init__(self) -> None:
        self._watched: dict[Key, tuple[Tags, set[MoRef]]] = {}

    def watch(self, key: Key, tags: Tags, objects: Mapping[MoRef, Collection[str] | None]) -> None:
        """Watch these and no others for this key; with each what a record says is on it, None to ask at once."""
        before, morefs = self._watched.get(key, (tags, set[MoRef]()))
        if before is not tags:
            self.unwatch(key)
            morefs = set()
        for moref in objects.keys() - morefs:
            tags.watch(moref, objects[moref])
        for moref in morefs - objects.keys():
            tags.unwatch(moref)
        self._watched[key] = (tags, set(objects))

    def unwatch(self, key: Key) -> None:
        tags, morefs = self._watched.pop(key, (None, ()))
        for moref in morefs:
            if tags is not None:
                tags.unwatch(moref)
