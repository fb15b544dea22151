"""What people do in vCenter behind the operator's back."""

from __future__ import annotations

import pytest

from tests.e2e.vcenter import Vm
from tests.e2e.world import Tenant


def one_worker(tenant: Tenant) -> str:
    """A Cluster with one Ready Machine; the Machine's name."""
    tenant.shop()
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    return str(machine["metadata"]["name"])


def directory_of(vm: Vm) -> str:
    """Where the VM's files are. Whoever destroys a VM leaves its directory, for the ISO that was not its own;
    the operator then deletes the ISO, and never a directory."""
    return str(vm.config.files.vmPathName.rpartition("/")[0])


def test_a_worker_that_somebody_powers_off_is_started_again(tenant: Tenant) -> None:
    name = one_worker(tenant)
    vm = tenant.vm(name)
    tenant.vcenter.wait(vm.PowerOffVM_Task())
    tenant.eventually(lambda: vm.runtime.powerState == "poweredOn", "the VM runs again", seconds=5)
    machine = tenant.ready("Machine", name)
    assert machine["metadata"]["name"] in {m["metadata"]["name"] for m in tenant.machines()}


def test_a_worker_that_somebody_removes_is_replaced(tenant: Tenant) -> None:
    name = one_worker(tenant)
    directory = directory_of(tenant.vm(name))
    tenant.vcenter.destroy(tenant.vm(name))
    tenant.gone("Machine", name)
    tenant.vcenter.remove_directory(directory)
    (successor,) = tenant.all_ready("workers", 1)
    assert successor["metadata"]["name"] != name
    assert [vm.name for vm in tenant.vms()] == [successor["metadata"]["name"]]


def _place(tenant: Tenant, machine: str) -> str | None:
    """Where a worker's VM lies, by its status."""
    found: str | None = tenant.must_get("Machine", machine)["status"]["vm"].get("inventoryPath")
    return found


def test_a_worker_that_somebody_renames_or_moves_is_still_known_and_can_be_deleted(tenant: Tenant) -> None:
    name = one_worker(tenant)
    vm, new = tenant.vm(name), f"renamed-{tenant.namespace}"
    assert _place(tenant, name) == f"{tenant.folder()}/{name}"
    tenant.vcenter.move(vm, "/DC0/vm")
    tenant.eventually(lambda: _place(tenant, name) == f"/DC0/vm/{name}", "the status shows the new folder")
    tenant.vcenter.rename(vm, new)
    tenant.eventually(lambda: _place(tenant, name) == f"/DC0/vm/{new}", "the status shows the new name")
    assert tenant.must_get("Machine", name)["status"]["vm"]["name"] == new
    assert len(tenant.machines()) == 1
    tenant.delete("MachineDeployment", "workers")
    tenant.gone("Machine", name)
    assert tenant.vcenter.find(f"/DC0/vm/{new}") is None


def test_a_renamed_folder_is_followed_and_still_goes_with_the_cluster(tenant: Tenant) -> None:
    name = one_worker(tenant)
    folder = tenant.vcenter.find(tenant.folder())
    new = f"/DC0/vm/kubernetes/renamed-{tenant.namespace}"
    tenant.vcenter.rename(folder, f"renamed-{tenant.namespace}")
    tenant.eventually(
        lambda: tenant.must_get("Cluster", "shop")["status"]["folder"]["path"] == new,
        "the status shows the new path",
    )
    message = tenant.condition("Cluster", "shop", "FolderReady", "True", "Moved")
    assert new in message
    tenant.eventually(lambda: _place(tenant, name) == f"{new}/{name}", "the worker's status follows")
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    assert len(tenant.vcenter.vms_in(new)) == 2
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.find(new) is None


def test_a_removed_folder_is_made_again_with_its_tags(tenant: Tenant) -> None:
    tenant.shop()
    old = tenant.vcenter.find(tenant.folder())
    tenant.vcenter.destroy(old)

    def made_again() -> bool:
        folder = tenant.vcenter.find(tenant.folder())
        return folder is not None and len(tenant.vcenter.tags.on(folder)) == 2

    tenant.eventually(made_again, "the folder and its tags are there again")
    cluster = tenant.ready("Cluster", "shop")
    assert cluster["status"]["folder"]["moRef"].endswith(tenant.vcenter.find(tenant.folder())._moId)


def test_workers_that_go_with_their_folder_are_made_again(tenant: Tenant) -> None:
    name = one_worker(tenant)
    directory = directory_of(tenant.vm(name))
    tenant.vcenter.wait(tenant.vm(name).PowerOffVM_Task())
    tenant.vcenter.destroy(tenant.vcenter.find(tenant.folder()))
    tenant.gone("Machine", name)
    tenant.vcenter.remove_directory(directory)
    tenant.all_ready("workers", 1, seconds=40)
    assert len(tenant.vms()) == 1


def test_a_tag_that_somebody_takes_off_comes_back_with_the_next_poll(tenant: Tenant) -> None:
    tenant.change_datacenter({"resyncInterval": "10s"})
    tenant.ready("Seed", tenant.seed)
    tenant.shop()
    folder = tenant.vcenter.find(tenant.folder())
    team = tenant.vcenter.tags.all()[(f"owner-{tenant.namespace}", "team")]
    tenant.vcenter.tags.detach(team.id, folder)
    tenant.eventually(lambda: "team" in tenant.vcenter.tags.on(folder), "the tag is on again", seconds=20)


@pytest.mark.parametrize("kind", ["Cluster", "Machine"])
def test_what_is_paused_is_not_repaired_until_it_is_resumed(tenant: Tenant, kind: str) -> None:
    name = one_worker(tenant)
    target = "shop" if kind == "Cluster" else name
    pause = {"metadata": {"annotations": {"cluster.x-k8s.io/paused": ""}}}
    tenant.patch(kind, target, pause if kind == "Machine" else {"spec": {"paused": True}})
    tenant.condition(kind, target, "Ready", "Unknown", "Paused")
    vm = tenant.vm(name)
    sequence = max(c["sequence"] for c in tenant.world.double.calls())
    tenant.vcenter.wait(vm.PowerOffVM_Task())
    tenant.world.let_pass(3)
    assert vm.runtime.powerState == "poweredOff"
    assert not tenant.world.double.calls(since=sequence, method="PowerOnMultiVM_Task")
    resume = {"metadata": {"annotations": {"cluster.x-k8s.io/paused": None}}, "spec": {}}
    tenant.patch(kind, target, resume if kind == "Machine" else {"spec": {"paused": False}})
    tenant.ready("Machine", name)
    assert vm.runtime.powerState == "poweredOn"
