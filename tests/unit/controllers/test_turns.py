"""Admission control at work: only so many operations run at once, whatever is asked for and whoever restarts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import fault
from vsphere_operator.vsphere.faults import FaultClass


async def _with_limits(site: Site, **limits: int) -> None:
    site.api.put(samples.a_seed(limits=limits))
    await site.with_cluster()


def _machines(site: Site, count: int, prefix: str = "worker", **machine: Any) -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        site.api.put(samples.a_machine(name, **machine))
    return names


def _reasons(site: Site, names: list[str]) -> list[str]:
    return [site.reason("Machine", name) for name in names]


@pytest.mark.parametrize("limits", [{"provisioning": 3}, {"perDatastore": 3}], ids=str)
async def test_no_more_clones_run_at_once_than_the_limits_allow(site: Site, limits: dict[str, int]) -> None:
    await _with_limits(site, **limits)
    site.process.workers = 16
    names = _machines(site, 12)
    await site.run()
    assert all(site.is_ready("Machine", name) for name in names)
    assert site.world.most_running["clone"] == 3


async def test_no_more_power_operations_run_at_once_than_the_limits_allow(site: Site) -> None:
    await _with_limits(site, power=2)
    site.process.workers = 16
    names = _machines(site, 9)
    await site.run()
    assert site.world.most_running["power on"] == 2
    for name in names:
        site.delete("Machine", name)
    await site.run()
    assert not site.world.workers()
    assert site.world.most_running["power off"] <= 2
    assert site.world.most_running["destroy vm"] <= 2


async def test_who_waits_says_so(site: Site) -> None:
    await _with_limits(site, provisioning=1)
    site.process.tasks_run = False
    names = _machines(site, 3)
    await site.run()
    assert sorted(_reasons(site, names)) == ["Cloning", "WaitingForTurn", "WaitingForTurn"]


async def test_a_restart_counts_what_the_last_process_began(site: Site) -> None:
    await _with_limits(site, provisioning=3)
    site.process.tasks_run = False
    names = _machines(site, 9)
    await site.run()
    site.restart()
    site.process.tasks_run = False
    site.process.wanted = dict(reversed(site.process.wanted.items()))  # those that wait come first
    await site.run()
    assert len(site.world.pending) == 3
    site.process.tasks_run = True
    await site.run()
    assert all(site.is_ready("Machine", name) for name in names)
    assert site.world.most_running["clone"] == 3


async def test_a_deletion_does_not_wait_for_clones(site: Site) -> None:
    await _with_limits(site, provisioning=2)
    (old,) = _machines(site, 1, "old")
    await site.run()
    site.process.tasks_run = False
    _machines(site, 9)
    await site.run()
    site.delete("Machine", old)
    await site.run()
    assert [task.kind for task in site.world.pending.values()] == ["clone", "clone", "power off"]


async def test_what_is_deleted_paused_or_gone_gives_its_place_in_the_line_away(site: Site) -> None:
    await _with_limits(site, provisioning=1)
    site.process.tasks_run = False
    names = _machines(site, 4)
    await site.run()
    waiting = [n for n in names if site.reason("Machine", n) == "WaitingForTurn"]
    site.delete("Machine", waiting[0])
    site.api.edit("Machine", NAMESPACE, waiting[1], metadata={"annotations": {"cluster.x-k8s.io/paused": ""}})
    site.process.tasks_run = True
    await site.run()
    assert not site.exists("Machine", waiting[0])
    assert site.is_ready("Machine", waiting[2])
    assert len(site.world.workers()) == 2


async def test_a_clone_that_is_refused_gives_its_token_back(site: Site) -> None:
    await _with_limits(site, provisioning=1)
    names = _machines(site, 2)
    site.world.refuse["clone"] = [fault(FaultClass.TRANSIENT, "Busy", 5.0)]
    await site.run()
    assert all(site.is_ready("Machine", name) for name in names)


async def test_two_clusters_take_turns(site: Site) -> None:
    await _with_limits(site, provisioning=2)
    site.api.put(samples.a_cluster("bakery"))
    await site.run()
    site.process.tasks_run = False
    site.process.workers = 16
    _machines(site, 6, "shop")
    _machines(site, 6, "bakery", cluster="bakery")
    await site.run()
    site.world.finish()
    site.world.finish()
    await site.run()
    running = sorted(
        vm.details.name.split("-")[0] for vm in site.world.workers() if not vm.details.config_ready
    )
    assert running == ["bakery", "shop"]
