"""The files of cloud-init's NoCloud data source."""

from collections.abc import Mapping, Sequence

import yaml

from vsphere_operator.bootstrap import static_network
from vsphere_operator.bootstrap.static_network import StaticNetwork

VOLUME_ID = "cidata"
# Linux networking prefers the lowest; systemd-networkd gives DHCP routes 1024, NetworkManager 100.
_FIRST_ROUTE_METRIC = 100


def files(
    *,
    user_data: bytes,
    instance_id: str,
    hostname: str,
    nic_macs: Sequence[str] = (),
    static: StaticNetwork | None = None,
) -> Mapping[str, bytes]:
    """File name -> content. There is a `network-config` only when cloud-init's default would not do."""
    content = {"meta-data": meta_data(instance_id=instance_id, hostname=hostname), "user-data": user_data}
    network = network_config(nic_macs, static)
    if network is not None:
        content["network-config"] = network
    return content


def meta_data(*, instance_id: str, hostname: str) -> bytes:
    """A new `instance-id` makes cloud-init run as on a first boot, whatever the template went through."""
    return _yaml({"instance-id": instance_id, "local-hostname": hostname})


def network_config(nic_macs: Sequence[str], static: StaticNetwork | None = None) -> bytes | None:
    """Static addresses on the first card and DHCP on all others, in version 2.

    None where nothing is to be said: one card with DHCP, or no card is known yet. Left alone, cloud-init runs DHCP on
    one card only, which is right for one and wrong for more. Cards are matched by MAC address and named: its renderers
    for ifcfg and NetworkManager take the name of a v2 entry for that of the device, so that a pattern such as `en*`
    would configure a card that does not exist.
    """
    if len(nic_macs) < (1 if static else 2):
        return None
    ethernets = {f"eth{index}": _card(index, mac, static) for index, mac in enumerate(nic_macs)}
    return _yaml({"version": 2, "ethernets": ethernets})


def _card(index: int, mac: str, static: StaticNetwork | None) -> dict[str, object]:
    card: dict[str, object] = {"match": {"macaddress": mac}, "set-name": f"eth{index}"}
    if static is not None and index == 0:
        return card | static_network.ethernet(static)
    card["dhcp4"] = True
    if index > 0:
        # Each card's DHCP brings a default route: the first network's is to win.
        card["dhcp4-overrides"] = {"route-metric": _FIRST_ROUTE_METRIC * (index + 1)}
    return card


def _yaml(content: object) -> bytes:
    text: str = yaml.safe_dump(content, sort_keys=False)
    return text.encode("utf-8")
