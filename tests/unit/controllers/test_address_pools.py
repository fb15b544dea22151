"""Which address comes next: the rules of each family, whatever has been taken, however large the pool."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.api.cluster import MachineNetwork
from vsphere_operator.controllers import address_pools
from vsphere_operator.controllers.address_pools import Exhausted


def pool(cidr: str, gateway: str, *dns: str) -> MachineNetwork:
    return MachineNetwork.model_validate({"cidr": cidr, "gateway": gateway, "dnsServers": list(dns)})


def all_of(*pools: MachineNetwork, limit: int = 300) -> list[str]:
    """The addresses of the first family in the order in which they go."""
    taken: list[str] = []
    while len(taken) < limit:
        chosen = address_pools.choose(pools, lambda a: a in taken)
        if isinstance(chosen, Exhausted):
            break
        taken.append(chosen[0].address)
    return taken


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ([pool("10.1.0.0/29", "10.1.0.1")], [f"10.1.0.{n}" for n in (2, 3, 4, 5, 6)]),
        ([pool("10.1.0.0/29", "10.1.0.6", "10.1.0.1", "10.9.9.9")], [f"10.1.0.{n}" for n in (2, 3, 4, 5)]),
        ([pool("10.1.0.0/30", "10.1.0.1")], ["10.1.0.2"]),
        ([pool("10.1.0.0/31", "10.1.0.0")], ["10.1.0.1"]),  # both ends are hosts (RFC 3021)
        ([pool("10.1.0.0/32", "10.1.0.0")], []),
        ([pool("10.1.0.9/29", "10.1.0.9")], [f"10.1.0.{n}" for n in (10, 11, 12, 13, 14)]),
        ([pool("10.1.0.0/30", "10.1.0.1"), pool("10.2.0.0/30", "10.2.0.2")], ["10.1.0.2", "10.2.0.1"]),
        ([pool("10.1.0.0/30", "10.2.0.1"), pool("10.2.0.0/30", "10.1.0.1")], ["10.1.0.2", "10.2.0.2"]),
        (
            [pool("2001:db8::/125", "2001:db8::1")],
            [f"2001:db8::{n}" for n in range(2, 8)],
        ),
        ([pool("2001:DB8:0::/127", "2001:0db8::0")], ["2001:db8::1"]),
        ([pool("2001:db8::/128", "2001:db8::")], []),
    ],
)
def test_addresses_go_in_order_and_leave_out_what_is_no_hosts(
    pools: list[MachineNetwork], expected: list[str]
) -> None:
    assert all_of(*pools) == expected


@pytest.mark.parametrize(
    ("cidr", "first", "last"),
    [
        ("10.0.0.0/8", "10.0.0.1", "10.255.255.254"),
        ("2001:db8::/64", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ff7f"),  # above are routers' (RFC 2526)
        ("2001:db8::/120", "2001:db8::1", "2001:db8::ff"),
    ],
)
def test_what_a_network_keeps_for_itself_is_no_hosts(cidr: str, first: str, last: str) -> None:
    low, high = address_pools.host_range(ipaddress.ip_network(cidr))
    assert (str(low), str(high)) == (first, last)


@pytest.mark.parametrize(
    ("cidr", "gateway", "first"),
    [("10.0.0.0/8", "10.0.0.1", "10.0.0.2"), ("2001:db8::/32", "2001:db8::1", "2001:db8::2")],
)
def test_a_large_pool_is_not_enumerated(cidr: str, gateway: str, first: str) -> None:
    asked: list[str] = []

    def ask(address: str) -> bool:
        asked.append(address)
        return False

    chosen = address_pools.choose([pool(cidr, gateway)], ask)
    assert not isinstance(chosen, Exhausted)
    assert chosen[0].address == first
    assert asked == [first]


def test_a_machine_gets_one_address_of_each_family() -> None:
    pools = [
        pool("10.1.0.0/24", "10.1.0.1", "10.1.0.2", "2001:db8::53"),
        pool("2001:db8::/64", "2001:DB8::1", "2001:0db8::0053"),
        pool("10.2.0.0/24", "10.2.0.1"),
    ]
    chosen = address_pools.choose(pools, lambda _: False)
    assert not isinstance(chosen, Exhausted)
    assert [(a.address, a.cidr, a.gateway, a.dns_servers) for a in chosen] == [
        ("10.1.0.3", "10.1.0.0/24", "10.1.0.1", ["10.1.0.2", "2001:db8::53"]),
        ("2001:db8::2", "2001:db8::/64", "2001:db8::1", ["2001:db8::53"]),
    ]


def test_a_machine_gets_no_address_at_all_when_one_family_is_exhausted() -> None:
    pools = [pool("10.1.0.0/24", "10.1.0.1"), pool("2001:db8::/127", "2001:db8::")]
    assert address_pools.choose(pools, lambda a: a == "2001:db8::1") == Exhausted(("2001:db8::/127",))


def test_pools_that_share_addresses_are_found() -> None:
    ours = [pool("10.1.0.0/24", "10.1.0.1"), pool("2001:db8::/64", "2001:db8::1")]
    assert address_pools.overlap(ours, [pool("10.1.0.128/25", "10.1.0.129")]) == ["10.1.0.0/24"]
    assert address_pools.overlap(ours, [pool("2001::/16", "2001::1")]) == ["2001:db8::/64"]
    assert address_pools.overlap(ours, [pool("10.2.0.0/24", "10.2.0.1")]) == []


@st.composite
def _pools(draw: Any) -> list[MachineNetwork]:
    found: dict[str, MachineNetwork] = {}
    for _ in range(draw(st.integers(1, 4))):
        prefix = draw(st.integers(26, 32))
        number = draw(st.integers(0, 1023)) << 8 | draw(st.integers(0, 255))
        network = ipaddress.ip_network(((10 << 24) + number, prefix), strict=False)
        inside = st.integers(0, network.num_addresses - 1)
        gateway, dns = (str(network[draw(inside)]) for _ in range(2))
        if not any(network.overlaps(ipaddress.ip_network(c)) for c in found):
            found[str(network)] = pool(str(network), gateway, dns)
    return list(found.values())


@given(_pools())
def test_every_address_goes_once_and_none_is_left_out(pools: list[MachineNetwork]) -> None:
    given_out = all_of(*pools)
    assert len(set(given_out)) == len(given_out)
    expected: set[str] = set()
    reserved = {a for p in pools for a in (p.gateway, *p.dns_servers)}
    for one in pools:
        network = ipaddress.ip_network(one.cidr)
        expected |= {str(a) for a in network.hosts()} - reserved
    assert set(given_out) == expected
