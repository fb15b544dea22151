"""`vsphere-operator plan`: what the operator would do, from what Kubernetes and vCenter say now. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsphere_operator.controllers import clusters
from vsphere_operator.controllers.cluster import deletion_preview, upkeep_preview
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import VCenterPool
from vsphere_operator.controllers.indexes import INDEXES
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.planned import Planned, stopping
from vsphere_operator.kube.client import USER_AGENT, KubeApi
from vsphere_operator.kube.credentials import CredentialsError, source_for
from vsphere_operator.kube.errors import KubeError
from vsphere_operator.kube.installation import InstallationError, known_installation
from vsphere_operator.kube.kinds import OURS
from vsphere_operator.kube.objects import Objects
from vsphere_operator.kube.user_clusters import UserClusters
from vsphere_operator.runtime.store import Store
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.vcenters import VCenter, VCenters

from .read_only import ReadOnly

NOTHING_STOPS, NO_PLAN, BAD_USAGE, STOPPED = 0, 1, 2, 3
"""Exit codes: the plan can be carried out; there is no plan; the command line is wrong; something would stop it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. ``kubeconfig`` None: KUBECONFIG, ~/.kube/config, else the Pod's account."""

    name: str
    namespace: str
    delete: bool = False
    output: str = "text"
    kubeconfig: Path | None = None
    operator_namespace: str = "vsphere-operator"
    timeout: float = 60.0


class NoPlanError(Exception):
    """There is nothing to say; the text is one line for the person who asked."""


def run(options: Options) -> int:
    """Print the plan; the exit code."""
    try:
        steps = asyncio.run(_plan(options))
    except (NoPlanError, KubeError, CredentialsError, InstallationError, VSphereError) as error:
        print(f"plan: {error}", file=sys.stderr)
        return NO_PLAN
    show = _as_json if options.output == "json" else _as_text
    print(show(options, steps))
    return STOPPED if stopping(steps) else NOTHING_STOPS


async def _plan(options: Options) -> list[Planned]:
    api = KubeApi(source_for(options.kubeconfig or _own_kubeconfig()))
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_change(vcenter: VCenter, changes: Sequence[Change]) -> None:
        loop.call_soon_threadsafe(changed.set)  # from whichever thread

    vcenters = VCenters(on_change=on_change, user_agent=USER_AGENT)
    user_clusters = UserClusters()
    try:
        objects = ReadOnly(Objects(await _read(api), api))
        installation = await known_installation(api, options.operator_namespace)
        work = _work(objects, installation, options)
        unreachable = await _reach(work, vcenters, changed, options.timeout)
        if options.delete:
            return await deletion_preview.steps(deletion_preview.Preview(work, user_clusters, unreachable))
        return await upkeep_preview.steps(work, unreachable)
    finally:
        await user_clusters.close()
        await vcenters.close()
        await api.close()


async def _read(api: KubeApi) -> Store:
    """Our own kinds and the namespaces; Secrets are read by name, and only those that are named."""
    store = Store()
    for kind, index, function in INDEXES:
        store.add_index(kind, index, function)
    for kind in (*OURS, "Namespace"):
        found, _ = await api.list(kind)
        for obj in found:
            store.observe(obj)
    return store


def _work(objects: ReadOnly, installation: str, options: Options) -> Work:
    found = objects.get("Cluster", options.namespace, options.name)
    if found is None:
        raise NoPlanError(f"there is no Cluster {options.name} in the namespace {options.namespace}")
    return Work(found, objects, installation, Losses(objects))


async def _reach(
    work: Work, vcenters: VCenterPool, changed: asyncio.Event, patience: float
) -> Problem | None:
    """Wait until vCenter's inventory is read; the Problem why it cannot be asked."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        changed.clear()
        found = await clusters.access(work.objects, vcenters, work.cluster)
        if not isinstance(found, Problem):
            work.access = found
            return None
        left = deadline - asyncio.get_running_loop().time()
        if found.reason != "Connecting" or left <= 0:
            return found
        try:
            async with asyncio.timeout(left):
                await changed.wait()
        except TimeoutError:
            return found


def _own_kubeconfig() -> Path | None:
    """As kubectl finds it; only the first file of a list."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    usual = Path.home() / ".kube" / "config"
    return Path(named) if named else usual if usual.is_file() else None


def _as_json(options: Options, steps: Sequence[Planned]) -> str:
    listed: list[dict[str, Any]] = [
        {"step": str(s.step), "action": s.action.value, "object": s.thing, "reason": s.why} for s in steps
    ]
    answer = {
        "kind": "Cluster",
        "namespace": options.namespace,
        "name": options.name,
        "operation": "delete" if options.delete else "reconcile",
        "steps": listed,
        "stops": [f"{s.thing}: {s.why}" for s in stopping(steps)],
    }
    return json.dumps(answer, indent=2, ensure_ascii=False)


def _as_text(options: Options, steps: Sequence[Planned]) -> str:
    what = f"Cluster {options.namespace}/{options.name}"
    if not steps:
        return f"{what}: nothing to do." if not options.delete else f"{what}: nothing of it is known outside."
    lines = [f"Deleting {what} would:" if options.delete else f"{what}: the operator would:"]
    before = ""
    for one in steps:
        if one.step != before:
            lines.append(f"  {one.step}")
            before = one.step
        lines.append(f"    {one.action.value:<12}  {one.thing}" + (f": {one.why}" if one.why else ""))
    stops = stopping(steps)
    if stops:
        lines.append(f"It would stop at: {stops[0].thing} ({stops[0].step}).")
    return "\n".join(lines)
