"""Calls and tasks for each thing that happens to a VM, with and without many tags of other people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from testbed import Options
from tests.benchmarks.report import Detail, Outcome, Row, Scenario, Settings, by_method
from tests.benchmarks.stage import SeedHttp, complaints, operator_calls, stage
from tests.e2e import objects
from tests.e2e.call_log import Calls
from tests.e2e.world import INFRA, Tenant, World

NOBODY = "no foreign tags"
FOREIGN_TAGS = 300
SYSTEMS = {"flatcar": "guestinfo", "ubuntu": "ISO"}
_QUIET = 1.0
"""Seconds without anything new before and after something is counted, so that all of it is in."""
_SEVERAL = 3
_STEADY_VMS = 50
_SHORT_RESYNC = 15
_AGAIN = 45.0


@dataclass
class Counted:
    """What was counted under which name; `vms` is how many VMs it was done for."""

    calls: dict[tuple[str, str], tuple[Calls, int]] = field(default_factory=dict)
    writes: dict[tuple[str, str], tuple[Counter[str], int]] = field(default_factory=dict)


class Recorder:
    """Counts the operator's calls and writes while something happens."""

    def __init__(self, world: World, found: Counted) -> None:
        self._world = world
        self._http = SeedHttp(world.bed.info.kubeconfig.admin)
        self._found = found

    @contextmanager
    def count(self, where: str, what: str, vms: int = 1) -> Iterator[None]:
        self._world.let_pass(_QUIET)
        operator_calls(self._world, INFRA)
        before = self._http.writes()
        yield
        self._world.let_pass(_QUIET)
        self._found.calls[where, what] = (Calls.of(operator_calls(self._world, INFRA)), vms)
        self._found.writes[where, what] = (self._http.writes() - before, vms)


def run(settings: Settings) -> Outcome:
    found = Counted()
    with stage(Options(clone_ms=200, tools_ms=100)) as world:
        recorder = Recorder(world, found)
        for where, tags in FOREIGN.items():
            tenant = Tenant(world, f"tags-{where.replace(' ', '-')}")
            tags(tenant)
            tenant.settle_in({"resyncInterval": "10m"})
            tenant.ready("Seed", tenant.seed)
            with recorder.count(where, "Cluster create"):
                tenant.shop()
            for system in SYSTEMS:
                _life_of_workers(tenant, recorder, where, system)
            tenant.leave()
        steady = _steady_state(world, settings)
        notes = complaints(world)
    return _outcome(found, steady, notes)


def _no_tags(tenant: Tenant) -> None:
    """Nobody else has tags."""


def _in_the_same_category(tenant: Tenant) -> None:
    _make_tags(tenant, f"category-{tenant.seed}")


def _in_another_category(tenant: Tenant) -> None:
    _make_tags(tenant, f"foreign-{tenant.seed}")


def _make_tags(tenant: Tenant, category: str) -> None:
    tags = tenant.vcenter.tags
    category_id = tags.make_category(category)
    for number in range(FOREIGN_TAGS):
        tags.make(f"foreign-{tenant.seed}-{number}", category_id)


FOREIGN: dict[str, Callable[[Tenant], None]] = {
    NOBODY: _no_tags,
    "300 in the same category": _in_the_same_category,
    "300 in another": _in_another_category,
}


def _life_of_workers(tenant: Tenant, recorder: Recorder, where: str, system: str) -> None:
    delivery, pool = SYSTEMS[system], f"pool-{system}"
    with recorder.count(where, f"{delivery}: first VM after the operator's start"):
        tenant.world.restart_operator()
        tenant.deploy(pool, template=objects.worker(system))
        tenant.all_ready(pool, 1)
    with recorder.count(where, f"{delivery}: create"):
        tenant.scale(pool, 2)
        tenant.all_ready(pool, 2)
    with recorder.count(where, f"{delivery}: delete"):
        tenant.scale(pool, 1)
        tenant.all_ready(pool, 1)
    if where == NOBODY:
        with recorder.count(where, f"{delivery}: scale by {_SEVERAL}", _SEVERAL):
            tenant.scale(pool, 1 + _SEVERAL)
            tenant.all_ready(pool, 1 + _SEVERAL)
        with recorder.count(where, f"{delivery}: scale to 0", 1 + _SEVERAL):
            tenant.scale(pool, 0)
            tenant.all_ready(pool, 0)


@dataclass(frozen=True)
class Steady:
    """Calls in 10 min in which nothing changes; `rounds` are what one look again at all objects adds."""

    vms: int
    polls: float
    other: float
    rounds: float

    @property
    def per_vm(self) -> float:
        return (self.polls + self.other + self.rounds) / self.vms


def _steady_state(world: World, settings: Settings) -> Steady:
    tenant = Tenant(world, "steady")
    tenant.settle_in({"resyncInterval": "10m"})
    tenant.ready("Seed", tenant.seed)
    tenant.shop()
    tenant.deploy(replicas=_STEADY_VMS, template=objects.worker("flatcar"))
    tenant.all_ready("workers", _STEADY_VMS, seconds=120)
    world.let_pass(3)
    seconds = 600.0 if settings.long else 120.0
    calls = _while_nothing_changes(world, seconds)
    polls, other = calls.bookkeeping.total() * 600 / seconds, calls.work.total() * 600 / seconds
    if settings.long:  # there was one round in it
        return Steady(_STEADY_VMS, polls, other, 0)
    tenant.change_datacenter({"resyncInterval": f"{_SHORT_RESYNC}s"})
    world.let_pass(_SHORT_RESYNC)
    again = _while_nothing_changes(world, _AGAIN).work.total()
    rounds = max(again - other * _AGAIN / 600, 0) / (_AGAIN / _SHORT_RESYNC)
    return Steady(_STEADY_VMS, polls, other, rounds)


def _while_nothing_changes(world: World, seconds: float) -> Calls:
    operator_calls(world, INFRA)
    world.let_pass(seconds)
    return Calls.of(operator_calls(world, INFRA))


_BUDGETS: dict[str, tuple[int, int | None, str]] = {
    "guestinfo: create": (6, 2, "OpenShift 58 / 2, KKP 55 / 4 and an upload"),
    "ISO: create": (9, 3, "KKP 55 / 4 and an upload"),
    "guestinfo: delete": (8, None, "Gardener 15\\*, OpenShift 23, KKP 36"),
    "ISO: delete": (8, None, "Gardener 15\\*, OpenShift 23, KKP 36"),
}
_WITH_TAGS = "OpenShift 358, KKP up to 355"


def _outcome(found: Counted, steady: Steady, notes: list[str]) -> Outcome:
    rows = [_row(found, what, where) for what in _BUDGETS for where in FOREIGN]
    rows.append(
        Row(
            what=f"unchanged VM, calls in 10 min, with {steady.vms} VMs and one Cluster on the vCenter",
            measured=f"{steady.per_vm:.2f}: {steady.polls:.0f} long polls and {steady.other:.0f} other calls for the "
            f"whole vCenter, {steady.rounds:.1f} for looking at every object again",
            target="≤ 1",
            elsewhere="CAPV 9\\*, OpenShift 25, KKP 0 (sees no drift) or 440 while not Ready\\*",
            met=steady.per_vm <= 1,
        )
    )
    return Outcome(
        rows=rows,
        details=[_overview(found), _methods(found), _writes(found)],
        notes=[
            "Counts are those of one run. They do not depend on the machine's speed; the shared wait's do, as several "
            "changes may come in one answer.",
            "*shared wait*: answers of the one long poll a vCenter, and additions to its list of watched objects. "
            "They belong to no VM and are not in the numbers of calls.",
            "The number of the unchanged VM has both in it. Long polls and the look at tags once a minute are for the "
            "whole vCenter, so with few VMs they alone are more than one call a VM. The short form counts for 2 min, "
            "and then what looking at each object again costs, by doing that every 15 s instead of every 10 min.",
            *notes,
        ],
        data={
            "calls": {
                f"{w} | {x}": [dict(c.work), dict(c.bookkeeping), n] for (w, x), (c, n) in found.calls.items()
            },
            "writes": {f"{w} | {x}": [dict(c), n] for (w, x), (c, n) in found.writes.items()},
            "steady": asdict(steady),
        },
    )


def _row(found: Counted, what: str, where: str) -> Row:
    calls, _ = found.calls[where, what]
    most, most_tasks, elsewhere = _BUDGETS[what]
    work = calls.work.total()
    met = work <= most and (most_tasks is None or calls.tasks <= most_tasks)
    return Row(
        what=f"{what} a VM, warm, {where}; calls / tasks",
        measured=f"{work} / {calls.tasks}",
        target=f"≤ {most}" + (f" / {most_tasks}" if most_tasks else ""),
        elsewhere=_WITH_TAGS if "create" in what and where != NOBODY else elsewhere,
        met=met,
    )


def _overview(found: Counted) -> Detail:
    rows = []
    for what in dict.fromkeys(what for _, what in found.calls):
        cells = [
            _cell(*found.calls[where, what]) if (where, what) in found.calls else "" for where in FOREIGN
        ]
        rows.append((what, *cells))
    return Detail("Calls / tasks + shared wait, by what happens", ("what", *FOREIGN), rows)


def _cell(calls: Calls, vms: int) -> str:
    each = f" ({calls.work.total() / vms:.1f} a VM)" if vms > 1 else ""
    return f"{calls.work.total()} / {calls.tasks}{each} + {calls.bookkeeping.total()}"


def _methods(found: Counted) -> Detail:
    rows = []
    for (where, what), (calls, _) in found.calls.items():
        if where == NOBODY:
            rows.append((what, ", ".join(by_method(calls.work)), ", ".join(by_method(calls.bookkeeping))))
    return Detail("The same by method, without foreign tags", ("what", "calls", "shared wait"), rows)


def _writes(found: Counted) -> Detail:
    rows = []
    for (where, what), (writes, vms) in found.writes.items():
        if where == NOBODY:
            rows.append((what, f"{writes.total() / vms:.1f}", ", ".join(by_method(writes))))
    return Detail(
        "Writes to the Kubernetes API (the operator's, and the one or two that started it)",
        ("what", "a VM", "by verb and resource"),
        rows,
    )


SCENARIO = Scenario(
    name="calls",
    title="Calls and tasks",
    about=(
        "What the operator's user asks of vCenter, by the double's own log: every SOAP call, Automation API call and "
        "file transfer. *Warm* is the second worker of a pool after the operator's start. Other people's tags are in "
        "the category that the Cluster's tag is in, or in another one."
    ),
    run=run,
)
