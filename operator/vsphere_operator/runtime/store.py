"""The last known state of every watched object.

Events, answers of our own calls and full lists arrive in any order; the newest resourceVersion wins, and
what is proven gone does not come back because an old event was late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .keys import Key, Object, key_of, version_of
from .sharing import Sharing

IndexFunction = Callable[[Object], Iterable[str]]

# kubectl keeps the whole applied manifest here: big everywhere, and in a Secret the secret itself.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of the store: `old` is None for what is new, `new` is None for what is gone."""

    key: Key
    old: Object | None
    new: Object | None


Listener = Callable[[Changed], None]


@dataclass(frozen=True, slots=True)
class _Tombstone:
    version: int
    uid: str


class Store:
    """Raw objects by key, without managedFields; of the kinds in `metadata_only` nothing but the metadata.

    All methods are synchronous and belong to one thread (that of the event loop). What they return is
    shared and must not be changed. Listeners hear of each change after it happened, whoever made it: an
    event, a list, our own write.
    """

    def __init__(self, *, metadata_only: Collection[str] = ("Secret", "ConfigMap")) -> None:
        self._metadata_only = frozenset(metadata_only)
        self._objects: dict[str, dict[str, dict[str, Object]]] = defaultdict(lambda: defaultdict(dict))
        self._sharing = Sharing()
        self._tombstones: dict[str, dict[Key, _Tombstone]] = defaultdict(dict)
        self._listed: dict[str, int] = {}
        self._indexes: dict[str, dict[str, _Index]] = defaultdict(dict)
        self._listeners: list[Listener] = []

    def add_index(self, kind: str, name: str, function: IndexFunction) -> None:
        """Keep objects of `kind` findable by the values that `function` names for each of them.

        A function that raises on an object of unexpected form leaves this object out of the index.
        """
        index = _Index(function)
        for obj in self.list(kind):
            index.put(key_of(obj), obj)
        self._indexes[kind][name] = index

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after each change, in the order of the changes."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Object | None:
        """The object, or None when it is not known; not known is not proof of absence."""
        return self._objects[key.kind].get(key.namespace, {}).get(key.name)

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Object]:
        """All objects of a kind, in one namespace or (None) everywhere."""
        spaces = self._objects[kind]
        if namespace is not None:
            return list(spaces.get(namespace, {}).values())
        return [obj for space in spaces.values() for obj in space.values()]

    def keys(self, kind: str) -> Iterator[Key]:
        """The keys of all objects of a kind, as they are now."""
        for namespace, space in list(self._objects[kind].items()):
            for name in list(space):
                yield Key(kind, namespace, name)

    def count(self, kind: str) -> int:
        """How many objects of this kind are known."""
        return sum(len(space) for space in self._objects[kind].values())

    def by_index(self, kind: str, index: str, value: str) -> Sequence[Object]:
        """The objects for which the index' function gave this value; KeyError if there is no such index."""
        found = (self.get(key) for key in sorted(self._indexes[kind][index].keys(value)))
        return [obj for obj in found if obj is not None]

    def observe(self, obj: Object) -> Changed | None:
        """Take over an object that was seen, unless something newer is known; the change, if there was
        one."""
        key, version = key_of(obj), version_of(obj)
        old = self.get(key)
        if old is not None and version_of(old) >= version:
            return None
        if self._is_known_dead(key, obj, version, known=old is not None):
            return None
        self._tombstones[key.kind].pop(key, None)
        return self._put(key, old, self._trimmed(obj))

    def forget(self, key: Key, resource_version: str | None = None) -> Changed | None:
        """Take over that an object is gone as of `resource_version` (None: as of what we know).

        Without a version, the object's UID is what may not return. A known object that is newer stays: the
        deletion was of an earlier one of the same name.
        """
        old = self.get(key)
        version = int(resource_version) if resource_version else 0
        if old is not None and resource_version and version_of(old) > version:
            return None
        grave = self._tombstones[key.kind].get(key)
        known = version_of(old) if old is not None else 0
        uid = old["metadata"].get("uid", "") if old is not None else (grave.uid if grave else "")
        self._tombstones[key.kind][key] = _Tombstone(max(version, known, grave.version if grave else 0), uid)
        return self._remove(key, old) if old is not None else None

    def replace(self, kind: str, objects: Iterable[Object], list_resource_version: str) -> Sequence[Changed]:
        """Take over a complete list: newer ones are kept, those that the list should show and does not are
        gone.

        This is what finds objects whose deletion fell into a gap of the watch: no event ever tells of them.
        """
        listing = self.listing(kind)
        listing.add(objects)
        return listing.finish(list_resource_version)

    def listing(self, kind: str) -> Listing:
        """Begin to take over a complete list page by page; what `replace` does at once."""
        return Listing(self, kind)

    def _end_listing(self, kind: str, seen: Collection[Key], listed_at: int) -> Sequence[Changed]:
        changes = []
        for key in list(self.keys(kind)):
            old = self.get(key)
            if key not in seen and old is not None and version_of(old) <= listed_at:
                changes.append(self._remove(key, old))
        self._listed[kind] = max(listed_at, self._listed.get(kind, 0))
        graves = self._tombstones[kind]
        self._tombstones[kind] = {key: grave for key, grave in graves.items() if grave.version > listed_at}
        return changes

    def _is_known_dead(self, key: Key, obj: Object, version: int, *, known: bool) -> bool:
        # Whatever lived when the last full list was made was in it, so an unknown object of that age is a
        # late event.
        if not known and version <= self._listed.get(key.kind, -1):
            return True
        grave = self._tombstones[key.kind].get(key)
        if grave is None:
            return False
        return version <= grave.version or (grave.uid != "" and grave.uid == obj["metadata"].get("uid"))

    def _trimmed(self, obj: Object) -> Object:
        metadata: dict[str, Any] = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
        annotations = metadata.get("annotations")
        if annotations and LAST_APPLIED in annotations:
            metadata["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
        if obj["kind"] in self._metadata_only:
            return {
                "apiVersion": obj.get("apiVersion"),
                "kind": obj["kind"],
                "metadata": self._sharing.shared(metadata),
            }
        trimmed: Object = self._sharing.shared({**obj, "metadata": metadata})
        return trimmed

    def _put(self, key: Key, old: Object | None, new: Object) -> Changed:
        self._objects[key.kind][key.namespace][key.name] = new
        for index in self._indexes[key.kind].values():
            index.put(key, new)
        return self._tell(Changed(key, old, new))

    def _remove(self, key: Key, old: Object) -> Changed:
        spaces = self._objects[key.kind]
        del spaces[key.namespace][key.name]
        if not spaces[key.namespace]:
            del spaces[key.namespace]
        for index in self._indexes[key.kind].values():
            index.drop(key)
        return self._tell(Changed(key, old, None))

    def _tell(self, change: Changed) -> Changed:
        for listener in self._listeners:
            listener(change)
        return change


class Listing:
    """A complete list on its way into the store, a page at a time, so that no page waits for the last one."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind
        self._seen: set[Key] = set()
        self._changes: list[Changed] = []

    def add(self, objects: Iterable[Object]) -> None:
        """Take over a page."""
        for obj in objects:
            self._seen.add(key_of(obj))
            change = self._store.observe(obj)
            if change is not None:
                self._changes.append(change)

    def finish(self, resource_version: str) -> Sequence[Changed]:
        """The last page was added: what the list should show and did not is gone. All changes of the list."""
        gone = self._store._end_listing(self._kind, self._seen, int(resource_version))
        return [*self._changes, *gone]


class _Index:
    """Keys by value and values by key, so that an update costs what the object's own values cost."""

    def __init__(self, function: IndexFunction) -> None:
        self._function = function
        self._keys: dict[str, set[Key]] = {}
        self._values: dict[Key, frozenset[str]] = {}

    def keys(self, value: str) -> set[Key]:
        return self._keys.get(value, set())

    def put(self, key: Key, obj: Object) -> None:
        self.drop(key)
        try:
            values = frozenset(self._function(obj))
        except (KeyError, TypeError, AttributeError, ValueError):
            return
        if not values:
            return
        self._values[key] = values
        for value in values:
            self._keys.setdefault(value, set()).add(key)

    def drop(self, key: Key) -> None:
        for value in self._values.pop(key, ()):
            self._keys[value].discard(key)
            if not self._keys[value]:
                del self._keys[value]
