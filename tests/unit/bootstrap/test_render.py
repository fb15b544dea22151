import email
import gzip
import json
import pickle
import subprocess
import sys
from base64 import b64decode
from typing import Any

import pytest
import yaml

from vsphere_operator.bootstrap import BootstrapError, Delivery, GuestInfoDelivery, IsoDelivery, render

from .iso9660 import files_of, volumes

SECRET = "s3cr3t-t0ken"
CLOUD_CONFIG = f"#cloud-config\nfqdn: <MACHINE_NAME>\nruncmd: [echo {SECRET}]\n".encode()
IGNITION = json.dumps({"ignition": {"version": "3.3.0"}, "x": f"{SECRET} <MACHINE_NAME>"}).encode()


def rendered(**changes: Any) -> Delivery:
    arguments: dict[str, Any] = {
        "operating_system": "ubuntu",
        "machine_name": "workers-1",
        "hostname": "workers-1",
        "user_data": CLOUD_CONFIG,
        "instance_id": "5d7f3f9e",
    }
    return render(**(arguments | changes))


def iso_files(**changes: Any) -> dict[str, bytes]:
    delivery = rendered(**changes)
    assert isinstance(delivery, IsoDelivery)
    return files_of(delivery.iso)


def ignition_config(**changes: Any) -> bytes:
    delivery = rendered(operating_system="flatcar", **({"user_data": IGNITION} | changes))
    assert isinstance(delivery, GuestInfoDelivery)
    raw = b64decode(delivery.extra_config["guestinfo.ignition.config.data"])
    packed = delivery.extra_config["guestinfo.ignition.config.data.encoding"] == "gzip+base64"
    return gzip.decompress(raw) if packed else raw


def test_ubuntu_gets_a_nocloud_image_with_the_users_data_filled_in() -> None:
    delivery = rendered()
    assert isinstance(delivery, IsoDelivery)
    assert delivery.file_name == "cloud-init.iso"
    assert volumes(delivery.iso)[0].volume_id.rstrip() == b"cidata"
    files = files_of(delivery.iso)
    assert sorted(files) == ["meta-data", "user-data"]
    assert files["user-data"] == CLOUD_CONFIG.replace(b"<MACHINE_NAME>", b"workers-1")
    assert yaml.safe_load(files["meta-data"]) == {"instance-id": "5d7f3f9e", "local-hostname": "workers-1"}


@pytest.mark.parametrize("name", ["centos", "rhel", "rockylinux", "amzn2", "debian", "ubuntu"])
def test_the_cloud_init_family_shares_one_image(name: str) -> None:
    assert rendered(operating_system=name) == rendered()


def test_packed_user_data_are_filled_in_too() -> None:
    assert iso_files(user_data=gzip.compress(CLOUD_CONFIG, mtime=0)) == iso_files()


def test_several_cards_get_a_network_config() -> None:
    files = iso_files(nic_macs=["00:50:56:00:00:0A", "00:50:56:00:00:0b"])
    cards = yaml.safe_load(files["network-config"])["ethernets"].values()
    assert [card["match"]["macaddress"] for card in cards] == ["00:50:56:00:00:0a", "00:50:56:00:00:0b"]


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"#cloud-config\na: 1\n", ["text/cloud-config"]),
        (b"#!/bin/sh\necho", ["text/x-shellscript"]),
        (b"## template: jinja\n#cloud-config\na: {{ x }}\n", ["text/jinja2"]),
        (b"#include\nhttps://example.com/x\n", ["text/x-include-url"]),
        (gzip.compress(b"#cloud-config\na: 1\n", mtime=0), ["text/cloud-config"]),
        (
            gzip.compress(
                b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
                b"--b\nContent-Type: text/cloud-config\n\n#cloud-config\n"
                b"--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b--\n",
                mtime=0,
            ),
            ["text/cloud-config", "text/x-shellscript"],
        ),
    ],
)
def test_the_offload_fix_is_a_further_part_beside_the_users(data: bytes, kinds: list[str]) -> None:
    message = email.message_from_bytes(iso_files(user_data=data, disable_network_offload=True)["user-data"])
    leaves = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert leaves == ["text/cloud-boothook", *kinds]


def test_flatcar_gets_guestinfo_and_the_same_as_vapp_properties() -> None:
    delivery = rendered(operating_system="flatcar", user_data=IGNITION)
    assert isinstance(delivery, GuestInfoDelivery)
    assert sorted(delivery.extra_config) == [
        "guestinfo.ignition.config.data",
        "guestinfo.ignition.config.data.encoding",
    ]
    assert delivery.vapp_properties == delivery.extra_config


def test_flatcars_config_carries_the_host_name_and_the_filled_in_data() -> None:
    text = ignition_config(hostname="node-7", machine_name="machine-7").decode()
    assert json.loads(text)["storage"]["files"][0]["contents"]["source"] == "data:,node-7%0A"
    assert f"{SECRET}%20machine-7" in text
    assert "MACHINE_NAME" not in text


def test_flatcars_offload_fix_comes_with_its_unit() -> None:
    config = json.loads(ignition_config(disable_network_offload=True))
    assert [unit["name"] for unit in config["systemd"]["units"]] == [
        "vsphere-operator-network-offload.service"
    ]


def test_a_delivery_cannot_be_changed() -> None:
    delivery = rendered(operating_system="flatcar", user_data=IGNITION)
    assert isinstance(delivery, GuestInfoDelivery)
    with pytest.raises(TypeError):
        delivery.extra_config["x"] = "y"  # type: ignore[index]


@pytest.mark.parametrize("changes", [{}, {"operating_system": "flatcar", "user_data": IGNITION}])
def test_no_repr_shows_data(changes: dict[str, Any]) -> None:
    delivery = rendered(**changes)
    for shown in (repr(delivery), str(delivery), f"{delivery!r:>5}", repr([delivery])):
        assert len(shown) < 250
        assert "CD001" not in shown
        if isinstance(delivery, GuestInfoDelivery):
            assert delivery.extra_config["guestinfo.ignition.config.data"] not in shown


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"operating_system": "windows"}, "UnknownOperatingSystem"),
        ({"hostname": "a" * 64}, "InvalidName"),
        ({"machine_name": "A"}, "InvalidName"),
        ({"instance_id": "a/b"}, "InvalidName"),
        ({"nic_macs": ["x"]}, "InvalidName"),
        ({"user_data": b""}, "BootstrapDataEmpty"),
        ({"user_data": f"{SECRET}".encode() + b"\xff"}, "BootstrapDataUndecodable"),
        ({"user_data": SECRET.encode()}, "BootstrapDataFormatUnknown"),
        ({"user_data": f"#cloud-config\n[{SECRET}".encode()}, "CloudConfigInvalid"),
        ({"user_data": b"#!" + SECRET.encode() * 2_000_000}, "BootstrapDataTooLarge"),
        ({"operating_system": "flatcar"}, "IgnitionInvalid"),
    ],
)
def test_bad_input_is_refused_with_a_reason_and_without_the_data(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BootstrapError) as refused:
        rendered(**changes)
    assert refused.value.reason == reason
    assert SECRET not in str(refused.value)
    assert SECRET.encode() not in pickle.dumps(refused.value)


def test_an_ignition_config_that_does_not_fit_even_packed_is_refused() -> None:
    import random

    noise = random.Random(1).randbytes(60_000).hex()  # noqa: S311
    data = json.dumps({"ignition": {"version": "3.3.0"}, "x": noise}).encode()
    with pytest.raises(BootstrapError, match="move files out of it") as refused:
        rendered(operating_system="flatcar", user_data=data)
    assert refused.value.reason == "BootstrapDataTooLarge"


def test_a_jinja_template_is_not_judged_as_yaml() -> None:
    data = b"## template: jinja\n#cloud-config\n{% if x %}\na: [\n{% endif %}\n"
    assert iso_files(user_data=data)["user-data"] == data


def test_the_library_for_images_is_loaded_with_the_first_image_only() -> None:
    program = (
        "import sys, vsphere_operator.bootstrap as b\n"
        "b.render(operating_system='flatcar', machine_name='m', hostname='m', instance_id='i',"
        ' user_data=b\'{"ignition": {"version": "3.3.0"}}\')\n'
        "assert 'pycdlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
