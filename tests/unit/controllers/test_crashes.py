"""The process dies before or after each call that leaves it: nothing is lost and nothing is done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Crash, Phase
from tests.unit.controllers.fakes.site import Site

_MOST = 60
PHASES: list[Phase] = ["before", "after"]
BARE = ["Datacenters", "kubernetes", "vm"]


def nothing_is_left(site: Site) -> None:
    assert site.world.folders() == BARE
    assert not site.world.workers()
    assert not site.world.files
    assert not site.world.tags
    assert list(site.world.categories) == ["cat-k8c"]
    assert not site.world.attached
    assert not site.world.violations


Life = Callable[[Site, int, Phase], Awaitable[bool]]


async def _each_call(clock: Clock, phase: Phase, act: Life) -> None:
    for at in range(1, _MOST):
        site = Site(clock)
        if not await act(site, at, phase):
            assert at > 3, "no call was interrupted"
            return
    raise AssertionError("more calls than a life has")


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_machine_is_made_once_wherever_the_process_dies(
    clock: Clock, phase: Phase, system: str
) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        await site.with_cluster()
        site.api.put(samples.a_machine(operating_system=system))
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Machine", "worker-1"), (where, site.object("Machine", "worker-1")["status"])
        assert len(site.world.workers()) == 1, where
        assert len(site.world.boots) == 1, where
        assert not site.world.violations, where
        clones = site.outgoing.count("vcenter: clone")
        assert clones == 1 or (phase == "before" and clones == 2), where
        site.delete("Machine", "worker-1")
        site.delete("Cluster", "shop")
        await site.run()
        assert not site.exists("Cluster", "shop"), where
        nothing_is_left(site)
        return died

    await _each_call(clock, phase, life)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_machine_goes_completely_wherever_the_process_dies(clock: Clock, phase: Phase) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        await site.with_machine()
        site.delete("Machine", "worker-1")
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert not site.exists("Machine", "worker-1"), (where, site.object("Machine", "worker-1"))
        assert not site.world.workers(), where
        assert not site.world.files, where
        assert not site.world.violations, where
        return died

    await _each_call(clock, phase, life)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_machine_deleted_while_it_is_made_leaves_nothing(clock: Clock, phase: Phase) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        await site.with_cluster()
        site.api.put(samples.a_machine())
        site.outgoing.die_at, site.outgoing.phase = len(site.outgoing.names) + at, phase
        died = False
        try:
            await site.run()
        except Crash:
            died = True
        site.outgoing.die_at = None
        site.restart()
        site.delete("Machine", "worker-1")
        await site.run(patience=600)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert not site.exists("Machine", "worker-1"), (where, site.object("Machine", "worker-1"))
        assert not site.world.workers(), where
        assert not site.world.files, where
        return died

    await _each_call(clock, phase, life)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_clusters_folder_and_tags_are_made_once(clock: Clock, phase: Phase) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        site.api.put(samples.a_cluster(tags=[{"name": "env"}, {"name": "shop", "category": "owner"}]))
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Cluster", "shop"), (where, site.object("Cluster", "shop").get("status"))
        assert site.world.folders() == sorted([*BARE, "team-shop-shop"]), where
        assert len(site.world.tags) == 2, where
        assert len(site.world.attached) == 2, where
        site.delete("Cluster", "shop")
        await site.run(patience=600)
        assert not site.exists("Cluster", "shop"), where
        nothing_is_left(site)
        return died

    await _each_call(clock, phase, life)


@pytest.mark.parametrize("takes_ids", [True, False])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_cluster_deleted_while_it_is_made_leaves_nothing(
    clock: Clock, phase: Phase, takes_ids: bool
) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        site.world.takes_tag_ids = takes_ids
        site.api.put(samples.a_cluster(tags=[{"name": "env"}, {"name": "shop", "category": "owner"}]))
        site.outgoing.die_at, site.outgoing.phase = len(site.outgoing.names) + at, phase
        died = False
        try:
            await site.run()
        except Crash:
            died = True
        site.outgoing.die_at = None
        site.restart()
        site.delete("Cluster", "shop")
        await site.run(patience=600)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert not site.exists("Cluster", "shop"), (where, site.object("Cluster", "shop"))
        try:
            nothing_is_left(site)
        except AssertionError as error:
            raise AssertionError(where) from error
        return died

    await _each_call(clock, phase, life)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_clusters_end_leaves_nothing_wherever_the_process_dies(clock: Clock, phase: Phase) -> None:
    async def life(site: Site, at: int, phase: Phase) -> bool:
        await site.with_cluster(tags=[{"name": "env"}, {"name": "shop", "category": "owner"}])
        site.delete("Cluster", "shop")
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert not site.exists("Cluster", "shop"), (where, site.object("Cluster", "shop"))
        nothing_is_left(site)
        return died

    await _each_call(clock, phase, life)


async def test_the_number_of_our_task_is_not_believed_when_a_restored_vcenter_gave_it_to_another(
    site: Site,
) -> None:
    await site.with_cluster()
    site.process.tasks_run = False
    site.api.put(samples.a_machine())
    await site.run()
    (ref,) = site.world.pending
    theirs = site.world.add_vm("theirs", site.world.folder("vm"))
    site.restart()
    site.world.pending.clear()
    for vm in site.world.named("worker-1"):
        del site.world.vms[vm.moref]
    before = site.clock.now() - timedelta(days=2)
    site.world.tasks[ref] = replace(
        site.world.tasks[ref], state="success", result=theirs.moref, queued_at=before
    )
    await site.run(patience=120)
    assert site.is_ready("Machine", "worker-1")
    assert site.object("Machine", "worker-1")["status"]["vm"]["moRef"] == site.vm_of("worker-1").moref
    assert theirs.details.power_state == "poweredOff"
