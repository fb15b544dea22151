from __future__ import annotations

import asyncio

import pytest

from vsphere_operator.kube.errors import Conflict, NotFound, Unavailable
from vsphere_operator.kube.objects import Objects
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.store import Changed, Store

from .api import FakeApi, a_cluster, a_secret

SHOP = Key("Cluster", "team", "shop")
TOKEN = Key("Secret", "team", "token")


class Bench:
    def __init__(self) -> None:
        self.api, self.store, self.time = FakeApi(), Store(), 0.0
        self.objects = Objects(self.store, self.api, clock=lambda: self.time)
        self.changes: list[Changed] = []
        self.store.subscribe(self.changes.append)

    def seen(self, obj: dict[str, object]) -> dict[str, object]:
        """Somebody writes an object, and its event arrives."""
        written = self.api.put(obj)
        self.store.observe(written)
        return written

    def gets(self) -> int:
        return len([verb for verb, _ in self.api.calls if verb == "get"])


async def test_what_was_written_is_read_at_once() -> None:
    bench = Bench()
    await bench.objects.create(a_cluster())
    made = bench.objects.get("Cluster", "team", "shop")
    assert made is not None
    await bench.objects.apply_status("Cluster", "team", "shop", {"phase": "New"})
    after = bench.objects.get("Cluster", "team", "shop")
    assert after is not None
    assert after["status"] == {"phase": "New"}
    assert len(bench.changes) == 2, "whoever listens for changes hears of our own ones"


async def test_an_applied_secret_is_known_at_once_and_its_content_is_not_kept() -> None:
    bench = Bench()
    old = bench.seen(a_secret(value="sesame"))
    new = a_secret(value="open")
    await bench.objects.apply({**new, "metadata": {**new["metadata"], "labels": {"a": "b"}}})
    known = bench.objects.get("Secret", "team", "token")
    assert known is not None
    assert known["metadata"]["labels"] == {"a": "b"}
    assert "data" not in known
    with pytest.raises(Conflict):
        await bench.objects.apply({**new, "metadata": old["metadata"]})


async def test_a_stale_intent_is_a_conflict_and_leaves_the_store_alone() -> None:
    bench = Bench()
    old = bench.seen(a_cluster())
    bench.api.put({**a_cluster(), "spec": {"changed": True}})
    version = old["metadata"]["resourceVersion"]  # type: ignore[index]
    with pytest.raises(Conflict):
        await bench.objects.apply_status("Cluster", "team", "shop", {}, resource_version=version)
    assert bench.objects.get("Cluster", "team", "shop") == old


async def test_a_refresh_takes_over_what_the_watch_has_not_brought_yet() -> None:
    bench = Bench()
    known = bench.seen(a_cluster())
    bench.api.put({**a_cluster(), "spec": {"changed": True}})
    elsewhere = a_cluster()
    bench.api.put({**elsewhere, "metadata": {**elsewhere["metadata"], "namespace": "other"}})
    await bench.objects.refresh("Cluster", "team")
    after = bench.objects.get("Cluster", "team", "shop")
    assert after is not None
    assert after != known
    assert after["spec"] == {"changed": True}
    assert bench.objects.get("Cluster", "other", "shop") is None, "nobody asked for that namespace"


async def test_a_deleted_object_without_finalizers_is_gone_at_once() -> None:
    bench = Bench()
    bench.seen(a_cluster())
    await bench.objects.delete("Cluster", "team", "shop")
    assert bench.store.get(SHOP) is None


async def test_a_deleted_object_with_finalizers_shows_its_deletion_at_once() -> None:
    bench = Bench()
    bench.seen(a_cluster(finalizers=["x"]))
    await bench.objects.delete("Cluster", "team", "shop")
    obj = bench.store.get(SHOP)
    assert obj is not None
    assert "deletionTimestamp" in obj["metadata"]


async def test_taking_the_last_finalizer_off_a_deleted_object_ends_it() -> None:
    bench = Bench()
    bench.seen(a_cluster(finalizers=["x"], deletionTimestamp="now"))
    await bench.objects.merge_patch("Cluster", "team", "shop", {"metadata": {"finalizers": []}})
    assert bench.store.get(SHOP) is None


async def test_deleting_what_is_gone_is_fine_and_clears_the_store() -> None:
    bench = Bench()
    bench.seen(a_cluster())
    del bench.api.objects[SHOP]
    await bench.objects.delete("Cluster", "team", "shop")
    assert bench.store.get(SHOP) is None


async def test_deleting_the_namesake_of_what_we_mean_is_a_conflict() -> None:
    bench = Bench()
    bench.seen(a_cluster())
    with pytest.raises(Conflict):
        await bench.objects.delete("Cluster", "team", "shop", uid="another")
    assert bench.store.get(SHOP) is not None


async def test_writing_to_what_is_gone_clears_the_store_and_says_so() -> None:
    bench = Bench()
    bench.seen(a_cluster())
    del bench.api.objects[SHOP]
    with pytest.raises(NotFound):
        await bench.objects.apply_status("Cluster", "team", "shop", {})
    assert bench.store.get(SHOP) is None


async def test_a_successor_that_came_during_the_call_is_not_forgotten() -> None:
    bench = Bench()
    bench.seen(a_cluster())
    del bench.api.objects[SHOP]
    reborn = bench.api.put(a_cluster())
    original = bench.api.get

    async def too_late(kind: str, namespace: str, name: str) -> dict[str, object]:
        bench.store.forget(SHOP)
        bench.store.observe(reborn)  # its event overtakes the answer
        raise NotFound(404, "NotFound", "as it was a moment ago")

    bench.api.get = too_late  # type: ignore[method-assign]
    assert await bench.objects.read("Cluster", "team", "shop") is None
    assert bench.store.get(SHOP) == reborn
    bench.api.get = original  # type: ignore[method-assign]


async def test_a_secret_is_decoded_and_asked_for_once_per_version() -> None:
    bench = Bench()
    bench.seen(a_secret(password="hunter22"))
    for _ in range(3):
        assert await bench.objects.secret("team", "token") == {"password": b"hunter22"}
    assert bench.gets() == 1
    bench.seen(a_secret(password="changed1"))
    assert await bench.objects.secret("team", "token") == {"password": b"changed1"}
    assert bench.gets() == 2


async def test_many_that_need_the_same_secret_at_once_cost_one_call() -> None:
    bench = Bench()
    bench.seen(a_secret(password="hunter22"))
    answers = await asyncio.gather(*(bench.objects.secret("team", "token") for _ in range(50)))
    assert answers == [{"password": b"hunter22"}] * 50
    assert bench.gets() == 1


async def test_a_secret_that_is_not_known_is_proven_absent_by_asking() -> None:
    bench = Bench()
    assert await bench.objects.secret("team", "token") is None
    bench.api.put(a_secret(password="hunter22"))  # its event has not arrived
    assert await bench.objects.secret("team", "token") == {"password": b"hunter22"}


async def test_an_api_that_is_away_is_not_taken_for_an_absent_secret() -> None:
    bench = Bench()
    bench.seen(a_secret(password="hunter22"))
    bench.api.away = True
    with pytest.raises(Unavailable):
        await bench.objects.secret("team", "token")
    bench.api.away = False
    assert await bench.objects.secret("team", "token") == {"password": b"hunter22"}


async def test_the_content_of_a_deleted_secret_is_dropped() -> None:
    bench = Bench()
    bench.seen(a_secret(password="hunter22"))
    await bench.objects.secret("team", "token")
    del bench.api.objects[TOKEN]
    bench.store.forget(TOKEN)
    assert bench.objects._contents == {}
    assert await bench.objects.secret("team", "token") is None


async def test_content_that_nobody_uses_is_dropped_after_ten_minutes() -> None:
    bench = Bench()
    bench.seen(a_secret("used", password="hunter22"))
    bench.seen(a_secret("unused", password="hunter22"))
    await bench.objects.secret("team", "used")
    await bench.objects.secret("team", "unused")
    bench.time = 400
    await bench.objects.secret("team", "used")
    bench.time = 700
    await bench.objects.secret("team", "used")
    assert set(bench.objects._contents) == {Key("Secret", "team", "used")}


async def test_no_secret_is_in_the_repr_of_what_holds_it() -> None:
    bench = Bench()
    bench.seen(a_secret(password="hunter22"))
    await bench.objects.secret("team", "token")
    assert "hunter22" not in repr(vars(bench.objects)) + repr(vars(bench.store))


async def test_a_config_map_is_text() -> None:
    bench = Bench()
    metadata = {"name": "ca", "namespace": "team"}
    bench.seen({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": "PEM"}})
    assert await bench.objects.config_map("team", "ca") == {"ca.crt": "PEM"}
    assert await bench.objects.config_map("team", "other") is None
