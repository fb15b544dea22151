"""What tags cost a vCenter, with none and with 300 of other people's beside them, counted by the double's log."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.call_log import last_call
from tests.e2e.foreign_things import ForeignThings
from tests.e2e.world import INFRA, Tenant

PREFIX = "com.vmware.cis.tagging."
MANY = 300


def tagging(tenant: Tenant, since: int) -> Counter[str]:
    """The operator's tagging calls, without the poll's, which belongs to no object."""
    methods = [str(c["method"]) for c in tenant.world.double.calls(since=since, user=INFRA)]
    found = Counter(m.removeprefix(PREFIX) for m in methods if m.startswith(PREFIX))
    found.pop("tag_association.list_attached_tags_on_objects", None)
    return found


def looks(tenant: Tenant, since: int) -> int:
    method = PREFIX + "tag_association.list_attached_tags_on_objects"
    return len(tenant.world.double.calls(since=since, user=INFRA, method=method))


class Site:
    """Two tags of one category, one of which a person made; and as many others as a test asks for."""

    def __init__(self, tenant: Tenant, foreign: ForeignThings, *, same: int, other: int) -> None:
        self.tenant = tenant
        self.category = foreign.category(f"shared-{tenant.namespace}")
        elsewhere = foreign.category(f"elsewhere-{tenant.namespace}")
        for n in range(other):
            foreign.tag(f"foreign-{n}", elsewhere)
        for n in range(same):
            foreign.tag(f"foreign-{n}", self.category)
        foreign.tag("theirs", self.category)
        self.tags = [{"name": n, "category": f"shared-{tenant.namespace}"} for n in ("ours", "theirs")]

    def cluster(self, name: str) -> Counter[str]:
        since = last_call(self.tenant.world.double)
        self.tenant.create_cluster(name, {"cloud": {"vsphere": {"tags": self.tags}}})
        self.tenant.ready("Cluster", name)
        return tagging(self.tenant, since)

    def machine(self, name: str, cluster: str) -> Counter[str]:
        since = last_call(self.tenant.world.double)
        template = objects.worker(changes={"vsphere": {"tags": self.tags[1:]}})
        self.tenant.create_machine(name, cluster=cluster, template=template)
        self.tenant.ready("Machine", name)
        return tagging(self.tenant, since)


def counts(site: Site, record: Any) -> dict[str, Counter[str]]:
    """Cold and warm, by what is made."""
    tenant = site.tenant
    tenant.world.restart_operator()
    found = {"cluster, cold": site.cluster("one"), "machine, its tag known": site.machine("m-1", "one")}
    found |= {"cluster, warm": site.cluster("two"), "machine, warm": site.machine("m-2", "two")}
    since = last_call(tenant.world.double)
    tenant.world.restart_operator()
    tenant.world.let_pass(5)
    found["clusters after a restart"] = tagging(tenant, since)
    found["machine after a restart"] = site.machine("m-3", "one")
    record("calls", {what: dict(calls) for what, calls in found.items()})
    record("looks after a restart", looks(tenant, since))
    return found


WARM = {
    "machine, its tag known": {"tag_association.attach_multiple_tags_to_object": 1},
    "cluster, warm": {"tag_association.attach_multiple_tags_to_object": 1},
    "machine, warm": {"tag_association.attach_multiple_tags_to_object": 1},
    "clusters after a restart": {},
    "machine after a restart": {
        "category.get": 1,
        "tag.get": 1,
        "tag_association.attach_multiple_tags_to_object": 1,
    },
}


@pytest.mark.parametrize(
    ("same", "other"), [(0, 0), (0, MANY), (MANY, 0)], ids=["none", "elsewhere", "beside"]
)
def test_other_peoples_tags_cost_nothing_once_a_name_is_known(
    tenant: Tenant, foreign: ForeignThings, same: int, other: int, record_property: Any
) -> None:
    found = counts(Site(tenant, foreign, same=same, other=other), record_property)
    cold = found.pop("cluster, cold")
    assert {what: dict(calls) for what, calls in found.items()} == WARM
    # Ours is made first and never searched; theirs is searched once, in its own category only.
    assert cold.pop("tag.get") <= same + 2
    assert cold.pop("category.get") <= len(tenant.vcenter.tags.categories())
    assert cold == {
        "category.list": 1,
        "tag.create": 2,
        "tag.list_tags_for_category": 1,
        "tag_association.attach_multiple_tags_to_object": 1,
    }
