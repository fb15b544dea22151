"""Which of Storage DRS's answers are taken, and which recommendation is applied."""

from __future__ import annotations

from typing import Any

import pytest

from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory import Datastore
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.datastores import Candidate, Excluded, Ranking
from vsphere_operator.vsphere.placement.storage_drs import (
    NotRecommended,
    Recommendation,
    Recommended,
    choose,
    decode,
)
from vsphere_operator.vsphere.tasks import TaskInfo, Tasks
from vsphere_operator.vsphere.vmomi import vim

drs = vim.storageDrs


def _place(datastore: str) -> Any:
    return drs.StoragePlacementAction(type="StoragePlacementV1", destination=vim.Datastore(datastore))


def _move() -> Any:
    return drs.StorageMigrationAction(type="StorageMigrationV1", vm=vim.VirtualMachine("vm-9"))


def _given(key: str, *actions: Any, prerequisite: tuple[str, ...] = ()) -> Any:
    return vim.cluster.Recommendation(
        key=key, rating=4, reasonText="placed", action=list(actions), prerequisite=list(prerequisite)
    )


def _faults(*faults: Any) -> Any:
    by_vm = vim.cluster.DrsFaults.FaultsByVm(fault=list(faults))
    return vim.cluster.DrsFaults(reason="storagePlacement", faultsByVm=[by_vm])


def test_recommendations_that_only_place_the_vm_are_taken_in_their_order() -> None:
    given = [
        _given("1", _move(), _place("datastore-1")),
        _given("2", _place("datastore-2")),
        _given("3", _place("datastore-3"), prerequisite=("9",)),
        _given("4", _place("datastore-4"), _place("datastore-5")),
        _given("5"),
        _given("6", _place("datastore-6")),
    ]
    assert decode(drs.StoragePlacementResult(recommendations=given)) == Recommended(
        (
            Recommendation("2", MoRef("Datastore:datastore-2"), 4, "placed"),
            Recommendation("6", MoRef("Datastore:datastore-6"), 4, "placed"),
        )
    )


@pytest.mark.parametrize(
    ("result", "words", "fault_class"),
    [
        (drs.StoragePlacementResult(), "gave no recommendation", None),
        (
            drs.StoragePlacementResult(recommendations=[_given("1", _move(), _place("datastore-1"))]),
            "would do more than place",
            None,
        ),
        (
            drs.StoragePlacementResult(drsFault=_faults(vim.fault.InsufficientStorageSpace())),
            "enough free space",
            FaultClass.CAPACITY,
        ),
        (
            drs.StoragePlacementResult(drsFault=_faults(vim.fault.CannotPlaceWithoutPrerequisiteMoves())),
            "move other virtual machines' disks",
            FaultClass.CAPACITY,
        ),
    ],
)
def test_everything_else_leaves_the_choice_to_us(
    result: Any, words: str, fault_class: FaultClass | None
) -> None:
    answer = decode(result)
    assert isinstance(answer, NotRecommended)
    assert words in answer.why
    assert (answer.fault and answer.fault.fault_class) == fault_class


def _datastore(name: str) -> Datastore:
    return Datastore(MoRef(f"Datastore:{name}"), name)


def _ranking(*order: str, excluded: tuple[str, ...] = ()) -> Ranking:
    return Ranking(
        tuple(Candidate(_datastore(name), 0, True) for name in order),
        tuple(Excluded(_datastore(name), "is full") for name in excluded),
    )


@pytest.mark.parametrize(
    ("ranking", "crowded", "chosen"),
    [
        (_ranking("c", "b", "a"), False, "a"),
        (_ranking("c", "b", "a"), True, "c"),
        (_ranking("d", "b", "a"), True, "b"),
        (_ranking("b", "c", excluded=("a",)), False, "b"),
        (_ranking("c", "b", excluded=("a",)), True, "c"),
        (_ranking(excluded=("a", "b", "c")), False, None),
        (_ranking(excluded=("a", "b", "c")), True, None),
        (_ranking(), True, "a"),
        (_ranking("c"), True, "c"),
    ],
)
def test_storage_drs_decides_unless_others_are_on_their_way(
    ranking: Ranking, crowded: bool, chosen: str | None
) -> None:
    recommended = Recommended(
        tuple(Recommendation(f"key-{name}", MoRef(f"Datastore:{name}"), 5) for name in "abc")
    )
    found = choose(recommended, ranking, crowded=crowded)
    assert (None if found is None else found.key) == (None if chosen is None else f"key-{chosen}")


class _Nobody:
    def subscribe(self, ref: MoRef) -> None: ...

    def unsubscribe(self, ref: MoRef) -> None: ...


def test_a_recommendation_that_is_being_applied_may_be_a_clone_of_anything() -> None:
    tasks = Tasks(_Nobody(), notify=lambda _: None, later=lambda _s, _f: None)
    ref = MoRef("Task:task-1")
    pod = MoRef("StoragePod:group-p1")
    applying = TaskInfo(ref, "StorageResourceManager.applyRecommendation", entity=pod, state="running")
    tasks.apply_recent([(ref, applying)])
    assert tasks.clones_in_flight(MoRef("VirtualMachine:vm-1")) == [applying]
    tasks.apply_recent([(ref, TaskInfo(ref, applying.description_id, entity=pod, state="success"))])
    assert tasks.clones_in_flight() == []
