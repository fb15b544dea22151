"""What a placement reserves, and what it sees of others that were placed while it waited for Storage DRS."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.unit.vsphere import templates
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import ComputeCluster, Datastore, Host, Inventory, StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.choice import NotPlaced, Placed, Placement
from vsphere_operator.vsphere.placement.reservations import Reservations
from vsphere_operator.vsphere.placement.storage_drs import NotRecommended, Recommendation, Recommended
from vsphere_operator.vsphere.tasks import TaskRef
from vsphere_operator.vsphere.vm_details import GIB

POD = StoragePod(MoRef("StoragePod:group-p1"), "pod", drs_enabled=True)
HOST = Host(MoRef("HostSystem:host-1"), "h", connection_state="connected")
CLUSTER = ComputeCluster(MoRef("ClusterComputeResource:domain-c1"), "c", hosts=(HOST.moref,))
STORES = tuple(
    Datastore(
        MoRef(f"Datastore:{name}"),
        name,
        POD.moref,
        accessible=True,
        capacity=500 * GIB,
        free_space=100 * GIB,
        hosts=(HOST.moref,),
    )
    for name in "abc"
)
X, Y, Z = (store.moref for store in STORES)
REQUEST = CloneRequest(
    template=MoRef("VirtualMachine:vm-1"),
    folder=MoRef("Folder:group-v1"),
    name="w",
    pool=MoRef("ResourcePool:resgroup-1"),
    datastore=None,
    cpus=2,
    memory_mib=1024,
    disk_gib=None,
    networks=None,
    instance_uuid="",
    template_details=templates.template(templates.disk()),
)


class VSphere:
    """Gives everybody the same answer, and lets all who ask at the same time wait for each other."""

    def __init__(self, answer: Recommended | NotRecommended, refusal: Fault | None = None) -> None:
        self.answer, self.refusal = answer, refusal
        self.applied: list[str] = []
        self.cloned: list[CloneRequest] = []

    async def recommend(
        self, pod: StoragePod, request: CloneRequest, *, op_id: str
    ) -> Recommended | NotRecommended:
        await asyncio.sleep(0)
        return self.answer

    async def apply(self, key: str, *, op_id: str) -> TaskRef:
        if self.refusal is not None:
            raise VSphereError(self.refusal)
        self.applied.append(key)
        return MoRef("Task:applied")

    async def clone(self, request: CloneRequest, *, op_id: str) -> TaskRef:
        self.cloned.append(request)
        return MoRef("Task:cloned")


@pytest.fixture
def reservations() -> Reservations:
    return Reservations()


def _placement(
    answer: Recommended | NotRecommended, reservations: Reservations, vsphere: VSphere | None = None
) -> Placement:
    inventory = Inventory()
    vsphere = vsphere or VSphere(answer)
    inventory.apply([(one.moref, one) for one in (POD, HOST, CLUSTER, *STORES)])
    return Placement(inventory, vsphere, vsphere, lambda: reservations)


SAME = Recommended(tuple(Recommendation(f"key-{n}", store.moref, 5) for n, store in enumerate(STORES)))


async def test_those_that_get_the_same_recommendations_at_once_spread(reservations: Reservations) -> None:
    placement = _placement(SAME, reservations)
    answers = await asyncio.gather(
        *(placement.in_pod(f"m-{n}", POD, CLUSTER, REQUEST, op_id="x") for n in range(6))
    )
    chosen = [(one.datastore, one.recommendation) for one in answers if isinstance(one, Placed)]
    assert chosen == [(X, "key-0"), (Y, "key-1"), (Z, "key-2")] * 2


async def test_the_answer_names_the_datastore_and_is_reserved_under_its_key(
    reservations: Reservations,
) -> None:
    answer = await _placement(SAME, reservations).in_pod("m", POD, CLUSTER, REQUEST, op_id="x")
    assert isinstance(answer, Placed)
    assert answer.request.datastore == answer.datastore == X
    assert reservations.promised(X) == 11 * GIB


async def test_a_recommendation_is_not_applied_where_the_disks_have_a_policy(
    reservations: Reservations,
) -> None:
    request = replace(REQUEST, storage_policy="gold")
    answer = await _placement(SAME, reservations).in_pod("m", POD, CLUSTER, request, op_id="x")
    assert isinstance(answer, Placed)
    assert (answer.datastore, answer.recommendation, answer.request.storage_policy) == (X, None, "gold")


@pytest.mark.parametrize("answer", [SAME, NotRecommended("Storage DRS is off")])
async def test_a_datastore_that_cannot_serve_the_policy_is_not_chosen(
    answer: Recommended | NotRecommended, reservations: Reservations
) -> None:
    request = replace(REQUEST, storage_policy="gold", unfit_datastores=frozenset({X, Y}))
    placed = await _placement(answer, reservations).in_pod("m", POD, CLUSTER, request, op_id="x")
    assert isinstance(placed, Placed)
    assert placed.datastore == Z


async def test_asking_again_does_not_count_twice(reservations: Reservations) -> None:
    placement = _placement(SAME, reservations)
    for _ in range(3):
        answer = await placement.in_pod("m", POD, CLUSTER, REQUEST, op_id="x")
        assert isinstance(answer, Placed)
        assert answer.datastore == X
    assert (reservations.promised(X), len(reservations)) == (11 * GIB, 1)


async def test_our_ranking_decides_when_storage_drs_does_not(reservations: Reservations) -> None:
    reservations.reserve("other", X, 5 * GIB)
    placement = _placement(NotRecommended("Storage DRS is off"), reservations)
    answer = await placement.in_pod("m", POD, CLUSTER, REQUEST, op_id="x")
    assert isinstance(answer, Placed)
    assert (answer.datastore, answer.recommendation, answer.why) == (Y, None, "Storage DRS is off")


async def test_a_recommendation_for_a_datastore_that_is_promised_away_is_not_taken(
    reservations: Reservations,
) -> None:
    reservations.reserve("big", X, 95 * GIB)
    only_x = Recommended((Recommendation("key-0", X, 5),))
    answer = await _placement(only_x, reservations).in_pod("m", POD, CLUSTER, REQUEST, op_id="x")
    assert isinstance(answer, Placed)
    assert (answer.datastore, answer.recommendation) == (Y, None)


async def test_what_finds_no_place_reserves_nothing(reservations: Reservations) -> None:
    for store in STORES:
        reservations.reserve(f"big-{store.name}", store.moref, 95 * GIB)
    reservations.reserve("m", X, 1)
    answer = await _placement(NotRecommended("off"), reservations).in_pod(
        "m", POD, CLUSTER, REQUEST, op_id="x"
    )
    assert isinstance(answer, NotPlaced)
    assert '"a" lacks about 7 GiB' in answer.why
    assert reservations.get("m") is None
    assert isinstance(_placement(SAME, reservations).among("m", [], CLUSTER, REQUEST), NotPlaced)


@pytest.mark.parametrize(
    ("placed", "applied", "cloned"),
    [
        (Placed(X, REQUEST, "key-0"), ["key-0"], []),
        (Placed(X, REQUEST), [], [REQUEST]),
    ],
)
async def test_a_clone_is_started_by_its_recommendation_if_it_has_one(
    reservations: Reservations, placed: Placed, applied: list[str], cloned: list[CloneRequest]
) -> None:
    vsphere = VSphere(SAME)
    await _placement(SAME, reservations, vsphere).start(placed, op_id="x")
    assert (vsphere.applied, vsphere.cloned) == (applied, cloned)


def _refusal(fault_class: FaultClass) -> Fault:
    return Fault(fault_class, "Refused", "refused", 1.0, "Refused")


async def test_without_the_right_to_apply_recommendations_are_a_ranking(reservations: Reservations) -> None:
    vsphere = VSphere(SAME, _refusal(FaultClass.PERMISSION))
    await _placement(SAME, reservations, vsphere).start(Placed(X, REQUEST, "key-0"), op_id="x")
    assert vsphere.cloned == [REQUEST]


@pytest.mark.parametrize("fault_class", sorted(set(FaultClass) - {FaultClass.PERMISSION}, key=str))
async def test_whatever_else_goes_wrong_never_starts_a_second_clone(
    reservations: Reservations, fault_class: FaultClass
) -> None:
    vsphere = VSphere(SAME, _refusal(fault_class))
    with pytest.raises(VSphereError):
        await _placement(SAME, reservations, vsphere).start(Placed(X, REQUEST, "key-0"), op_id="x")
    assert vsphere.cloned == []
