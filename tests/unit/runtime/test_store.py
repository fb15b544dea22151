from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.store import Changed, Store

from .objects import an_object

ONE = Key("Machine", "team", "one")


def test_what_was_seen_is_found_by_key_kind_and_namespace() -> None:
    store = Store()
    mine, other = an_object("one"), an_object("two", namespace="other")
    store.observe(mine)
    store.observe(other)
    assert store.get(ONE) == mine
    assert store.list("Machine") == [mine, other]
    assert store.list("Machine", "other") == [other]
    assert store.list("Cluster") == []
    assert store.count("Machine") == 2


def test_a_change_tells_what_was_and_what_is() -> None:
    store = Store()
    first, second = an_object(version=9), an_object(version=10)
    assert store.observe(first) == Changed(ONE, None, first)
    assert store.observe(second) == Changed(ONE, first, second)
    assert store.forget(ONE, "11") == Changed(ONE, second, None)


def test_versions_are_compared_as_numbers_not_as_text() -> None:
    store = Store()
    store.observe(an_object(version=9))
    assert store.observe(an_object(version=10)) is not None


@pytest.mark.parametrize("version", [4, 5])
def test_an_old_or_repeated_event_changes_nothing(version: int) -> None:
    store = Store()
    store.observe(an_object(version=5, spec="new"))
    assert store.observe(an_object(version=version, spec="old")) is None
    assert store.get(ONE) == an_object(version=5, spec="new")


def test_a_late_event_does_not_bring_a_deleted_object_back() -> None:
    store = Store()
    store.observe(an_object(version=5))
    store.forget(ONE, "8")
    assert store.observe(an_object(version=7)) is None
    assert store.get(ONE) is None


def test_a_late_event_does_not_bring_back_what_was_proven_gone_without_a_version() -> None:
    store = Store()
    store.observe(an_object(version=5))
    store.forget(ONE)
    assert store.observe(an_object(version=6)) is None
    assert store.get(ONE) is None


def test_a_new_object_of_a_deleted_name_is_taken() -> None:
    store = Store()
    store.observe(an_object(version=5))
    store.forget(ONE)
    reborn = an_object(version=6, metadata={"uid": "uid-reborn"})
    store.observe(reborn)
    assert store.get(ONE) == reborn


def test_a_late_deletion_does_not_remove_the_successor() -> None:
    store = Store()
    reborn = an_object(version=9, metadata={"uid": "uid-reborn"})
    store.observe(reborn)
    assert store.forget(ONE, "8") is None
    assert store.get(ONE) == reborn


def test_a_deletion_that_fell_into_a_watch_gap_is_found_by_a_full_list() -> None:
    store = Store()
    ghost, alive = an_object("ghost", 3), an_object("alive", 4)
    store.observe(ghost)
    store.observe(alive)
    assert store.replace("Machine", [alive], "10") == [Changed(Key("Machine", "team", "ghost"), ghost, None)]
    assert store.list("Machine") == [alive]


def test_an_event_older_than_the_full_list_does_not_bring_a_ghost() -> None:
    store = Store()
    store.replace("Machine", [], "10")
    assert store.observe(an_object("ghost", 9)) is None
    assert store.list("Machine") == []


def test_an_object_made_after_the_list_survives_it() -> None:
    store = Store()
    young = an_object(version=12)
    store.observe(young)
    store.replace("Machine", [], "10")
    assert store.list("Machine") == [young]


def test_a_full_list_of_one_kind_leaves_other_kinds_alone() -> None:
    store = Store()
    store.observe(an_object(kind="Cluster"))
    store.replace("Machine", [], "10")
    assert store.count("Cluster") == 1


def test_managed_fields_and_the_applied_manifest_are_left_out() -> None:
    store = Store()
    kept = {"a": "b"}
    annotations = kept | {"kubectl.kubernetes.io/last-applied-configuration": "{...}"}
    store.observe(an_object(metadata={"managedFields": [{}], "annotations": annotations}))
    obj = store.get(ONE)
    assert obj is not None
    assert "managedFields" not in obj["metadata"]
    assert obj["metadata"]["annotations"] == kept


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_of_secrets_and_config_maps_nothing_but_metadata_is_kept(kind: str) -> None:
    store = Store()
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "hunter22"}
    secret = an_object(kind=kind, data={"password": "hunter22"}, metadata={"annotations": applied})
    store.observe(secret)
    assert "hunter22" not in repr(store.get(Key(kind, "team", "one")))
    assert store.get(Key(kind, "team", "one")) is not None


def test_listeners_hear_each_change_once_after_it_happened() -> None:
    store = Store()
    heard: list[tuple[Changed, object]] = []
    store.subscribe(lambda change: heard.append((change, store.get(change.key))))
    first = an_object(version=1)
    store.observe(first)
    store.observe(first)
    store.replace("Machine", [], "5")
    assert heard == [(Changed(ONE, None, first), first), (Changed(ONE, first, None), None)]


def owners(obj: Any) -> list[str]:
    return list(obj["spec"]["owners"])


def test_an_index_follows_its_objects() -> None:
    store = Store()
    store.observe(an_object("early", spec={"owners": ["a"]}))
    store.add_index("Machine", "owner", owners)
    store.observe(an_object("late", spec={"owners": ["a", "b"]}))
    assert [o["metadata"]["name"] for o in store.by_index("Machine", "owner", "a")] == ["early", "late"]
    store.observe(an_object("early", 2, spec={"owners": ["b"]}))
    assert [o["metadata"]["name"] for o in store.by_index("Machine", "owner", "a")] == ["late"]
    store.forget(Key("Machine", "team", "late"))
    assert [o["metadata"]["name"] for o in store.by_index("Machine", "owner", "b")] == ["early"]


def test_an_object_that_an_index_cannot_read_is_left_out_of_it() -> None:
    store = Store()
    store.add_index("Machine", "owner", owners)
    store.observe(an_object(spec=None))
    assert store.count("Machine") == 1
    assert store.by_index("Machine", "owner", "a") == []


def test_asking_an_index_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        Store().by_index("Machine", "typo", "a")


@dataclass
class Server:
    """An API server with one name: it counts versions, and remembers all that it ever told anyone."""

    version: int = 0
    current: dict[str, Any] | None = None
    told: list[tuple[str, Any]] = field(default_factory=list)

    def write(self) -> None:
        self.version += 1
        uid = self.current["metadata"]["uid"] if self.current else f"uid-{self.version}"
        self.current = an_object(version=self.version, metadata={"uid": uid})
        self.told.append(("seen", self.current))

    def delete(self) -> None:
        if self.current is None:
            return
        self.version += 1
        gone = an_object(version=self.version, metadata={"uid": self.current["metadata"]["uid"]})
        self.current = None
        self.told.append(("deleted", gone))

    def list(self) -> None:
        self.told.append(("list", (self.version, [self.current] if self.current else [])))


def tell(store: Store, what: str, content: Any) -> None:
    if what == "seen":
        store.observe(content)
    elif what == "deleted":
        store.forget(ONE, content["metadata"]["resourceVersion"])
    else:
        version, objects = content
        store.replace("Machine", objects, str(version))


@given(st.lists(st.sampled_from(["write", "write", "delete", "list"]), max_size=12), st.data())
def test_the_store_ends_at_the_truth_in_whatever_order_it_is_told(
    history: list[str], data: DataObject
) -> None:
    server, store = Server(), Store()
    for step in history:
        getattr(server, step)()
    for what, content in data.draw(st.permutations(server.told)):
        tell(store, what, content)
    assert store.get(ONE) == server.current


@given(st.lists(st.sampled_from(["write", "write", "delete", "list"]), max_size=12), st.data())
def test_a_final_list_heals_whatever_was_lost_before_it(history: list[str], data: DataObject) -> None:
    server, store = Server(), Store()
    for step in history:
        getattr(server, step)()
    heard = data.draw(st.lists(st.sampled_from(server.told), unique_by=id)) if server.told else []
    server.list()
    for what, content in [*heard, server.told[-1]]:
        tell(store, what, content)
    late = data.draw(st.lists(st.sampled_from(server.told), unique_by=id))
    for what, content in late:
        tell(store, what, content)
    assert store.get(ONE) == server.current
