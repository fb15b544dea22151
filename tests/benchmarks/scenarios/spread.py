"""How evenly concurrent clones fill a datastore cluster."""

from __future__ import annotations

import time
from collections import Counter

from testbed import Options
from tests.benchmarks.report import Detail, Outcome, Row, Scenario, Settings
from tests.benchmarks.stage import complaints, stage
from tests.e2e import objects
from tests.e2e.world import Tenant, World, conditions_of

MACHINES, DATASTORES, POD = 50, 5, "DC0_POD0"
_MOST = 1.3
_CLONE_MS = 1000
_PATIENCE = 180.0


def run(settings: Settings) -> Outcome:
    with stage(
        Options(hosts=5, pods=1, datastores=DATASTORES + 1, clone_ms=_CLONE_MS, tools_ms=100)
    ) as world:
        with_drs, problem = _used(world, "drs")
        notes = [problem] if problem else []
        world.double.control("/storage-pods", {"name": POD, "enabled": False})
        without, problem = _used(world, "no-drs")
        notes += [problem] if problem else []
        notes += complaints(world)
    found = {"Storage DRS is on": with_drs, "Storage DRS is off, our own ranking": without}
    return Outcome(
        rows=[_row(what, used) for what, used in found.items()],
        details=[
            Detail(
                "VMs by datastore",
                ("with", "VMs"),
                [
                    (what, ", ".join(f"{n}: {c}" for n, c in sorted(used.items())))
                    for what, used in found.items()
                ],
            )
        ],
        notes=[
            "The datastores are equal and empty at first. Storage DRS is the double's, whose recommendations are its "
            "own: what it shows is that concurrent requests do not all get the same answer.",
            *notes,
        ],
        data={what: dict(used) for what, used in found.items()},
    )


def _used(world: World, name: str) -> tuple[Counter[str], str]:
    """VMs by datastore, and why there are too few of them. The tenant leaves at the end."""
    tenant = Tenant(world, name)
    tenant.settle_in()
    tenant.ready("Seed", tenant.seed)
    tenant.shop(cloud={"vsphere": {"datastoreCluster": POD}})
    tenant.deploy(replicas=MACHINES, template=objects.worker("flatcar"))
    deadline, done = time.monotonic() + _PATIENCE, 0
    while done < MACHINES and time.monotonic() < deadline and not _refused(tenant):
        world.let_pass(0.5)
        done = sum(1 for m in tenant.machines() if m.get("status", {}).get("phase") == "Running")
    machines = tenant.machines()
    used = Counter(
        m["status"]["vm"]["datastore"] for m in machines if m.get("status", {}).get("phase") == "Running"
    )
    problem = (
        "" if done == MACHINES else f"{name}: {done} of {MACHINES} ran; {_refused(tenant) or 'too slow'}."
    )
    tenant.scale("workers", 0)
    tenant.all_ready("workers", 0, seconds=120)
    return used, problem


def _refused(tenant: Tenant) -> str:
    """What a Machine says when the operator does not do this at all."""
    for machine in tenant.machines()[:1]:
        for condition in conditions_of(machine):
            if "NotSupported" in condition["reason"]:
                return f"not supported: {condition['message']}"
    return ""


def _row(what: str, used: Counter[str]) -> Row:
    counts = [used.get(f"LocalDS_{number}", 0) for number in range(1, DATASTORES + 1)]
    complete = sum(counts) == MACHINES
    ratio = max(counts) / min(counts) if min(counts) else float("inf")
    measured = (
        f"{ratio:.2f} ({min(counts)} to {max(counts)} VMs)"
        if complete
        else f"not supported or too slow: {counts}"
    )
    return Row(
        what=f"{MACHINES} clones at once over {DATASTORES} datastores, max / min; {what}",
        measured=measured,
        target=f"≤ {_MOST}",
        elsewhere="all on one\\*",
        met=complete and ratio <= _MOST,
    )


SCENARIO = Scenario(
    name="spread",
    title="Spread over a datastore cluster",
    about=f"One MachineDeployment of {MACHINES} on a datastore cluster of {DATASTORES} equal datastores.",
    run=run,
)
