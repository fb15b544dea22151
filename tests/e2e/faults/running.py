"""Many lives at the same time, watched from the outside while they go on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e import objects
from tests.e2e.faults.calls import LOST_VM, TAG
from tests.e2e.faults.lives import SHOP, Life
from tests.e2e.vcenter import differences
from tests.e2e.world import Tenant

AT_ONCE = 40
MOST_LOST = 4
"""VMs that may be destroyed behind the operator's back in a minute: of more it would believe nothing."""
_LOOK, _WATCH = 0.25, 1.0
"""Seconds between two looks at Kubernetes and at vCenter."""

State = Mapping[str, Any]


class Guard:
    """Looks at vCenter now and then: what was there before stays, and nothing is there twice."""

    def __init__(self, tenant: Tenant) -> None:
        self._double = tenant.world.double
        self._before = lasting(self._double.control("/state"))
        self._next = 0.0
        self.complaints: list[str] = []

    def look(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _WATCH
        state = self._double.control("/state")
        self._complain(lost(self._before, lasting(state)))
        marks = Counter(vm["extraConfig"].get("userclusters.io.machine") for vm in state["virtualMachines"])
        self._complain([f"{count} VMs of Machine {uid}" for uid, count in marks.items() if uid and count > 1])

    def _complain(self, lines: Sequence[str]) -> None:
        self.complaints += [line for line in lines if line not in self.complaints]


def lasting(state: State) -> dict[str, Any]:
    """What a state says without the sessions, which come and go."""
    return {key: value for key, value in state.items() if key != "sessions"}


def lost(before: State, after: State) -> list[str]:
    """What was there before and is not, or is not the same any more."""
    return [line for line in differences(before, after) if line.startswith("- ")]


def live(tenant: Tenant, lives: Sequence[Life], guard: Guard) -> None:
    """Let all of them go through, so many at once; one that ends makes room for the next."""
    waiting, going = list(lives), list[Life]()
    pace = Pace()
    while waiting or going:
        for one in list(waiting):
            if len(going) < AT_ONCE and pace.lets(one, going):
                waiting.remove(one)
                one.begin()
                going.append(one)
        found = {
            (kind, obj["metadata"]["name"]): obj
            for kind in ("Machine", "Cluster")
            for obj in tenant.api.find_all(kind, tenant.namespace)
        }
        for one in going:
            one.look(found.get((one.kind, one.name)))
        going = [one for one in going if not one.is_over]
        guard.look()
        time.sleep(_LOOK)


class Pace:
    """Who may begin beside those that go on."""

    def __init__(self) -> None:
        self._lost: list[float] = []

    def lets(self, one: Life, going: Sequence[Life]) -> bool:
        """Those that would disturb each other begin one by one, those that lose a VM not too many a minute."""
        if any(one.alone & other.alone for other in going):
            return False
        if LOST_VM not in one.needs:
            return True
        self._lost = [at for at in self._lost if at > time.monotonic() - 90.0]
        if len(self._lost) >= MOST_LOST:
            return False
        self._lost.append(time.monotonic())
        return True


def furnish(tenant: Tenant, lives: Sequence[Life]) -> None:
    """A Cluster for the Machines, and the tags that they are to carry, which somebody else has made."""
    tenant.create_cluster(SHOP, {"cloud": {"vsphere": {"tags": []}}})
    tenant.ready("Cluster", SHOP)
    for one in lives:
        if TAG in one.needs:
            one.make_tag()
    _warm_up(tenant)


def _warm_up(tenant: Tenant) -> None:
    """The categories that are there now are known from here on: nobody searches for them beside others who do."""
    tags = tenant.vcenter.tags
    category = tags.make_category(f"warm-{tenant.namespace}")
    tags.make("warm", category)
    tag = {"name": "warm", "category": f"warm-{tenant.namespace}"}
    tenant.create_machine("warm", template=objects.worker("flatcar", {"vsphere": {"tags": [tag]}}))
    tenant.ready("Machine", "warm")
    tenant.delete("Machine", "warm")
    tenant.gone("Machine", "warm")
    tags.delete(category_ids=[category])
