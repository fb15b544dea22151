"""What hits a whole vCenter, or all that one may see of it: ten workers run on, and none is removed, replaced or made
twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.faults.running import lasting
from tests.e2e.vcenter import differences
from tests.e2e.world import INFRA, SECRET, Tenant, World, condition_of, is_ready

POOL, ALONE = 8, 2
_READS = (
    "Retrieve",
    "Find",
    "WaitFor",
    "Create",
    "ModifyListView",
    "ResetListView",
    "Login",
    "Logout",
    "Query",
)
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
        """`status reason` of the Seed's condition."""
        found = condition_of(self.tenant.api.get("Seed", self.tenant.seed, ""), type_)
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
