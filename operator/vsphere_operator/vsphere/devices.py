"""A VM's devices as records: one decoder for the fresh look and for the copy in the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vmomi import vim


@dataclass(frozen=True, slots=True)
class Disk:
    """A virtual disk. `files` is its chain: its own file first, then what it is based on."""

    key: int
    controller_key: int
    unit_number: int
    capacity_bytes: int
    backing_uuid: str | None
    files: tuple[str, ...]
    fcd_id: str | None = None
    """Set on a first-class disk: a volume with a life of its own."""
    thin: bool | None = None
    """Whether blocks are taken as they are written; `None` where the backing does not tell."""
    device: Any = field(default=None, repr=False, compare=False)

    @property
    def file(self) -> str:
        """`[datastore] path` of the disk's own file."""
        return self.files[0] if self.files else ""


@dataclass(frozen=True, slots=True)
class Nic:
    key: int
    mac: str | None
    network: MoRef | None
    """The standard network or the distributed port group; `None` for other backings."""
    device: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CdRom:
    key: int
    controller_key: int
    iso_path: str | None
    connected: bool
    start_connected: bool = False
    """Whether the guest sees the disc when the VM is next powered on."""
    device: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Controller:
    """An IDE or SATA controller and the keys of what hangs on it."""

    key: int
    kind: str
    bus_number: int
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Floppy:
    key: int
    device: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices that matter of a VM, without what an edit would need: small enough to keep for each."""

    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    cdroms: tuple[CdRom, ...] = ()


def kept(devices: Sequence[Any]) -> Devices:
    """`config.hardware.device` -> what is kept of it in memory."""
    return Devices(
        disks=tuple(replace(disk, device=None) for disk in disks(devices)),
        nics=tuple(replace(nic, device=None) for nic in nics(devices)),
        cdroms=tuple(replace(cdrom, device=None) for cdrom in cdroms(devices)),
    )


def disks(devices: Sequence[Any]) -> tuple[Disk, ...]:
    """The disks in the order in which a BIOS would boot them: by controller, then by unit."""
    found = [_disk(d) for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]
    return tuple(sorted(found, key=lambda d: (d.controller_key, d.unit_number, d.key)))


def nics(devices: Sequence[Any]) -> tuple[Nic, ...]:
    return tuple(_nic(d) for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard))


def cdroms(devices: Sequence[Any]) -> tuple[CdRom, ...]:
    return tuple(_cdrom(d) for d in devices if isinstance(d, vim.vm.device.VirtualCdrom))


def controllers(devices: Sequence[Any]) -> tuple[Controller, ...]:
    return tuple(c for c in map(_controller, devices) if c is not None)


def floppies(devices: Sequence[Any]) -> tuple[Floppy, ...]:
    return tuple(Floppy(d.key, d) for d in devices if isinstance(d, vim.vm.device.VirtualFloppy))


def _disk(device: Any) -> Disk:
    files: list[str] = []
    backing = device.backing
    while backing is not None:
        name = getattr(backing, "fileName", None)
        if name:
            files.append(name)
        backing = getattr(backing, "parent", None)
    fcd = getattr(device, "vDiskId", None)
    return Disk(
        key=device.key,
        controller_key=device.controllerKey or 0,
        unit_number=device.unitNumber or 0,
        capacity_bytes=device.capacityInBytes or (device.capacityInKB or 0) * 1024,
        backing_uuid=getattr(device.backing, "uuid", None),
        files=tuple(files),
        fcd_id=None if fcd is None else fcd.id,
        thin=getattr(device.backing, "thinProvisioned", None),
        device=device,
    )


def _nic(device: Any) -> Nic:
    backing = device.backing
    network: MoRef | None = None
    if isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo):
        if backing.port is not None and backing.port.portgroupKey:
            # A port group's key is its managed object id.
            network = morefs.join("DistributedVirtualPortgroup", backing.port.portgroupKey)
    elif isinstance(backing, vim.vm.device.VirtualEthernetCard.NetworkBackingInfo):
        network = None if backing.network is None else morefs.of(backing.network)
    return Nic(key=device.key, mac=device.macAddress, network=network, device=device)


def _cdrom(device: Any) -> CdRom:
    iso = isinstance(device.backing, vim.vm.device.VirtualCdrom.IsoBackingInfo)
    return CdRom(
        key=device.key,
        controller_key=device.controllerKey or 0,
        iso_path=device.backing.fileName if iso else None,
        connected=bool(device.connectable is not None and device.connectable.connected),
        start_connected=bool(device.connectable is not None and device.connectable.startConnected),
        device=device,
    )


def _controller(device: Any) -> Controller | None:
    if isinstance(device, vim.vm.device.VirtualIDEController):
        kind = "ide"
    elif isinstance(device, vim.vm.device.VirtualSATAController):
        kind = "sata"
    else:
        return None
    return Controller(device.key, kind, device.busNumber, tuple(device.device or ()))
