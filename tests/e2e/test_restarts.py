"""The operator dies at bad moments, and comes back: one VM for each Machine, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.foreign_things import other_people_at_work
from tests.e2e.operator_process import LEASE, NAMESPACE
from tests.e2e.vcenter import Administrator
from tests.e2e.world import CCM, INFRA, ROTATED, SOLE, Tenant

Moment = Callable[[Tenant], Any]

CREATING: dict[str, tuple[str, Moment]] = {
    "before the folder has its name": (
        "ubuntu",
        lambda t: "~" in str(t.vcenter.names_in("/DC0/vm/kubernetes")),
    ),
    "when the folder is there": ("ubuntu", lambda t: t.vcenter.find(t.folder())),
    "when a clone is intended": ("ubuntu", lambda t: operation(t) == "CloneVM"),
    "when a clone has been asked for": ("ubuntu", lambda t: called(t, "CloneVM_Task")),
    "when the VM is there": ("ubuntu", lambda t: t.vms()),
    "when the ISO is on its way": ("ubuntu", lambda t: operation(t) == "DeliverISO"),
    "when the ISO has been uploaded": ("ubuntu", lambda t: called(t, "PUT")),
    "when the power is going on": ("ubuntu", lambda t: operation(t) == "PowerOn"),
    "when a guestinfo VM is there": ("flatcar", lambda t: t.vms()),
}
DELETING: dict[str, Moment] = {
    "at once": lambda t: True,
    "when the power is going off": lambda t: operation(t) == "PowerOff",
    "when a VM is being destroyed": lambda t: called(t, "Destroy_Task"),
    "when the VMs are gone": lambda t: not t.vms(),
    "when the folder is gone": lambda t: not t.vcenter.find(t.folder()),
}


def operation(tenant: Tenant) -> str | None:
    """What any of the tenant's Machines says that it is doing."""
    found = [(m.get("status") or {}).get("operation") for m in tenant.machines()]
    return next((o["type"] for o in found if o), None)


def called(tenant: Tenant, method: str) -> bool:
    """Whether the method has been called since the tenant's test began."""
    return bool(tenant.world.double.calls(since=tenant.first_call, method=method, user=INFRA))


@pytest.fixture
def busy(tenant: Tenant) -> Iterator[None]:
    """A vCenter in which other people work. In a quiet one the operator waits for half a minute until its watch
    has answered again, before it believes that an interrupted call made nothing."""
    person = Administrator(tenant.world.double)
    with other_people_at_work(person):
        yield
    person.close()


def die(tenant: Tenant, moment: Moment) -> None:
    """Kill the operator at the moment, and start another."""
    tenant.soon(lambda: bool(moment(tenant)), "the moment to die")
    tenant.world.restart_operator()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("moment", CREATING)
def test_a_killed_operator_ends_what_it_began_to_make(tenant: Tenant, moment: str) -> None:
    system, look = CREATING[moment]
    tenant.create_cluster()
    if "folder" not in moment:
        tenant.ready("Cluster", "shop")
    tenant.deploy(replicas=2, template=objects.worker(system))
    die(tenant, look)
    machines = tenant.all_ready("workers", 2, seconds=45)
    assert sorted(vm.name for vm in tenant.vms()) == sorted(m["metadata"]["name"] for m in machines)
    assert tenant.ready("Cluster", "shop")["status"]["folder"]["origin"] == "Created"
    uuids = {vm.config.instanceUuid for vm in tenant.vms()}
    assert uuids == {m["status"]["vm"]["instanceUUID"] for m in machines}


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("moment", DELETING)
def test_a_killed_operator_ends_what_it_began_to_delete(tenant: Tenant, moment: str) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    tenant.all_ready("workers", 2)
    tenant.first_call = max(c["sequence"] for c in tenant.world.double.calls())
    tenant.delete("Cluster", "shop")
    die(tenant, DELETING[moment])
    tenant.gone("Cluster", "shop", seconds=45)


@pytest.mark.usefixtures("busy")
def test_deleting_what_is_half_made_while_the_operator_is_away_leaves_nothing(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    tenant.soon(lambda: called(tenant, "CloneVM_Task"), "clones run")
    tenant.world.operator.kill()
    tenant.delete("Cluster", "shop")
    tenant.world.restart_operator()
    tenant.gone("Cluster", "shop", seconds=45)


def test_a_killed_operator_ends_a_clone_in_a_quiet_vcenter(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy()
    die(tenant, lambda t: called(t, "CloneVM_Task"))
    tenant.all_ready("workers", 1, seconds=60)
    assert len(tenant.vms()) == 1


def test_of_two_operators_one_leads_and_the_other_takes_over(tenant: Tenant) -> None:
    world = tenant.world
    tenant.shop()
    leader = world.api.lease_holder(NAMESPACE, LEASE)
    standby = world.another_operator()
    standby.start()
    try:
        world.eventually(lambda: "standing by" in world.operator.log, "the second operator stands by")
        tenant.deploy(replicas=2)
        tenant.soon(lambda: called(tenant, "CloneVM_Task"), "clones run")
        world.operator.kill()
        world.operator = standby
        tenant.all_ready("workers", 2, seconds=45)
        assert world.api.lease_holder(NAMESPACE, LEASE) not in (leader, None)
        assert len(tenant.vms()) == 2
    finally:
        if world.operator is not standby:
            standby.stop()


def test_a_stopped_operator_logs_out_and_gives_its_lease_back(tenant: Tenant) -> None:
    world = tenant.world
    tenant.write_login("infra", SOLE)
    tenant.shop()
    tenant.eventually(lambda: tenant.vcenter.sessions(SOLE) == {"soap": 1, "rest": 1}, "two sessions")
    assert world.operator.stop() == 0
    assert world.administrator.sessions(SOLE) == {"soap": 0, "rest": 0}
    assert world.api.lease_holder(NAMESPACE, LEASE) is None
    world.operator = world.another_operator()
    world.start_operator()
    tenant.deploy()
    tenant.all_ready("workers", 1)


def test_all_clusters_share_one_session_of_each_kind(tenant: Tenant) -> None:
    tenant.write_login("infra", SOLE)
    tenant.ready("Seed", tenant.seed)
    names = [f"shop-{i}" for i in range(5)]
    for name in names:
        tenant.create_cluster(name)
    for name in names:
        tenant.ready("Cluster", name)
    assert tenant.vcenter.sessions(SOLE) == {"soap": 1, "rest": 1}
    assert sum(tenant.vcenter.sessions(CCM).values()) == 0, "a checked login is logged out"


def test_a_rotated_login_is_used_at_once_and_the_old_session_ends(tenant: Tenant) -> None:
    tenant.write_login("infra", SOLE)
    tenant.shop()
    tenant.deploy()
    tenant.all_ready("workers", 1)
    tenant.write_login("infra", ROTATED)
    tenant.eventually(
        lambda: tenant.vcenter.sessions(ROTATED)["soap"] == 1, "a session of the new user is open"
    )
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    tenant.ready("Seed", tenant.seed)
    clones = tenant.world.double.calls(since=tenant.first_call, method="CloneVM_Task")
    assert [c["user"] for c in clones] == [SOLE, ROTATED]
    tenant.eventually(
        lambda: tenant.vcenter.sessions(SOLE) == {"soap": 0, "rest": 0},
        "the old user is logged out",
        seconds=80,
    )


def test_sessions_that_vcenter_ended_are_opened_again(tenant: Tenant) -> None:
    tenant.write_login("infra", SOLE)
    tenant.shop()
    tenant.deploy()
    tenant.all_ready("workers", 1)
    tenant.vcenter.end_sessions(SOLE)
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    assert tenant.vcenter.sessions(SOLE)["soap"] == 1
