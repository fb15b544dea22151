"""An answer is lost, and the watch is too slow to show what the call did: nothing is asked for a second time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.e2e import objects
from tests.e2e.world import Tenant

CREATE_TAG = "com.vmware.cis.tagging.tag.create"
LOST = {
    "CloneVM_Task": "cloned",
    "PowerOnMultiVM_Task": "started",
    "CreateFolder": "new",
    CREATE_TAG: "tagged",
}
"""The calls whose answers are lost, and for which Machine or Cluster."""
_OUT_OF_SIGHT = "/DC0/vm/other-people"
_DOUBT = 9.0
"""Seconds in which an operator that does not look would have asked again."""


def _rule(tenant: Tenant, method: str, **what: Any) -> None:
    op_id = f"*{tenant.namespace}-{LOST[method]}"
    tenant.world.double.control("/faults", {"method": method, "opID": op_id, **what})


def _calls(tenant: Tenant, method: str) -> list[dict[str, Any]]:
    """What was asked for that Machine or Cluster, whatever became of it."""
    found = tenant.world.double.calls(method=method, since=tenant.first_call)
    return [c for c in found if c.get("opID", "").endswith(f"{tenant.namespace}-{LOST[method]}")]


def _is_lost(tenant: Tenant, method: str) -> bool:
    return any(call.get("injected") == "after cut" for call in _calls(tenant, method))


@contextmanager
def _watch_that_hangs(tenant: Tenant) -> Iterator[None]:
    """The operator hears of nothing meanwhile. What it waits for now ends with the next change: that is made here."""
    double = tenant.world.double
    rule = {"method": "WaitForUpdatesEx", "opID": "userclusters-watch", "hang": True, "count": -1}
    double.control("/faults", rule)
    folder = tenant.vcenter.make_folder(_OUT_OF_SIGHT)
    try:
        tenant.eventually(lambda: double.control("/faults")["hanging"], "the watch hangs")
        yield
    finally:
        double.control("/faults", method="DELETE")
        tenant.vcenter.destroy(folder)


def _touch(tenant: Tenant, kind: str, name: str) -> None:
    """A change of the spec that changes nothing: what was refused is tried again at once."""
    field = "taints" if kind == "Machine" else "machineNetworks"
    there = field in tenant.must_get(kind, name)["spec"]
    tenant.patch(kind, name, {"spec": {field: None if there else []}})


def _touch_all(tenant: Tenant) -> None:
    for kind, name in (
        ("Machine", "cloned"),
        ("Machine", "started"),
        ("Cluster", "new"),
        ("Cluster", "tagged"),
    ):
        _touch(tenant, kind, name)


def _prepare(tenant: Tenant) -> None:
    """A Cluster that is to get a tag, and a Machine whose VM is there and was not allowed to start."""
    tenant.shop()
    tenant.create_cluster("tagged", {"cloud": {"vsphere": {"tags": []}}})
    _rule(tenant, "PowerOnMultiVM_Task", fault="NoPermission")
    tenant.create_machine("started", template=objects.worker("flatcar"))
    tenant.ready("Cluster", "tagged")
    tenant.condition("Machine", "started", "Ready", "False", "NoPermission")


def _lose_answers(tenant: Tenant) -> None:
    for method in LOST:
        _rule(tenant, method, cut=True, when="after")
    tag = {"name": f"slow-{tenant.namespace}"}
    tenant.create_machine("cloned", template=objects.worker("flatcar"))
    _touch(tenant, "Machine", "started")
    tenant.create_cluster("new")
    tenant.patch("Cluster", "tagged", {"spec": {"cloud": {"vsphere": {"tags": [tag]}}}})
    for method in LOST:
        tenant.eventually(partial(_is_lost, tenant, method), f"the answer of {method} is lost")


def test_what_a_slow_watch_does_not_show_yet_is_not_asked_for_again(tenant: Tenant) -> None:
    _prepare(tenant)
    with _watch_that_hangs(tenant):
        _lose_answers(tenant)
        _touch_all(tenant)
        tenant.world.let_pass(_DOUBT)
        _touch_all(tenant)
        tenant.world.let_pass(1)
        asked = {method: len(_calls(tenant, method)) for method in LOST}
    for name in ("cloned", "started"):
        tenant.ready("Machine", name, seconds=60)
    for name in ("new", "tagged"):
        tenant.ready("Cluster", name, seconds=60)
    refused_at_first = {"PowerOnMultiVM_Task": 2}
    expected = dict.fromkeys(LOST, 1) | refused_at_first
    assert asked == expected
    assert {method: len(_calls(tenant, method)) for method in LOST} == expected
    assert sorted(vm.name for vm in tenant.vms()) == ["cloned", "started"]
    folders = tenant.vcenter.names_in("/DC0/vm/kubernetes")
    assert [f for f in folders if f.startswith(f"{tenant.namespace}-new")] == [f"{tenant.namespace}-new"]
    assert [name for _, name in tenant.vcenter.tags.all()].count(f"slow-{tenant.namespace}") == 1
