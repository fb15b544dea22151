"""One vCenter hangs; another one's Machines must not notice."""

from __future__ import annotations

import statistics
import time
from typing import Any

from testbed import Options, VCenter
from tests.benchmarks.report import Outcome, Row, Scenario, Settings, spread
from tests.benchmarks.stage import complaints, stage
from tests.e2e import objects
from tests.e2e.world import Tenant, World, is_ready

_HANG_MS = 3_600_000
_LOAD = 40
"""Machines that are to be made on the vCenter that hangs: more than there are workers."""
_BUDGET = 0.1


def run(settings: Settings) -> Outcome:
    times = 20 if settings.long else 8
    with stage(Options(vcenters=2, clone_ms=0, tools_ms=0)) as world:
        hung, healthy = _tenant(world, "a", 0), _tenant(world, "b", 1)
        _make(healthy, "warm")
        alone = [_make(healthy, f"alone-{number}") for number in range(times)]
        _load(hung, "busy")
        hung.all_ready("busy", _LOAD, seconds=120)
        quiet = [_make(healthy, f"quiet-{number}") for number in range(times)]
        quiet_looks = [_look(healthy, number) for number in range(times)]
        world.bed.info.vcenters[0].control("/latency", {"ms": _HANG_MS})
        _load(hung, "hanging")
        world.let_pass(3)
        beside = [_make(healthy, f"beside-{number}") for number in range(times)]
        looks = [_look(healthy, number) for number in range(times)]
        notes = complaints(world)
        world.operator.kill()  # its calls to the vCenter that hangs have no end yet
        world.bed.info.vcenters[0].control("/latency", {"ms": 0})
    return _outcome((alone + quiet, quiet_looks), (beside, looks), notes)


def _tenant(world: World, name: str, which: int) -> Tenant:
    double: VCenter = world.bed.info.vcenters[which]
    tenant = Tenant(world, name)
    tenant.settle_in_without_seed()
    tenant.api.write_config_map(tenant.namespace, "vcenter-ca", {"ca.crt": double.ca_file.read_text()})
    tenant.create_seed({"endpoint": double.url})
    tenant.ready("Seed", tenant.seed)
    tenant.shop()
    return tenant


def _load(tenant: Tenant, pool: str) -> None:
    tenant.deploy(pool, replicas=_LOAD, template=objects.worker("flatcar"))


def _make(tenant: Tenant, name: str) -> float:
    """Seconds from a Machine's creation until it is Ready."""
    tenant.world.let_pass(0.3)
    began = time.monotonic()
    tenant.create_machine(name, template=objects.worker("flatcar"))
    tenant.world.eventually(
        lambda: is_ready(tenant.must_get("Machine", name)), f"{name} is Ready", seconds=300
    )
    return time.monotonic() - began


def _look(tenant: Tenant, number: int) -> float:
    """Seconds until a Cluster's status is about its latest change, which needs no call."""
    changed: dict[str, Any] = tenant.patch("Cluster", "shop", {"spec": {"paused": number % 2 == 0}})
    began, generation = time.monotonic(), changed["metadata"]["generation"]
    while tenant.must_get("Cluster", "shop")["status"].get("observedGeneration") != generation:
        assert time.monotonic() - began < 120, tenant.explain()
    return time.monotonic() - began


_Times = tuple[list[float], list[float]]
"""Of Machines that are made, and of Clusters that are changed."""


def _outcome(well: _Times, hanging: _Times, notes: list[str]) -> Outcome:
    what = ("Machine on B, creation to Ready", "Cluster on B, change to status")
    rows = []
    for name, before, beside in zip(what, well, hanging, strict=True):
        more = statistics.median(beside) - statistics.median(before)
        rows.append(Row(what=f"{name}, A well", measured=spread(before)))
        rows.append(
            Row(
                what=f"{name}, A hanging",
                measured=f"{spread(beside)}; {1000 * more:+.0f} ms",
                target="+ 100 ms at the most",
                elsewhere="all vCenters wait\\*",
                met=more < _BUDGET,
            )
        )
    return Outcome(
        rows=rows,
        notes=[
            f"A answers no call for an hour, with {_LOAD} Machines to be made and {_LOAD} to be kept there; the "
            "operator has its default of workers. One Machine after the other on B.",
            *notes,
        ],
        data={"well": well, "hanging": hanging},
    )


SCENARIO = Scenario(
    name="hung",
    title="A vCenter that hangs, next to one that does not",
    about="Two vCenters, one operator. All of A's calls hang from one moment on; B is as before.",
    run=run,
)
