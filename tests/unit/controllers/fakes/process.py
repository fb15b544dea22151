"""A process of the operator without threads and sockets: real routes and controllers on a queue in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.unit.controllers.fakes.interruptions import Clock, Crash, Outgoing
from tests.unit.controllers.fakes.kubernetes import ApiServer, FakeEvents, FakeObjects
from tests.unit.controllers.fakes.user_cluster import FakeUserClusters
from tests.unit.controllers.fakes.vcenter import FakeVCenter, FakeVCenters, World
from vsphere_operator.controllers.registry import build
from vsphere_operator.runtime.engine import Expected
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.store import Changed
from vsphere_operator.vsphere.inventory.entities import Change

INSTALLATION = "installation-1"
_TURNS = 60
"""Of the event loop: what one delivery into a user cluster takes that answers at once, and more."""
_HOT = 150
"""Looks at one object without time passing that no honest work needs."""


class HotLoopError(AssertionError):
    """An object is looked at again and again because of what looking at it writes."""


class CountedDrift:
    """By kind and what."""

    def __init__(self) -> None:
        self.repairs: Counter[tuple[str, str]] = Counter()
        self.reports: Counter[tuple[str, str]] = Counter()

    def drift_repaired(self, kind: str, what: str) -> None:
        self.repairs[kind, what] += 1

    def drift_reported(self, kind: str, what: str) -> None:
        self.reports[kind, what] += 1


class Process:
    """One life of the operator. `run` works until nothing is left to do but wait for longer than `patience`."""

    def __init__(
        self,
        api: ApiServer,
        world: World,
        clock: Clock,
        outgoing: Outgoing,
        user_clusters: FakeUserClusters | None = None,
    ) -> None:
        self.api, self.world, self.clock, self.outgoing = api, world, clock, outgoing
        self.events = FakeEvents()
        self.drift = CountedDrift()
        self.objects = FakeObjects(api, outgoing)
        self.wanted: dict[Key, None] = {}
        self.timers: dict[Key, float] = {}
        self.looks: dict[Key, int] = {}
        self.total_looks = 0
        self.tasks_run = True
        self.workers = 1
        world.connections.clear()
        outgoing.dead = False
        self._on_vcenter: Any = None
        self.vcenter = FakeVCenter(world, self._vcenter_changed)
        self.vcenters = FakeVCenters(self.vcenter)
        parts = build(
            objects=self.objects,
            vcenters=self.vcenters,
            enqueue=self.enqueue,
            installation=INSTALLATION,
            events=self.events,
            user_clusters=user_clusters,
            drift_metrics=self.drift,
            clock=clock.monotonic,
        )
        self._controllers = {c.kind: c for c in parts.controllers}
        self._router, self._on_vcenter = parts.router, parts.on_vcenter_change
        self.objects.subscribe(self._changed)
        for kind in self._controllers:
            for obj in self.objects.list(kind):
                meta = obj["metadata"]
                self.enqueue(Key(kind, meta.get("namespace", ""), meta["name"]))

    def enqueue(self, key: Key) -> None:
        if key.kind in self._controllers:
            self.wanted[key] = None

    def state_changed(self) -> None:
        """The connection tells that it is another one now."""
        self._on_vcenter(self.vcenter, [Change("state")])

    def kill(self) -> None:
        self.objects.stop()
        self.world.connections.clear()

    async def run(self, patience: float = 60.0) -> None:
        """Work, let tasks end, let time pass up to `patience` seconds."""
        until = self.clock.seconds + patience
        while True:
            await self._drain()
            if self.tasks_run and self.world.pending:
                self.clock.advance(1.0)
                self.looks.clear()
                self.world.finish()
                continue
            due = min(self.timers.values(), default=None)
            if due is None or due > until:
                return
            self.clock.seconds = max(self.clock.seconds, due)
            self.looks.clear()
            self.world.publish()
            for key in [k for k, at in self.timers.items() if at <= self.clock.seconds]:
                del self.timers[key]
                self.enqueue(key)

    async def _drain(self) -> None:
        while True:
            await self._give_turns()
            if self.outgoing.dead:
                raise Crash("a call beside the workers")
            if not self.wanted:
                return
            keys = list(self.wanted)[: self.workers]
            for key in keys:
                del self.wanted[key]
            # A crash of one ends all: nothing of a dead process goes on.
            looks = [asyncio.ensure_future(self._look(key)) for key in keys]
            try:
                await asyncio.gather(*looks)
            except BaseException:
                for look in looks:
                    look.cancel()
                await asyncio.gather(*looks, return_exceptions=True)
                raise

    async def _give_turns(self) -> None:
        """To what goes on beside the workers, until it wants a look or has nothing left to do."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if self.wanted:
                return

    async def _look(self, key: Key) -> None:
        self.total_looks += 1
        self.looks[key] = self.looks.get(key, 0) + 1
        if self.looks[key] > _HOT:
            raise HotLoopError(f"{key}; last calls: {self.outgoing.names[-12:]}")
        try:
            result = await self._controllers[key.kind].reconcile(key)
        except Expected:
            self._after(key, 1.0)
            return
        if result.requeue_after is not None:
            self._after(key, result.requeue_after)

    def _after(self, key: Key, seconds: float) -> None:
        at = self.clock.seconds + seconds
        self.timers[key] = min(self.timers.get(key, at), at)

    def _changed(self, change: Changed) -> None:
        for key in self._router(change.key.kind, change.old, change.new):
            self.enqueue(key)

    def _vcenter_changed(self, vcenter: object, changes: Sequence[Change]) -> None:
        if self._on_vcenter is not None:
            self._on_vcenter(vcenter, changes)
