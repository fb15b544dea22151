"""Which of a guest's addresses are the machine's: those that others can reach it by. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from vsphere_operator.api.machine import AddressType, MachineAddress


def routable(addresses: Iterable[str]) -> list[str]:
    """Without link-local, loopback, multicast and malformed addresses, each once, in the order given."""
    kept: dict[str, None] = {}
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if not (
            address.is_link_local or address.is_loopback or address.is_multicast or address.is_unspecified
        ):
            kept[str(address)] = None
    return list(kept)


def typed(name: str, addresses: Iterable[str]) -> list[MachineAddress]:
    """As a Node lists them: internal addresses and the host name."""
    internal = [MachineAddress(type=AddressType.INTERNAL_IP, address=a) for a in routable(addresses)]
    return [*internal, MachineAddress(type=AddressType.HOSTNAME, address=name)] if internal else []
