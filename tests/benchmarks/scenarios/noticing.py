"""How soon a status shows what somebody did in vCenter."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from testbed import Options
from tests.benchmarks.report import Outcome, Row, Scenario, Settings, spread
from tests.benchmarks.stage import complaints, stage
from tests.e2e import objects
from tests.e2e.seed_api import Object
from tests.e2e.world import Tenant

FOREIGN_VMS = 80
"""In the pool, and as many on the standalone host: with the workers and templates fewer than 200."""
_PATIENCE = 6.0
_BUDGET = 5.0


class Site:
    """A tenant with one Cluster, and workers that come and go."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._count = 0

    def worker(self) -> tuple[str, Any]:
        """A new Ready Machine: its name and its VM."""
        self._count += 1
        name = f"worker-{self._count}"
        self.tenant.create_machine(name, template=objects.worker("flatcar"))
        self.tenant.ready("Machine", name, seconds=60)
        return name, self.tenant.vcenter.find(f"{self.folder_path()}/{name}")

    def folder_path(self) -> str:
        return str(self.tenant.must_get("Cluster", "shop")["status"]["folder"]["path"])

    def seconds_until(
        self, kind: str, name: str, change: Callable[[], Any], seen: Callable[[Object], bool]
    ) -> float:
        """From just before the change is asked for until the object says so; infinite when it never does."""
        began = time.monotonic()
        change()
        while (lasted := time.monotonic() - began) < _PATIENCE:
            found = self.tenant.get(kind, name)
            if found is None or seen(found):
                return time.monotonic() - began
        return float("inf") if lasted >= _PATIENCE else lasted


def power_off(site: Site) -> float:
    name, vm = site.worker()
    return site.seconds_until(
        "Machine",
        name,
        vm.PowerOffVM_Task,
        lambda m: (
            m["status"]["vm"].get("powerState") == "poweredOff" or m["status"].get("operation") is not None
        ),
    )


def rename(site: Site) -> float:
    name, vm = site.worker()
    return site.seconds_until(
        "Machine",
        name,
        lambda: vm.Rename_Task(f"{name}-x"),
        lambda m: m["status"]["vm"]["name"] == f"{name}-x",
    )


def removal(site: Site) -> float:
    name, vm = site.worker()
    site.tenant.vcenter.wait(vm.PowerOffVM_Task())
    return site.seconds_until(
        "Machine", name, vm.Destroy_Task, lambda m: m["status"].get("failureReason") == "VMRemoved"
    )


def move(site: Site) -> float:
    name, vm = site.worker()
    elsewhere = site.tenant.vcenter.find("/DC0/vm")
    return site.seconds_until(
        "Machine",
        name,
        lambda: elsewhere.MoveIntoFolder_Task([vm]),
        lambda m: m["status"]["vm"]["inventoryPath"] == f"/DC0/vm/{name}",
    )


def rename_folder(site: Site) -> float:
    path = site.folder_path()
    folder = site.tenant.vcenter.find(path)
    new = f"{path}x"
    return site.seconds_until(
        "Cluster",
        "shop",
        lambda: folder.Rename_Task(new.rpartition("/")[2]),
        lambda c: c["status"]["folder"]["path"] == new,
    )


def move_folder(site: Site) -> float:
    path = site.folder_path()
    vcenter = site.tenant.vcenter
    folder, name = vcenter.find(path), path.rpartition("/")[2]
    parent = "/DC0/vm" if path.startswith("/DC0/vm/kubernetes/") else "/DC0/vm/kubernetes"
    return site.seconds_until(
        "Cluster",
        "shop",
        lambda: vcenter.find(parent).MoveIntoFolder_Task([folder]),
        lambda c: c["status"]["folder"]["path"] == f"{parent}/{name}",
    )


EVENTS: dict[str, Callable[[Site], float]] = {
    "power-off of a worker's VM: status.vm.powerState or the power-on": power_off,
    "rename of a worker's VM: status.vm.name": rename,
    "move of a worker's VM into another folder: status.vm.inventoryPath": move,
    "removal of a worker's VM: status.failureReason": removal,
    "rename of a Cluster's folder: status.folder.path": rename_folder,
    "move of a Cluster's folder: status.folder.path": move_folder,
}


def run(settings: Settings) -> Outcome:
    times = 20 if settings.long else 5
    found: dict[str, list[float]] = defaultdict(list)
    with stage(Options(vms=FOREIGN_VMS, clone_ms=50, tools_ms=50)) as world:
        tenant = Tenant(world, "notice")
        tenant.settle_in()
        tenant.ready("Seed", tenant.seed)
        tenant.shop()
        site = Site(tenant)
        for _ in range(times):
            for what, event in EVENTS.items():
                found[what].append(event(site))
        notes = complaints(world)
    return Outcome(
        rows=[_row(what, seconds) for what, seconds in found.items()],
        notes=[
            f"From just before the call that asks for the change until the Kubernetes API shows it, asked without a "
            f"pause; *not shown* is not within {_PATIENCE:.0f} s. {2 * FOREIGN_VMS} other VMs are on the vCenter.",
            "The double looks at all of its VMs for each change, a vCenter does not: its part grows with the VMs.",
            *notes,
        ],
        data=dict(found),
    )


def _row(what: str, seconds: list[float]) -> Row:
    shown = [s for s in seconds if s != float("inf")]
    missing = (
        f", {len(seconds) - len(shown)} of {len(seconds)} not shown" if len(shown) < len(seconds) else ""
    )
    return Row(
        what=what,
        measured=(spread(shown) if shown else "not shown") + (missing if shown else ""),
        target=f"< {_BUDGET:.0f} s",
        elsewhere="10 min, or never",
        met=not missing and max(shown) < _BUDGET,
    )


SCENARIO = Scenario(
    name="noticing",
    title="Changes behind our back",
    about="A person powers off, renames, moves and removes things in vCenter; how long until a status tells.",
    run=run,
)
