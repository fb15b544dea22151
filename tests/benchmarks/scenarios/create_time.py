"""How long a create takes where every call takes longer."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from testbed import Options
from tests.benchmarks.report import Outcome, Row, Scenario, Settings, spread
from tests.benchmarks.stage import complaints, operator_calls, stage
from tests.e2e import objects
from tests.e2e.call_log import BOOKKEEPING
from tests.e2e.world import INFRA, Tenant, World, is_ready

LATENCIES = (0, 20, 50)
SYSTEMS = {"flatcar": "guestinfo", "ubuntu": "ISO"}
_POWER_ON = "PowerOnMultiVM_Task"


@dataclass(frozen=True)
class Creation:
    """Seconds. `in_calls` as the double counts them, `to_power_on` and `to_ready` since just before the POST."""

    in_calls: float
    calls: int
    to_power_on: float
    to_ready: float


def run(settings: Settings) -> Outcome:
    times = 15 if settings.long else 5
    found: dict[tuple[str, int], list[Creation]] = defaultdict(list)
    with stage(Options(clone_ms=0, tools_ms=0)) as world:
        tenant = Tenant(world, "latency")
        tenant.settle_in()
        tenant.ready("Seed", tenant.seed)
        tenant.shop()
        for system in SYSTEMS:
            _create(world, tenant, f"warm-{system}", system)
        for number in range(times):
            for latency in LATENCIES:
                world.double.control("/latency", {"ms": latency})
                for system, delivery in SYSTEMS.items():
                    name = f"m-{latency}-{delivery.lower()}-{number}"
                    found[delivery, latency].append(_create(world, tenant, name, system))
        notes = complaints(world)
    return _outcome(found, notes)


def _create(world: World, tenant: Tenant, name: str, system: str) -> Creation:
    world.let_pass(0.3)
    operator_calls(world, INFRA)
    began = time.time()
    tenant.create_machine(name, template=objects.worker(system))
    world.eventually(lambda: is_ready(tenant.must_get("Machine", name)), f"{name} is Ready")
    ready = time.time()
    world.let_pass(0.2)
    calls = [call for call in operator_calls(world, INFRA) if call["method"] not in BOOKKEEPING]
    calls = [call for call in calls if _on_behalf(call, tenant, name)]
    return Creation(
        in_calls=sum(int(call["ms"]) for call in calls) / 1000,
        calls=len(calls),
        to_power_on=next(_began(call) for call in calls if call["method"] == _POWER_ON) - began,
        to_ready=ready - began,
    )


def _on_behalf(call: dict[str, Any], tenant: Tenant, name: str) -> bool:
    """By its opID. File transfers and Automation API calls may carry none; nothing else goes on meanwhile."""
    operation = str(call.get("opID") or "")
    return operation.endswith(f"{tenant.namespace}-{name}") or call["protocol"] != "soap"


def _began(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(call["time"])).timestamp()


_ELSEWHERE = {0: "", 20: "OpenShift 1.38 s, KKP 1.45 s", 50: "KKP 2.97 s, OpenShift 3.16 s"}


def _outcome(found: dict[tuple[str, int], list[Creation]], notes: list[str]) -> Outcome:
    rows = []
    for (delivery, latency), creations in found.items():
        in_calls = [c.in_calls for c in creations]
        rows.append(
            Row(
                what=f"{delivery}: time in the {creations[0].calls} calls of one create, +{latency} ms a call",
                measured=spread(in_calls),
                target="≤ 0.8 s" if latency == 50 else "",
                elsewhere=_ELSEWHERE[latency],
                met=statistics.median(in_calls) <= 0.8 if latency == 50 else None,
            )
        )
    for (delivery, latency), creations in found.items():
        on = spread([c.to_power_on for c in creations])
        ready = statistics.median(c.to_ready for c in creations)
        rows.append(
            Row(
                what=f"{delivery}: from the Machine's creation to its VM's power-on, +{latency} ms a call",
                measured=f"{on}; Ready after {ready:.2f} s",
            )
        )
    return Outcome(
        rows=rows,
        notes=[
            "*Time in the calls*: the sum, over the calls made on the Machine's behalf (by opID), of the time from "
            "their arrival at the double to its answer, the delay included. The shared wait is not in it.",
            "*To power-on*: wall clock from just before the Machine is written to the arrival of "
            "PowerOnMultiVM_Task. Clones take 0 s here; the watch's answers are delayed like all calls.",
            "Latencies take turns within one run, so the machine's other load hits all of them alike.",
            *notes,
        ],
        data={
            f"{delivery} {latency}": [vars(creation) for creation in creations]
            for (delivery, latency), creations in found.items()
        },
    )


SCENARIO = Scenario(
    name="latency",
    title="Time to create a VM when calls are slow",
    about="0, 20 and 50 ms are added to every call. One Machine after the other, on a warm operator.",
    run=run,
)
