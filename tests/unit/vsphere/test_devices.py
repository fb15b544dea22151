"""Devices as they are kept in memory: the same records as of a fresh look, without what only an edit needs."""

from __future__ import annotations

import sys
from typing import Any

from tests.unit.vsphere import templates
from vsphere_operator.vsphere import devices
from vsphere_operator.vsphere.devices import CdRom, Devices, Disk, Nic
from vsphere_operator.vsphere.vmomi import vim

GIB = 1024**3


def fifteen() -> list[Any]:
    """What a worker has: controllers, keyboard and the like, two disks, a CD, a card."""
    others = [vim.vm.device.VirtualKeyboard(key=600 + n) for n in range(9)]
    drive = templates.cdrom(iso="[LocalDS_0] w-1/seed.iso")
    drive.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=False
    )
    return [*others, templates.ide(), templates.sata(), templates.disk(2001, unit=1), templates.disk(),
            drive, templates.nic()]  # fmt: skip


def test_what_is_kept_equals_what_a_fresh_look_decodes() -> None:
    found = fifteen()
    kept = devices.kept(found)
    assert kept == Devices(devices.disks(found), devices.nics(found), devices.cdroms(found))
    assert kept.disks[0] == Disk(
        2000, 1000, 0, 10 * GIB, "disk-uuid", ("[LocalDS_0] template/2000.vmdk",), thin=True
    )
    assert kept.cdroms == (CdRom(3000, 200, "[LocalDS_0] w-1/seed.iso", False, True),)
    assert kept.nics == (Nic(4000, "00:50:56:aa:bb:cc", None),)


def test_nothing_that_vcenter_sent_is_held_in_memory() -> None:
    kept = devices.kept(fifteen())
    records: tuple[Any, ...] = (*kept.disks, *kept.nics, *kept.cdroms)
    assert len(records) == 4
    assert all(record.device is None for record in records)


def test_a_vm_with_fifteen_devices_is_kept_in_little_memory() -> None:
    seen: set[int] = set()

    def size(value: Any) -> int:
        if id(value) in seen or value is None or isinstance(value, bool | int):
            return 0
        seen.add(id(value))
        inner = (
            value
            if isinstance(value, tuple)
            else [getattr(value, n) for n in getattr(value, "__slots__", ())]
        )
        return sys.getsizeof(value) + sum(map(size, inner))

    assert size(devices.kept(fifteen())) < 1500
