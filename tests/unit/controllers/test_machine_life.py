"""A Machine's life against a vCenter that answers, refuses, and loses answers."""

from __future__ import annotations

import pytest

from tests.unit.controllers.fakes.site import Site


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
async def test_a_machine_becomes_a_running_vm_and_goes_without_a_trace(site: Site, system: str) -> None:
    await site.with_machine(operating_system=system)
    assert site.is_ready("Machine", "worker-1"), site.condition("Machine", "worker-1")
    assert site.is_ready("Cluster", "shop"), site.condition("Cluster", "shop")
    assert len(site.world.workers()) == 1
    assert site.vm_of("worker-1").details.power_state == "poweredOn"
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert not site.world.workers()
    assert not site.world.files
    assert not site.world.violations
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]
