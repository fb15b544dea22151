"""Tags on worker VMs: the Cluster's with `tagVMs`, and a worker's own."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.e2e import objects
from tests.e2e.call_log import last_call
from tests.e2e.foreign_things import ForeignThings
from tests.e2e.test_tag_calls import looks, tagging
from tests.e2e.world import Tenant

TAGGED = {"cloud": {"vsphere": {"tagVMs": True}}}


def on_all(tenant: Tenant, names: set[str]) -> bool:
    return all(tenant.vcenter.tags.on(vm) == names for vm in tenant.vms())


def test_workers_carry_the_clusters_tags_from_the_start_and_as_they_change(
    tenant: Tenant, foreign: ForeignThings, record_property: Any
) -> None:
    env = f"env-{tenant.namespace}"
    theirs = foreign.tag("theirs", foreign.category(f"their-{tenant.namespace}"))
    own = {"vsphere": {"tags": [{"name": "theirs", "category": f"their-{tenant.namespace}"}]}}
    tenant.shop(**TAGGED)
    tenant.deploy(replicas=3, template=objects.worker(changes=own))
    tenant.all_ready("workers", 3)
    assert on_all(tenant, {"team", env, "theirs"})
    since = last_call(tenant.world.double)
    wanted = [{"name": env}, {"name": "new"}]
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"tags": wanted}}}})
    tenant.eventually(lambda: on_all(tenant, {env, "new", "theirs"}), "all workers have the new tags")
    tenant.eventually(
        lambda: f"owner-{tenant.namespace}" not in tenant.vcenter.tags.categories(), "what was ours is gone"
    )
    calls = tagging(tenant, since)
    record_property("calls for three workers", dict(calls))
    assert calls["tag_association.attach_tag_to_multiple_objects"] == 1
    assert calls["tag_association.detach_tag_from_multiple_objects"] == 1
    assert calls["tag_association.attach_multiple_tags_to_object"] == 1, "the folder"
    folder = tenant.vcenter.find(tenant.folder())
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"tagVMs": False}}}})
    tenant.eventually(lambda: on_all(tenant, {"theirs"}), "the workers keep only their own")
    assert tenant.vcenter.tags.on(folder) == {env, "new"}
    assert theirs in {t.id for t in tenant.vcenter.tags.all().values()}


def test_a_worker_costs_no_more_calls_with_the_clusters_tags(tenant: Tenant, record_property: Any) -> None:
    tenant.shop(**TAGGED)
    tenant.create_machine("warm")
    tenant.ready("Machine", "warm")
    since = last_call(tenant.world.double)
    tenant.create_machine("one")
    tenant.ready("Machine", "one")
    calls = tagging(tenant, since)
    assert calls == Counter({"tag_association.attach_multiple_tags_to_object": 1})
    since = last_call(tenant.world.double)
    tenant.world.let_pass(15)
    assert tagging(tenant, since) == Counter()
    record_property("looks in 15 s", looks(tenant, since))
    assert looks(tenant, since) <= 1


def test_a_tag_that_somebody_takes_off_a_worker_comes_back_with_the_next_poll(tenant: Tenant) -> None:
    tenant.shop(**TAGGED)
    tenant.create_machine("one")
    tenant.ready("Machine", "one")
    team = tenant.vcenter.tags.all()[(f"owner-{tenant.namespace}", "team")]
    tenant.vcenter.tags.detach(team.id, tenant.vm("one"))
    tenant.eventually(
        lambda: "team" in tenant.vcenter.tags.on(tenant.vm("one")), "the tag is on again", seconds=80
    )
    tenant.eventually(lambda: tenant.told("DriftRepaired", '"one"'), "an event tells it")


def test_with_report_a_worker_that_somebody_powers_off_stays_off_and_is_told(tenant: Tenant) -> None:
    tenant.shop(driftPolicy="Report")
    tenant.create_machine("one")
    tenant.ready("Machine", "one")
    vm = tenant.vm("one")
    tenant.vcenter.wait(vm.PowerOffVM_Task())
    message = tenant.condition("Machine", "one", "Drifted", "True", "PowerStateChanged")
    assert "powered the VM off" in message
    since = last_call(tenant.world.double)
    tenant.world.let_pass(5)
    assert tenant.world.double.calls(since=since, method="PowerOnMultiVM_Task") == []
    assert vm.runtime.powerState == "poweredOff"
    tenant.patch("Cluster", "shop", {"spec": {"driftPolicy": "Repair"}})
    tenant.ready("Machine", "one")
    assert vm.runtime.powerState == "poweredOn"


def test_many_clusters_at_once_make_each_tag_and_category_once(tenant: Tenant, record_property: Any) -> None:
    category = f"many-{tenant.namespace}"
    tags = [{"name": f"tag-{n}", "category": category} for n in range(4)]
    since = last_call(tenant.world.double)
    for n in range(20):
        tenant.create_cluster(f"c{n}", {"cloud": {"vsphere": {"tags": tags}}})
    for n in range(20):
        tenant.ready("Cluster", f"c{n}", seconds=60)
    calls = tagging(tenant, since)
    record_property("calls", dict(calls))
    assert (calls["tag.create"], calls["category.create"]) == (4, 1)
    for n in range(20):
        tenant.delete("Cluster", f"c{n}")
    for n in range(20):
        tenant.gone("Cluster", f"c{n}", seconds=60)
    assert category not in tenant.vcenter.tags.categories()
