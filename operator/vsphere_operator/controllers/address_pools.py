"""Which addresses a Machine gets from the pools of its Cluster. Pure: whether one is taken is asked, not read here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from vsphere_operator.api.cluster import MachineNetwork
from vsphere_operator.api.machine import StaticAddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IsTaken = Callable[[str], bool]
"""Asked with an address as :func:`canonical` writes it."""

ADDRESSES_READY = "AddressesReady"
"""The condition of Machines about their addresses, and of Clusters about their pools."""
_RESERVED_ANYCAST = 128
"""The highest addresses of an IPv6 subnet are anycast addresses of routers (RFC 2526)."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """No address of a family is free: ``cidrs`` are the pools of that family, in order."""

    cidrs: tuple[str, ...]


def choose(pools: Sequence[MachineNetwork], is_taken: IsTaken) -> list[StaticAddress] | Exhausted:
    """One address of each family that there are pools of: the lowest free one of the first pool that has any.

    Costs as many questions as there are taken addresses below the chosen one, however large the pools are.
    """
    reserved = {canonical(text) for pool in pools for text in (pool.gateway, *pool.dns_servers)}
    chosen = []
    for family in _families(pools):
        found = next(_free(family, reserved, is_taken), None)
        if found is None:
            return Exhausted(tuple(pool.cidr for pool in family))
        chosen.append(found)
    return chosen


def canonical(address: str) -> str:
    """The one way to write an address; what is none stays as it is and equals nothing that is handed out."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def contains(pools: Iterable[MachineNetwork], address: str) -> bool:
    """Whether one of the pools could have handed the address out."""
    ip = ipaddress.ip_address(address)
    return any(ip in network_of(pool) for pool in pools)


def overlap(one: Iterable[MachineNetwork], other: Iterable[MachineNetwork]) -> list[str]:
    """The CIDRs of ``one`` that share addresses with ``other``."""
    theirs = [network_of(pool) for pool in other]
    return [p.cidr for p in one if any(network_of(p).overlaps(n) for n in theirs)]


def network_of(pool: MachineNetwork) -> IPNetwork:
    """The pool's network; host bits in its CIDR, which earlier versions let pass, are ignored."""
    return ipaddress.ip_network(pool.cidr, strict=False)


def _families(pools: Sequence[MachineNetwork]) -> Iterator[list[MachineNetwork]]:
    versions = dict.fromkeys(network_of(pool).version for pool in pools)
    for version in versions:
        yield [pool for pool in pools if network_of(pool).version == version]


def _free(pools: Sequence[MachineNetwork], reserved: set[str], is_taken: IsTaken) -> Iterator[StaticAddress]:
    for pool in pools:
        for address in _hosts(network_of(pool)):
            text = str(address)
            if text not in reserved and not is_taken(text):
                yield StaticAddress(
                    address=text,
                    cidr=pool.cidr,
                    gateway=canonical(pool.gateway),
                    dns_servers=[canonical(server) for server in pool.dns_servers],
                )


def _hosts(network: IPNetwork) -> Iterator[IPAddress]:
    """One at a time: a large pool is never enumerated."""
    first, last = host_range(network)
    make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    number = int(first)
    while number <= int(last):
        yield make(number)
        number += 1


def host_range(network: IPNetwork) -> tuple[IPAddress, IPAddress]:
    """The lowest and the highest address that a host may have."""
    first, last = network.network_address, network.broadcast_address
    if network.prefixlen >= network.max_prefixlen - 1:
        return first, last  # point to point, both ends are hosts (RFC 3021, RFC 6164); or the one address
    if network.version == 4:
        return first + 1, last - 1
    # The lowest is the anycast address of the subnet's routers (RFC 4291, 2.6.1).
    return first + 1, last - _RESERVED_ANYCAST if network.prefixlen <= 64 else last
