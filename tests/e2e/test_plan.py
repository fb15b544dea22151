"""`vsphere-operator plan` says what would be done, and neither vCenter nor Kubernetes sees anything but questions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.e2e.call_log import last_call
from tests.e2e.operator_process import COMMAND, NAMESPACE
from tests.e2e.world import Tenant

QUESTIONS = {
    *("RetrieveServiceContent", "Login", "Logout", "RetrievePropertiesEx", "FindAllByUuid"),
    *("CreatePropertyCollector", "DestroyPropertyCollector", "CreateFilter", "DestroyPropertyFilter"),
    *("CreateContainerView", "CreateListView", "ModifyListView", "ResetListView", "DestroyView"),
    *("WaitForUpdatesEx", "CancelWaitForUpdates", "Fetch"),
    *("HasUserPrivilegeOnEntities", "RetrieveEntityPermissions"),
    *("com.vmware.cis.session.create", "com.vmware.cis.session.delete"),
    *("com.vmware.cis.tagging.category.get", "com.vmware.cis.tagging.category.list"),
    *("com.vmware.cis.tagging.tag.get", "com.vmware.cis.tagging.tag.list_tags_for_category"),
    "com.vmware.cis.tagging.tag_association.list_attached_objects_on_tags",
    "com.vmware.cis.tagging.tag_association.list_attached_tags_on_objects",
}
"""All that may reach vCenter while somebody plans: the client's own sessions, views and filters, and reads."""


def plan(tenant: Tenant, *arguments: str) -> subprocess.CompletedProcess[str]:
    kubeconfig = tenant.world.bed.info.kubeconfig.operator
    command = [
        *(str(COMMAND), "plan", "cluster", "shop", "-n", tenant.namespace, "--kubeconfig", str(kubeconfig)),
        *("--operator-namespace", NAMESPACE, *arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def as_json(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.stderr == ""
    return dict(json.loads(result.stdout))


def only_asked(tenant: Tenant, since: int) -> None:
    methods = {call["method"] for call in tenant.world.double.calls(since=since)}
    assert methods, "the plan asked vCenter nothing"
    assert methods - QUESTIONS == set()


def versions(tenant: Tenant) -> set[tuple[str, str, str]]:
    kinds = ("Cluster", "MachineDeployment", "MachineSet", "Machine")
    found = [o for kind in kinds for o in tenant.api.find_all(kind, tenant.namespace)]
    return {(o["kind"], o["metadata"]["name"], o["metadata"]["resourceVersion"]) for o in found}


def test_a_deletion_is_told_and_nothing_is_changed_by_telling(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    machines = [m["metadata"]["name"] for m in tenant.all_ready("workers", 2)]
    before, objects, sequence = tenant.vcenter.state(), versions(tenant), last_call(tenant.world.double)
    text = plan(tenant, "--delete")
    told = as_json(plan(tenant, "--delete", "-o", "json"))
    only_asked(tenant, sequence)
    assert tenant.vcenter.state() == before
    assert versions(tenant) == objects

    assert text.returncode == 0
    assert (told["operation"], told["stops"]) == ("delete", [])
    deleted = [step["object"] for step in told["steps"] if step["action"] == "delete"]
    assert {f"Machine {name}" for name in machines} <= set(deleted)
    order = [deleted.index(f"Machine {machines[0]}"), deleted.index(f"folder {tenant.folder()}")]
    order += [deleted.index('tag "team"'), deleted.index("Secret shop-cloud-config")]
    assert order == sorted(order)
    assert all(f"{step['object']}" in text.stdout for step in told["steps"])
    assert as_json(plan(tenant, "-o", "json"))["steps"] == []


def test_what_would_stop_a_deletion_is_an_exit_code_and_a_line(tenant: Tenant) -> None:
    tenant.shop()
    folder = tenant.vcenter.find(tenant.folder())
    folder.CreateFolder("somebodys")
    tenant.eventually(lambda: plan(tenant, "--delete").returncode == 3, "the plan stops")
    result = plan(tenant, "--delete")
    assert '"somebodys"' in result.stdout
    assert f"It would stop at: folder {tenant.folder()} (Folder)." in result.stdout
    tenant.vcenter.find(f"{tenant.folder()}/somebodys").Destroy_Task()
    tenant.eventually(lambda: plan(tenant, "--delete").returncode == 0, "the plan does not stop any more")


def test_a_paused_cluster_stops_every_plan(tenant: Tenant) -> None:
    tenant.shop()
    tenant.patch("Cluster", "shop", {"spec": {"paused": True}})
    try:
        for arguments in ((), ("--delete",)):
            paused = plan(tenant, *arguments)
            assert paused.returncode == 3
            assert "It would stop at: Cluster (Spec)." in paused.stdout
    finally:
        tenant.patch("Cluster", "shop", {"spec": {"paused": False}})


def test_what_cannot_be_planned_is_one_line(newcomer: Tenant) -> None:
    newcomer.settle_in_without_seed()
    result = plan(newcomer)
    assert result.returncode == 1
    assert result.stderr == f"plan: there is no Cluster shop in the namespace {newcomer.namespace}\n"
    newcomer.create_cluster("shop")
    lost = plan(newcomer, "--delete")
    assert lost.returncode == 0, lost.stdout
