"""What is written for a first card with static addresses."""

import pytest
import yaml

from vsphere_operator.bootstrap import StaticNetwork, nocloud, static_network

MACS = ["00:50:56:00:00:01", "00:50:56:00:00:02"]
V4 = StaticNetwork(addresses=["10.1.0.5/24"], gateways=["10.1.0.1"], dns_servers=["10.1.0.2"])
BOTH = StaticNetwork(
    addresses=["10.1.0.5/24", "2001:db8::5/64"],
    gateways=["10.1.0.1", "2001:db8::1"],
    dns_servers=["10.1.0.2", "2001:db8::53", "10.1.0.2"],
)


def card(network: StaticNetwork, index: int = 0, macs: list[str] = MACS) -> dict[str, object]:
    config = yaml.safe_load(nocloud.network_config(macs, network) or b"")
    assert config["version"] == 2
    found: dict[str, object] = config["ethernets"][f"eth{index}"]
    return found


@pytest.mark.parametrize("macs", [MACS[:1], MACS])
def test_the_first_card_has_the_address_and_no_dhcp(macs: list[str]) -> None:
    assert card(V4, macs=macs) == {
        "match": {"macaddress": MACS[0]},
        "set-name": "eth0",
        "dhcp4": False,
        "dhcp6": False,
        "addresses": ["10.1.0.5/24"],
        "gateway4": "10.1.0.1",
        "nameservers": {"addresses": ["10.1.0.2"]},
    }


def test_the_other_cards_keep_dhcp_behind_the_first() -> None:
    assert card(V4, 1) == {
        "match": {"macaddress": MACS[1]},
        "set-name": "eth1",
        "dhcp4": True,
        "dhcp4-overrides": {"route-metric": 200},
    }


def test_an_ipv6_address_is_the_only_one_of_its_card() -> None:
    found = card(BOTH)
    assert found["accept-ra"] is False
    assert found["addresses"] == ["10.1.0.5/24", "2001:db8::5/64"]
    assert (found["gateway4"], found["gateway6"]) == ("10.1.0.1", "2001:db8::1")
    assert found["nameservers"] == {"addresses": ["10.1.0.2", "2001:db8::53"]}


def test_name_servers_of_a_family_that_the_card_lacks_are_left_out() -> None:
    network = StaticNetwork(addresses=["10.1.0.5/24"], gateways=["10.1.0.1"], dns_servers=["2001:db8::53"])
    assert "nameservers" not in card(network)


def test_without_a_known_card_nothing_is_written() -> None:
    assert nocloud.network_config([], V4) is None


def test_networkd_matches_the_only_card_by_name() -> None:
    assert static_network.networkd_files(BOTH) == {
        "/etc/systemd/network/00-vsphere-operator-static.network": (
            "[Match]\nName=en* eth*\n\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=10.1.0.5/24\n"
            "Address=2001:db8::5/64\nGateway=10.1.0.1\nGateway=2001:db8::1\nDNS=10.1.0.2\nDNS=2001:db8::53\n"
        )
    }


def test_networkd_matches_one_of_several_cards_by_its_mac() -> None:
    network = StaticNetwork(addresses=["10.1.0.5/24"], gateways=["10.1.0.1"], mac=MACS[0])
    (unit,) = static_network.networkd_files(network).values()
    assert unit.startswith("[Match]\nMACAddress=00:50:56:00:00:01\n\n[Network]\nDHCP=no\nAddress=")
