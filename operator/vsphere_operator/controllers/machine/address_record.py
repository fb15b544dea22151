"""A Machine's static addresses, written on its VM: a backup restores objects without their status, and VMs run on.

Pure. One line without the characters that a VMX file escapes: `address cidr gateway dns,dns; …`, `-` for nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from vsphere_operator.api.machine import StaticAddress
from vsphere_operator.vsphere.ownership import PREFIX

KEY = PREFIX + "static-addresses"
_NOTHING = "-"


def write(held: Sequence[StaticAddress]) -> dict[str, str]:
    """The `extraConfig` that says so; empty when there are none."""
    if not held:
        return {}
    return {KEY: "; ".join(_line(address) for address in held)}


def read(extra_config: Mapping[str, str]) -> tuple[StaticAddress, ...]:
    """What a VM that is proven to be ours says; nothing when it cannot be understood."""
    lines = [line.split() for line in extra_config.get(KEY, "").split(";")]
    return tuple(_address(*fields) for fields in lines if len(fields) == 4 and _is_valid(*fields))


def _line(held: StaticAddress) -> str:
    servers = ",".join(held.dns_servers) or _NOTHING
    return f"{held.address} {held.cidr} {held.gateway or _NOTHING} {servers}"


def _address(address: str, cidr: str, gateway: str, servers: str) -> StaticAddress:
    return StaticAddress(
        address=address,
        cidr=cidr,
        gateway=None if gateway == _NOTHING else gateway,
        dns_servers=[] if servers == _NOTHING else servers.split(","),
    )


def _is_valid(address: str, cidr: str, gateway: str, servers: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
