"""What hits a whole vCenter, or all that one may see of it: ten workers run on, and none is removed, replaced or made
twice. What hits the operator's session while it begins passes, too, and new things are made after it.

`VSPHERE_OPERATOR_FAULTS=all` tries every fault at every call of a session; a test run has a selection.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.faults.running import lasting
from tests.e2e.foreign_things import other_people_at_work
from tests.e2e.vcenter import differences
from tests.e2e.world import INFRA, SECRET, Tenant, World, condition_of, is_ready

POOL, ALONE = 8, 2
MOST = 6
"""Fewer of ten would be believed to be gone."""
CHANGES = {
    "CloneVM_Task", "ApplyStorageDrsRecommendation_Task", "PowerOnMultiVM_Task", "PowerOnVM_Task", "PowerOffVM_Task",
    "ReconfigVM_Task", "Destroy_Task", "Rename_Task", "CreateFolder", "DeleteDatastoreFile_Task", "PUT", "DELETE",
    "AnswerVM", "UnregisterVM", "MoveIntoFolder_Task",
}  # fmt: skip
"""What would change something in vCenter, beside tagging."""


class Site:
    """A Cluster with workers, and what vCenter had when all of them were Ready."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.double = tenant.world.double
        tenant.shop()
        tenant.deploy(replicas=POOL)
        for i in range(ALONE):
            tenant.create_machine(f"alone-{i}")
        tenant.all_ready("workers", POOL)
        for i in range(ALONE):
            tenant.ready("Machine", f"alone-{i}")
        self.state = lasting(self.double.control("/state"))
        self.uids = self._uids()
        self._seen = self._last_call()

    def _uids(self) -> set[str]:
        return {machine["metadata"]["uid"] for machine in self.tenant.machines()}

    def _last_call(self) -> int:
        return max(int(call["sequence"]) for call in self.double.calls())

    def begin(self) -> None:
        self._seen = self._last_call()

    def restart(self, **options: Any) -> None:
        """Restart vCenter. People's sessions end with it, too."""
        self.double.control("/restart", options)
        self.tenant.eventually(self.tenant.vcenter.can_log_in, "vCenter is up")

    def changes(self) -> list[str]:
        """The calls since the beginning that changed something, or tried to."""
        calls = self.double.calls(since=self._seen, user=INFRA)
        tagging = (".create", ".delete", ".attach", ".detach")
        return [
            f"{call['method']} {call.get('object', '')}"
            for call in calls
            if call["method"] in CHANGES
            or (".tagging." in call["method"] and any(word in call["method"] for word in tagging))
        ]

    def must_be_as_before(self) -> None:
        """The same Machines, the same VMs, running, with all that is theirs."""
        assert self._uids() == self.uids
        assert differences(self.state, lasting(self.double.control("/state"))) == []
        assert self.changes() == []

    def must_heal(self, *, seconds: float = 60.0) -> None:
        """Everything is Ready, and the Seed sees all VMs."""
        tenant = self.tenant

        def look() -> bool:
            found = [*tenant.machines(), tenant.must_get("Cluster", "shop")]
            return all(is_ready(obj) for obj in found) and is_ready(
                tenant.api.get("Seed", tenant.seed, "") or {}
            )

        tenant.eventually(look, "everything is Ready again", seconds=seconds)

    def seed_says(self, type_: str) -> str:
        """`status reason` of the condition of the Seed's only datacenter."""
        seed = self.tenant.api.get("Seed", self.tenant.seed, "") or {}
        datacenters = (seed.get("status") or {}).get("datacenters") or [{}]
        found = condition_of({"status": datacenters[0]}, type_)
        return f"{found['status']} {found['reason']}" if found else ""


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    before = lasting(world.administrator.state())
    log_before = len(world.operator.log)
    tenant = Tenant(world)
    tenant.settle_in()
    tenant.ready("Seed", tenant.seed)
    yield Site(tenant)
    public = tenant.public_text()
    tenant.leave()
    assert differences(before, lasting(world.administrator.state())) == []
    assert world.boots_without_data() == []
    log = world.operator.log[log_before:]
    assert "Traceback" not in log, world.tracebacks()
    assert SECRET not in log
    assert SECRET not in public


@pytest.fixture
def calm(site: Site) -> Iterator[Site]:
    """The site, and a vCenter that is whole again in the end."""
    site.begin()
    yield site
    site.double.control("/faults", method="DELETE")
    site.double.control("/session-idle", {"soapMs": 0, "restMs": 0})
    site.tenant.vcenter.log_in()
    site.double.control("/hide", {"objects": []})
    site.double.control("/rights", {"user": INFRA})
    site.must_heal()


@pytest.mark.parametrize("meanwhile", ["refuse", "503"])
def test_a_restart_of_vcenter_costs_no_worker(calm: Site, meanwhile: str) -> None:
    calm.restart(**{"downMs": 4000, "while": meanwhile})
    calm.tenant.eventually(lambda: calm.double.calls(method="Login", user=INFRA), "the operator is back")
    calm.must_heal()
    calm.must_be_as_before()


def test_sessions_that_end_when_idle_cost_no_worker(calm: Site) -> None:
    calm.double.control("/session-idle", {"soapMs": 1000, "restMs": 1000})
    calm.tenant.world.let_pass(6)
    calm.must_be_as_before()
    calm.double.control("/session-idle", {"soapMs": 0, "restMs": 0})
    calm.must_heal()
    calm.must_be_as_before()


@pytest.mark.parametrize("part", ["the folder", "most of the VMs"])
def test_what_is_hidden_for_a_while_is_missed_and_not_made_again(calm: Site, part: str) -> None:
    tenant = calm.tenant
    vms = [f"{tenant.folder()}/{vm.name}" for vm in tenant.vms()]
    hidden = [tenant.folder()] if part == "the folder" else vms[:MOST]
    calm.double.control("/hide", {"objects": hidden, "subtree": True})
    tenant.eventually(
        lambda: calm.seed_says("VMsComplete") == "False ManyVMsGone", "the Seed says that VMs are missing"
    )
    tenant.world.let_pass(5)
    calm.double.control("/hide", {"objects": []})
    calm.must_heal()
    calm.must_be_as_before()


READ_ELSEWHERE = [
    {"entity": entity, "privileges": ["System.View", "System.Read", "System.Anonymous"], "propagate": True}
    for entity in ("/DC0/host", "/DC0/datastore", "/DC0/network", "/DC0/vm/elsewhere")
]


@pytest.mark.parametrize("left", ["nothing", "the rest of the datacenter"])
def test_rights_that_are_lost_for_a_while_cost_no_worker(calm: Site, left: str) -> None:
    tenant = calm.tenant
    roles = (
        []
        if left == "nothing"
        else [role for role in READ_ELSEWHERE if "elsewhere" not in str(role["entity"])]
    )
    calm.double.control("/rights", {"user": INFRA, "roles": roles})
    tenant.patch("Cluster", "shop", {"metadata": {"annotations": {"look": left}}})
    tenant.world.let_pass(8)
    assert calm.uids == {machine["metadata"]["uid"] for machine in tenant.machines()}
    calm.double.control("/rights", {"user": INFRA})
    calm.must_heal(seconds=90)
    calm.must_be_as_before()


SESSION_CALLS = (
    "RetrieveServiceContent", "Login", "CreatePropertyCollector", "CreateContainerView", "CreateListView",
    "CreateFilter", "WaitForUpdatesEx", "RetrievePropertiesEx", "ModifyListView", "com.vmware.cis.session.create",
    "com.vmware.cis.tagging.tag_association.list_attached_tags_on_objects",
)  # fmt: skip
_EVERY = 29
"""An ordinary run has every so many of the combinations: turn by turn another fault."""
OURS = "userclusters-*"
"""The opIDs of the operator: what people do at the same time is not disturbed."""
SESSION_FAULTS: dict[str, dict[str, Any]] = {
    "cut before": {"cut": True},
    "cut after": {"cut": True, "when": "after"},
    "503 before": {"fault": "503"},
    "504 after": {"fault": "504", "when": "after"},
    "3 s slow": {"delayMs": 3000},
    "NotAuthenticated": {"fault": "NotAuthenticated"},
}


def session_faults() -> list[tuple[str, str, int]]:
    """Call, fault, how often; one of a few for an ordinary run."""
    found = [
        (call, fault, count)
        for call in SESSION_CALLS
        for fault in SESSION_FAULTS
        for count in (1, 3)
        if not (fault == "NotAuthenticated" and (call.startswith("com.") or call == "RetrieveServiceContent"))
    ]
    return found if os.environ.get("VSPHERE_OPERATOR_FAULTS") == "all" else found[::_EVERY]


@pytest.mark.parametrize(("method", "fault", "count"), session_faults())
def test_a_session_that_is_disturbed_while_it_begins_is_used_in_the_end(
    calm: Site, method: str, fault: str, count: int
) -> None:
    tenant, double = calm.tenant, calm.double
    name = f"after-{session_faults().index((method, fault, count))}"
    double.control("/faults", {"method": method, "opID": OURS, "count": count, **SESSION_FAULTS[fault]})
    # A new process begins a session, and has no memory of circuits that were open a moment ago.
    tenant.world.restart_operator()
    with other_people_at_work(tenant.vcenter):
        tags = {"cloud": {"vsphere": {"tags": [{"name": name}]}}}
        tenant.create_cluster(name, tags)
        tenant.create_machine(name, cluster=name, template=objects.worker())
        tenant.ready("Machine", name, seconds=100)
        tenant.ready("Cluster", name, seconds=60)
    assert [c for c in double.calls(method=method) if c.get("injected")], "the fault never struck"
    clones = [c for c in double.calls(method="CloneVM_Task") if c.get("opID", "").endswith(f"-{name}")]
    assert len(clones) == 1
    tenant.delete("Cluster", name)
    tenant.gone("Machine", name, seconds=60)
    tenant.gone("Cluster", name, seconds=60)
    calm.must_heal()
    assert calm.uids == {machine["metadata"]["uid"] for machine in tenant.machines()}
    assert differences(calm.state, lasting(double.control("/state"))) == []
