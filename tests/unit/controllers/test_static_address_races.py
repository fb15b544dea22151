"""Any order of calls, answers, watch events and deaths: no two VMs are cloned with one address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock
from tests.unit.controllers.fakes.kubernetes import ApiServer, FakeObjects, Json
from tests.unit.controllers.fakes.samples import NAMESPACE
from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers.machine.actions import Actions, Work
from vsphere_operator.controllers.machine.static_addresses import StaticAddresses
from vsphere_operator.controllers.machine.steps import TakeAddresses
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

T = TypeVar("T")
WANTED = TakeAddresses(MoRef("Network:n"), with_mac=True)
POOL = {"cidr": "10.1.0.0/28", "gateway": "10.1.0.1"}
MACHINES = ("a", "b", "c")


@dataclass
class Gates:
    """Every call waits twice: before it arrives, and before its answer does. The test says who goes on."""

    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def call(self, name: str, effect: Callable[[], Awaitable[T]]) -> T:
        await self._wait()
        try:
            return await effect()
        finally:
            await self._wait()

    async def _wait(self) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    def open(self, number: int) -> None:
        gate = self.waiting.pop(number)
        if not gate.done():
            gate.set_result(None)


class Life:
    """A process that believes to lead, and works on some Machines at the same time."""

    def __init__(self, api: ApiServer, cloned: dict[str, list[str]], names: Sequence[str]) -> None:
        self.gates = Gates()
        self.objects = FakeObjects(api, cast("Any", self.gates))
        self.objects.held_back = []
        self._cloned = cloned
        self._actions = Actions(self.objects)
        self._static = StaticAddresses(self.objects, self._actions)
        self.tasks = [asyncio.ensure_future(self._make(name)) for name in names]

    async def _make(self, name: str) -> None:
        """As the controller does it: from what the store has, again and again."""
        for _ in range(8):
            with contextlib.suppress(KubeError):
                if await self._try(name):
                    return
            await asyncio.sleep(0)

    async def _try(self, name: str) -> bool:
        obj = self.objects.get("Machine", NAMESPACE, name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return True
        work = Work(obj, cast("Any", _access()), "installation", cluster_id="cluster")
        if work.machine.status.operation is not None:
            return True
        if not work.machine.status.static_addresses and await self._static.take(work, WANTED):
            return False
        if await self._static.confirm(work) is not None:
            return False
        status = work.machine.status
        addresses = [a.address for a in status.static_addresses]
        intent = status.model_copy(update={"operation": Operation(type="CloneVM")})
        await self._actions.save(work, intent, guarded=True)
        self._cloned[name] = addresses
        return True

    def die(self) -> None:
        """Nothing of it goes on; what it sent may still arrive, as calls before their first gate do not."""
        self.objects.stop()
        for task in self.tasks:
            task.cancel()

    @property
    def over(self) -> bool:
        return all(task.done() for task in self.tasks)


def _access() -> object:
    return SimpleNamespace(instance_uuid="vc", vcenter=SimpleNamespace(inventory=Inventory()))


async def _settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


async def _race(chance: Random) -> int:
    """One course of events; how many Machines were cloned in it."""
    api = ApiServer(Clock())
    cluster = samples.a_cluster()
    cluster["spec"]["machineNetworks"] = [POOL]
    api.put(cluster)
    for name in MACHINES:
        api.put(samples.a_machine(name))
    cloned: dict[str, list[str]] = {}

    def born() -> Life:
        return Life(api, cloned, chance.sample(MACHINES, chance.choice([1, 1, 2, 3])))

    lives = [born(), born()]
    deaths, lag = chance.choice([0, 0, 1, 2]), chance.choice([0.0, 0.05, 0.3])
    for _ in range(150):
        running = [life for life in lives if not life.over]
        if not running:
            break
        life = chance.choice(running)
        for _ in range(chance.choice([1, 2, 4, 8])):
            await _settle()
            if chance.random() < lag:
                life.objects.catch_up_by_one()
            elif life.gates.waiting:
                life.gates.open(chance.randrange(len(life.gates.waiting)))
        if deaths and chance.random() < 0.03:
            deaths -= 1
            life.die()
            lives[lives.index(life)] = born()
    for life in lives:
        life.die()
    await _settle()
    handed_out = [_held(api, name) for name in MACHINES if _intended(api, name)]
    flat = [address for addresses in handed_out for address in addresses]
    assert len(flat) == len(set(flat)), handed_out
    assert all(len(addresses) == 1 for addresses in handed_out), handed_out
    assert all(_held(api, name) == addresses for name, addresses in cloned.items())
    return len(handed_out)


def _machine(api: ApiServer, name: str) -> Json:
    return cast("Json", api.objects[Key("Machine", NAMESPACE, name)].get("status") or {})


def _intended(api: ApiServer, name: str) -> bool:
    return "operation" in _machine(api, name)


def _held(api: ApiServer, name: str) -> list[str]:
    return [a["address"] for a in _machine(api, name).get("staticAddresses", [])]


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_two_machines_are_cloned_with_one_address_in_any_order_of_events(chance: Random) -> None:
    asyncio.run(_race(chance))


def test_most_courses_of_events_end_with_all_machines_cloned() -> None:
    """Else the test above would show nothing."""
    cloned = [asyncio.run(_race(Random(seed))) for seed in range(300)]  # noqa: S311
    assert sum(cloned) > 400
