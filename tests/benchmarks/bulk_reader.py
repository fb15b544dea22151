"""The vSphere layer alone in a process: reads one vCenter's inventory while a ticker listens to the event loop.

Reads `{"url", "ca", "username", "password", "wait"}` from stdin and prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import memory
from vsphere_operator.cli.memory import calm_collector, settle
from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.vcenters import VCenter, VCenters

_TICK = 0.005
"""Seconds between two signs of life of the loop; what comes later than that is a stall."""
_PATIENCE = 600.0


def main() -> None:
    settings = json.load(sys.stdin)
    calm_collector()  # as the operator does
    print(json.dumps(asyncio.run(_read(settings))))


async def _read(settings: dict[str, Any]) -> dict[str, Any]:
    stalls: list[float] = []
    ticker = asyncio.create_task(_tick(stalls))
    await asyncio.sleep(1)
    idle, stalls[:] = list(stalls), []
    vcenters = VCenters(on_change=lambda *_: None, user_agent="vsphere-operator-bench")
    before = _Reading()
    vcenter = vcenters.get(
        Endpoint(settings["url"], settings["ca"]), Credentials(settings["username"], settings["password"])
    )
    await _until_read(vcenter)
    after = _Reading()
    seen = [e for e in vcenter.inventory.all("VirtualMachine") if isinstance(e, VmEntity)]
    found = {
        "seconds": after.at - before.at,
        "cpu": after.cpu - before.cpu,
        "bytes": after.bytes - before.bytes,
        "stalls": sorted(stalls),
        "idle_stalls": sorted(idle),
        "objects": len(vcenter.inventory),
        "vms": len(seen),
        "looked_closer": sum(vm.marks_read for vm in seen),
        "memory_before": before.memory,
        "memory_read": after.memory,
    }
    settle()
    found["memory_settled"] = _Reading().memory
    ticker.cancel()
    await vcenters.close()
    return found


async def _tick(stalls: list[float]) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(_TICK)
        stalls.append(time.monotonic() - began - _TICK)


async def _until_read(vcenter: VCenter) -> None:
    """Until the copy is whole, close looks at our own VMs included."""
    async with asyncio.timeout(_PATIENCE):
        while not vcenter.ready or not _close_looks_done(vcenter):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


def _close_looks_done(vcenter: VCenter) -> bool:
    """A few at the end of the list stand for all: looking at thousands would be a stall of our own making."""
    vms = vcenter.inventory.all("VirtualMachine")[-20:] if vcenter.ready else []
    return all(isinstance(vm, VmEntity) and (vm.marks_read or not _may_be_ours(vm)) for vm in vms)


def _may_be_ours(vm: VmEntity) -> bool:
    return vm.instance_uuid is not None and identity.may_be_ours(vm.instance_uuid)


class _Reading:
    """This process now. `bytes`: all that it has read from files and sockets."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.cpu = time.process_time()
        self.memory = memory("self")
        io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        self.bytes = int(io["rchar"])


if __name__ == "__main__":
    main()
