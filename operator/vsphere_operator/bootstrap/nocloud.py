"""The files of cloud-init's NoCloud data source."""

from collections.abc import Mapping, Sequence

import yaml

VOLUME_ID = "cidata"
# Linux networking prefers the lowest; systemd-networkd gives DHCP routes 1024, NetworkManager 100.
_FIRST_ROUTE_METRIC = 100


def files(
    *, user_data: bytes, instance_id: str, hostname: str, nic_macs: Sequence[str] = ()
) -> Mapping[str, bytes]:
    """File name -> content. There is a `network-config` only when cloud-init's default would not do."""
    content = {"meta-data": meta_data(instance_id=instance_id, hostname=hostname), "user-data": user_data}
    network = network_config(nic_macs)
    if network is not None:
        content["network-config"] = network
    return content


def meta_data(*, instance_id: str, hostname: str) -> bytes:
    """A new `instance-id` makes cloud-init run as on a first boot, whatever the template went through."""
    return _yaml({"instance-id": instance_id, "local-hostname": hostname})


def network_config(nic_macs: Sequence[str]) -> bytes | None:
    """DHCP on every card, in version 2, for a VM with several; None where there is one card or none is known.

    Left alone, cloud-init runs DHCP on one card only, which is right for one and wrong for more. Cards are
    matched by MAC address and named: its renderers for ifcfg and NetworkManager take the name of a v2 entry
    for that of the device, so that a pattern such as `en*` would configure a card that does not exist.
    """
    if len(nic_macs) < 2:
        return None
    ethernets = {f"eth{index}": _dhcp_card(index, mac) for index, mac in enumerate(nic_macs)}
    return _yaml({"version": 2, "ethernets": ethernets})


def _dhcp_card(index: int, mac: str) -> dict[str, object]:
    card: dict[str, object] = {"match": {"macaddress": mac}, "set-name": f"eth{index}", "dhcp4": True}
    if index > 0:
        # Each card's DHCP brings a default route: the first network's is to win.
        card["dhcp4-overrides"] = {"route-metric": _FIRST_ROUTE_METRIC * (index + 1)}
    return card


def _yaml(content: object) -> bytes:
    text: str = yaml.safe_dump(content, sort_keys=False)
    return text.encode("utf-8")
