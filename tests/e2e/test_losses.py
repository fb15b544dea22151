"""A vCenter that was restored from a backup lacks the workers made since: nobody replaces them unasked."""

from __future__ import annotations

from typing import Any

from tests.e2e.call_log import last_call, own_calls
from tests.e2e.world import Tenant

WORKERS = 6
CONFIRM = "userclusters.io/accept-losses"


def _told(tenant: Tenant) -> str | None:
    """What the Seed says about VMs that are missing."""
    seed = tenant.api.get("Seed", tenant.seed, "") or {}
    for datacenter in (seed.get("status") or {}).get("datacenters") or []:
        for condition in datacenter["conditions"]:
            if (condition["type"], condition["status"]) == ("VMsComplete", "False"):
                return str(condition["message"])
    return None


def _reasons(tenant: Tenant) -> set[str]:
    def ready(machine: dict[str, Any]) -> str:
        return next(str(c["reason"]) for c in machine["status"]["conditions"] if c["type"] == "Ready")

    return {ready(machine) for machine in tenant.machines("workers")}


def _remove_what_stayed_on_disk(tenant: Tenant, names: set[str]) -> None:
    """As the person does who confirmed: a restored vCenter knows the files of those VMs only as files."""
    for datastore, files in tenant.vcenter.state()["files"].items():
        for directory in {file.partition("/")[0] for file in files} & names:
            tenant.vcenter.delete_files(f"[{datastore}] {directory}")


def test_workers_that_a_restored_vcenter_lacks_are_replaced_only_when_a_person_confirms(
    tenant: Tenant,
) -> None:
    tenant.shop()
    tenant.world.double.control("/backup", {})
    tenant.deploy(replicas=WORKERS)
    before = {m["metadata"]["name"] for m in tenant.all_ready("workers", WORKERS)}
    tenant.world.double.control("/restart", {"downMs": 500, "restored": True})
    tenant.eventually(tenant.vcenter.can_log_in, "vCenter is up")

    words = tenant.eventually(lambda: _told(tenant), "the Seed says that VMs are missing", seconds=40)
    tenant.eventually(lambda: _reasons(tenant) == {"VMUnknown"}, "each worker is in doubt")
    since = last_call(tenant.world.double)
    tenant.world.let_pass(5)
    assert "CloneVM_Task" not in own_calls(tenant.world.double, since).work
    assert {m["metadata"]["name"] for m in tenant.machines("workers")} == before

    name = words.partition("the loss ")[2].partition(" ")[0]
    tenant.api.patch("Seed", tenant.seed, "", {"metadata": {"annotations": {CONFIRM: name}}})
    after = {m["metadata"]["name"] for m in tenant.all_ready("workers", WORKERS, seconds=60)}
    assert not after & before
    assert len(tenant.vms()) == WORKERS
    _remove_what_stayed_on_disk(tenant, before)
