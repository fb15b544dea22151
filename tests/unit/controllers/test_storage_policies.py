"""Storage policies: from the nearest object that names one to the clone, or to words about it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import DATASTORE, NO_PERMISSION, UNREACHABLE
from tests.unit.controllers.test_presets import a_cluster, a_preset

ID = "aa6d5a82-1c88-45da-85d3-3d74b91a5bad"


def _naming(policy: str | None) -> dict[str, Any]:
    return {"storagePolicy": policy} if policy else {}


async def put(
    site: Site,
    *,
    seed: str | None = None,
    preset: str | None = None,
    cluster: str | None = None,
    machine: str | None = None,
) -> None:
    site.world.policies |= {"silver": "silver-id", "bronze": "bronze-id"}
    site.api.put(samples.a_seed(storagePolicy=seed))
    site.api.put(a_preset(**_naming(preset)))
    site.api.put(a_cluster(**_naming(cluster)))
    site.api.put(samples.a_machine(**_naming(machine)))
    await site.run()


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, None),
        ({"seed": "gold"}, "gold-id"),
        ({"seed": "gold", "preset": "silver"}, "silver-id"),
        ({"preset": "silver", "cluster": "bronze"}, "bronze-id"),
        ({"cluster": "bronze", "machine": "gold"}, "gold-id"),
        ({"cluster": "gold-id"}, "gold-id"),
    ],
)
async def test_a_vm_is_cloned_with_the_nearest_policy(
    site: Site, named: dict[str, Any], expected: str | None
) -> None:
    await put(site, **named)
    assert site.is_ready("Machine", "worker-1")
    assert [r.storage_policy for r in site.world.clones] == [expected]
    told = site.condition("Cluster", "shop", "StoragePolicyReady")
    assert told.get("status") == ("True" if set(named) - {"machine"} else None)


async def test_a_policy_that_does_not_exist_makes_no_vm_until_it_does(site: Site) -> None:
    await put(site, cluster="platinum")
    for kind, name in (("Cluster", "shop"), ("Machine", "worker-1")):
        assert site.reason(kind, name, "StoragePolicyReady") == "StoragePolicyNotFound"
        assert "spec.cloud.vsphere.storagePolicy" in site.condition(kind, name)["message"]
    assert site.reason("Cluster", "shop", "FolderReady") == "Created"
    assert not site.world.workers()
    site.world.policies["platinum"] = "platinum-id"
    await site.run(patience=120)
    assert site.is_ready("Cluster", "shop")
    assert site.is_ready("Machine", "worker-1")


async def test_a_cluster_without_machines_notices_that_its_policy_was_made(site: Site) -> None:
    await site.with_cluster(storagePolicy="platinum")
    assert site.reason("Cluster", "shop") == "StoragePolicyNotFound"
    site.world.policies["platinum"] = "platinum-id"
    await site.run(patience=120)
    assert site.is_ready("Cluster", "shop")


async def test_a_seed_tells_of_a_default_that_does_not_exist(site: Site) -> None:
    site.api.put(samples.a_seed(storagePolicy="platinum"))
    await site.run()
    assert site.reason("Seed", "europe", namespace="") == "StoragePolicyNotFound"
    assert "vsphere.storagePolicy" in site.condition("Seed", "europe", namespace="")["message"]
    site.world.policies["platinum"] = "platinum-id"
    await site.run(patience=120)
    assert site.is_ready("Seed", "europe", "")


async def test_a_seed_whose_user_may_not_read_policies_is_ready_all_the_same(site: Site) -> None:
    site.world.refuse["read policies"] = [NO_PERMISSION]
    site.api.put(samples.a_seed(storagePolicy="gold"))
    await site.run()
    assert site.is_ready("Seed", "europe", "")
    (told,) = site.object("Seed", "europe", "")["status"]["datacenters"]
    reasons = {c["type"]: c["reason"] for c in told["conditions"]}
    assert reasons["StoragePolicyReady"] == "StoragePolicyNotReadable"


async def test_storage_that_cannot_serve_the_policy_is_told(site: Site) -> None:
    site.world.unfit.add(("gold-id", DATASTORE))
    await put(site, cluster="gold")
    message = site.condition("Cluster", "shop", "StoragePolicyReady")["message"]
    assert site.reason("Cluster", "shop") == "StoragePolicyIncompatible"
    assert 'the datastore "LocalDS_0"' in message
    assert "it says no" in message
    assert not site.world.workers()


async def test_who_may_not_read_policies_is_told_so_and_keeps_all_that_needs_none(site: Site) -> None:
    site.world.refuse["read policies"] = [NO_PERMISSION]
    await put(site, cluster="gold")
    condition = site.condition("Cluster", "shop", "StoragePolicyReady")
    assert (condition["status"], condition["reason"]) == ("Unknown", "StoragePolicyNotReadable")
    assert "StorageProfile.View" in condition["message"]
    assert site.is_ready("Cluster", "shop")
    assert site.reason("Machine", "worker-1") == "StoragePolicyNotReadable"
    assert not site.world.workers()


async def test_a_policy_written_by_its_id_needs_no_right_to_read_it(site: Site) -> None:
    site.world.refuse["read policies"] = [NO_PERMISSION]
    await put(site, cluster=ID)
    assert site.is_ready("Machine", "worker-1")
    assert [r.storage_policy for r in site.world.clones] == [ID]


async def test_a_policy_service_that_does_not_answer_is_waited_for(site: Site) -> None:
    site.world.refuse["read policies"] = [UNREACHABLE]
    await put(site, cluster=ID)
    assert site.reason("Machine", "worker-1") == "StoragePolicyUnknown"
    assert not site.world.workers()
    site.world.refuse.clear()
    site.world.policies["by id"] = ID
    await site.run(patience=120)
    assert site.is_ready("Machine", "worker-1")
    assert site.object("Cluster", "shop", NAMESPACE)["status"]["effective"]["storagePolicy"] == ID
