"""A test bed with an operator on it, and tenants who each have a namespace, a Seed and Secrets of their own."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from testbed import Options, TestBed
from tests.e2e import objects
from tests.e2e.operator_process import LEASE, NAMESPACE, OperatorProcess
from tests.e2e.polling import eventually
from tests.e2e.seed_api import Object, SeedApi
from tests.e2e.vcenter import Administrator, Vm

T = TypeVar("T")

CRDS = Path(__file__).parents[2] / "crds"
INFRA, CCM = "infra@vsphere.local", "ccm@vsphere.local"
SOLE, ROTATED = "sole@vsphere.local", "rotated@vsphere.local"
"""Users of the tests that count sessions: killed operators leave those of INFRA behind."""
SECRET = "SENTINEL"
"""In every password and in all bootstrap data: it must be read nowhere but in Secrets and VMs."""
USERS = tuple((user, f"{SECRET}-{user.partition('@')[0]}-password") for user in (INFRA, CCM, SOLE, ROTATED))
BOOTSTRAP_SENTINEL = f"{SECRET}-bootstrap-data"

START_LIMIT = 90.0
"""Seconds until an operator leads that was just started, on a machine that has much else to do."""


class World:
    """What all tests of one pytest worker share."""

    def __init__(self, bed: TestBed, directory: Path) -> None:
        self.bed = bed
        self.double = bed.info.vcenter
        self.api = SeedApi(bed.info.kubeconfig.admin)
        self.administrator = Administrator(self.double)
        self.log = directory / "operator.log"
        self.operator = self.another_operator()
        self.foreign_vms: set[str] = set()

    def another_operator(self, lease: str = LEASE) -> OperatorProcess:
        """An operator that has not been started yet."""
        return OperatorProcess(self.bed.info.kubeconfig.operator, self.log, lease)

    def start_operator(self) -> None:
        """Start it and wait until it leads."""
        self.operator.start()
        # A process has to load all of Python's modules first: no promise of the operator bounds that.
        self.eventually(
            lambda: self.api.lease_holder(NAMESPACE, LEASE), "an operator leads", seconds=START_LIMIT
        )

    def restart_operator(self) -> None:
        """Kill it and start another. Its lease is taken away: whoever sees it dead need not wait."""
        self.operator.kill()
        self.api.delete_lease(NAMESPACE, LEASE)
        self.operator = self.another_operator()
        self.start_operator()

    def let_pass(self, seconds: float) -> None:
        """Let time go by in which something is not to happen."""
        time.sleep(seconds)

    def password(self, user: str) -> str:
        return dict(USERS)[user]

    def ca(self) -> str:
        return self.double.ca_file.read_text()

    def another_ca(self) -> str:
        """A good certificate of somebody whom the vCenter does not know: the seed API's CA."""
        kubeconfig = json.loads(self.bed.info.kubeconfig.admin.read_text())
        return Path(kubeconfig["clusters"][0]["cluster"]["certificate-authority"]).read_text()

    def eventually(self, look: Callable[[], T | None], what: str, *, seconds: float = 25.0) -> T:
        return eventually(look, what, seconds=seconds, explain=self.operator.tail)

    def boots_without_data(self) -> list[Object]:
        """The workers that booted and found nothing to boot with, ever."""
        boots = self.double.control("/boots-without-data")
        return [boot for boot in boots if boot["object"] not in self.foreign_vms]

    def tracebacks(self) -> str:
        """The part of the log around the first traceback; empty when there is none."""
        text = self.operator.log
        at = text.find("Traceback")
        return "" if at < 0 else text[max(0, at - 1500) : at + 4000]


@contextmanager
def running_world(options: Options, directory: Path) -> Iterator[World]:
    """A test bed that nobody else uses, with an operator that leads and writes its log into the directory."""
    second = USERS if options.vcenters > 1 else ()
    with TestBed(replace(options, users=USERS, second_users=second)) as bed:
        world = World(bed, directory)
        world.api.install(CRDS)
        world.start_operator()
        try:
            yield world
        finally:
            world.operator.stop()
            world.administrator.close()


class Tenant:
    """A namespace, a Seed with a datacenter of the same name, and Secrets; nobody else uses them."""

    def __init__(self, world: World, name: str | None = None) -> None:
        self.world = world
        self.api = world.api
        self.vcenter = world.administrator
        self.namespace = name or f"e2e-{uuid.uuid4().hex[:8]}"
        self.seed = self.namespace
        self.first_call = max((int(c["sequence"]) for c in world.double.calls()), default=0)

    def settle_in(self, changes: Mapping[str, Any] | None = None) -> None:
        """Everything that a Cluster needs; `changes` go into the Seed's datacenter."""
        self.settle_in_without_seed()
        self.create_seed(changes)

    def settle_in_without_seed(self) -> None:
        """Namespace, Secrets and the vCenter's CA."""
        self.api.create_namespace(self.namespace)
        self.write_login("infra", INFRA)
        self.write_login("ccm", CCM)
        self.api.write_config_map(self.namespace, "vcenter-ca", {"ca.crt": self.world.ca()})
        self.write_bootstrap()

    def write_login(self, name: str, user: str, password: str | None = None) -> None:
        data = {"username": user, "password": password or self.world.password(user)}
        self.api.write_secret(self.namespace, name, data)

    def write_bootstrap(self) -> None:
        for system, text in (("ubuntu", objects.USER_DATA), ("flatcar", objects.IGNITION)):
            value = text.format(sentinel=BOOTSTRAP_SENTINEL)
            self.api.write_secret(self.namespace, f"bootstrap-{system}", {"value": value})

    def create_seed(self, changes: Mapping[str, Any] | None = None) -> None:
        manifest = objects.seed(
            self.seed,
            endpoint=self.world.double.url,
            secret_namespace=self.namespace,
            changes=changes,
        )
        self.api.create(manifest)

    def change_datacenter(self, changes: Mapping[str, Any]) -> None:
        patch = {"spec": {"datacenters": {self.seed: {"vsphere": dict(changes)}}}}
        self.api.patch("Seed", self.seed, "", patch)

    def create_cluster(self, name: str = "shop", changes: Mapping[str, Any] | None = None) -> None:
        self.api.create(objects.cluster(name, self.namespace, datacenter=self.seed, changes=changes))

    def deploy(self, name: str = "workers", **options: Any) -> None:
        self.api.create(objects.deployment(name, self.namespace, **options))

    def create_machine(self, name: str, **options: Any) -> None:
        self.api.create(objects.machine(name, self.namespace, **options))

    def get(self, kind: str, name: str) -> Object | None:
        return self.api.get(kind, name, self.namespace)

    def must_get(self, kind: str, name: str) -> Object:
        found = self.get(kind, name)
        assert found is not None, f"no {kind} {name}"
        return found

    def patch(self, kind: str, name: str, patch: Mapping[str, Any]) -> Object:
        return self.api.patch(kind, name, self.namespace, patch)

    def scale(self, name: str, replicas: int) -> None:
        self.api.scale("MachineDeployment", name, self.namespace, replicas)

    def delete(self, kind: str, name: str) -> None:
        self.api.delete(kind, name, self.namespace)

    def machines(self, pool: str | None = None) -> list[Object]:
        return self.api.find_all("Machine", self.namespace, f"pool={pool}" if pool else "")

    def folder(self, cluster: str = "shop") -> str:
        """The full inventory path that a Cluster's folder has."""
        return f"/DC0/vm/kubernetes/{self.namespace}-{cluster}"

    def vms(self, cluster: str = "shop") -> list[Vm]:
        return self.vcenter.vms_in(self.folder(cluster))

    def vm(self, machine: str, cluster: str = "shop") -> Vm:
        found = self.vcenter.find(f"{self.folder(cluster)}/{machine}")
        assert found is not None, f"no VM {machine} in {self.folder(cluster)}"
        return found

    def eventually(self, look: Callable[[], T | None], what: str, *, seconds: float = 25.0) -> T:
        return eventually(look, what, seconds=seconds, explain=self.explain)

    def soon(self, look: Callable[[], bool], what: str) -> None:
        """Wait for a short moment in the middle of something: look without a pause."""
        eventually(look, what, pause=0.0, explain=self.explain)

    def ready(self, kind: str, name: str, *, seconds: float = 25.0) -> Object:
        """Wait until the object is Ready for its present generation."""

        def look() -> Object | None:
            found = self.get(kind, name)
            return found if found is not None and is_ready(found) else None

        return self.eventually(look, f"{kind} {name} is Ready", seconds=seconds)

    def all_ready(self, pool: str, count: int, *, seconds: float = 30.0) -> list[Object]:
        """Wait until the pool has that many Machines, no more, all Ready, and its deployment says so."""

        def look() -> list[Object] | None:
            machines = self.machines(pool)
            done = len(machines) == count and all(is_ready(m) for m in machines)
            return machines if done and is_ready(self.must_get("MachineDeployment", pool)) else None

        return self.eventually(look, f"{count} Machines of {pool} are Ready", seconds=seconds)

    def condition(
        self, kind: str, name: str, type_: str, status: str, reason: str, *, seconds: float = 20.0
    ) -> str:
        """Wait for a condition; its message."""

        def look() -> str | None:
            found = condition_of(self.get(kind, name), type_)
            return (
                found["message"] if found and (found["status"], found["reason"]) == (status, reason) else None
            )

        return self.eventually(look, f"{kind} {name}: {type_}={status} ({reason})", seconds=seconds)

    def told(self, reason: str, word: str) -> bool:
        """Whether an event of that reason has the word in it."""
        events = self.api.events(self.namespace)
        return any(event["reason"] == reason and word in event["message"] for event in events)

    def gone(self, kind: str, name: str, *, seconds: float = 25.0) -> None:
        self.eventually(lambda: self.get(kind, name) is None, f"{kind} {name} is gone", seconds=seconds)

    def shop(self, **cluster: Any) -> None:
        """A Cluster called shop, Ready."""
        self.create_cluster("shop", cluster or None)
        self.ready("Cluster", "shop")

    def explain(self) -> str:
        """The conditions of everything of this tenant's, and the end of the operator's log."""
        kinds = ("Cluster", "MachineDeployment", "MachineSet", "Machine")
        found = [
            self.api.get("Seed", self.seed, ""),
            *(o for k in kinds for o in self.api.find_all(k, self.namespace)),
        ]
        return "\n".join(
            [
                *(_described(o) for o in found if o),
                f"sessions: {self.vcenter.all_sessions()}",
                "--- operator ---",
                self.world.operator.tail(),
            ]
        )

    def public_text(self) -> str:
        """All that people may read about this tenant: objects with all their metadata, and events."""
        kinds = ("Seed", "Cluster", "MachineDeployment", "MachineSet", "Machine")
        found = [obj for kind in kinds for obj in self.api.find_all(kind, self.namespace)]
        return json.dumps([*found, *self.api.events(self.namespace)], default=str)

    def leave(self) -> None:
        """Delete everything, workers and clusters first, and wait until all of it is gone."""
        for kind in ("Cluster", "MachineDeployment", "MachineSet", "Machine"):
            for obj in self.api.find_all(kind, self.namespace):
                self.delete(kind, obj["metadata"]["name"])
        self.eventually(self._empty, "everything of the tenant's is gone", seconds=40)
        self.api.delete("Seed", self.seed, "")
        self.api.delete_namespace(self.namespace)

    def _empty(self) -> bool:
        kinds = ("Cluster", "MachineDeployment", "MachineSet", "Machine")
        return not any(self.api.find_all(kind, self.namespace) for kind in kinds)


def conditions_of(obj: Object | None) -> list[Object]:
    return list(((obj or {}).get("status") or {}).get("conditions") or [])


def condition_of(obj: Object | None, type_: str) -> Object | None:
    return next((c for c in conditions_of(obj) if c["type"] == type_), None)


def is_ready(obj: Object) -> bool:
    """Whether kstatus would call it Current: Ready about this generation, and not on its way out."""
    ready, meta = condition_of(obj, "Ready"), obj["metadata"]
    if ready is None or ready["status"] != "True" or "deletionTimestamp" in meta:
        return False
    return bool(obj["status"].get("observedGeneration") == meta["generation"])


def _described(obj: Object) -> str:
    meta = obj["metadata"]
    lines = [f"{obj['kind']} {meta['name']} (generation {meta['generation']}{_leaving(meta)})"]
    for c in conditions_of(obj):
        lines.append(f"    {c['type']}={c['status']} {c['reason']}: {c['message']}")
    operation = (obj.get("status") or {}).get("operation")
    return "\n".join([*lines, *([f"    operation {json.dumps(operation)}"] if operation else [])])


def _leaving(meta: Object) -> str:
    return f", leaving, {meta.get('finalizers')}" if "deletionTimestamp" in meta else ""
