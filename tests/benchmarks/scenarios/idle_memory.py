"""The operator's memory with thousands of Machines for which there is nothing to do."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed import Options
from tests.benchmarks.processes import cpu_seconds, memory
from tests.benchmarks.report import Outcome, Row, Scenario, Settings
from tests.benchmarks.stage import SeedHttp, complaints, stage
from tests.e2e import objects
from tests.e2e.operator_process import LEASE, NAMESPACE
from tests.e2e.world import Tenant, World

_WRITERS = 4
_BUDGET_MIB = 300
_SETTLING = 66.0
"""Seconds after the start: the operator collects garbage for the first time after 60."""


def run(settings: Settings) -> Outcome:
    machines = 10_000 if settings.long else 2_000
    rows, notes, data = [], [], {}
    for vms in (0, machines) if settings.long else (0,):
        with stage(Options(vms=vms // 2 or None, clone_ms=0, tools_ms=0, payload=True)) as world:
            found = _measure(world, machines)
            notes += complaints(world)
        rows += _rows(machines, vms, found)
        data[f"{vms} VMs"] = found
    how = (
        "The Machines are copies of a real one with all of its status. Their Cluster is paused, so that no reconcile "
        "has anything to do; the first process that finds them writes that into each, the next one writes nothing. "
        f"As JSON, spec and status of each are {found['bytes'] / 1024:.1f} KiB. "
        f"Memory is read {_SETTLING:.0f} s after the start, when the lists are read and garbage has been collected."
    )
    return Outcome(rows=rows, notes=[how, *notes], data=data)


def _measure(world: World, machines: int) -> dict[str, Any]:
    tenant = Tenant(world, "idle")
    tenant.settle_in()
    tenant.ready("Seed", tenant.seed)
    tenant.shop()
    tenant.create_machine("real")
    real = tenant.ready("Machine", "real")
    tenant.patch("Cluster", "shop", {"spec": {"paused": True}})
    world.let_pass(2)
    before = memory(world.operator.pid)
    world.operator.kill()
    _write_copies(world, tenant.namespace, real, machines)
    writing = _restart(world)
    idle = _restart(world)
    size = len(json.dumps({k: v for k, v in real.items() if k != "metadata"}))
    return {"before": before, "writing": writing, "idle": idle, "bytes": size}


def _restart(world: World) -> dict[str, float]:
    """A new process's memory when it has settled, its peak, and the CPU time that it took."""
    world.operator.kill()
    world.api.delete_lease(NAMESPACE, LEASE)
    world.operator = world.another_operator()
    world.start_operator()
    world.let_pass(_SETTLING)
    pid = world.operator.pid
    return {**memory(pid), "cpu": cpu_seconds(pid)}


def _write_copies(world: World, namespace: str, real: dict[str, Any], count: int) -> None:
    kubeconfig: Path = world.bed.info.kubeconfig.admin
    with ThreadPoolExecutor(_WRITERS) as pool:
        parts = [range(first, count, _WRITERS) for first in range(_WRITERS)]
        list(pool.map(lambda part: _write_part(SeedHttp(kubeconfig), namespace, real, part), parts))


def _write_part(http: SeedHttp, namespace: str, real: dict[str, Any], numbers: range) -> None:
    path = f"/apis/{objects.API_VERSION}/namespaces/{namespace}/machines"
    for number in numbers:
        wanted = _copy(real, number)
        http.request("POST", path, wanted)
        status = {"status": wanted["status"]}
        http.request(
            "PATCH", f"{path}/{wanted['metadata']['name']}/status", status, "application/merge-patch+json"
        )


def _copy(real: dict[str, Any], number: int) -> dict[str, Any]:
    """A Machine like the real one, with identifiers of its own where two may not share them."""
    wanted = copy.deepcopy(real)
    kept = {
        key: wanted["metadata"][key]
        for key in ("namespace", "labels", "finalizers")
        if key in wanted["metadata"]
    }
    name, serial = f"copy-{number}", f"{number:012x}"
    wanted["metadata"] = {**kept, "name": name, "annotations": {"userclusters.io/id": f"{_ZEROS}-{serial}"}}
    wanted["spec"]["providerID"] = f"vsphere://{_ZEROS}-{serial}"
    vm = wanted["status"]["vm"]
    vm |= {"name": name, "moRef": f"VirtualMachine:vm-{100_000 + number}", "biosUUID": f"{_ZEROS}-{serial}"}
    return wanted


_ZEROS = "00000000-0000-4000-8000"


def _rows(machines: int, vms: int, found: dict[str, Any]) -> list[Row]:
    where = f"{machines:,} idle Machines" + (f", a vCenter with {vms:,} VMs" if vms else ", an empty vCenter")
    before, writing, idle = found["before"], found["writing"], found["idle"]
    return [
        Row(
            what=f"memory (RSS) with {where}",
            measured=f"{idle['rss']:.0f} MiB, peak {idle['peak']:.0f} MiB",
            target=f"≤ {_BUDGET_MIB} MiB with 10,000",
            met=idle["rss"] <= _BUDGET_MIB if machines == 10_000 else None,
        ),
        Row(
            what="after a start that wrote the status of each of them once",
            measured=f"{writing['rss']:.0f} MiB, peak {writing['peak']:.0f} MiB",
        ),
        Row(
            what="with one Machine, before the first collection",
            measured=f"{before['rss']:.0f} MiB",
        ),
        Row(
            what="CPU time from the start until then; when each status is written",
            measured=f"{idle['cpu']:.1f} s; {writing['cpu']:.1f} s",
        ),
    ]


SCENARIO = Scenario(
    name="memory",
    title="Memory with many idle Machines",
    about="An operator starts and finds many Machines that are Ready; then nothing happens.",
    run=run,
)
