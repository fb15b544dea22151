"""What the operator costs a vCenter, counted by the double's log."""

from __future__ import annotations

from typing import Any

from tests.e2e import objects
from tests.e2e.call_log import Calls, last_call, own_calls
from tests.e2e.world import INFRA, Tenant


def warm(tenant: Tenant, system: str) -> None:
    """A Cluster with one Ready worker of that system, so that everything has been read once."""
    tenant.shop()
    tenant.deploy(template=objects.worker(system))
    tenant.all_ready("workers", 1)


def make_one_more(tenant: Tenant, record: Any) -> Calls:
    tenant.world.let_pass(1)
    since = last_call(tenant.world.double)
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    return recorded(own_calls(tenant.world.double, since), record)


def recorded(calls: Calls, record: Any) -> Calls:
    record("calls", dict(calls.work))
    record("bookkeeping", dict(calls.bookkeeping))
    return calls


def test_a_vm_with_an_iso_takes_at_most_nine_calls_and_three_tasks(
    tenant: Tenant, record_property: Any
) -> None:
    warm(tenant, "ubuntu")
    calls = make_one_more(tenant, record_property)
    assert calls.work["CloneVM_Task"] == 1
    assert calls.work.total() <= 9, calls
    assert calls.tasks <= 3, calls


def test_a_vm_with_guestinfo_takes_at_most_six_calls_and_two_tasks(
    tenant: Tenant, record_property: Any
) -> None:
    warm(tenant, "flatcar")
    calls = make_one_more(tenant, record_property)
    assert calls.work["CloneVM_Task"] == 1
    assert calls.work.total() <= 6, calls
    assert calls.tasks <= 2, calls


def test_deleting_a_vm_takes_at_most_eight_calls(tenant: Tenant, record_property: Any) -> None:
    warm(tenant, "ubuntu")
    tenant.world.let_pass(1)
    since = last_call(tenant.world.double)
    tenant.scale("workers", 0)
    tenant.all_ready("workers", 0)
    calls = recorded(own_calls(tenant.world.double, since), record_property)
    assert calls.work["Destroy_Task"] == 1
    assert calls.work.total() <= 8, calls


def test_while_nothing_changes_only_the_long_poll_is_called(tenant: Tenant, record_property: Any) -> None:
    tenant.shop()
    tenant.deploy(replicas=3)
    tenant.all_ready("workers", 3)
    tenant.eventually(
        lambda: tenant.vcenter.sessions(INFRA) == {"soap": 1, "rest": 1},
        "no test before has a session",
        seconds=90,
    )
    tenant.world.let_pass(3)
    since = last_call(tenant.world.double)
    versions = [m["metadata"]["resourceVersion"] for m in tenant.machines()]
    tenant.world.let_pass(30)
    calls = recorded(own_calls(tenant.world.double, since), record_property)
    assert not calls.work
    assert set(calls.bookkeeping) <= {"WaitForUpdatesEx"}
    assert calls.bookkeeping.total() <= 3
    assert [m["metadata"]["resourceVersion"] for m in tenant.machines()] == versions
