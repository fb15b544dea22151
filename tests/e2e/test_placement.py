"""Workers on a datastore cluster: through Storage DRS where it is on, by our own choice where it is off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.call_log import last_call, own_calls
from tests.e2e.world import INFRA, Tenant, condition_of

POD = "DC0_POD0"
ON_THE_POD = {"cloud": {"vsphere": {"datastoreCluster": POD}}}


@pytest.fixture
def storage_drs(tenant: Tenant) -> Iterator[Tenant]:
    """A tenant who may switch Storage DRS off; in the end it is on again."""
    yield tenant
    tenant.world.double.control("/storage-pods", {"name": POD, "enabled": True})


def _datastores(tenant: Tenant) -> Counter[str]:
    return Counter(m["status"]["vm"]["datastore"] for m in tenant.machines("workers"))


def _calls_to_make(tenant: Tenant, replicas: int) -> Counter[str]:
    since = last_call(tenant.world.double)
    tenant.deploy(replicas=replicas)
    tenant.all_ready("workers", replicas)
    return own_calls(tenant.world.double, since).work


def test_storage_drs_makes_the_clone_and_spreads_several(tenant: Tenant, record_property: Any) -> None:
    tenant.shop(**ON_THE_POD)
    work = _calls_to_make(tenant, 4)
    record_property("calls", dict(work))
    assert work["RecommendDatastores"] == 4
    assert work["ApplyStorageDrsRecommendation_Task"] == 4
    assert "CloneVM_Task" not in work
    assert _datastores(tenant) == {"LocalDS_1": 2, "LocalDS_2": 2}
    # The datastore cluster moves disks by itself; that it leaves these alone cost no call.
    assert "ConfigureStorageDrsForPod_Task" not in work
    assert _behaviors(tenant) == ["manual"] * 4
    assert _exempt(tenant) == [("True", "Manual")] * 4


def _behaviors(tenant: Tenant) -> list[str]:
    """How Storage DRS treats the tenant's workers, of those that it has been told of."""
    workers = set(tenant.vms())
    pod = tenant.vcenter.find(f"/DC0/datastore/{POD}")
    entries = pod.podStorageDrsEntry.storageDrsConfig.vmConfig
    return [str(entry.behavior) for entry in entries if entry.vm in workers]


def _exempt(tenant: Tenant) -> list[tuple[str, str]]:
    found = [condition_of(machine, "StorageDrsOff") or {} for machine in tenant.machines("workers")]
    return [(str(told.get("status")), str(told.get("reason"))) for told in found]


def _refuse(tenant: Tenant, *methods: str) -> None:
    for method in methods:
        rule = {"method": method, "user": INFRA, "fault": "NoPermission", "count": 1}
        tenant.world.double.control("/faults", rule)


def test_a_clone_of_our_own_is_exempt_from_storage_drs_before_it_runs(tenant: Tenant) -> None:
    tenant.shop(**ON_THE_POD)
    _refuse(tenant, "ApplyStorageDrsRecommendation_Task")
    since = last_call(tenant.world.double)
    work = _calls_to_make(tenant, 1)
    assert work["CloneVM_Task"] == 1
    assert work["ConfigureStorageDrsForPod_Task"] == 1
    methods = [call["method"] for call in tenant.world.double.calls(since=since, user=INFRA)]
    assert methods.index("ConfigureStorageDrsForPod_Task") < methods.index("PowerOnMultiVM_Task")
    assert _behaviors(tenant) == ["manual"]
    assert _exempt(tenant) == [("True", "Manual")]


def test_without_the_right_to_exempt_it_a_worker_runs_and_says_what_may_happen(tenant: Tenant) -> None:
    tenant.shop(**ON_THE_POD)
    _refuse(tenant, "ApplyStorageDrsRecommendation_Task", "ConfigureStorageDrsForPod_Task")
    _calls_to_make(tenant, 1)
    assert _behaviors(tenant) == []
    (machine,) = tenant.machines("workers")
    words = tenant.condition("Machine", machine["metadata"]["name"], "StorageDrsOff", "False", "NoPermission")
    assert POD in words
    assert "Grant StoragePod.Config" in words


def test_without_storage_drs_the_operator_spreads_them_itself(storage_drs: Tenant) -> None:
    tenant = storage_drs
    tenant.world.double.control("/storage-pods", {"name": POD, "enabled": False})
    tenant.shop(**ON_THE_POD)
    work = _calls_to_make(tenant, 4)
    assert work["CloneVM_Task"] == 4
    assert "RecommendDatastores" not in work
    assert _datastores(tenant) == {"LocalDS_1": 2, "LocalDS_2": 2}


@pytest.fixture
def datastores(tenant: Tenant) -> Iterator[Tenant]:
    """A tenant who may put datastores into maintenance; in the end all are as before."""
    yield tenant
    for name in ("LocalDS_1", "LocalDS_2"):
        tenant.world.double.control("/datastores", {"name": name, "maintenanceMode": "normal"})


def test_a_datastore_in_maintenance_is_left_out_and_all_in_maintenance_are_told(datastores: Tenant) -> None:
    tenant, control = datastores, datastores.world.double.control
    control("/datastores", {"name": "LocalDS_1", "maintenanceMode": "inMaintenance"})
    control("/datastores", {"name": "LocalDS_2", "maintenanceMode": "enteringMaintenance"})
    tenant.shop(**ON_THE_POD)
    tenant.deploy(replicas=2)
    (name, _) = (m["metadata"]["name"] for m in _two(tenant))
    words = tenant.condition("Machine", name, "PlacementReady", "Unknown", "NoDatastoreFits")
    assert "LocalDS_1" in words
    assert "LocalDS_2" in words
    control("/datastores", {"name": "LocalDS_2", "maintenanceMode": "normal"})
    tenant.all_ready("workers", 2)
    assert _datastores(tenant) == {"LocalDS_2": 2}


def _two(tenant: Tenant) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        machines = tenant.machines("workers")
        return machines if len(machines) == 2 else None

    return tenant.eventually(look, "two Machines are there")


def test_an_unknown_datastore_cluster_is_named(tenant: Tenant) -> None:
    tenant.shop()
    tenant.patch("Cluster", "shop", {"spec": {"cloud": {"vsphere": {"datastoreCluster": "No_POD"}}}})
    assert "No_POD" in tenant.condition(
        "Cluster", "shop", "PlacementReady", "False", "DatastoreClusterNotFound"
    )
    tenant.create_machine("worker-1")
    words = tenant.condition("Machine", "worker-1", "PlacementReady", "False", "DatastoreClusterNotFound")
    assert "No_POD" in words
