"""Many Clusters on one vCenter: sessions, logins, calls and memory."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from testbed import Options
from tests.benchmarks.processes import cpu_seconds, memory
from tests.benchmarks.report import Detail, Outcome, Row, Scenario, Settings, by_method
from tests.benchmarks.stage import SeedHttp, complaints, stage
from tests.e2e import objects
from tests.e2e.call_log import Calls
from tests.e2e.world import CCM, INFRA, Tenant, World, is_ready

CLUSTERS = 1000
TENANTS = 10
_LOGINS = {"Login", "com.vmware.cis.session.create"}
UNNAMED = "whoever opens a session of the Automation API"
"""The double's log names no user for the call that creates one."""
_PATIENCE = 600.0


def run(settings: Settings) -> Outcome:
    with stage(Options()) as world:
        tenants = [Tenant(world, f"team-{number}") for number in range(TENANTS)]
        tenants[0].settle_in()
        tenants[0].ready("Seed", tenants[0].seed)
        for tenant in tenants[1:]:
            tenant.settle_in_without_seed()
        log_before = world.double.calls(reset="true")
        before = _Sample.of(world)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda tenant: _create_clusters(tenant, tenants[0].seed), tenants))
        most = _wait_until_ready(world, tenants)
        lasted = time.monotonic() - began
        world.let_pass(5)
        after = _Sample.of(world)
        log = world.double.calls(reset="true")
        notes = complaints(world)
    logins = Counter(
        str(call.get("user") or UNNAMED) for call in log_before + log if call["method"] in _LOGINS
    )
    calls = Calls.of(call for call in log if call.get("user") == INFRA)
    return _outcome(before, after, most, logins, calls, lasted, notes)


class _Sample:
    """The operator and its sessions at one moment."""

    def __init__(self, world: World) -> None:
        self.sessions = world.administrator.all_sessions()
        self.memory = memory(world.operator.pid)
        self.cpu = cpu_seconds(world.operator.pid)
        self.writes = SeedHttp(world.bed.info.kubeconfig.admin).writes()

    @classmethod
    def of(cls, world: World) -> _Sample:
        return cls(world)

    def of_user(self, user: str) -> int:
        return sum(names.count(user) for names in self.sessions.values())


def _create_clusters(tenant: Tenant, datacenter: str) -> None:
    http = SeedHttp(tenant.world.bed.info.kubeconfig.admin)
    path = f"/apis/{objects.API_VERSION}/namespaces/{tenant.namespace}/clusters"
    for number in range(CLUSTERS // TENANTS):
        name = f"shop-{number}"
        http.request("POST", path, objects.cluster(name, tenant.namespace, datacenter=datacenter))


def _wait_until_ready(world: World, tenants: list[Tenant]) -> int:
    """Wait for all; the most sessions that the operator was seen to have meanwhile."""
    most = 0
    deadline = time.monotonic() + _PATIENCE
    waiting = list(tenants)
    while waiting:
        assert time.monotonic() < deadline, f"not all Clusters are Ready:\n{waiting[0].explain()[:8000]}"
        sessions = world.administrator.all_sessions()
        most = max(most, sum(names.count(INFRA) for names in sessions.values()))
        waiting = [tenant for tenant in waiting if not _all_ready(tenant)]
        world.let_pass(1)
    return most


def _all_ready(tenant: Tenant) -> bool:
    found = tenant.api.find_all("Cluster", tenant.namespace)
    return len(found) == CLUSTERS // TENANTS and all(is_ready(cluster) for cluster in found)


def _outcome(
    before: _Sample,
    after: _Sample,
    most: int,
    logins: Counter[str],
    calls: Calls,
    lasted: float,
    notes: list[str],
) -> Outcome:
    protocols = {protocol: names.count(INFRA) for protocol, names in after.sessions.items()}
    writes = after.writes - before.writes
    rows = [
        Row(
            what=f"open sessions with {CLUSTERS:,} Clusters on one vCenter; the most at any look",
            measured=f"{after.of_user(INFRA)} ({protocols['soap']} SOAP, {protocols['rest']} Automation API); {most}",
            target="≤ 2",
            elsewhere="one login a reconcile",
            met=max(after.of_user(INFRA), most) <= 2,
        ),
        Row(
            what="sessions of the CCM's user, whose login is only tried",
            measured=f"{after.of_user(CCM)} open, {logins[CCM]} logins",
        ),
        Row(
            what="logins of the infrastructure user since the operator's start",
            measured=f"{logins[INFRA]} SOAP, {logins[UNNAMED]} Automation API",
        ),
        Row(
            what="calls a Cluster, from nothing to Ready",
            measured=f"{calls.work.total() / CLUSTERS:.1f}, and {calls.bookkeeping.total()} of the shared wait",
        ),
        Row(
            what=f"time from the first Cluster written to all {CLUSTERS:,} Ready", measured=f"{lasted:.0f} s"
        ),
        Row(
            what="the operator's memory (RSS)",
            measured=f"{before.memory['rss']:.0f} → {after.memory['rss']:.0f} MiB, "
            f"peak {after.memory['peak']:.0f} MiB",
        ),
        Row(what="the operator's CPU time", measured=f"{after.cpu - before.cpu:.1f} s"),
        Row(what="writes to the Kubernetes API a Cluster", measured=f"{writes.total() / CLUSTERS:.1f}"),
    ]
    return Outcome(
        rows=rows,
        details=[
            Detail(
                "All calls and writes",
                ("what", "number"),
                [("calls", ", ".join(by_method(calls.work))), ("writes", ", ".join(by_method(writes)))],
            )
        ],
        notes=[
            f"{TENANTS} namespaces with {CLUSTERS // TENANTS} Clusters each, one Seed, no worker. Creating the "
            "objects is part of the time.",
            *notes,
        ],
        data={"calls": dict(calls.work), "shared": dict(calls.bookkeeping), "writes": dict(writes)},
    )


SCENARIO = Scenario(
    name="sessions",
    title="1,000 Clusters on one vCenter",
    about=(
        "1,000 Clusters, each with a folder and two tags, are written as fast as the API server takes them. Sessions "
        "are those that the double has open, looked at once a second."
    ),
    run=run,
)
