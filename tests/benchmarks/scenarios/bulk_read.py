"""A vCenter with thousands of VMs is read for the first time."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import uuid
from typing import Any

from testbed import Options, TestBed, VCenter
from tests.benchmarks.report import Outcome, Row, Scenario, Settings, spread
from tests.e2e.vcenter import Administrator, vim

_CPU_A_VM = 10 / 10_000
"""Seconds: 10 s for 10,000 VMs."""
_STALL_MS = 50


def run(settings: Settings) -> Outcome:
    vms, times = (10_000, 3) if settings.long else (2_000, 3)
    with TestBed(Options(vms=vms // 2, payload=True)) as bed:
        double = bed.info.vcenter
        ours = [_read(double) for _ in range(times)]
        _make_them_foreign(double)
        theirs = [_read(double) for _ in range(times)]
    return _outcome(vms, {"all of them to be looked at closely": ours, "all of them other people's": theirs})


def _make_them_foreign(double: VCenter) -> None:
    """Give all VMs instance UUIDs that are not of the form of ours (version 5), as a vCenter draws them."""
    person = Administrator(double)
    root = person.find("/DC0/vm")
    children = (child for child in root.childEntity if isinstance(child, vim.VirtualMachine))
    vms = [vm for vm in children if not vm.config.template]  # a template cannot be changed
    tasks = [vm.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=str(uuid.uuid4()))) for vm in vms]
    person.wait(tasks[-1])
    person.close()


_AGENT = "vsphere-operator-bench"


def _read(double: VCenter) -> dict[str, Any]:
    """What a process of its own measures; it begins with nothing each time."""
    told = {
        "url": double.url,
        "ca": double.ca_file.read_text(),
        "username": double.username,
        "password": double.password,
    }
    process = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bulk_reader"],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        raise RuntimeError(process.stderr[-4000:])
    found: dict[str, Any] = json.loads(process.stdout)
    found["calls"] = sum(1 for call in double.calls(reset="true") if call.get("userAgent") == _AGENT)
    return found


def _percentiles(stalls: list[float]) -> tuple[float, float, float]:
    """p50, p99 and the longest, in ms."""
    ordered = sorted(stalls)
    return tuple(1000 * ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.99, 1.0))  # type: ignore[return-value]


def _outcome(vms: int, found: dict[str, list[dict[str, Any]]]) -> Outcome:
    rows = [row for what, reads in found.items() for row in _rows(vms, what, reads)]
    idle = _percentiles([s for reads in found.values() for read in reads for s in read["idle_stalls"]])
    closer = {what: reads[-1]["looked_closer"] for what, reads in found.items()}
    return Outcome(
        rows=rows,
        notes=[
            "Each read is by a new process that has the vSphere layer and nothing else. Each VM has 100 extraConfig "
            "keys and 15 devices. Marks and devices are read of VMs whose instanceUuid has the form of ours: "
            + "; ".join(f"{what}: {count:,}" for what, count in closer.items())
            + ".",
            "A stall is what a sleep of 5 ms takes longer; other work on the machine is in it. In a second with "
            f"nothing to do: p50 {idle[0]:.1f} ms, p99 {idle[1]:.1f} ms, max {idle[2]:.0f} ms.",
        ],
        data={
            what: [{k: v for k, v in read.items() if "stalls" not in k} for read in reads]
            for what, reads in found.items()
        },
    )


def _rows(vms: int, what: str, reads: list[dict[str, Any]]) -> list[Row]:
    cpu = [read["cpu"] for read in reads]
    middle, late, longest = _percentiles([s for read in reads for s in read["stalls"]])
    last = reads[-1]
    before, full, settled = (last[f"memory_{when}"]["rss"] for when in ("before", "read", "settled"))
    return [
        Row(
            what=f"CPU time to read {last['vms']:,} VMs, {what}",
            measured=spread(cpu, digits=1),
            target=f"≤ {vms * _CPU_A_VM:.0f} s",
            met=statistics.median(cpu) <= vms * _CPU_A_VM,
        ),
        Row(
            what=f"stalls of the event loop, {what}",
            measured=f"p50 {middle:.1f} ms, p99 {late:.1f} ms, max {longest:.0f} ms",
            target="p99 < 50 ms",
            met=late < _STALL_MS,
        ),
        Row(what=f"wall clock, {what}", measured=spread([read["seconds"] for read in reads], digits=1)),
        Row(
            what=f"memory (RSS), {what}",
            measured=f"before {before:.0f}, when read {full:.0f}, after a collection {settled:.0f} MiB; "
            f"peak {last['memory_settled']['peak']:.0f} MiB",
        ),
        Row(
            what=f"calls, and bytes read over TLS, {what}",
            measured=f"{last['calls']}; {last['bytes'] / 2**20:.1f} MiB, {last['bytes'] / last['vms']:,.0f} bytes a VM",
        ),
    ]


SCENARIO = Scenario(
    name="read",
    title="Reading a large vCenter",
    about="From the login to a whole copy of the inventory in memory, and what the event loop notices of it.",
    run=run,
)
