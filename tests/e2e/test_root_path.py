"""The way to the Clusters' folders, made on a Seed's word."""

from __future__ import annotations

from tests.e2e.world import Tenant


def test_a_missing_root_path_is_made_on_the_seeds_word_and_shared_and_stays(tenant: Tenant) -> None:
    top = f"/DC0/vm/root-{tenant.namespace}"
    tenant.change_datacenter({"rootPath": f"{top}/a%2fb", "createRootPath": True})
    tenant.create_cluster("shop", {"cloud": {"vsphere": {"basePath": "Köln 100%25"}}})
    tenant.create_cluster("bank")
    tenant.ready("Seed", tenant.seed)
    tenant.ready("Cluster", "bank")
    found = tenant.ready("Cluster", "shop")
    where = f"{top}/a%2fb/Köln 100%/{tenant.namespace}-shop"
    assert found["status"]["folder"]["path"] == where
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    assert machine["status"]["vm"]["inventoryPath"] == f"{where}/{machine['metadata']['name']}"
    for name in ("shop", "bank"):
        tenant.delete("Cluster", name)
        tenant.gone("Cluster", name)
    (shared,) = tenant.vcenter.find(top).childEntity
    assert shared.name == "a%2fb"
    assert [folder.name for folder in shared.childEntity] == ["Köln 100%25"]
    tenant.vcenter.destroy(tenant.vcenter.find(top))


def test_without_that_word_the_first_missing_folder_is_named_and_nothing_is_made(tenant: Tenant) -> None:
    top = f"/DC0/vm/root-{tenant.namespace}"
    tenant.change_datacenter({"rootPath": f"{top}/a"})
    tenant.create_cluster("shop")
    message = tenant.condition("Cluster", "shop", "FolderReady", "False", "ParentFolderNotFound")
    assert f"the folder {top} is missing" in message
    assert tenant.vcenter.find(top) is None
