"""Addresses of a Cluster's pools: each for one Machine only, whoever makes, deletes, dies or believes to lead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.process import Process
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import fault
from vsphere_operator.controllers.machine import mac_addresses

POOL = {"cidr": "10.1.0.0/29", "gateway": "10.1.0.1", "dnsServers": ["10.9.0.53"]}
FREE = [f"10.1.0.{n}" for n in (2, 3, 4, 5, 6)]
SIX = {"cidr": "2001:db8::/64", "gateway": "2001:db8::1"}


def with_pools(site: Site, *pools: dict[str, Any], cluster: str = "shop", **vsphere: Any) -> None:
    obj = samples.a_cluster(cluster, **vsphere)
    obj["spec"]["machineNetworks"] = list(pools) or [POOL]
    site.api.put(obj)


def held(site: Site, name: str) -> list[str]:
    status = site.object("Machine", name).get("status", {})
    return [a["address"] for a in status.get("staticAddresses", [])]


def all_held(site: Site) -> list[str]:
    names = [k.name for k in site.api.objects if k.kind == "Machine"]
    return sorted(a for name in names for a in held(site, name))


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
async def test_the_guest_gets_the_address_that_the_status_names(site: Site, system: str) -> None:
    with_pools(site)
    site.api.put(samples.a_machine(operating_system=system))
    await site.run()
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]
    status = site.object("Machine", "worker-1")["status"]
    (given,) = status["staticAddresses"]
    mac = site.vm_of("worker-1").details.nics[0].mac
    assert given == {
        "address": "10.1.0.2",
        "cidr": "10.1.0.0/29",
        "gateway": "10.1.0.1",
        "dnsServers": ["10.9.0.53"],
        "mac": mac,
        "network": "Network:net0",
        "vCenter": "vc-uuid",
    }
    assert {"type": "InternalIP", "address": "10.1.0.2"} in status["addresses"]
    assert site.condition("Machine", "worker-1", "AddressesReady")["status"] == "True"
    assert site.condition("Machine", "worker-1", "AddressKnown")["status"] == "True"


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
async def test_of_several_cards_the_first_has_the_address(site: Site, system: str) -> None:
    site.world.add_network("Other")
    with_pools(site, networks=[{"name": "Other"}, {"name": "VM Network"}])
    site.api.put(samples.a_machine(operating_system=system))
    await site.run()
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]
    (given,) = site.object("Machine", "worker-1")["status"]["staticAddresses"]
    vm = site.vm_of("worker-1")
    first = vm.details.nics[0]
    assert (given["mac"], given["network"]) == (first.mac, first.network)
    assert vm.addresses == ("10.1.0.2",)
    chosen_before = given["mac"] < "00:50:56:40"
    assert chosen_before == (system == "flatcar"), "an ISO is written after the clone, Ignition before"


async def test_macs_that_are_chosen_before_the_clone_are_unique(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr(mac_addresses, "_COUNT", 4)  # sooner or later two machines begin with the same one
    with_pools(site, networks=[{"name": "VM Network"}, {"name": "VM Network"}])
    await site.run()
    site.process.workers = 4
    for n in range(4):
        site.api.put(samples.a_machine(f"worker-{n}", operating_system="flatcar"))
    await site.run()
    macs = {site.vm_of(f"worker-{n}").details.nics[0].mac for n in range(4)}
    assert macs == {f"00:50:56:00:00:0{n}" for n in range(4)}
    assert all(site.is_ready("Machine", f"worker-{n}") for n in range(4))


async def test_a_second_network_that_comes_before_the_clone_takes_a_mac(site: Site) -> None:
    with_pools(site)
    await site.run()
    site.api.put(samples.a_machine(operating_system="flatcar"))
    site.world.refuse["clone"] = [fault()]
    await site.run(patience=5)
    assert held(site, "worker-1") == ["10.1.0.2"]
    two = [{"name": "VM Network"}, {"name": "VM Network"}]
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"networks": two}}})
    await site.run()
    assert site.is_ready("Machine", "worker-1"), site.object("Machine", "worker-1")["status"]
    assert site.vm_of("worker-1").addresses == ("10.1.0.2",)


async def test_with_pools_of_both_families_a_machine_has_an_address_of_each(site: Site) -> None:
    with_pools(site, POOL, SIX)
    site.api.put(samples.a_machine())
    await site.run()
    assert held(site, "worker-1") == ["10.1.0.2", "2001:db8::2"]
    assert site.is_ready("Machine", "worker-1")


async def test_without_pools_there_are_no_static_addresses(site: Site) -> None:
    await site.with_machine()
    assert site.is_ready("Machine", "worker-1")
    assert not held(site, "worker-1")
    assert not site.condition("Machine", "worker-1", "AddressesReady")
    assert not any("read Cluster" in name or "list Machine" in name for name in site.outgoing.names)


async def test_who_finds_no_free_address_waits_until_one_is_given_back(site: Site) -> None:
    with_pools(site)
    for n in range(1, 7):
        site.api.put(samples.a_machine(f"worker-{n}"))
        await site.run()
    assert all_held(site) == FREE
    assert site.reason("Machine", "worker-6", "AddressesReady") == "PoolExhausted"
    assert "10.1.0.0/29" in site.condition("Machine", "worker-6", "AddressesReady")["message"]
    assert not site.world.named("worker-6")
    site.delete("Machine", "worker-3")
    await site.run(patience=10)
    assert site.is_ready("Machine", "worker-6"), site.object("Machine", "worker-6")["status"]
    assert held(site, "worker-6") == ["10.1.0.4"]


async def test_a_larger_pool_heals_exhaustion_at_once(site: Site) -> None:
    with_pools(site, {"cidr": "10.1.0.0/30", "gateway": "10.1.0.1"})
    site.api.put(samples.a_machine("worker-1"))
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    (waiting,) = [n for n in ("worker-1", "worker-2") if not held(site, n)]
    cluster = site.object("Cluster", "shop")
    cluster["spec"]["machineNetworks"].append({"cidr": "10.2.0.0/24", "gateway": "10.2.0.1"})
    site.api.put(cluster)
    await site.run(patience=5)
    assert held(site, waiting) == ["10.2.0.2"]
    assert site.is_ready("Machine", waiting)


async def test_an_address_is_not_free_before_the_vm_is_proven_gone(site: Site) -> None:
    with_pools(site, {"cidr": "10.1.0.0/30", "gateway": "10.1.0.1"})
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    site.api.put(samples.a_machine("worker-2"))
    site.process.tasks_run = False
    site.delete("Machine", "worker-1")
    await site.run(patience=120)
    assert held(site, "worker-1") == ["10.1.0.2"]
    assert not held(site, "worker-2")
    site.process.tasks_run = True
    await site.run()
    assert not site.exists("Machine", "worker-1")
    assert held(site, "worker-2") == ["10.1.0.2"]


async def test_machines_that_are_worked_on_at_the_same_moment_get_addresses_of_their_own(site: Site) -> None:
    with_pools(site, {"cidr": "10.1.0.0/24", "gateway": "10.1.0.1"})
    site.process.workers = 8
    await site.run()
    site.api.put(samples.a_machine("worker-0"))
    await site.run()  # from here on nothing has to be looked up before a choice
    for n in range(1, 9):
        site.api.put(samples.a_machine(f"worker-{n}"))
    await site.run()
    assert len(set(all_held(site))) == 9
    assert all(site.is_ready("Machine", f"worker-{n}") for n in range(9))
    written = [
        (o["metadata"]["name"], a["address"])
        for o in site.api.written
        for a in o.get("status", {}).get("staticAddresses", [])
    ]
    assert len(set(written)) == 9, "none was chosen twice and then given back"


@pytest.mark.parametrize("pools", [[], [{"cidr": "10.2.0.0/24", "gateway": "10.2.0.1"}]])
async def test_machines_keep_their_addresses_when_the_pools_change(
    site: Site, pools: list[dict[str, Any]]
) -> None:
    with_pools(site)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"machineNetworks": pools})
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    assert held(site, "worker-1") == ["10.1.0.2"]
    assert site.is_ready("Machine", "worker-1")
    assert held(site, "worker-2") == (["10.2.0.2"] if pools else [])


async def test_a_pool_that_changes_under_a_clone_leaves_its_machine_as_it_was_told(site: Site) -> None:
    with_pools(site)
    await site.run()
    site.api.put(samples.a_machine("worker-1"))
    site.process.tasks_run = False
    await site.run()
    site.api.edit(
        "Cluster",
        NAMESPACE,
        "shop",
        spec={"machineNetworks": [{"cidr": "10.2.0.0/24", "gateway": "10.2.0.1"}]},
    )
    site.process.tasks_run = True
    await site.run()
    assert site.is_ready("Machine", "worker-1")
    assert site.vm_of("worker-1").addresses == ("10.1.0.2",)


async def test_an_address_that_a_vm_left_behind_reports_is_left_out(site: Site) -> None:
    with_pools(site)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    site.api.edit(
        "Machine", NAMESPACE, "worker-1", metadata={"annotations": {"userclusters.io/orphan": "machines"}}
    )
    site.delete("Machine", "worker-1")
    await site.run()
    assert site.world.named("worker-1")
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    assert held(site, "worker-2") == ["10.1.0.3"]


async def test_clusters_whose_pools_overlap_on_one_network_do_not_meet(site: Site) -> None:
    with_pools(site)
    with_pools(site, cluster="shop-2")
    await site.run()
    site.process.workers = 4
    for n in (1, 2):
        site.api.put(samples.a_machine(f"a-{n}"))
        site.api.put(samples.a_machine(f"b-{n}", cluster="shop-2"))
    await site.run()
    assert all_held(site) == FREE[:4]


async def test_clusters_on_networks_of_their_own_may_have_the_same_addresses(site: Site) -> None:
    site.world.add_network("Other")
    with_pools(site)
    with_pools(site, cluster="shop-2", networks=[{"name": "Other"}])
    await site.run()
    site.api.put(samples.a_machine("a-1"))
    site.api.put(samples.a_machine("b-1", cluster="shop-2"))
    await site.run()
    assert all_held(site) == ["10.1.0.2", "10.1.0.2"]


async def test_overlapping_pools_are_told_on_both_clusters_and_hinder_none(site: Site) -> None:
    with_pools(site)
    with_pools(site, {"cidr": "10.1.0.0/24", "gateway": "10.1.0.1"}, cluster="shop-2")
    await site.run()
    for name, other in (("shop", "shop-2"), ("shop-2", "shop")):
        told = site.condition("Cluster", name, "AddressesReady")
        assert (told["status"], told["reason"]) == ("False", "PoolsOverlap")
        assert f'"{other}"' in told["message"]
        assert site.is_ready("Cluster", name)
    site.api.edit("Cluster", NAMESPACE, "shop-2", spec={"machineNetworks": []})
    await site.run(patience=5)
    assert site.reason("Cluster", "shop", "AddressesReady") == "PoolsReady"
    assert not site.condition("Cluster", "shop-2", "AddressesReady")


async def test_a_tenant_does_not_learn_whose_pools_overlap_with_its_own(site: Site) -> None:
    site.api.put(samples.a_namespace("team-other"))
    foreign = samples.a_cluster("secret-name", "team-other")
    foreign["spec"]["machineNetworks"] = [POOL]
    site.api.put(foreign)
    with_pools(site)
    await site.run()
    told = site.condition("Cluster", "shop", "AddressesReady")
    assert told["reason"] == "PoolsOverlap"
    assert "secret-name" not in told["message"]
    assert "team-other" not in told["message"]


async def test_the_same_pools_on_other_networks_are_no_overlap(site: Site) -> None:
    site.world.add_network("Other")
    with_pools(site)
    with_pools(site, cluster="shop-2", networks=[{"name": "Other"}])
    await site.run()
    assert site.reason("Cluster", "shop", "AddressesReady") == "PoolsReady"
    assert site.reason("Cluster", "shop-2", "AddressesReady") == "PoolsReady"


async def test_addresses_of_a_pool_that_was_taken_away_are_told_until_their_machines_are_gone(
    site: Site,
) -> None:
    with_pools(site)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"machineNetworks": []})
    await site.run(patience=5)
    told = site.condition("Cluster", "shop", "AddressesReady")
    assert (told["status"], told["reason"]) == ("False", "AddressesOutsidePools")
    assert "worker-1" in told["message"]
    assert site.is_ready("Cluster", "shop")
    site.delete("Machine", "worker-1")
    await site.run()
    assert not site.condition("Cluster", "shop", "AddressesReady")


async def test_a_pool_that_was_written_anew_around_its_addresses_is_no_news(site: Site) -> None:
    with_pools(site)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    larger = [{"cidr": "10.1.0.0/24", "gateway": "10.1.0.1"}]
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"machineNetworks": larger})
    await site.run(patience=5)
    assert site.reason("Cluster", "shop", "AddressesReady") == "PoolsReady"


async def test_a_machine_whose_status_was_lost_has_its_addresses_again_from_its_vm(site: Site) -> None:
    with_pools(site, POOL, SIX)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    before = site.object("Machine", "worker-1")["status"]["staticAddresses"]
    machine = site.object("Machine", "worker-1")
    del machine["status"]
    site.restart()
    site.api.put(machine)
    site.vm_of("worker-1").addresses = ()  # its guest does not tell
    await site.run()
    after = site.object("Machine", "worker-1")["status"]["staticAddresses"]
    told = ("address", "cidr", "gateway", "dnsServers")
    assert [[a.get(k) for k in told] for a in after] == [[a.get(k) for k in told] for a in before]
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    assert held(site, "worker-2") == ["10.1.0.3", "2001:db8::3"]


async def test_no_address_is_given_while_a_vm_of_the_cluster_has_not_been_read_again(site: Site) -> None:
    """A backup brings Machines without their status; one of them is held, so that nobody reads its VM."""
    with_pools(site)
    site.api.put(samples.a_machine("worker-1"))
    await site.run()
    machine = site.object("Machine", "worker-1")
    del machine["status"]
    machine["metadata"]["annotations"]["cluster.x-k8s.io/paused"] = "true"
    site.restart()
    site.vm_of("worker-1").addresses = ()
    site.api.put(machine)
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    assert not held(site, "worker-2")
    assert site.reason("Machine", "worker-2", "AddressesReady") == "AddressesUnread"
    assert '"worker-1"' in site.condition("Machine", "worker-2", "AddressesReady")["message"]
    site.api.edit(
        "Machine", NAMESPACE, "worker-1", metadata={"annotations": {"cluster.x-k8s.io/paused": None}}
    )
    await site.run()
    assert (held(site, "worker-1"), held(site, "worker-2")) == (["10.1.0.2"], ["10.1.0.3"])
    assert site.is_ready("Machine", "worker-2")


async def test_a_guest_with_another_address_only_is_told(site: Site) -> None:
    def stubborn(vm: Any) -> None:
        vm.addresses = ("10.77.0.1",)

    site.world.after_boot = stubborn
    with_pools(site)
    site.api.put(samples.a_machine())
    await site.run()
    known = site.condition("Machine", "worker-1", "AddressKnown")
    assert (known["status"], known["reason"]) == ("False", "StaticAddressNotReported")
    assert "10.77.0.1" in known["message"]
    assert "10.1.0.2" in known["message"]
    assert not site.is_ready("Machine", "worker-1")


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
async def test_no_address_is_given_twice_wherever_the_process_dies(
    clock: Clock, phase: Phase, system: str
) -> None:
    for at in range(1, 80):
        site = Site(clock)
        with_pools(site)
        await site.run()
        for n in (1, 2):
            site.api.put(samples.a_machine(f"worker-{n}", operating_system=system))
        site.process.workers = 2
        died = await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        addresses = [site.vm_of(f"worker-{n}").addresses for n in (1, 2)]
        assert sorted(addresses) == [("10.1.0.2",), ("10.1.0.3",)], where
        assert all_held(site) == FREE[:2], where
        assert not site.world.violations, where
        if not died:
            assert at > 10
            return
    raise AssertionError("more calls than two lives have")


@pytest.mark.parametrize("late", [0, 1, 2, 3, 4, 5, 6, 8, 10, 14])
async def test_two_processes_that_both_lead_never_start_two_vms_with_one_address(
    clock: Clock, late: int
) -> None:
    """The second one's watch has stood still since before the first one handed anything out."""
    site = Site(clock)
    with_pools(site)
    await site.run()
    first = site.process
    second = Process(site.api, site.world, clock, site.outgoing)
    second.objects.held_back = []
    first.vcenter.look()
    for n in (1, 2):
        site.api.put(samples.a_machine(f"worker-{n}"))
    # Each works on one of the two Machines only, the second one some turns later.
    second.objects.store.observe(site.api.get("Machine", NAMESPACE, "worker-2"))
    first.wanted = {k: None for k in first.wanted if k.name != "worker-2"}
    second.wanted = {k: None for k in second.wanted if k.name == "worker-2"}
    running = asyncio.ensure_future(_drain_only(first, "worker-1"))
    for _ in range(late):
        await asyncio.sleep(0)
    await _drain_only(second, "worker-2")
    await running
    second.objects.catch_up()
    second.kill()
    site.restart()
    await site.run()
    addresses = [site.vm_of(f"worker-{n}").addresses for n in (1, 2)]
    assert len({a for one in addresses for a in one}) == 2, addresses
    assert sorted(all_held(site)) == sorted(a for one in addresses for a in one)
    assert all(site.is_ready("Machine", f"worker-{n}") for n in (1, 2))


async def _drain_only(process: Any, name: str) -> None:
    """Let a process do all that it can now for one Machine."""
    for _ in range(6):
        process.wanted = {k: None for k in process.wanted if k.name == name}
        await process._drain()
