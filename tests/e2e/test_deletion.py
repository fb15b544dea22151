"""What was made goes, in order, and nothing else does. The fixture compares all of vCenter before and after."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.vcenter import disks, iso_paths
from tests.e2e.world import Tenant


def calls_since(tenant: Tenant, sequence: int) -> list[dict[str, Any]]:
    return tenant.world.double.calls(since=sequence)


def last_call(tenant: Tenant) -> int:
    return max(int(call["sequence"]) for call in tenant.world.double.calls())


def test_a_deleted_machine_takes_its_vm_and_its_iso_along_and_is_replaced(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    name = machine["metadata"]["name"]
    (iso,) = iso_paths(tenant.vm(name))
    tenant.delete("Machine", name)
    tenant.gone("Machine", name)
    assert tenant.vcenter.find(f"{tenant.folder()}/{name}") is None
    assert tenant.vcenter.download(iso) is None
    (successor,) = tenant.all_ready("workers", 1)
    assert successor["metadata"]["name"] != name


def test_a_deleted_deployment_takes_its_sets_machines_and_vms_along_and_no_other_pools(
    tenant: Tenant,
) -> None:
    tenant.shop()
    tenant.deploy("one", replicas=2)
    tenant.deploy("two", replicas=1)
    tenant.all_ready("one", 2)
    (kept,) = tenant.all_ready("two", 1)
    tenant.delete("MachineDeployment", "one")
    tenant.gone("MachineDeployment", "one")
    tenant.eventually(lambda: not tenant.machines("one"), "the Machines are gone")
    assert [vm.name for vm in tenant.vms()] == [kept["metadata"]["name"]]
    (machine_set,) = tenant.api.find_all("MachineSet", tenant.namespace)
    assert machine_set["metadata"]["ownerReferences"][0]["name"] == "two"


def test_a_deleted_cluster_goes_from_the_workers_to_the_folder_to_tags_and_categories(tenant: Tenant) -> None:
    tenant.shop()
    tenant.deploy(replicas=2)
    tenant.all_ready("workers", 2)
    vms = {f"VirtualMachine:{vm._moId}" for vm in tenant.vms()}
    folder = f"Folder:{tenant.vcenter.find(tenant.folder())._moId}"
    sequence = last_call(tenant)
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert tenant.machines() == []
    assert tenant.get("MachineDeployment", "workers") is None

    calls = [call for call in calls_since(tenant, sequence) if _is_removal(call["method"])]
    assert {c["object"] for c in calls[:2]} == vms
    assert calls[2]["object"] == folder
    kinds = ["tag" if _is_removal_of(c["method"], "tag") else "category" for c in calls[3:]]
    assert kinds == ["tag", "tag", "category", "category"]


def _is_removal(method: str) -> bool:
    return method == "Destroy_Task" or _is_removal_of(method, "tag") or _is_removal_of(method, "category")


def _is_removal_of(method: str, kind: str) -> bool:
    return method.lower().endswith(f"tagging.{kind}.delete")


def test_a_deleted_namespace_is_emptied_even_though_its_secrets_go_first(tenant: Tenant) -> None:
    shared = Tenant(tenant.world)
    shared.settle_in()
    try:
        tenant.change_datacenter(
            {"infraManagementUser": {"secretRef": {"namespace": shared.namespace, "name": "infra"}}}
        )
        tenant.change_datacenter({"caBundleRef": {"namespace": shared.namespace}})
        tenant.ready("Seed", tenant.seed)
        tenant.shop()
        tenant.deploy(replicas=2)
        tenant.all_ready("workers", 2)
        tenant.api.delete_namespace(tenant.namespace)
        tenant.eventually(
            lambda: not tenant.api.namespace_exists(tenant.namespace), "the namespace is gone", seconds=40
        )
        assert tenant.vcenter.find(tenant.folder()) is None
    finally:
        tenant.leave()
        shared.leave()


@pytest.mark.parametrize("where", ["[LocalDS_0] {namespace}-volume.vmdk", "{directory}/somebodys.vmdk"])
def test_a_disk_that_somebody_attached_survives_its_workers_vm(tenant: Tenant, where: str) -> None:
    tenant.shop()
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    name = machine["metadata"]["name"]
    vm = tenant.vm(name)
    directory = vm.config.files.vmPathName.rpartition("/")[0]
    foreign = where.format(namespace=tenant.namespace, directory=directory)
    tenant.vcenter.add_disk(vm, foreign, size_mib=16)
    assert foreign in {disk.backing.fileName for disk in disks(vm)}
    try:
        tenant.delete("Machine", name)
        tenant.gone("Machine", name)
        assert tenant.vcenter.find(f"{tenant.folder()}/{name}") is None
        assert tenant.vcenter.download(foreign) is not None
    finally:
        tenant.vcenter.delete_disk(foreign)
    if foreign.startswith(directory):
        tenant.vcenter.remove_directory(directory)


def test_a_cluster_with_an_unknown_datacenter_can_be_deleted(newcomer: Tenant) -> None:
    newcomer.settle_in()
    newcomer.create_cluster("lost", {"datacenter": "nowhere"})
    newcomer.condition("Cluster", "lost", "DatacenterKnown", "False", "DatacenterNotFound")
    newcomer.delete("Cluster", "lost")
    newcomer.gone("Cluster", "lost")


def test_a_machine_for_which_nothing_was_made_goes_although_its_datacenter_does_not_exist(
    newcomer: Tenant,
) -> None:
    newcomer.settle_in()
    newcomer.create_cluster("lost", {"datacenter": "nowhere"})
    newcomer.deploy(cluster="lost")
    newcomer.create_machine("alone", cluster="lost")
    newcomer.condition("Machine", "alone", "Ready", "False", "DatacenterNotFound")
    newcomer.delete("Machine", "alone")
    newcomer.gone("Machine", "alone", seconds=5)
    newcomer.delete("MachineDeployment", "workers")
    newcomer.gone("MachineDeployment", "workers", seconds=5)
    newcomer.eventually(lambda: not newcomer.machines(), "its Machines are gone", seconds=5)


def test_a_machine_without_a_cluster_goes_at_once(newcomer: Tenant) -> None:
    newcomer.settle_in()
    newcomer.create_machine("alone", cluster="no-such-cluster")
    message = newcomer.condition("Machine", "alone", "Ready", "False", "ClusterNotFound")
    assert "no-such-cluster" in message
    newcomer.delete("Machine", "alone")
    newcomer.gone("Machine", "alone", seconds=5)
