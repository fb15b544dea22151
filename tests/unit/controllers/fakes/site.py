"""A whole site: API server, vCenter, and one life of the operator after another."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Crash, Outgoing, Phase
from tests.unit.controllers.fakes.kubernetes import ApiServer
from tests.unit.controllers.fakes.process import Process
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.user_cluster import FakeUserCluster, FakeUserClusters
from tests.unit.controllers.fakes.vcenter import Vm, World

Json = dict[str, Any]


class Site:
    """Has a namespace, the Secrets and the Seed; tests add the rest and let the operator live."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.outgoing = Outgoing()
        self.api = ApiServer(clock)
        self.world = World(clock, self.outgoing)
        self.api.put(samples.a_namespace())
        self.api.secret("vsphere-operator", "infra", username="infra", password=samples.PASSWORD)
        self.api.secret(NAMESPACE, "boot", value=f"#cloud-config\nfinal_message: {samples.BOOTSTRAP}\n")
        ignition = '{"ignition": {"version": "3.3.0"}, "passwd": {"users": [{"name": "%s"}]}}'
        self.api.secret(NAMESPACE, "boot-flatcar", value=ignition % samples.BOOTSTRAP)
        self.api.put(samples.a_seed())
        self.user_cluster = FakeUserCluster(self.outgoing)
        self._process: Process | None = None
        self.told: list[tuple[str, str, str]] = []

    @property
    def process(self) -> Process:
        if self._process is None:
            self._process = Process(
                self.api, self.world, self.clock, self.outgoing, FakeUserClusters(self.user_cluster)
            )
        return self._process

    def restart(self) -> None:
        """End this life; the next use begins another."""
        if self._process is not None:
            self.told += self._process.events.told
            self._process.kill()
        self._process = None

    async def run(self, patience: float = 60.0) -> None:
        await self.process.run(patience)

    async def run_and_die(self, at: int, phase: Phase) -> bool:
        """Live until the outgoing call number `at` from now, die there, live on; False when there were fewer."""
        self.outgoing.die_at, self.outgoing.phase = len(self.outgoing.names) + at, phase
        died = False
        try:
            await self.run()
        except Crash:
            died = True
        self.outgoing.die_at = None
        self.restart()
        await self.run()
        return died

    def events(self) -> list[tuple[str, str, str]]:
        return self.told + (self._process.events.told if self._process else [])

    def object(self, kind: str, name: str, namespace: str = NAMESPACE) -> Json:
        return self.api.get(kind, namespace, name)

    def exists(self, kind: str, name: str, namespace: str = NAMESPACE) -> bool:
        return any((k.kind, k.namespace, k.name) == (kind, namespace, name) for k in self.api.objects)

    def condition(self, kind: str, name: str, type_: str = "Ready", namespace: str = NAMESPACE) -> Json:
        found = self.object(kind, name, namespace).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == type_), {})

    def reason(self, kind: str, name: str, type_: str = "Ready", namespace: str = NAMESPACE) -> str:
        return str(self.condition(kind, name, type_, namespace).get("reason"))

    def is_ready(self, kind: str, name: str, namespace: str = NAMESPACE) -> bool:
        return self.condition(kind, name, "Ready", namespace).get("status") == "True"

    def delete(self, kind: str, name: str) -> None:
        self.api.delete(kind, NAMESPACE, name)

    def vm_of(self, name: str) -> Vm:
        (vm,) = self.world.named(name)
        return vm

    async def with_cluster(self, **vsphere: Any) -> None:
        self.api.put(samples.a_cluster(**vsphere))
        await self.run()

    async def with_machine(self, name: str = "worker-1", **machine: Any) -> None:
        await self.with_cluster()
        self.api.put(samples.a_machine(name, **machine))
        await self.run()
