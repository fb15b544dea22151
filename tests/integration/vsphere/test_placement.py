"""Where clones go: through Storage DRS and without it, many at once, in a vCenter with two compute clusters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, details, ended
from tests.integration.vsphere.test_machines import Site, only
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import ComputeCluster, Datastore, StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.choice import NotPlaced, Placed
from vsphere_operator.vsphere.placement.datastores import needed_bytes, of_pod
from vsphere_operator.vsphere.placement.storage_drs import STALE, NotRecommended, Recommended
from vsphere_operator.vsphere.tasks import Failed, Succeeded
from vsphere_operator.vsphere.vcenters import VCenter
from vsphere_operator.vsphere.vm_details import GIB

POD = "DC0_POD0"
NAMES = [f"LocalDS_{n}" for n in range(1, 6)]


@pytest.fixture
def flags() -> Sequence[str]:
    """Five equal datastores in one datastore cluster, behind two compute clusters."""
    return (
        "-clone-ms=300", "-tools-ms=50", "-vms=1", "-pods=1", "-datastores=6", "-datastore-gb=1000",
        "-clusters=2",
    )  # fmt: skip


class Pod:
    """The datastore cluster, and what a test does with it."""

    def __init__(self, vcenter: VCenter, double: Double) -> None:
        self.vcenter, self.double, self.site = vcenter, double, Site(vcenter)

    @property
    def entity(self) -> StoragePod:
        return only(
            self.vcenter.inventory.lookup(StoragePod, POD, datacenter=self.site.datacenter.moref), StoragePod
        )

    @property
    def stores(self) -> dict[str, Datastore]:
        return {one.name or "": one for one in of_pod(self.vcenter.inventory, self.entity.moref)}

    def name(self, moref: MoRef) -> str:
        return next(name for name, one in self.stores.items() if one.moref == moref)

    def cluster(self, name: str = "DC0_C0") -> ComputeCluster:
        datacenter = self.site.datacenter.moref
        return only(self.vcenter.inventory.compute_cluster(name, datacenter=datacenter), ComputeCluster)

    async def request(self, name: str, cluster: str = "DC0_C0", **changes: Any) -> CloneRequest:
        pool = self.cluster(cluster).root_pool
        fields = {"datastore": None, "disk_gib": None, "memory_mib": 1024, "pool": pool, **changes}
        return await self.site.request(name, **fields)

    async def place(self, request: CloneRequest, cluster: str = "DC0_C0") -> Placed | NotPlaced:
        return await self.vcenter.placement.in_pod(
            request.name, self.entity, self.cluster(cluster), request, op_id=request.name
        )

    async def carry_out(self, placed: Placed) -> MoRef:
        """Clone as an operator does. Returns the VM."""
        op_id = placed.request.name
        state = await ended(self.vcenter, await self.vcenter.placement.start(placed, op_id=op_id))
        assert isinstance(state, Succeeded), state
        assert state.result is not None
        self.vcenter.reservations.release(op_id, after=30.0)
        return state.result

    async def change(self, name: str, **change: Any) -> None:
        """Change a datastore behind our back, and wait until the watch has seen it."""
        before = self.stores[name]
        await asyncio.to_thread(self.double.control, "/datastores", {"name": name, **change})
        await becomes(lambda: self.stores[name] != before)

    async def configure(self, **change: Any) -> None:
        await asyncio.to_thread(self.double.control, "/storage-pods", {"name": POD, **change})

    async def shows_drs(self, enabled: bool) -> None:
        await becomes(lambda: self.entity.drs_enabled == enabled)


@pytest.fixture
def pod(vcenter: VCenter, double: Double) -> Pod:
    return Pod(vcenter, double)


def placed(answer: Placed | NotPlaced) -> Placed:
    assert isinstance(answer, Placed), answer
    return answer


def calls(double: Double, method: str) -> int:
    return len(double.calls(method=method))


async def test_fifty_clones_at_once_spread_over_five_equal_datastores(pod: Pod, vcenter: VCenter) -> None:
    first = await pod.request("w-0")
    requests = [replace(first, name=f"w-{n}", instance_uuid="") for n in range(50)]

    async def make(request: CloneRequest) -> MoRef:
        return await pod.carry_out(placed(await pod.place(request)))

    made = await asyncio.gather(*(make(request) for request in requests))
    found = [await details(vcenter, vm) for vm in made]
    count = Counter(vm.datastores[0] for vm in found)
    assert sum(count.values()) == len(set(made)) == 50
    assert len(count) == 5
    assert max(count.values()) / min(count.values()) <= 1.3


async def test_fifty_clones_at_once_spread_without_storage_drs_too(pod: Pod, double: Double) -> None:
    await pod.configure(enabled=False)
    await pod.shows_drs(False)
    first = await pod.request("w-0")
    answers = await asyncio.gather(*(pod.place(replace(first, name=f"w-{n}")) for n in range(50)))
    count = Counter(placed(answer).datastore for answer in answers)
    assert len(count) == 5
    assert max(count.values()) / min(count.values()) <= 1.3
    assert await asyncio.to_thread(calls, double, "RecommendDatastores") == 0


async def test_storage_drs_makes_the_clone_that_was_asked_for(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    request = await pod.request("by-key", cpus=3)
    answer = placed(await pod.place(request))
    assert answer.recommendation is not None
    vm = await details(vcenter, await pod.carry_out(answer))
    assert (vm.name, vm.datastores, vm.power_state) == ("by-key", (answer.datastore,), "poweredOff")
    assert vm.instance_uuid == request.instance_uuid
    assert dict(vm.extra_config).items() >= dict(request.extra_config).items()
    counted = [await asyncio.to_thread(calls, double, m) for m in ("RecommendDatastores", "CloneVM_Task")]
    assert counted == [1, 0]


async def test_a_vm_that_storage_drs_makes_counts_as_a_clone_in_flight(pod: Pod, vcenter: VCenter) -> None:
    answer = placed(await pod.place(await pod.request("in-flight")))
    assert answer.recommendation is not None
    task = await vcenter.storage_drs.apply(answer.recommendation, op_id="x")
    template = answer.request.template
    await becomes(lambda: vcenter.tasks.clones_in_flight(template))
    assert isinstance(await ended(vcenter, task), Succeeded)
    await becomes(lambda: not vcenter.tasks.clones_in_flight(template))


async def test_a_key_that_is_no_longer_valid_says_so_and_clones_nothing(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    await pod.configure(keySeconds=0)
    answer = placed(await pod.place(await pod.request("too-late")))
    assert answer.recommendation is not None
    with pytest.raises(VSphereError) as caught:
        await vcenter.storage_drs.apply(answer.recommendation, op_id="x")
    assert (caught.value.fault.reason, caught.value.fault.fault_class) == (STALE, FaultClass.CONFLICT)
    await pod.configure(keySeconds=60)
    again = placed(await pod.place(answer.request))
    assert len(vcenter.reservations) == 1
    vm = await pod.carry_out(again)
    names = [one["path"] for one in double.control("/state")["virtualMachines"]]
    assert names.count("/DC0/vm/kubernetes/too-late") == 1
    assert (await details(vcenter, vm)).name == "too-late"


@pytest.mark.parametrize("mode", ["inMaintenance", "enteringMaintenance"])
@pytest.mark.parametrize("enabled", [True, False])
async def test_a_datastore_in_maintenance_gets_no_clone(pod: Pod, mode: str, enabled: bool) -> None:
    await pod.configure(enabled=enabled)
    await pod.shows_drs(enabled)
    await pod.change("LocalDS_1", freeGB=999.5)
    await pod.change("LocalDS_1", maintenanceMode=mode)
    first = await pod.request("w-0")
    answers = await asyncio.gather(*(pod.place(replace(first, name=f"w-{n}")) for n in range(12)))
    used = {pod.name(placed(answer).datastore) for answer in answers}
    assert used == set(NAMES[1:])


async def test_a_datastore_that_goes_into_maintenance_meanwhile_fails_the_clone(
    pod: Pod, vcenter: VCenter
) -> None:
    answer = placed(await pod.place(await pod.request("unlucky")))
    assert answer.recommendation is not None
    await pod.change(pod.name(answer.datastore), maintenanceMode="inMaintenance")
    state = await ended(vcenter, await vcenter.storage_drs.apply(answer.recommendation, op_id="x"))
    assert isinstance(state, Failed)
    assert (state.fault.reason, state.fault.fault_class) == ("DatastoreUnavailable", FaultClass.TRANSIENT)
    again = placed(await pod.place(answer.request))
    assert again.datastore != answer.datastore


async def test_what_is_recommended_is_held_by_a_lease(pod: Pod, vcenter: VCenter) -> None:
    request = await pod.request("leased")
    for name in NAMES[1:]:
        await pod.change(name, freeGB=5)
    await pod.change("LocalDS_1", freeGB=15)
    first = await vcenter.storage_drs.recommend(pod.entity, request, op_id="x")
    assert isinstance(first, Recommended)
    assert [pod.name(one.datastore) for one in first.recommendations] == ["LocalDS_1"]
    second = await vcenter.storage_drs.recommend(pod.entity, request, op_id="x")
    assert isinstance(second, NotRecommended)
    assert second.fault is not None
    assert second.fault.reason == "NoDiskSpace"
    unwanted = [first.recommendations[0].key]
    await vcenter._calls.soap(
        lambda content: content.storageResourceManager.CancelStorageDrsRecommendation(key=unwanted),
        op_id="x",
        mutating=True,
    )
    third = await vcenter.storage_drs.recommend(pod.entity, request, op_id="x", lease_seconds=60)
    assert isinstance(third, Recommended)


async def test_recommendations_that_would_move_others_are_not_taken(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    other = await pod.carry_out(placed(await pod.place(await pod.request("other"))))
    where = (await details(vcenter, other)).datastores
    await pod.configure(moves="first")
    some = await vcenter.storage_drs.recommend(pod.entity, await pod.request("new"), op_id="x")
    assert isinstance(some, Recommended)
    await pod.configure(moves="all")
    answer = placed(await pod.place(await pod.request("new")))
    assert answer.recommendation is None
    assert "move other virtual machines' disks" in answer.why
    await pod.carry_out(answer)
    assert (await details(vcenter, other)).datastores == where


async def test_each_compute_cluster_gets_datastores_that_its_hosts_mount(pod: Pod, vcenter: VCenter) -> None:
    for name in ("LocalDS_1", "LocalDS_2"):
        await pod.change(name, mountedBy=["DC0_C1"])
    await pod.change("LocalDS_3", mountedBy=["DC0_C0"])
    await pod.change("LocalDS_5", mountedBy=["DC0_C0_H0", "DC0_C1"])
    usable = {"DC0_C0": {"LocalDS_3", "LocalDS_4", "LocalDS_5"}, "DC0_C1": set(NAMES) - {"LocalDS_3"}}
    for enabled in (True, False):
        await pod.configure(enabled=enabled)
        await pod.shows_drs(enabled)
        for cluster, expected in usable.items():
            first = await pod.request("w", cluster)
            answers = [
                await pod.place(replace(first, name=f"{cluster}-{enabled}-{n}"), cluster) for n in range(8)
            ]
            used = {pod.name(placed(answer).datastore) for answer in answers}
            assert used <= expected
            fully = expected - {"LocalDS_5"} if cluster == "DC0_C0" else expected
            assert used == fully
            for answer in answers:
                vcenter.reservations.release(placed(answer).request.name)
    answer = placed(await pod.place(await pod.request("there", "DC0_C1"), "DC0_C1"))
    vm = await pod.carry_out(answer)
    host = await becomes(lambda: getattr(vcenter.inventory.vm(vm), "host", None))
    assert host in pod.cluster("DC0_C1").hosts


async def test_a_full_datastore_cluster_is_explained_by_name(pod: Pod, vcenter: VCenter) -> None:
    await pod.change("LocalDS_1", accessible=False)
    await pod.change("LocalDS_2", maintenanceMode="inMaintenance")
    for name in NAMES[2:]:
        await pod.change(name, freeGB=8)
    answer = await pod.place(await pod.request("homeless"))
    assert isinstance(answer, NotPlaced)
    assert '"LocalDS_1" is not accessible' in answer.why
    assert '"LocalDS_2" is in maintenance' in answer.why
    assert '"LocalDS_3" lacks about 4 GiB' in answer.why
    assert len(vcenter.reservations) == 0


async def test_plain_datastores_are_chosen_among_without_a_call(pod: Pod, vcenter: VCenter) -> None:
    request = await pod.request("plain")
    await pod.change("LocalDS_4", freeGB=1000.5)
    stores = list(pod.stores.values())
    answer = placed(vcenter.placement.among("plain", stores, pod.cluster(), request))
    assert (pod.name(answer.datastore), answer.recommendation) == ("LocalDS_4", None)
    assert vcenter.reservations.promised(answer.datastore) == needed_bytes(request) == 11 * GIB
    other = placed(vcenter.placement.among("other", stores, pod.cluster(), request))
    assert other.datastore != answer.datastore
    assert (await details(vcenter, await pod.carry_out(answer))).datastores == (answer.datastore,)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("NoPermission", "privilege"),
        ("NotSupported", "does not support"),
        ("GenericDrsFault", "refused the operation"),
        ("StorageDrsIolbDisabledInternally", "refused the operation"),
        ("SystemError", "internal error"),
    ],
)
async def test_where_storage_drs_cannot_be_asked_our_own_ranking_decides(
    pod: Pod, double: Double, fault: str, words: str
) -> None:
    rule = {"method": "RecommendDatastores", "fault": fault}
    await asyncio.to_thread(double.control, "/faults", rule)
    answer = placed(await pod.place(await pod.request("unrecommended")))
    assert (answer.recommendation, words in answer.why) == (None, True), answer.why


async def test_without_the_right_to_apply_the_recommendation_counts_as_a_ranking(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    fault = {"method": "ApplyStorageDrsRecommendation_Task", "fault": "NoPermission"}
    await asyncio.to_thread(double.control, "/faults", fault)
    answer = placed(await pod.place(await pod.request("ranked")))
    assert answer.recommendation is not None
    vm = await details(vcenter, await pod.carry_out(answer))
    assert vm.datastores == (answer.datastore,)
    assert await asyncio.to_thread(calls, double, "CloneVM_Task") == 1


async def test_an_unanswered_question_is_an_error_and_reserves_nothing(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    request = await pod.request("unanswered")
    await asyncio.to_thread(
        double.control, "/faults", {"method": "RecommendDatastores", "fault": "503", "count": -1}
    )
    with pytest.raises(VSphereError) as caught:
        await pod.place(request)
    assert caught.value.fault.fault_class is FaultClass.UNREACHABLE
    assert len(vcenter.reservations) == 0


async def test_a_clone_without_a_datastore_is_refused_before_any_call(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    request = await pod.request("nowhere")
    with pytest.raises(VSphereError) as caught:
        await vcenter.vms.clone(request, op_id="x")
    assert caught.value.fault.reason == "DatastoreMissing"
    assert await asyncio.to_thread(calls, double, "CloneVM_Task") == 0


async def test_the_inventory_follows_datastores_and_their_cluster(pod: Pod) -> None:
    store = pod.stores["LocalDS_1"]
    assert (store.accessible, store.shared, store.maintenance_mode) == (True, True, "normal")
    assert set(pod.cluster("DC0_C1").hosts) <= set(store.hosts)
    assert (pod.entity.drs_enabled, pod.entity.automated) == (True, True)
    await pod.configure(behavior="manual")
    await becomes(lambda: not pod.entity.automated)
    await pod.change("LocalDS_1", mountedBy=["DC0_C0_H0"])
    await becomes(lambda: len(pod.stores["LocalDS_1"].hosts) == 1 and not pod.stores["LocalDS_1"].shared)
    await pod.change("LocalDS_1", accessible=False)
    await becomes(lambda: pod.stores["LocalDS_1"].hosts == ())


async def test_a_recommended_vm_is_exempt_from_being_moved_and_others_are_made_so_by_one_call(
    pod: Pod, vcenter: VCenter, double: Double
) -> None:
    await pod.configure(behavior="automated")
    await becomes(lambda: pod.entity.automated)
    recommended = await pod.carry_out(placed(await pod.place(await pod.request("recommended"))))
    await becomes(lambda: pod.entity.vm_automation == {recommended: "manual"})
    assert not pod.entity.moves(recommended)
    own = await pod.carry_out(replace(placed(await pod.place(await pod.request("own"))), recommendation=None))
    assert pod.entity.moves(own)
    state = await ended(vcenter, await vcenter.storage_drs.switch_off(pod.entity, own, op_id="x"))
    assert isinstance(state, Succeeded), state
    await becomes(lambda: pod.entity.vm_automation == dict.fromkeys((recommended, own), "manual"))
    again = await ended(vcenter, await vcenter.storage_drs.switch_off(pod.entity, own, op_id="x"))
    assert isinstance(again, Succeeded), again
    assert await asyncio.to_thread(calls, double, "ConfigureStorageDrsForPod_Task") == 2
    assert isinstance(await ended(vcenter, await vcenter.vms.destroy(own, op_id="x")), Succeeded)
    await becomes(lambda: list(pod.entity.vm_automation) == [recommended])
    assert isinstance(await ended(vcenter, await vcenter.vms.destroy(recommended, op_id="x")), Succeeded)
    await becomes(lambda: pod.entity.vm_automation == {})


async def test_on_a_manual_datastore_cluster_nothing_is_set_for_single_vms(pod: Pod) -> None:
    await pod.configure(behavior="manual")
    await becomes(lambda: not pod.entity.automated)
    vm = await pod.carry_out(placed(await pod.place(await pod.request("unset"))))
    assert not pod.entity.moves(vm)
    assert pod.entity.vm_automation == {}
