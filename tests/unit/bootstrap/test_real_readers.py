"""What is made, read by the programs that read it in a guest, where this machine has them.

cloud-init: Debian's package. Ignition: its `ignition-validate` (Go: github.com/coreos/ignition/v2/validate),
found by IGNITION_VALIDATE or on PATH.
"""

import base64
import configparser
import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vsphere_operator.bootstrap import GuestInfoDelivery, IsoDelivery, StaticNetwork, render

from .iso9660 import files_of

SYSTEM_PYTHON = "/usr/bin/python3"
VALIDATOR = os.environ.get("IGNITION_VALIDATE") or shutil.which("ignition-validate")

# Cloud-init's own reading of a seed directory and of the user data in it.
READ_SEED = """
import json, sys, tempfile
from cloudinit import helpers, user_data, util
seed = util.pathprefix2dict(sys.argv[1], required=["user-data", "meta-data"], optional=["network-config"])
scratch = tempfile.mkdtemp(dir=sys.argv[2])
paths = helpers.Paths({"cloud_dir": scratch, "run_dir": scratch})
message = user_data.UserDataProcessor(paths).process(seed["user-data"])
leaves = [part for part in message.walk() if not part.is_multipart()]
parts = [[part.get_content_type(), util.fully_decoded_payload(part)] for part in leaves]
print(json.dumps({"meta": util.load_yaml(seed["meta-data"]), "parts": parts}))
"""

RENDER_NETWORK = """
import sys
from cloudinit import util
from cloudinit.distros import rhel
from cloudinit.net import netplan, network_manager, network_state, sysconfig
config = util.load_yaml(open(sys.argv[1]).read())
for_netplan = netplan.Renderer({"netplan_path": "netplan.yaml"})
for_netplan.render_network_state(network_state.parse_net_config_data(config), target=sys.argv[2] + "/")
for_ifcfg = sysconfig.Renderer(rhel.Distro.renderer_configs["sysconfig"])
for_ifcfg.render_network_state(network_state.parse_net_config_data(config), target=sys.argv[2] + "/")
for_networkmanager = network_manager.Renderer()
for_networkmanager.render_network_state(network_state.parse_net_config_data(config), target=sys.argv[2] + "/")
"""


PROBE = """
from cloudinit import helpers, user_data, util
from cloudinit.distros import rhel
from cloudinit.net import netplan, network_manager, network_state, sysconfig
"""


def has_cloud_init() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    probe = subprocess.run([SYSTEM_PYTHON, "-c", PROBE], capture_output=True, check=False)
    return probe.returncode == 0


needs_cloud_init = pytest.mark.skipif(not has_cloud_init(), reason="cloud-init is not installed")
needs_validator = pytest.mark.skipif(VALIDATOR is None, reason="ignition-validate is not installed")


def seed(
    directory: Path,
    user_data: bytes,
    *,
    offload_off: bool,
    nic_macs: tuple[str, ...] = (),
    static: StaticNetwork | None = None,
) -> Path:
    delivery = render(
        operating_system="ubuntu",
        machine_name="node-1",
        hostname="node-1",
        user_data=user_data,
        instance_id="id-1",
        disable_network_offload=offload_off,
        nic_macs=nic_macs,
        static=static,
    )
    assert isinstance(delivery, IsoDelivery)
    target = directory / "seed"
    target.mkdir()
    for name, content in files_of(delivery.iso).items():
        (target / name).write_bytes(content)
    return target


MIME_MESSAGE = (
    b'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n'
    b"--b\nContent-Type: text/cloud-config\n\n#cloud-config\na: 1\n"
    b"--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n--b--\n"
)


@needs_cloud_init
@pytest.mark.parametrize("offload_off", [False, True])
@pytest.mark.parametrize(
    ("user_data", "expected"),
    [
        ("#cloud-config\nx: é\n".encode(), [["text/cloud-config", "#cloud-config\nx: é\n"]]),
        (b"#!/bin/sh\r\necho", [["text/x-shellscript", "#!/bin/sh\r\necho"]]),
        (
            b"## template: jinja\n#cloud-config\n{}",
            [["text/jinja2", "## template: jinja\n#cloud-config\n{}"]],
        ),
        (
            gzip.compress(MIME_MESSAGE, mtime=0),
            [["text/cloud-config", "#cloud-config\na: 1"], ["text/x-shellscript", "#!/bin/sh\necho"]],
        ),
        (
            b"#cloud-config-archive\n- |\n  #!/bin/sh\n  echo\n",
            [["text/x-shellscript", "#!/bin/sh\necho\n"]],
        ),
    ],
)
def test_cloud_init_finds_the_users_parts_with_and_without_ours(
    tmp_path: Path, user_data: bytes, expected: list[list[str]], offload_off: bool
) -> None:
    directory = seed(tmp_path, user_data, offload_off=offload_off)
    result = subprocess.run(
        [SYSTEM_PYTHON, "-c", READ_SEED, directory, tmp_path], capture_output=True, text=True, check=True
    )
    read = json.loads(result.stdout)
    assert read["meta"] == {"instance-id": "id-1", "local-hostname": "node-1"}
    if offload_off:
        assert read["parts"].pop(0)[0] == "text/cloud-boothook"
    assert read["parts"] == expected


@needs_cloud_init
def test_both_kinds_of_network_renderer_give_each_card_dhcp(tmp_path: Path) -> None:
    macs = ("00:50:56:00:00:01", "00:50:56:00:00:02")
    directory = seed(tmp_path, b"#!/bin/sh\n", offload_off=False, nic_macs=macs)
    target = tmp_path / "root"
    target.mkdir()
    subprocess.run(
        [SYSTEM_PYTHON, "-c", RENDER_NETWORK, directory / "network-config", target],
        capture_output=True,
        check=True,
    )
    netplan = (target / "netplan.yaml").read_text()
    for index, mac in enumerate(macs):
        ifcfg = (target / f"etc/sysconfig/network-scripts/ifcfg-eth{index}").read_text().splitlines()
        assert f"HWADDR={mac}" in ifcfg
        assert "BOOTPROTO=dhcp" in ifcfg
        assert f"macaddress: {mac}" in netplan
    assert netplan.count("dhcp4: true") == 2


@needs_cloud_init
def test_all_kinds_of_network_renderer_give_the_first_card_its_addresses(tmp_path: Path) -> None:
    macs = ("00:50:56:00:00:01", "00:50:56:00:00:02")
    static = StaticNetwork(
        addresses=["10.1.0.5/24", "2001:db8::5/64"],
        gateways=["10.1.0.1", "2001:db8::1"],
        dns_servers=["10.1.0.2", "2001:db8::53"],
    )
    directory = seed(tmp_path, b"#!/bin/sh\n", offload_off=False, nic_macs=macs, static=static)
    target = tmp_path / "root"
    target.mkdir()
    subprocess.run(
        [SYSTEM_PYTHON, "-c", RENDER_NETWORK, directory / "network-config", target],
        capture_output=True,
        check=True,
    )
    card = yaml.safe_load((target / "netplan.yaml").read_text())["network"]["ethernets"]["eth0"]
    assert card["match"] == {"macaddress": macs[0]}
    assert card["addresses"] == ["10.1.0.5/24", "2001:db8::5/64"]
    assert (card["gateway4"], card["gateway6"]) == ("10.1.0.1", "2001:db8::1")
    assert card["nameservers"]["addresses"] == ["10.1.0.2", "2001:db8::53"]
    assert not card.get("dhcp4")

    ifcfg = (target / "etc/sysconfig/network-scripts/ifcfg-eth0").read_text().splitlines()
    assert {"BOOTPROTO=none", "IPADDR=10.1.0.5", "NETMASK=255.255.255.0", "GATEWAY=10.1.0.1"} <= set(ifcfg)
    assert {"IPV6ADDR=2001:db8::5/64", "IPV6_DEFAULTGW=2001:db8::1", "DNS1=10.1.0.2"} <= set(ifcfg)

    profile = configparser.ConfigParser()
    profile.read(target / "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection")
    v4, v6 = profile["ipv4"], profile["ipv6"]
    assert (v4["method"], v4["address1"], v4["gateway"]) == ("manual", "10.1.0.5/24", "10.1.0.1")
    assert (v6["method"], v6["address1"], v6["gateway"]) == ("manual", "2001:db8::5/64", "2001:db8::1")
    assert "route1" not in v4
    assert v4["dns"].startswith("10.1.0.2;")


@needs_validator
@pytest.mark.parametrize("offload_off", [False, True])
@pytest.mark.parametrize("version", ["3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0"])
def test_ignition_finds_nothing_to_say_about_the_wrapper(
    tmp_path: Path, version: str, offload_off: bool
) -> None:
    delivery = render(
        operating_system="flatcar",
        machine_name="node-1",
        hostname="node-1",
        user_data=json.dumps({"ignition": {"version": version}}).encode(),
        instance_id="id-1",
        disable_network_offload=offload_off,
    )
    assert isinstance(delivery, GuestInfoDelivery)
    raw = base64.b64decode(delivery.extra_config["guestinfo.ignition.config.data"])
    if delivery.extra_config["guestinfo.ignition.config.data.encoding"] == "gzip+base64":
        raw = gzip.decompress(raw)
    config = tmp_path / "config.ign"
    config.write_bytes(raw)
    result = subprocess.run([str(VALIDATOR), config], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip(), result.stderr.strip()) == (0, "", "")
