"""The operator dies right after each kind of call that makes, changes or unmakes a Cluster's folder and tags."""

from __future__ import annotations

import pytest

from tests.e2e.call_log import last_call
from tests.e2e.foreign_things import ForeignThings
from tests.e2e.test_restarts import busy
from tests.e2e.vcenter import differences
from tests.e2e.world import INFRA, Tenant

__all__ = ["busy"]

TAGGING = "com.vmware.cis.tagging"
CREATING = [
    "CreateFolder",
    "Rename_Task",
    f"{TAGGING}.category.create",
    f"{TAGGING}.tag.create",
    f"{TAGGING}.tag_association.attach_multiple_tags_to_object",
]
CHANGING = [
    f"{TAGGING}.tag.create",
    f"{TAGGING}.tag_association.detach_multiple_tags_from_object",
    f"{TAGGING}.tag_association.attach_tag_to_multiple_objects",
    f"{TAGGING}.tag_association.detach_tag_from_multiple_objects",
    f"{TAGGING}.tag.delete",
    f"{TAGGING}.category.delete",
]
DELETING = ["Destroy_Task", f"{TAGGING}.tag.delete", f"{TAGGING}.category.delete"]


def die_after(tenant: Tenant, method: str, since: int) -> None:
    def called() -> bool:
        return bool(tenant.world.double.calls(since=since, method=method, user=INFRA))

    tenant.soon(called, f"{method} has been called")
    tenant.world.restart_operator()


def is_tagged(tenant: Tenant, names: set[str], *, vms: bool = True) -> None:
    """The folder and its VMs carry these tags and no others, and none is there twice."""
    folder = tenant.vcenter.find(tenant.folder())
    tenant.eventually(lambda: tenant.vcenter.tags.on(folder) == names, f"the folder carries {names}")
    if vms:
        tenant.eventually(
            lambda: all(tenant.vcenter.tags.on(vm) == names for vm in tenant.vms()),
            f"the VMs carry {names}",
            seconds=80,
        )


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("method", CREATING)
def test_a_cluster_is_made_once_and_nothing_of_others_changes(
    tenant: Tenant, foreign: ForeignThings, method: str
) -> None:
    theirs = foreign.tag("theirs", foreign.category(f"their-{tenant.namespace}"))
    tenant.vcenter.tags.attach(theirs, foreign.vm("precious", "/DC0/vm/elsewhere"))
    before, since = tenant.vcenter.state(), last_call(tenant.world.double)
    tenant.create_cluster()
    die_after(tenant, method, since)
    found = tenant.ready("Cluster", "shop", seconds=60)["status"]
    assert found["folder"]["origin"] == "Created"
    assert {t["origin"] for t in found["tags"]} == {c["origin"] for c in found["categories"]} == {"Created"}
    is_tagged(tenant, {"team", f"env-{tenant.namespace}"}, vms=False)
    names = tenant.vcenter.names_in("/DC0/vm/kubernetes")
    assert [n for n in names if tenant.namespace in n] == [f"{tenant.namespace}-shop"]
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop", seconds=60)
    assert [line for line in differences(before, tenant.vcenter.state()) if "other-people" not in line] == []


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("method", CHANGING)
def test_changed_tags_arrive_at_folder_and_vms(tenant: Tenant, method: str) -> None:
    env = f"env-{tenant.namespace}"
    tenant.shop(cloud={"vsphere": {"tagVMs": True}})
    tenant.create_machine("one")
    tenant.ready("Machine", "one")
    since = last_call(tenant.world.double)
    wanted = [{"name": env}, {"name": "new"}]
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"tags": wanted}}}})
    die_after(tenant, method, since)
    is_tagged(tenant, {env, "new"})
    tenant.eventually(
        lambda: f"owner-{tenant.namespace}" not in tenant.vcenter.tags.categories(), "what was ours is gone"
    )
    assert ("category-" + tenant.seed, "new") in tenant.vcenter.tags.all()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("method", DELETING)
def test_a_cluster_goes_completely(tenant: Tenant, method: str) -> None:
    before = tenant.vcenter.state()
    tenant.shop()
    since = last_call(tenant.world.double)
    tenant.delete("Cluster", "shop")
    die_after(tenant, method, since)
    tenant.gone("Cluster", "shop", seconds=60)
    assert [line for line in differences(before, tenant.vcenter.state()) if "other-people" not in line] == []
