import pytest
import yaml

from vsphere_operator.bootstrap import nocloud

MACS = ["00:50:56:00:00:01", "00:50:56:11:22:33"]


@pytest.mark.parametrize("hostname", ["node-1", "123", "1e3", "null", "yes", "0x1f"])
def test_meta_data_hold_strings_whatever_yaml_would_make_of_them(hostname: str) -> None:
    text = nocloud.meta_data(instance_id="2024", hostname=hostname)
    assert yaml.safe_load(text) == {"instance-id": "2024", "local-hostname": hostname}


@pytest.mark.parametrize("macs", [[], MACS[:1]])
def test_one_card_is_left_to_cloud_inits_own_dhcp(macs: list[str]) -> None:
    files = nocloud.files(user_data=b"#!", instance_id="i", hostname="h", nic_macs=macs)
    assert sorted(files) == ["meta-data", "user-data"]


def test_each_of_several_cards_gets_dhcp_and_the_first_the_default_route() -> None:
    files = nocloud.files(user_data=b"#!", instance_id="i", hostname="h", nic_macs=MACS)
    config = yaml.safe_load(files["network-config"])
    assert config["version"] == 2
    first, second = config["ethernets"]["eth0"], config["ethernets"]["eth1"]
    assert [card["match"]["macaddress"] for card in (first, second)] == MACS
    assert [card["dhcp4"] for card in (first, second)] == [True, True]
    assert "dhcp4-overrides" not in first
    assert second["dhcp4-overrides"] == {"route-metric": 200}
    # The renderer for ifcfg names the device after the entry.
    assert all(card["set-name"] == name for name, card in config["ethernets"].items())
