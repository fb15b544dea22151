import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pycdlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsphere_operator.bootstrap.iso import image

from .iso9660 import SECTOR, files_of, volumes

FILES = {"user-data": b"#cloud-config\n", "meta-data": b"instance-id: i\n", "network-config": b"x" * 5000}


def test_the_primary_descriptor_at_sector_16_carries_the_volume_id() -> None:
    made = image(volume_id="cidata", files=FILES)
    assert made[16 * SECTOR : 16 * SECTOR + 7] == b"\x01CD001\x01"
    assert made[16 * SECTOR + 40 : 16 * SECTOR + 72] == b"cidata".ljust(32)


def test_there_is_a_joliet_volume_of_the_same_name() -> None:
    primary, joliet = volumes(image(volume_id="cidata", files=FILES))
    assert (primary.kind, joliet.kind) == (1, 2)
    assert joliet.escape == b"%/E"
    assert joliet.volume_id.decode("utf-16-be").rstrip(" \0") == "cidata"


def test_the_files_read_back_by_rock_ridge_and_by_joliet_names() -> None:
    primary, joliet = volumes(image(volume_id="cidata", files=FILES))
    assert primary.rock_ridge == FILES
    assert {name.removesuffix(";1"): content for name, content in joliet.files.items()} == FILES


def test_only_root_may_read_the_files() -> None:
    primary, _ = volumes(image(volume_id="cidata", files=FILES))
    assert set(primary.modes.values()) == {0o100400}


def test_the_image_is_as_long_as_it_says() -> None:
    made = image(volume_id="cidata", files=FILES)
    assert [volume.block_count * SECTOR for volume in volumes(made)] == [len(made)] * 2


def test_no_date_is_taken_from_the_clock() -> None:
    for volume in volumes(image(volume_id="cidata", files=FILES)):
        created, modified, expires, effective = volume.dates
        assert created == modified == effective == b"2000010100000000\0"
        assert expires == b"0" * 16 + b"\0"


def test_the_order_of_the_files_does_not_matter() -> None:
    other_order = dict(reversed(FILES.items()))
    assert image(volume_id="cidata", files=FILES) == image(volume_id="cidata", files=other_order)


def test_two_processes_at_other_times_in_other_zones_make_the_same_bytes(tmp_path: Path) -> None:
    # Each process sees a clock of its own: every `time.time` that the writer may read is years apart.
    program = (
        "import sys, time\n"
        "shift = int(sys.argv[1]); real = time.time\n"
        "time.time = lambda: real() + shift\n"
        "from vsphere_operator.bootstrap.iso import image\n"
        "made = image(volume_id='cidata', files={'user-data': b'#!', 'meta-data': b'm'})\n"
        "open(sys.argv[2], 'wb').write(made)\n"
    )
    made = []
    for number, (zone, shift) in enumerate([("UTC", "0"), ("Asia/Kolkata", "99999999")]):
        out = tmp_path / f"{number}.iso"
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": str(number)}
        subprocess.run(
            [sys.executable, "-c", program, shift, str(out)], env=environment, check=True, timeout=60
        )
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_pycdlib_opens_what_was_changed_behind_its_back() -> None:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image(volume_id="cidata", files=FILES)))
    try:
        for name, content in FILES.items():
            read = io.BytesIO()
            iso.get_file_from_iso_fp(read, joliet_path=f"/{name}")
            assert read.getvalue() == content
    finally:
        iso.close()


@pytest.mark.skipif(shutil.which("isoinfo") is None, reason="isoinfo (Debian: genisoimage) is not installed")
def test_isoinfo_reads_it_too(tmp_path: Path) -> None:
    path = tmp_path / "seed.iso"
    path.write_bytes(image(volume_id="cidata", files=FILES))
    described = subprocess.run(["isoinfo", "-d", "-i", path], capture_output=True, text=True, check=True)
    assert "Volume id: cidata\n" in described.stdout
    assert "Joliet with UCS level 3 found" in described.stdout
    assert "Rock Ridge signatures" in described.stdout
    for names in ("-R", "-J"):
        read = subprocess.run(
            ["isoinfo", names, "-x", "/user-data", "-i", path], capture_output=True, check=True
        )
        assert read.stdout == FILES["user-data"]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=10_000), st.binary(max_size=3000))
def test_any_content_reads_back_byte_for_byte(user_data: bytes, meta_data: bytes) -> None:
    files = {"user-data": user_data, "meta-data": meta_data}
    assert files_of(image(volume_id="cidata", files=files)) == files
