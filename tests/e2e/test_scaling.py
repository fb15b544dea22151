"""More workers, fewer workers, other workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e import objects
from tests.e2e.vcenter import Vm
from tests.e2e.world import Tenant, is_ready


def on(vms: list[Vm]) -> int:
    return sum(vm.runtime.powerState == "poweredOn" for vm in vms)


@dataclass
class Watch:
    """The extremes of what was there while somebody looked."""

    most_vms: int = 0
    fewest_ready: int = 10**6
    looks: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self, tenant: Tenant, pool: str) -> None:
        machines = tenant.machines(pool)
        self.most_vms = max(self.most_vms, len(tenant.vms()))
        self.fewest_ready = min(self.fewest_ready, sum(is_ready(m) for m in machines))
        self.looks += 1


@contextmanager
def watching(tenant: Tenant, pool: str) -> Iterator[Watch]:
    """Look at the pool again and again while the block runs."""
    watch = Watch()

    def work() -> None:
        while not watch.stop.wait(0.02):
            watch.look(tenant, pool)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop.set()
        thread.join()


def test_scaling_up_and_down_through_the_subresource_makes_and_removes_vms(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=1)
    (first,) = tenant.all_ready("workers", 1)
    tenant.scale("workers", 3)
    machines = tenant.all_ready("workers", 3)
    assert first["metadata"]["uid"] in {m["metadata"]["uid"] for m in machines}
    assert {vm.name for vm in tenant.vms()} == {m["metadata"]["name"] for m in machines}
    assert on(tenant.vms()) == 3
    tenant.scale("workers", 1)
    left = tenant.all_ready("workers", 1)
    assert [vm.name for vm in tenant.vms()] == [m["metadata"]["name"] for m in left]


def test_a_worker_marked_for_deletion_is_the_first_to_go(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    machines = tenant.all_ready("workers", 2)
    marked, other = (m["metadata"]["name"] for m in machines)
    mark = {"metadata": {"annotations": {"userclusters.io/delete-machine": ""}}}
    tenant.patch("Machine", marked, mark)
    tenant.scale("workers", 1)
    (left,) = tenant.all_ready("workers", 1)
    assert left["metadata"]["name"] == other


def test_a_pool_can_be_scaled_to_nothing_and_back(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=1)
    tenant.all_ready("workers", 1)
    tenant.scale("workers", 0)
    tenant.all_ready("workers", 0)
    assert tenant.vms() == []
    tenant.scale("workers", 1)
    tenant.all_ready("workers", 1)


def test_a_changed_template_rolls_one_by_one_and_back(tenant: Tenant) -> None:
    tenant.shop()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    tenant.deploy(replicas=2, changes={"strategy": strategy})
    before = tenant.all_ready("workers", 2)
    (first_set,) = tenant.api.find_all("MachineSet", tenant.namespace)

    with watching(tenant, "workers") as watch:
        bigger = {"spec": {"template": {"spec": {"vsphere": {"cpus": 3}}}}}
        tenant.patch("MachineDeployment", "workers", bigger)
        after = rolled(tenant, before, cpus=3)
    assert watch.looks > 10
    assert watch.most_vms == 3
    assert watch.fewest_ready == 2
    assert {vm.config.hardware.numCPU for vm in tenant.vms()} == {3}

    with watching(tenant, "workers") as watch:
        smaller = {"spec": {"template": {"spec": {"vsphere": {"cpus": 2}}}}}
        tenant.patch("MachineDeployment", "workers", smaller)
        rolled(tenant, after, cpus=2)
    assert (watch.most_vms, watch.fewest_ready) == (3, 2)
    sets = tenant.api.find_all("MachineSet", tenant.namespace)
    assert len(sets) == 2, "a rollback uses the set that there was"
    current = next(s for s in sets if s["spec"]["replicas"] == 2)
    assert current["metadata"]["uid"] == first_set["metadata"]["uid"]


def rolled(tenant: Tenant, old: list[objects.Object], *, cpus: int) -> list[objects.Object]:
    """Wait until none of the old Machines is left and the new ones are Ready."""
    uids = {m["metadata"]["uid"] for m in old}

    def look() -> list[objects.Object] | None:
        machines = tenant.machines("workers")
        new = [m for m in machines if m["metadata"]["uid"] not in uids and is_ready(m)]
        done = len(new) == len(machines) == len(old)
        done = done and all(m["spec"]["vsphere"]["cpus"] == cpus for m in new)
        return new if done and is_ready(tenant.must_get("MachineDeployment", "workers")) else None

    return tenant.eventually(look, "all Machines are new", seconds=40)


def test_a_rollout_whose_new_template_cannot_work_leaves_the_old_workers(tenant: Tenant) -> None:
    tenant.shop()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    tenant.deploy(replicas=2, changes={"strategy": strategy})
    before = {m["metadata"]["uid"] for m in tenant.all_ready("workers", 2)}
    wrong = {"spec": {"template": {"spec": {"vsphere": {"template": "no-such-template"}}}}}
    tenant.patch("MachineDeployment", "workers", wrong)

    def newcomer() -> str | None:
        new = [m for m in tenant.machines("workers") if m["metadata"]["uid"] not in before]
        return str(new[0]["metadata"]["name"]) if new else None

    name = tenant.eventually(newcomer, "a Machine of the new template")
    tenant.condition("Machine", name, "TemplateReady", "False", "TemplateNotFound")
    sound = [m for m in tenant.machines("workers") if is_ready(m)]
    assert {m["metadata"]["uid"] for m in sound} == before
    right = {"spec": {"template": {"spec": {"vsphere": {"template": None}}}}}
    tenant.patch("MachineDeployment", "workers", right)
    after = tenant.all_ready("workers", 2)
    assert {m["metadata"]["uid"] for m in after} == before
