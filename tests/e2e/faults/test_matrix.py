"""For each fault at each kind of call: nothing is lost, nothing doubles, nothing foreign is touched, and the condition
says what is going on.

Every combination is one Machine or Cluster of its own, and many of them live at the same time under one operator. A
test run takes a selection. `VSPHERE_OPERATOR_FAULTS=all` takes all that is possible (some five hundred), any other
value those whose name has that pattern in it, as in `VSPHERE_OPERATOR_FAULTS="clone, cut"`. With
`VSPHERE_OPERATOR_FAULT_TABLE=file` a line for each is added to that file: calls hit, seconds, what the condition said.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.e2e.faults.calls import CALLS, NEW_CATEGORY, TAG
from tests.e2e.faults.kinds import HANG, KINDS
from tests.e2e.faults.lives import Life, Phase
from tests.e2e.faults.matrix import Combination, combinations, impossible, pairs, selection
from tests.e2e.faults.running import Guard, furnish, lasting, live
from tests.e2e.foreign_things import ELSEWHERE, ForeignThings
from tests.e2e.vcenter import differences
from tests.e2e.world import SECRET, Tenant, World

LIMITS = {"provisioning": 1000, "power": 1000, "perDatastore": 1000}


def chosen() -> list[Combination]:
    """What this run tries."""
    wish = os.environ.get("VSPHERE_OPERATOR_FAULTS")
    if not wish:
        return selection()
    return [c for c in combinations() if wish == "all" or re.search(wish, str(c))]


Outcome = dict[Combination, Phase]


class Run:
    """What became of all combinations of one kind of object."""

    def __init__(self, world: World, kind: str) -> None:
        self.world, self.kind = world, kind
        self.outcome: Outcome = {}
        self.complaints: list[str] = []
        self.left: list[str] = []
        self.public = ""
        self.log = ""

    def __call__(self) -> None:
        administrator = self.world.administrator
        before = lasting(administrator.state())
        log_before = len(self.world.operator.log)
        foreign = ForeignThings(administrator)
        tenant = Tenant(self.world)
        tenant.settle_in({"limits": LIMITS})
        tenant.ready("Seed", tenant.seed)
        lives = [
            Life(tenant, f"{self.kind[0].lower()}{i:03}", self.kind, up, down)
            for i, (up, down) in enumerate(pairs(chosen(), self.kind))
        ]
        furnish(tenant, lives)
        self._make_foreign_things(foreign, tenant)
        guard = Guard(tenant)
        live(tenant, lives, guard)
        for one in lives:
            for phase in one.phases.values():
                if phase.combination is not None:
                    self.outcome[phase.combination] = phase
        _write_table(self.outcome)
        self.complaints = guard.complaints
        self.public = tenant.public_text()
        self.world.double.control("/faults", method="DELETE")
        tenant.leave()
        self._remove_foreign_things(foreign, lives)
        self.left = differences(before, lasting(administrator.state()))
        self.log = self.world.operator.log[log_before:]

    def _make_foreign_things(self, foreign: ForeignThings, tenant: Tenant) -> None:
        foreign.folder(ELSEWHERE)
        vm = foreign.vm("precious", ELSEWHERE, on=True)
        foreign.vm("namesake", ELSEWHERE)
        tag = foreign.tag("theirs", foreign.category(f"theirs-{tenant.namespace}"))
        tenant.vcenter.tags.attach(tag, vm)
        self.world.foreign_vms |= foreign.vms

    def _remove_foreign_things(self, foreign: ForeignThings, lives: list[Life]) -> None:
        foreign.remove_all()
        administrator = self.world.administrator
        categories = administrator.tags.categories()
        files = administrator.state()["files"]["LocalDS_0"]
        for one in lives:
            if one.foreign_disk.partition("] ")[2] in files:
                administrator.delete_disk(one.foreign_disk)
            if {TAG, NEW_CATEGORY} & one.needs:
                administrator.tags.delete(category_ids=[categories[f"category-{one.name}"].id])


def _write_table(outcome: Outcome) -> None:
    """What became of each, for a person who wants to read it."""
    file = os.environ.get("VSPHERE_OPERATOR_FAULT_TABLE")
    if not file:
        return
    with Path(file).open("a") as table:
        for one, phase in outcome.items():
            seconds = f"{phase.ended - phase.began:.0f} s" if phase.ended else "never"
            became = "; ".join(phase.problems) or "well"
            table.write(f"| {one} | {phase.injected} | {seconds} | {phase.said or ''} | {became} |\n")


def _must_be_well(run: Run) -> None:
    bad = [f"{one}: {p.problems} (it said: {p.said})" for one, p in run.outcome.items() if p.problems]
    assert not bad, "\n".join(bad)
    assert run.complaints == []
    assert run.left == []
    assert run.world.boots_without_data() == []
    assert "Traceback" not in run.log, run.world.tracebacks()
    assert SECRET not in run.log
    assert SECRET not in run.public


def test_a_machine_gets_over_every_fault_at_every_call_and_says_what_is_going_on(world: World) -> None:
    run = Run(world, "Machine")
    run()
    _must_be_well(run)


def test_a_cluster_gets_over_every_fault_at_every_call_and_says_what_is_going_on(world: World) -> None:
    run = Run(world, "Cluster")
    run()
    _must_be_well(run)


def test_the_selection_has_every_call_every_fault_and_every_lost_answer() -> None:
    everything, chosen = combinations(), selection()
    met = {(c.call, c.kind.name) for c in chosen}
    missing = [c.call.name for c in chosen if not c.call.reads and (c.call, "cut after") not in met]
    assert missing == []
    assert {c.call for c in chosen} == {c.call for c in everything}
    assert {c.kind.name for c in everything} - {c.kind.name for c in chosen} <= {HANG}


def test_what_is_not_tried_has_a_reason() -> None:
    tried = {(c.call.name, c.call.kind, c.kind.name) for c in combinations()}
    told = {(call.name, call.kind, kind.name) for call, kind, why in impossible() if why}
    assert len(tried) + len(told) == len(CALLS) * len(KINDS)
