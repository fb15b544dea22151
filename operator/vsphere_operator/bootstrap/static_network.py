"""The first card's static addresses as each kind of guest reads them: cloud-init's version 2, systemd-networkd.

A VM's other cards keep DHCP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Before the image's own: Flatcar's `zz-default.network` runs DHCP on whatever no earlier file has matched.
UNIT_PATH = "/etc/systemd/network/00-vsphere-operator-static.network"
# What udev names a network card on PCI (systemd.net-naming-scheme), and what it is called without that. A pod's
# interfaces have other names.
_ANY_CARD = "en* eth*"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticNetwork:
    """Addresses with their prefix lengths, one a family, and the gateways of those families; and DNS servers.

    `mac` is the card's where it was chosen before the VM was made, as Ignition needs it to tell one of several cards.
    """

    addresses: Sequence[str]
    gateways: Sequence[str]
    dns_servers: Sequence[str] = ()
    mac: str | None = None

    @property
    def has_ipv6(self) -> bool:
        return any(_version(address) == 6 for address in self.addresses)

    @property
    def reachable_dns_servers(self) -> list[str]:
        """Those of a family that the card has an address of.

        NetworkManager refuses a profile with a name server of a family that is disabled in it.
        """
        versions = {_version(address) for address in self.addresses}
        return [server for server in dict.fromkeys(self.dns_servers) if _version(server) in versions]


def ethernet(network: StaticNetwork) -> dict[str, object]:
    """The keys of a card in version 2, beside those that match and name it.

    `gateway4` and `gateway6`, which netplan calls deprecated and takes, rather than `routes`: cloud-init puts routes
    of both families under the first address, and its NetworkManager renderer then writes an IPv6 route among the
    IPv4 ones (cloudinit/net/network_state.py, `_v2_to_v1_ipcfg`).
    """
    card: dict[str, object] = {"dhcp4": False, "dhcp6": False}
    if network.has_ipv6:
        card["accept-ra"] = False
    card["addresses"] = list(network.addresses)
    card |= {f"gateway{_version(gateway)}": gateway for gateway in network.gateways}
    servers = network.reachable_dns_servers
    if servers:
        # An empty entry ends cloud-init's parsing with an error.
        card["nameservers"] = {"addresses": servers}
    return card


def networkd_files(network: StaticNetwork) -> Mapping[str, str]:
    """Path -> content of systemd-networkd's unit; without a MAC it is for the only card that there is."""
    lines = [
        "[Match]",
        f"MACAddress={network.mac}" if network.mac else f"Name={_ANY_CARD}",
        "",
        "[Network]",
        "DHCP=no",
        *(["IPv6AcceptRA=no"] if network.has_ipv6 else []),
        *(f"Address={address}" for address in network.addresses),
        *(f"Gateway={gateway}" for gateway in network.gateways),
        *(f"DNS={server}" for server in network.reachable_dns_servers),
    ]
    return {UNIT_PATH: "\n".join(lines) + "\n"}


def _version(text: str) -> int:
    return ipaddress.ip_interface(text).version
