"""Machines on a datastore cluster: the recommended datastore, or our own choice, within each datastore's share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import CLUSTER, DC, HOST, FakeStorageDrs, fault
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory.entities import ComputeCluster, Datastore, StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.storage_drs import NotRecommended, Recommended

POD = MoRef("StoragePod:pod0")
MEMBERS = tuple(MoRef(f"Datastore:pod0-{number}") for number in range(3))
TIB = 1 << 40


def _with_pod(site: Site, *, drs: bool, free: int = TIB) -> None:
    world = site.world
    world.entities[POD] = StoragePod(POD, "Pod_0", DC, drs_enabled=drs)
    for number, moref in enumerate(MEMBERS):
        world.entities[moref] = Datastore(
            moref, f"Pod_0_{number}", POD, accessible=True, hosts=(HOST,), free_space=free, capacity=TIB
        )
    cluster = world.entities[CLUSTER]
    assert isinstance(cluster, ComputeCluster)
    world.entities[CLUSTER] = replace(cluster, datastores=(*cluster.datastores, *MEMBERS))


def _places(site: Site) -> Counter[MoRef]:
    return Counter(vm.details.datastores[0] for vm in site.world.workers())


async def _with_machines(site: Site, count: int, *, tasks_run: bool = True, **limits: int) -> list[str]:
    site.api.put(samples.a_seed(limits=limits))
    await site.with_cluster(datastoreCluster="Pod_0")
    site.process.tasks_run = tasks_run
    names = [f"worker-{number}" for number in range(count)]
    for name in names:
        site.api.put(samples.a_machine(name))
    await site.run(patience=300)
    return names


async def test_clones_spread_where_storage_drs_is_off(site: Site) -> None:
    _with_pod(site, drs=False)
    site.process.workers = 16
    names = await _with_machines(site, 9, provisioning=9)
    assert all(site.is_ready("Machine", name) for name in names)
    assert _places(site) == dict.fromkeys(MEMBERS, 3)
    assert "vcenter: recommend" not in site.outgoing.names


async def test_what_storage_drs_recommends_is_taken(site: Site) -> None:
    _with_pod(site, drs=True)
    site.world.recommends = MEMBERS[2]
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert _places(site) == {MEMBERS[2]: 1}
    assert site.object("Machine", name)["status"]["vm"]["datastore"] == "Pod_0_2"


async def test_who_waits_for_a_turn_asks_storage_drs_nothing(site: Site) -> None:
    _with_pod(site, drs=True)
    site.world.recommends = MEMBERS[0]
    await _with_machines(site, 9, tasks_run=False, provisioning=2)
    assert site.outgoing.names.count("vcenter: recommend") == 2


async def test_a_full_share_of_a_datastore_makes_wait_without_asking_again(site: Site) -> None:
    _with_pod(site, drs=True)
    site.world.recommends = MEMBERS[0]
    site.process.workers = 16
    names = await _with_machines(site, 9, provisioning=9, perDatastore=2)
    assert all(site.is_ready("Machine", name) for name in names)
    assert site.world.most_running["clone"] == 2
    # Once to learn where, and once more when its turn there has come.
    assert site.outgoing.names.count("vcenter: recommend") <= 2 * len(names)


@pytest.mark.parametrize("drs", [True, False])
async def test_a_datastore_cluster_without_room_is_told_and_heals(site: Site, drs: bool) -> None:
    _with_pod(site, drs=drs, free=1)
    (name,) = await _with_machines(site, 1)
    assert site.reason("Machine", name) == "NoDatastoreFits"
    assert "Pod_0_1" in site.condition("Machine", name, "PlacementReady")["message"]
    assert not site.world.workers()
    _with_pod(site, drs=drs)
    site.world.publish()
    await site.run(patience=300)
    assert site.is_ready("Machine", name)


async def test_a_recommendation_that_is_stale_is_asked_for_again(site: Site) -> None:
    _with_pod(site, drs=True)
    site.world.recommends = MEMBERS[1]
    site.world.refuse["clone"] = [fault(FaultClass.CONFLICT, "RecommendationStale", 1.0)]
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert len(site.world.workers()) == 1


async def test_promised_space_is_free_again_when_a_clone_fails(site: Site) -> None:
    _with_pod(site, drs=False)
    site.world.break_task["clone"] = [fault(FaultClass.TRANSIENT, "Busy", 5.0)] * 3
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    site.clock.advance(60)
    assert sum(site.process.vcenter.reservations.promised(moref) for moref in MEMBERS) == 0


async def test_a_machine_that_goes_while_its_place_is_sought_leaves_no_promise(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = FakeStorageDrs.recommend

    async def and_goes(
        drs: FakeStorageDrs, pod: StoragePod, request: CloneRequest, *, op_id: str
    ) -> Recommended | NotRecommended:
        answer = await asking(drs, pod, request, op_id=op_id)
        site.delete("Machine", "worker-0")
        return answer

    monkeypatch.setattr(FakeStorageDrs, "recommend", and_goes)
    _with_pod(site, drs=True)
    site.world.recommends = MEMBERS[0]
    await _with_machines(site, 1)
    assert site.outgoing.names.count("vcenter: recommend") == 1
    assert not site.exists("Machine", "worker-0")
    assert site.process.vcenter.reservations.promised(MEMBERS[0]) == 0


async def test_a_restart_remembers_what_is_promised(site: Site) -> None:
    _with_pod(site, drs=False)
    await _with_machines(site, 3, tasks_run=False)
    site.restart()
    site.process.tasks_run = False
    await site.run()
    assert all(site.process.vcenter.reservations.promised(moref) for moref in MEMBERS)


async def test_a_datastore_cluster_of_other_hosts_is_refused(site: Site) -> None:
    _with_pod(site, drs=False)
    cluster = site.world.entities[CLUSTER]
    assert isinstance(cluster, ComputeCluster)
    site.world.entities[CLUSTER] = replace(cluster, datastores=())
    (name,) = await _with_machines(site, 1)
    assert site.reason("Machine", name) == "DatastoreClusterElsewhere"


async def test_an_unknown_datastore_cluster_is_named(site: Site) -> None:
    (name,) = await _with_machines(site, 1)
    assert site.reason("Machine", name) == "DatastoreClusterNotFound"
