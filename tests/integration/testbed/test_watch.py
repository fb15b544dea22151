"""WaitForUpdatesEx: what an operator's copy of the inventory lives on."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from testbed import TestBed
from tests.integration.testbed.clients import Seat, result

pytestmark = pytest.mark.testbed

PropertyCollector = vmodl.query.PropertyCollector
KEYED = 'config.extraConfig["example.id"].value'


class Watch:
    """A property collector with the client's side of its protocol: a copy of what it tells."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.collector = seat.content.propertyCollector.CreatePropertyCollector()
        self.version = ""
        self.copy: dict[str, dict[str, Any]] = {}
        self.kinds: list[tuple[str, str]] = []

    def over(self, view: Any, **paths: list[str]) -> Any:
        """Add a filter over a view; paths are given by type name."""
        traversal = PropertyCollector.TraversalSpec(name="v", path="view", skip=False, type=type(view))
        start = PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])
        properties = [
            PropertyCollector.PropertySpec(type=getattr(vim, kind), pathSet=names)
            for kind, names in paths.items()
        ]
        return self.collector.CreateFilter(
            PropertyCollector.FilterSpec(objectSet=[start], propSet=properties), True
        )

    def wait(self, seconds: int = 1, most: int = 100) -> bool:
        """Take in one update set; False when there was none in time."""
        options = PropertyCollector.WaitOptions(maxWaitSeconds=seconds, maxObjectUpdates=most)
        update = self.collector.WaitForUpdatesEx(self.version, options)
        if update is None:
            return False
        self.version = update.version
        for filter_set in update.filterSet:
            for change in filter_set.objectSet:
                self._take(change)
        return bool(update.truncated) or True

    def _take(self, change: Any) -> None:
        self.kinds.append((change.kind, change.obj._moId))
        if change.kind == "leave":
            del self.copy[change.obj._moId]
            return
        known = self.copy.setdefault(change.obj._moId, {})
        known.update({one.name: one.val for one in change.changeSet})

    def until(self, condition: Any, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it was not told in time"
            self.wait()


@pytest.fixture
def watch(test_bed: TestBed) -> Iterator[Watch]:
    seat = Seat(test_bed.info.vcenter)
    yield Watch(seat)
    seat.content.sessionManager.Logout()


def _everything(seat: Seat) -> Any:
    return seat.content.viewManager.CreateContainerView(seat.content.rootFolder, [], True)


def test_the_whole_inventory_comes_in_pages(watch: Watch) -> None:
    view = _everything(watch.seat)
    watch.over(view, ManagedEntity=["name", "parent"])
    pages = 0
    while watch.wait(seconds=0, most=10):
        pages += 1
    assert pages >= 3
    assert set(watch.copy) == {entity._moId for entity in view.view}
    assert len(watch.kinds) == len(watch.copy)
    assert all(known["name"] for known in watch.copy.values())


def test_a_new_resource_pool_shows_in_a_view_that_was_made_before(seat: Seat) -> None:
    view = seat.content.viewManager.CreateContainerView(seat.content.rootFolder, [vim.ResourcePool], True)
    parent = next(p for p in view.view if isinstance(p.owner, vim.ClusterComputeResource))
    shares = vim.ResourceAllocationInfo(
        reservation=0,
        limit=-1,
        expandableReservation=True,
        shares=vim.SharesInfo(level="normal", shares=4000),
    )
    pool = parent.CreateResourcePool(
        "made-later", vim.ResourceConfigSpec(cpuAllocation=shares, memoryAllocation=shares)
    )
    try:
        assert pool in view.view
    finally:
        pool.Destroy_Task()
        view.DestroyView()


def test_nothing_new_is_no_answer(watch: Watch) -> None:
    watch.over(_everything(watch.seat), ManagedEntity=["name"])
    while watch.wait(seconds=0):
        pass
    started = time.monotonic()
    assert not watch.wait(seconds=1)
    assert 0.9 < time.monotonic() - started < 3


def test_a_life_is_told_as_changes_of_what_was_asked_for(
    watch: Watch, seat: Seat, folder: vim.Folder
) -> None:
    watch.over(
        _everything(watch.seat),
        ManagedEntity=["name"],
        VirtualMachine=["runtime.powerState", "guest.ipAddress", "config.instanceUuid", KEYED],
    )
    while watch.wait(seconds=0):
        pass
    extra = [
        vim.option.OptionValue(key="example.id", value="one"),
        vim.option.OptionValue(key="guestinfo.ignition.config.data", value="{}"),
    ]
    vm = result(seat.clone(folder, "watched", "flatcar-stable", extraConfig=extra))
    key = vm._moId
    watch.until(lambda: watch.copy.get(key, {}).get(KEYED) == "one")
    assert watch.copy[key]["config.instanceUuid"] == vm.config.instanceUuid
    result(vm.PowerOnVM_Task())
    watch.until(lambda: watch.copy[key].get("guest.ipAddress"))
    assert watch.copy[key]["runtime.powerState"] == "poweredOn"
    for value in ("two", ""):
        change = vim.option.OptionValue(key="example.id", value=value)
        result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[change])))
        watch.until(lambda wanted=value or None: watch.copy[key][KEYED] == wanted)
    result(vm.Rename_Task("renamed"))
    watch.until(lambda: watch.copy[key]["name"] == "renamed")
    result(vm.PowerOffVM_Task())
    watch.until(lambda: watch.copy[key]["guest.ipAddress"] is None)
    result(vm.Destroy_Task())
    watch.until(lambda: key not in watch.copy)
    entered = [kind for kind, obj in watch.kinds if obj == key and kind == "enter"]
    assert len(entered) == 1


def test_tasks_can_join_a_list_while_a_wait_is_running(watch: Watch, seat: Seat, folder: vim.Folder) -> None:
    tasks = watch.seat.content.viewManager.CreateListView([])
    watch.over(tasks, Task=["info.state", "info.result", "info.error"])
    watch.wait(seconds=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watch.wait, 10)
        task = seat.clone(folder, "listed")
        # The task belongs to the vCenter, not to the session that started it.
        tasks.ModifyListView([vim.Task(task._moId, watch.seat.instance._stub)], [])
        assert waiting.result(10)
    watch.until(lambda: watch.copy[task._moId].get("info.state") == "success")
    assert watch.copy[task._moId]["info.result"]._moId == task.info.result._moId
    failing = seat.clone(folder, "listed")
    tasks.ModifyListView([vim.Task(failing._moId, watch.seat.instance._stub)], [])
    watch.until(lambda: watch.copy.get(failing._moId, {}).get("info.state") == "error")
    assert isinstance(watch.copy[failing._moId]["info.error"], vim.fault.DuplicateName)
    tasks.ModifyListView([], [vim.Task(task._moId, watch.seat.instance._stub)])
    watch.until(lambda: task._moId not in watch.copy)
    assert [kind for kind, obj in watch.kinds if obj == task._moId].count("enter") == 1


def test_an_answer_that_was_lost_is_told_again(watch: Watch, folder: vim.Folder) -> None:
    watch.over(_everything(watch.seat), Folder=["name"])
    while watch.wait(seconds=0):
        pass
    before = watch.version
    folder.CreateFolder("lost")
    watch.until(lambda: "lost" in [known["name"] for known in watch.copy.values()])
    again = watch.collector.WaitForUpdatesEx(before, PropertyCollector.WaitOptions(maxWaitSeconds=0))
    assert again.version == watch.version
    with pytest.raises(vmodl.query.InvalidCollectorVersion):
        watch.collector.WaitForUpdatesEx("nonsense", PropertyCollector.WaitOptions(maxWaitSeconds=0))


def test_a_wait_can_be_cancelled(watch: Watch) -> None:
    watch.over(_everything(watch.seat), Folder=["name"])
    while watch.wait(seconds=0):
        pass
    threading.Timer(0.2, watch.collector.CancelWaitForUpdates).start()
    with pytest.raises(vmodl.fault.RequestCanceled):
        watch.wait(seconds=30)


def test_a_logout_ends_the_sessions_waits(test_bed: TestBed) -> None:
    watch = Watch(Seat(test_bed.info.vcenter))
    watch.over(_everything(watch.seat), Folder=["name"])
    while watch.wait(seconds=0):
        pass
    threading.Timer(0.2, watch.seat.content.sessionManager.Logout).start()
    with pytest.raises(vim.fault.NotAuthenticated):
        watch.wait(seconds=30)


def test_a_long_wait_holds_up_nobody(watch: Watch, seat: Seat) -> None:
    watch.over(_everything(watch.seat), Folder=["name"])
    while watch.wait(seconds=0):
        pass
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watch.wait, 2)
        started = time.monotonic()
        for _ in range(20):
            assert seat.datacenter.name == "DC0"
        assert time.monotonic() - started < 2
        waiting.result(10)


def test_two_sessions_hear_of_the_same_change(watch: Watch, test_bed: TestBed, folder: vim.Folder) -> None:
    other = Watch(Seat(test_bed.info.vcenter))
    for one in (watch, other):
        one.over(_everything(one.seat), Folder=["name"])
        while one.wait(seconds=0):
            pass
    made = folder.CreateFolder("heard")
    for one in (watch, other):
        one.until(lambda one=one: made._moId in one.copy)
    other.seat.content.sessionManager.Logout()


def _read(seat: Seat, view: Any, paths: list[str]) -> list[dict[str, Any]]:
    """Read the VMs of a view with one call."""
    children = PropertyCollector.TraversalSpec(path="view", skip=False, type=type(view))
    spec = PropertyCollector.FilterSpec(
        objectSet=[PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[children])],
        propSet=[PropertyCollector.PropertySpec(type=vim.VirtualMachine, pathSet=paths)],
    )
    answer = seat.content.propertyCollector.RetrievePropertiesEx([spec], PropertyCollector.RetrieveOptions())
    return [{prop.name: prop.val for prop in found.propSet} for found in (answer.objects if answer else [])]


def test_a_clone_that_is_being_made_has_no_configuration_yet(seat: Seat, folder: vim.Folder) -> None:
    """A VM is either without any configuration, or has all of what came with the clone."""

    def is_whole(vm: dict[str, Any]) -> bool:
        return (vm.get(KEYED), vm.get("config.annotation")) == ("mine", "noted")

    mark = [vim.option.OptionValue(key="example.id", value="mine")]
    tasks = [seat.clone(folder, f"marked-{i}", annotation="noted", extraConfig=mark) for i in range(24)]
    last = time.monotonic() + 30
    complete: list[dict[str, Any]] = []
    view = seat.content.viewManager.CreateContainerView(folder, [vim.VirtualMachine], True)
    while len(complete) < len(tasks):
        assert time.monotonic() < last
        seen = _read(seat, view, ["name", "config.uuid", "config.annotation", KEYED])
        assert not [vm for vm in seen if vm.get("config.uuid") and not is_whole(vm)]
        complete = [vm for vm in seen if is_whole(vm)]
    for task in tasks:
        result(task)
