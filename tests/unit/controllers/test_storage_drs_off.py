"""Storage DRS does not move a worker's disks by itself: asked for with the clone, else switched off before it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION, Vm, fault
from tests.unit.controllers.test_crashes import PHASES, _each_call
from tests.unit.controllers.test_placing import MEMBERS, POD, _with_machines, _with_pod
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory.entities import StoragePod, VmAutomation
from vsphere_operator.vsphere.morefs import MoRef

SWITCH = "vcenter: switch off"
OTHER = MoRef("VirtualMachine:vm-of-others")


def _pod(site: Site) -> StoragePod:
    pod = site.world.entities[POD]
    assert isinstance(pod, StoragePod)
    return pod


def _change(site: Site, **fields: object) -> None:
    site.world.entities[POD] = replace(_pod(site), **fields)  # type: ignore[arg-type]
    site.world.publish()


def _automated(site: Site) -> None:
    """A datastore cluster that moves disks, gives no recommendation, and has somebody else's VM in it."""
    _with_pod(site, drs=True)
    _change(site, automated=True, vm_automation={OTHER: "automated"})


def _automation(site: Site, name: str) -> VmAutomation | None:
    return _pod(site).vm_automation.get(site.vm_of(name).moref)


def _told(site: Site, name: str = "worker-0") -> tuple[str, str]:
    condition = site.condition("Machine", name, "StorageDrsOff")
    return condition.get("status", ""), condition.get("reason", "")


async def test_a_recommended_clone_is_never_moved_and_costs_no_call(site: Site) -> None:
    _automated(site)
    site.world.recommends = MEMBERS[1]
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert _automation(site, name) == "manual"
    assert SWITCH not in site.outgoing.names
    assert _told(site) == ("True", "Manual")


async def test_our_own_clone_is_exempt_before_it_runs_by_one_call(site: Site) -> None:
    _automated(site)
    at_boot: list[VmAutomation | None] = []
    site.world.after_boot = lambda vm: at_boot.append(_pod(site).vm_automation.get(vm.moref))
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert at_boot == ["manual"]
    assert site.outgoing.names.count(SWITCH) == 1
    assert _pod(site).vm_automation[OTHER] == "automated"
    assert _told(site) == ("True", "Manual")


@pytest.mark.parametrize("drs", [True, False])
async def test_where_nothing_moves_by_itself_nothing_is_asked_or_told(site: Site, drs: bool) -> None:
    _with_pod(site, drs=drs)
    _change(site, automated=not drs)
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert SWITCH not in site.outgoing.names
    assert _told(site) == ("", "")


async def test_without_the_right_workers_run_and_say_what_may_happen_to_them(site: Site) -> None:
    _automated(site)
    site.world.refuse["switch off"] = [NO_PERMISSION] * 9
    names = await _with_machines(site, 3)
    for name in names:
        assert site.is_ready("Machine", name)
        assert _told(site, name) == ("False", "NoPermission")
        words = site.condition("Machine", name, "StorageDrsOff")["message"]
        assert "Pod_0" in words
        assert "Grant StoragePod.Config" in words
        assert "set it to manual" in words


async def test_what_one_worker_was_refused_the_others_do_not_ask_for(site: Site) -> None:
    _automated(site)
    site.world.refuse["switch off"] = [NO_PERMISSION] * 9
    await site.with_cluster(datastoreCluster="Pod_0")
    for name in ("worker-0", "worker-1"):
        site.api.put(samples.a_machine(name))
        await site.run()
        assert _told(site, name) == ("False", "NoPermission")
        assert site.outgoing.names.count(SWITCH) == 1


async def test_once_the_right_is_there_it_is_made_good(site: Site) -> None:
    _automated(site)
    site.world.refuse["switch off"] = [NO_PERMISSION]
    (name,) = await _with_machines(site, 1)
    await site.run(patience=1000)
    assert _automation(site, name) == "manual"
    assert _told(site) == ("True", "Manual")


async def test_a_task_that_fails_does_not_keep_the_worker_from_running(site: Site) -> None:
    _automated(site)
    site.world.break_task["switch off"] = [fault(FaultClass.TERMINAL, "Refused")]
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert _told(site) == ("False", "Refused")


async def test_a_lost_answer_does_not_keep_the_worker_from_running(site: Site) -> None:
    _automated(site)
    site.world.lose_answer.add("switch off")
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert _automation(site, name) == "manual"
    assert site.outgoing.names.count(SWITCH) == 1


async def test_what_does_not_show_yet_is_not_waited_for(site: Site) -> None:
    _automated(site)
    site.world.ignored.add("switch off")
    (name,) = await _with_machines(site, 1)
    assert site.is_ready("Machine", name)
    assert site.outgoing.names.count(SWITCH) == 1


def _move(site: Site, vm: Vm) -> None:
    vm.change(datastores=(MEMBERS[0],))
    site.world.publish()


async def test_a_running_worker_that_is_moved_there_stays_ready_and_is_exempt_soon(site: Site) -> None:
    _automated(site)
    await site.with_machine("worker-0")
    assert _told(site) == ("", "")
    since = site.condition("Machine", "worker-0")["lastTransitionTime"]
    site.clock.advance(5)
    _move(site, site.vm_of("worker-0"))
    await site.run()
    assert _automation(site, "worker-0") == "manual"
    assert site.condition("Machine", "worker-0")["lastTransitionTime"] == since
    assert site.object("Machine", "worker-0")["status"]["phase"] == "Running"


async def test_a_running_worker_whose_own_setting_is_taken_away_gets_it_back(site: Site) -> None:
    _automated(site)
    (name,) = await _with_machines(site, 1)
    site.clock.advance(60)
    _change(site, vm_automation={OTHER: "automated"})
    await site.run()
    assert _automation(site, name) == "manual"
    assert site.outgoing.names.count(SWITCH) == 2


async def test_a_worker_that_a_person_excluded_is_left_as_it_is(site: Site) -> None:
    _automated(site)
    await site.with_machine("worker-0")
    vm = site.vm_of("worker-0")
    _change(site, vm_automation={vm.moref: "excluded"})
    _move(site, vm)
    await site.run()
    assert _automation(site, "worker-0") == "excluded"
    assert SWITCH not in site.outgoing.names


@pytest.mark.parametrize("phase", PHASES)
async def test_a_worker_is_exempt_at_its_only_boot_wherever_the_process_dies(
    clock: Clock, phase: Phase
) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        _automated(site)
        at_boot: list[VmAutomation | None] = []
        site.world.after_boot = lambda vm: at_boot.append(_pod(site).vm_automation.get(vm.moref))
        await site.with_cluster(datastoreCluster="Pod_0")
        site.api.put(samples.a_machine("worker-0"))
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Machine", "worker-0"), where
        assert at_boot == ["manual"], where
        assert _pod(site).vm_automation[OTHER] == "automated", where
        return died

    await _each_call(clock, phase, life)
