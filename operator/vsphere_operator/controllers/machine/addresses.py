"""Which of a guest's addresses are the machine's: those that others can reach it by. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

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


def not_reported(given: Sequence[str], reported: Iterable[str]) -> str | None:
    """What a person is told when the guest has not all of the addresses that it was given; None when it has."""
    known = routable(reported)
    missing = [address for address in routable(given) if address not in known]
    if not missing:
        return None
    return (
        f"the guest reports {', '.join(known) or 'no address'} and not {' and '.join(missing)}, which it was given: "
        "look at its network configuration (cloud-init's or Ignition's log)"
    )


def typed(name: str, addresses: Iterable[str]) -> list[MachineAddress]:
    """As a Node lists them: internal addresses and the host name."""
    internal = [MachineAddress(type=AddressType.INTERNAL_IP, address=a) for a in routable(addresses)]
    return [*internal, MachineAddress(type=AddressType.HOSTNAME, address=name)] if internal else []
