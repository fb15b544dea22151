"""Addresses of a Cluster's pools reach the guests, go to one Machine each, and come back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyVmomi import vmodl

from tests.e2e import objects
from tests.e2e.boot_data import ignition_files
from tests.e2e.call_log import last_call, own_calls
from tests.e2e.operator_process import NAMESPACE
from tests.e2e.seed_api import Object
from tests.e2e.world import START_LIMIT, Tenant

POOL = {"cidr": "10.1.0.0/29", "gateway": "10.1.0.1", "dnsServers": ["10.9.0.53"]}
FREE = [f"10.1.0.{n}" for n in (2, 3, 4, 5, 6)]


def given(machine: Object) -> list[str]:
    return [a["address"] for a in (machine.get("status") or {}).get("staticAddresses", [])]


def internal(machine: Object) -> list[str]:
    addresses = (machine.get("status") or {}).get("addresses", [])
    return [a["address"] for a in addresses if a["type"] == "InternalIP"]


def all_given(tenant: Tenant) -> list[str]:
    return sorted(a for machine in tenant.machines() for a in given(machine))


def reported(tenant: Tenant) -> list[str]:
    """What the guests say that they have; VMs that go while somebody looks are left out."""
    found = []
    for vm in tenant.vms():
        with contextlib.suppress(vmodl.fault.ManagedObjectNotFound):
            guest = vm.guest
            if guest is not None and guest.ipAddress:
                found.append(str(guest.ipAddress))
    return found


@contextmanager
def no_doubles(tenant: Tenant, *, in_status: bool = True) -> Iterator[None]:
    """Look again and again at what guests report and Machines hold; each address must be one's alone.

    Two that lead may write the same address at the same moment: one gives it back before it makes a VM.
    """
    kinds = (all_given, reported) if in_status else (reported,)
    stop, looks, doubles = threading.Event(), [], []

    def look() -> None:
        while not stop.wait(0.05):
            for found in (kind(tenant) for kind in kinds):
                if len(found) != len(set(found)):
                    doubles.append(found)
            looks.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        alive = thread.is_alive()
        stop.set()
        thread.join()
    assert alive, "looking broke off"
    assert looks
    assert not doubles


def test_five_machines_have_five_addresses_and_a_sixth_waits_for_one(tenant: Tenant) -> None:
    tenant.shop(machineNetworks=[POOL])
    for n in range(5):
        tenant.create_machine(f"worker-{n}")
    machines = [tenant.ready("Machine", f"worker-{n}") for n in range(5)]
    assert sorted(a for m in machines for a in given(m)) == FREE
    assert [internal(m)[0] for m in machines] == [given(m)[0] for m in machines]
    assert {vm.guest.ipAddress for vm in tenant.vms()} == set(FREE)

    tenant.create_machine("worker-5")
    words = tenant.condition("Machine", "worker-5", "AddressesReady", "False", "PoolExhausted")
    assert "10.1.0.0/29" in words
    assert tenant.vcenter.find(f"{tenant.folder()}/worker-5") is None
    with no_doubles(tenant):
        tenant.delete("Machine", "worker-2")
        tenant.gone("Machine", "worker-2")
        late = tenant.ready("Machine", "worker-5", seconds=15)
    assert given(late) == given(machines[2])


def test_a_killed_operator_gives_no_address_twice(tenant: Tenant) -> None:
    tenant.shop(machineNetworks=[POOL])
    tenant.deploy(replicas=4)
    tenant.soon(lambda: len(all_given(tenant)) >= 2, "two addresses are given")
    with no_doubles(tenant):
        tenant.world.restart_operator()
        machines = tenant.all_ready("workers", 4, seconds=60)
    assert sorted(a for m in machines for a in given(m)) == FREE[:4]
    assert {vm.guest.ipAddress for vm in tenant.vms()} == set(FREE[:4])


def test_two_operators_that_both_lead_give_no_address_twice(tenant: Tenant) -> None:
    world, lease = tenant.world, f"another-{tenant.namespace}"
    tenant.shop(machineNetworks=[POOL])
    rival = world.another_operator(lease)
    rival.start()
    try:
        world.eventually(lambda: world.api.lease_holder(NAMESPACE, lease), "both lead", seconds=START_LIMIT)
        with no_doubles(tenant, in_status=False):
            for n in range(5):
                tenant.create_machine(f"worker-{n}")
            machines = [tenant.ready("Machine", f"worker-{n}", seconds=90) for n in range(5)]
        assert sorted(a for m in machines for a in given(m)) == FREE
        assert {vm.guest.ipAddress for vm in tenant.vms()} == set(FREE)
    finally:
        rival.stop()
        world.api.delete_lease(NAMESPACE, lease)


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
def test_a_guest_has_an_address_of_each_family_on_its_first_card(tenant: Tenant, system: str) -> None:
    pools = [POOL, {"cidr": "2001:db8:7::/64", "gateway": "2001:db8:7::1", "dnsServers": ["2001:db8::53"]}]
    tenant.shop(machineNetworks=pools)
    tenant.create_machine("worker", template=objects.worker(system))
    machine = tenant.ready("Machine", "worker")
    assert given(machine) == ["10.1.0.2", "2001:db8:7::2"]
    assert internal(machine) == ["10.1.0.2", "2001:db8:7::2"]
    vm = tenant.vm("worker")
    (card,) = vm.guest.net
    assert {a["mac"] for a in machine["status"]["staticAddresses"]} == {card.macAddress}
    if system == "flatcar":
        options = {o.key: str(o.value) for o in vm.config.extraConfig}
        text = ignition_files(options)["/etc/systemd/network/00-vsphere-operator-static.network"]
        assert {"Gateway=10.1.0.1", "Gateway=2001:db8:7::1", "DNS=10.9.0.53", "DHCP=no"} <= set(
            text.splitlines()
        )


def test_of_a_flatcar_guests_cards_the_first_has_the_address(tenant: Tenant) -> None:
    """Ignition's data are part of the clone: the card's MAC is chosen before vCenter makes it."""
    tenant.change_datacenter({"networks": [{"name": "DC0_DVPG0"}, {"name": "VM Network"}]})
    tenant.shop(machineNetworks=[POOL])
    tenant.create_machine("worker", template=objects.worker("flatcar"))
    machine = tenant.ready("Machine", "worker")
    (held,) = machine["status"]["staticAddresses"]
    first, second = tenant.vm("worker").guest.net
    assert (first.macAddress, first.ipAddress[0]) == (held["mac"], "10.1.0.2")
    assert held["mac"][:9] == "00:50:56:"
    assert int(held["mac"][9:11], 16) < 0x40
    assert second.ipAddress[0] != "10.1.0.2"


@pytest.mark.parametrize(("system", "calls", "tasks"), [("ubuntu", 9, 3), ("flatcar", 6, 2)])
def test_a_static_address_costs_vcenter_nothing(tenant: Tenant, system: str, calls: int, tasks: int) -> None:
    tenant.shop(machineNetworks=[POOL])
    tenant.deploy(template=objects.worker(system))
    tenant.all_ready("workers", 1)
    tenant.world.let_pass(1)
    since = last_call(tenant.world.double)
    tenant.scale("workers", 2)
    tenant.all_ready("workers", 2)
    made = own_calls(tenant.world.double, since)
    assert made.work["CloneVM_Task"] == 1
    assert made.work.total() <= calls, made
    assert made.tasks <= tasks, made


def test_overlapping_pools_are_told_and_meet_nowhere(tenant: Tenant) -> None:
    tenant.shop(machineNetworks=[POOL])
    tenant.create_cluster("shop-2", {"machineNetworks": [POOL]})
    words = tenant.condition("Cluster", "shop", "AddressesReady", "False", "PoolsOverlap")
    assert '"shop-2"' in words
    tenant.ready("Cluster", "shop-2")
    for n in range(2):
        tenant.create_machine(f"a-{n}")
        tenant.create_machine(f"b-{n}", cluster="shop-2")
    machines = [tenant.ready("Machine", name) for name in ("a-0", "a-1", "b-0", "b-1")]
    assert sorted(a for m in machines for a in given(m)) == FREE[:4]


def test_a_pool_that_is_taken_away_leaves_machines_as_they_are(tenant: Tenant) -> None:
    tenant.shop(machineNetworks=[POOL])
    tenant.create_machine("old")
    tenant.ready("Machine", "old")
    tenant.patch("Cluster", "shop", {"spec": {"machineNetworks": []}})
    tenant.create_machine("new")
    assert given(tenant.ready("Machine", "new")) == []
    assert given(tenant.ready("Machine", "old")) == ["10.1.0.2"]
