"""Tasks in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from vsphere_operator.vsphere import tasks
from vsphere_operator.vsphere.faults import Fault, FaultClass
from vsphere_operator.vsphere.inventory import Change
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import (
    CLOCK_TOLERANCE,
    Expected,
    Failed,
    Forgotten,
    PowerOnResult,
    Running,
    Succeeded,
    TaskInfo,
    TaskRef,
    Tasks,
)

A, B = MoRef("Task:task-1"), MoRef("Task:task-2")
VM = MoRef("VirtualMachine:vm-3")
FULL = Fault(FaultClass.CAPACITY, "NoDiskSpace", "full", 1.0, "NoDiskSpace")


class World:
    """A watch that notes what it is asked, and a clock that runs when told."""

    def __init__(self) -> None:
        self.asked: list[TaskRef] = []
        self.dropped: list[TaskRef] = []
        self.told: list[Change] = []
        self.due: list[Callable[[], None]] = []
        self.tasks = Tasks(self, notify=self.told.extend, later=lambda _, call: self.due.append(call))

    def subscribe(self, ref: TaskRef) -> None:
        self.asked.append(ref)

    def unsubscribe(self, ref: TaskRef) -> None:
        self.dropped.append(ref)

    def wait(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()

    def recent(self, *tasks: TaskInfo) -> list[MoRef | None]:
        return [change.moref for change in self.tasks.apply_recent([(t.ref, t) for t in tasks])]


@pytest.fixture
def world() -> World:
    return World()


def test_a_task_runs_and_ends_with_its_result(world: World) -> None:
    world.tasks.follow(A)
    assert world.tasks.state(A) is None
    assert world.recent(TaskInfo(A, state="running")) == []
    assert world.tasks.state(A) == Running()
    assert world.recent(TaskInfo(A, state="success", result=VM)) == [A]
    assert world.tasks.state(A) == Succeeded(VM)


def test_a_failed_task_tells_its_fault(world: World) -> None:
    world.tasks.follow(A)
    assert world.recent(TaskInfo(A, state="error", fault=FULL)) == [A]
    assert world.tasks.state(A) == Failed(FULL)


def test_a_recent_task_costs_no_call(world: World) -> None:
    world.recent(TaskInfo(A, state="running"))
    world.tasks.follow(A)
    world.tasks.follow(B)
    world.recent(TaskInfo(B, state="running"))
    world.wait()
    assert world.asked == []


def test_a_task_that_ended_before_it_was_followed_is_told_all_the_same(world: World) -> None:
    world.recent(TaskInfo(A, state="success", result=VM))
    world.tasks.follow(A)
    assert world.told == []
    world.wait()
    assert world.told == [Change("task", A)]
    assert world.tasks.state(A) == Succeeded(VM)


def test_a_task_that_is_not_among_the_recent_ones_is_asked_for_and_may_be_forgotten(world: World) -> None:
    world.tasks.follow(A)
    world.wait()
    assert world.asked == [A]
    assert world.tasks.apply_followed([(A, None)]) == [Change("task", A)]
    assert world.tasks.state(A) == Forgotten()


def test_an_end_is_never_taken_back(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, state="success", result=VM))
    world.tasks.apply_recent([(A, None)])
    world.tasks.apply_followed([(A, None)])
    assert world.tasks.state(A) == Succeeded(VM)
    assert world.asked == []


def test_a_running_task_that_leaves_the_recent_ones_is_asked_for(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, state="running"))
    world.tasks.apply_recent([(A, None)])
    assert world.asked == [A]


def test_a_new_session_asks_again_for_what_it_does_not_see(world: World) -> None:
    world.tasks.follow(A)
    world.tasks.follow(B)
    world.wait()
    world.tasks.restart()
    world.recent(TaskInfo(A, state="running"))
    world.tasks.caught_up()
    assert world.asked == [A, B, B]


def test_a_power_on_has_ended_when_its_sub_task_has(world: World) -> None:
    world.tasks.follow(A)
    assert world.recent(TaskInfo(A, state="success", result=PowerOnResult(((VM, B),)))) == []
    assert world.tasks.state(A) == Running()
    assert world.recent(TaskInfo(B, state="success")) == [B, A]
    assert world.tasks.state(A) == Succeeded(None)


def test_a_power_on_fails_with_its_sub_task(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, state="success", result=PowerOnResult(((VM, B),))))
    world.recent(TaskInfo(B, state="error", fault=FULL))
    assert world.tasks.state(A) == Failed(FULL)


def test_a_vm_that_was_not_attempted_is_a_failure(world: World) -> None:
    world.tasks.follow(A)
    assert world.recent(TaskInfo(A, state="success", result=PowerOnResult((), ((VM, FULL),)))) == [A]
    assert world.tasks.state(A) == Failed(FULL)


def test_a_sub_task_known_before_its_parent_counts(world: World) -> None:
    world.recent(TaskInfo(B, state="success"))
    world.tasks.follow(A)
    world.recent(TaskInfo(A, state="success", result=PowerOnResult(((VM, B),))))
    world.wait()
    assert world.tasks.state(A) == Succeeded(None)
    assert Change("task", A) in world.told


def test_unfollowing_a_power_on_lets_go_of_its_sub_tasks(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, state="success", result=PowerOnResult(((VM, B),))))
    world.tasks.unfollow(A)
    assert world.tasks.followed == []
    assert world.dropped == []


def test_clones_in_flight_are_those_of_the_template_that_have_not_ended(world: World) -> None:
    other = MoRef("VirtualMachine:vm-9")
    clones = [
        TaskInfo(MoRef("Task:task-10"), "VirtualMachine.clone", VM, "running"),
        TaskInfo(MoRef("Task:task-11"), "VirtualMachine.clone", VM, "success"),
        TaskInfo(MoRef("Task:task-12"), "VirtualMachine.clone", other, "queued"),
        TaskInfo(MoRef("Task:task-13"), "VirtualMachine.powerOn", VM, "running"),
    ]
    world.recent(*clones)
    assert [t.ref for t in world.tasks.clones_in_flight(VM)] == ["Task:task-10"]
    assert [t.ref for t in world.tasks.clones_in_flight()] == ["Task:task-10", "Task:task-12"]


def test_ends_that_nobody_lets_go_of_do_not_pile_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_MOST_FOLLOWED", 20)
    world.tasks.follow(A)
    for n in range(100):
        ref = MoRef(f"Task:task-{n + 10}")
        world.tasks.follow(ref)
        world.recent(TaskInfo(ref, state="success"))
    assert len(world.tasks.followed) <= 20
    assert A in world.tasks.followed


STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OTHER_VM = MoRef("VirtualMachine:vm-9")
OURS = Expected(started_at=STARTED, entity=VM, method="destroy")


@pytest.mark.parametrize(
    ("task", "ours"),
    [
        (TaskInfo(A, "VirtualMachine.destroy", VM, "success", STARTED), True),
        (TaskInfo(A, "VirtualMachine.Destroy", VM, "success", STARTED + timedelta(minutes=5)), True),
        (TaskInfo(A, "VirtualMachine.destroy", VM, "success", STARTED - timedelta(minutes=5)), True),
        (TaskInfo(A, "", None, "success", None), True),
        (TaskInfo(A, "VirtualMachine.destroy", MoRef("Datacenter:dc-1"), "success", STARTED), True),
        (TaskInfo(A, "VirtualMachine.destroy", OTHER_VM, "success", STARTED), False),
        (TaskInfo(A, "VirtualMachine.powerOn", VM, "success", STARTED), False),
        (TaskInfo(A, "VirtualMachine.destroy", VM, "success", STARTED + CLOCK_TOLERANCE * 2), False),
        (TaskInfo(A, "VirtualMachine.destroy", VM, "success", STARTED - CLOCK_TOLERANCE * 2), False),
    ],
)
def test_a_task_of_the_same_number_is_believed_only_if_it_fits_the_record(
    world: World, task: TaskInfo, ours: bool
) -> None:
    world.tasks.follow(A, OURS)
    assert world.recent(task) == [A]
    assert world.tasks.state(A) == (Succeeded() if ours else Forgotten())


def test_a_number_that_is_given_again_while_we_watch_is_not_our_task(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "running", STARTED))
    world.tasks.restart()
    later = STARTED + timedelta(minutes=1)
    assert world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "success", later)) == [A]
    assert world.tasks.state(A) == Forgotten()


def test_a_new_session_that_shows_the_same_task_goes_on_with_it(world: World) -> None:
    world.tasks.follow(A)
    world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "running", STARTED))
    world.tasks.restart()
    world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "success", STARTED, result=OTHER_VM))
    assert world.tasks.state(A) == Succeeded(OTHER_VM)


def test_a_question_that_did_not_reach_vcenter_is_put_again(world: World) -> None:
    world.tasks.follow(A)
    world.wait()
    world.tasks.not_asked(A)
    assert world.asked == [A]
    world.wait()
    assert world.asked == [A, A]
    world.tasks.not_asked(B)
    world.tasks.apply_followed([(A, TaskInfo(A, state="success"))])
    world.tasks.not_asked(A)
    world.wait()
    assert world.asked == [A, A]


def test_a_task_that_is_begun_has_nothing_of_one_of_the_same_number_before_a_restore(world: World) -> None:
    world.tasks.begun(A)
    world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "success", STARTED, result=VM))
    assert world.tasks.state(A) == Succeeded(VM)
    world.tasks.restart()
    world.tasks.begun(A)
    assert world.tasks.state(A) is None
    world.recent(TaskInfo(A, "VirtualMachine.clone", VM, "running", STARTED + timedelta(days=1)))
    assert world.tasks.state(A) == Running()
    world.tasks.begun(A)
    assert world.tasks.state(A) == Running()
