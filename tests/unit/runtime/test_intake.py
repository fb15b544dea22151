from __future__ import annotations

from collections.abc import Iterable

from vsphere_operator.runtime.engine import Engine, Result
from vsphere_operator.runtime.intake import Intake
from vsphere_operator.runtime.keys import Key, Object
from vsphere_operator.runtime.queue import WorkQueue
from vsphere_operator.runtime.store import Store

from .objects import an_object
from .virtual_time import run_virtually

OWNER = Key("Cluster", "team", "shop")
MACHINE = Key("Machine", "team", "one")


class Idle:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def reconcile(self, _: Key) -> Result:
        return Result()


def to_itself_and_its_owner(kind: str, old: Object | None, new: Object | None) -> Iterable[Key]:
    obj = new or old
    assert obj is not None
    yield Key(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
    yield OWNER


class Bench:
    def __init__(self) -> None:
        self.store, self.queue = Store(), WorkQueue()
        self.engine = Engine(self.queue, [Idle("Machine"), Idle("Cluster")])
        self.intake = Intake(self.store, self.engine, to_itself_and_its_owner)

    def queued(self) -> set[Key]:
        found = set()
        while (key := self.queue.pop()) is not None:
            found.add(key)
            self.queue.done(key)
        return found


def test_an_event_changes_the_store_and_enqueues_whom_it_concerns() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.intake.observe("ADDED", an_object())
        assert bench.store.get(MACHINE) is not None
        assert bench.queued() == {MACHINE, OWNER}

    run_virtually(scenario())


def test_an_event_that_shows_nothing_new_wakes_nobody() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.intake.observe(None, an_object())
        bench.queued()
        bench.intake.observe("MODIFIED", an_object())
        assert bench.queued() == set()

    run_virtually(scenario())


def test_a_deletion_takes_the_object_out_and_wakes_its_owner() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.intake.observe("ADDED", an_object(version=3))
        bench.queued()
        bench.intake.observe("DELETED", an_object(version=4))
        assert bench.store.get(MACHINE) is None
        assert bench.queued() == {MACHINE, OWNER}

    run_virtually(scenario())


def test_a_write_of_our_own_wakes_the_same_keys_as_its_event_would() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.store.observe(an_object())  # what `kube.objects` does with the API's answer
        assert bench.queued() == {MACHINE, OWNER}

    run_virtually(scenario())


def test_a_ghost_that_a_list_removes_wakes_its_owner() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.intake.observe("ADDED", an_object())
        bench.queued()
        bench.store.replace("Machine", [], "9")
        assert bench.queued() == {MACHINE, OWNER}

    run_virtually(scenario())


def test_a_resync_looks_at_every_object_of_the_kinds_it_names() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.store.observe(an_object("one"))
        bench.store.observe(an_object("two"))
        bench.store.observe(an_object("token", kind="Secret"))
        bench.queued()
        assert bench.intake.resync(["Machine", "Cluster"]) == 2
        assert bench.queued() == {MACHINE, Key("Machine", "team", "two")}

    run_virtually(scenario())


def test_a_router_that_fails_still_wakes_the_object_itself() -> None:
    def broken(kind: str, old: Object | None, new: Object | None) -> Iterable[Key]:
        yield OWNER
        raise KeyError("spec")

    async def scenario() -> None:
        store, queue = Store(), WorkQueue()
        engine = Engine(queue, [Idle("Machine"), Idle("Cluster")])
        Intake(store, engine, broken).observe("ADDED", an_object())
        assert store.get(MACHINE) is not None
        assert queue.pop() == MACHINE

    run_virtually(scenario())
