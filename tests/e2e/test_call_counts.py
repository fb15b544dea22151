"""What the operator costs a vCenter, counted by the double's log.

The long poll of the inventory and its list of watched objects are counted apart: they belong to no VM.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.e2e import objects
from tests.e2e.world import INFRA, Tenant

BOOKKEEPING = {"WaitForUpdatesEx", "CancelWaitForUpdates", "ModifyListView", "ResetListView"}


def last_call(tenant: Tenant) -> int:
    return max(int(call["sequence"]) for call in tenant.world.double.calls())


def own_calls(tenant: Tenant, since: int) -> tuple[Counter[str], Counter[str]]:
    """The operator's calls by method: those for what it does, and the bookkeeping."""
    calls: list[dict[str, Any]] = tenant.world.double.calls(since=since, user=INFRA)
    methods = [str(call["method"]) for call in calls]
    work = Counter(m for m in methods if m not in BOOKKEEPING)
    return work, Counter(m for m in methods if m in BOOKKEEPING)


def tasks(work: Counter[str]) -> int:
    return sum(count for method, count in work.items() if method.endswith("_Task"))


def warm(tenant: Tenant, system: str) -> None:
    """A Cluster with one Ready worker of that system, so that everything has been read once."""
    tenant.shop()
    tenant.deploy(template=objects.worker(system))
    tenant.all_ready("workers", 1)


def make_one_more(tenant: Tenant, record: Any) -> Counter[str]:
    tenant.world.let_pass(1)
    since = last_call(tenant)
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    work, bookkeeping = own_calls(tenant, since)
    record("calls", dict(work))
    record("bookkeeping", dict(bookkeeping))
    return work


def test_a_vm_with_an_iso_takes_at_most_nine_calls_and_three_tasks(
    tenant: Tenant, record_property: Any
) -> None:
    warm(tenant, "ubuntu")
    work = make_one_more(tenant, record_property)
    assert work["CloneVM_Task"] == 1
    assert work.total() <= 9, work
    assert tasks(work) <= 3, work


def test_a_vm_with_guestinfo_takes_at_most_six_calls_and_two_tasks(
    tenant: Tenant, record_property: Any
) -> None:
    warm(tenant, "flatcar")
    work = make_one_more(tenant, record_property)
    assert work["CloneVM_Task"] == 1
    assert work.total() <= 6, work
    assert tasks(work) <= 2, work


def test_deleting_a_vm_takes_at_most_eight_calls(tenant: Tenant, record_property: Any) -> None:
    warm(tenant, "ubuntu")
    tenant.world.let_pass(1)
    since = last_call(tenant)
    tenant.scale("workers", 0)
    tenant.all_ready("workers", 0)
    work, bookkeeping = own_calls(tenant, since)
    record_property("calls", dict(work))
    record_property("bookkeeping", dict(bookkeeping))
    assert work["Destroy_Task"] == 1
    assert work.total() <= 8, work


def test_while_nothing_changes_only_the_long_poll_is_called(tenant: Tenant, record_property: Any) -> None:
    tenant.shop()
    tenant.deploy(replicas=3)
    tenant.all_ready("workers", 3)
    tenant.world.let_pass(3)
    since = last_call(tenant)
    versions = [m["metadata"]["resourceVersion"] for m in tenant.machines()]
    tenant.world.let_pass(30)
    work, bookkeeping = own_calls(tenant, since)
    record_property("bookkeeping", dict(bookkeeping))
    assert not work
    assert set(bookkeeping) <= {"WaitForUpdatesEx"}
    assert bookkeeping.total() <= 3
    assert [m["metadata"]["resourceVersion"] for m in tenant.machines()] == versions
