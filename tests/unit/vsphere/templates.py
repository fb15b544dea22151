"""Virtual machines to build clone specs from: what vCenter would have sent, without a vCenter."""

from __future__ import annotations

from typing import Any

from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import GIB, VmDetails, decode
from vsphere_operator.vsphere.vmomi import vim

device = vim.vm.device


def disk(
    key: int = 2000, gib: int = 10, unit: int = 0, controller: int = 1000, uuid: str = "disk-uuid"
) -> Any:
    backing = device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[LocalDS_0] template/{key}.vmdk", diskMode="persistent", thinProvisioned=True, uuid=uuid
    )
    return device.VirtualDisk(
        key=key,
        controllerKey=controller,
        unitNumber=unit,
        capacityInKB=gib * GIB // 1024,
        capacityInBytes=gib * GIB,
        backing=backing,
    )


def nic(key: int = 4000) -> Any:
    backing = device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    return device.VirtualE1000(key=key, macAddress="00:50:56:aa:bb:cc", backing=backing)


def floppy(key: int = 8000) -> Any:
    return device.VirtualFloppy(key=key, backing=device.VirtualFloppy.RemoteDeviceBackingInfo(deviceName=""))


def ide(key: int = 200, bus: int = 0, holds: tuple[int, ...] = ()) -> Any:
    return device.VirtualIDEController(key=key, busNumber=bus, device=list(holds))


def sata(key: int = 15000, bus: int = 0, holds: tuple[int, ...] = ()) -> Any:
    return device.VirtualAHCIController(key=key, busNumber=bus, device=list(holds))


def cdrom(key: int = 3000, controller: int = 200, iso: str | None = None) -> Any:
    backing: Any = device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
    if iso is not None:
        backing = device.VirtualCdrom.IsoBackingInfo(fileName=iso)
    return device.VirtualCdrom(key=key, controllerKey=controller, unitNumber=0, backing=backing)


def vapp(*names: str, transports: tuple[str, ...] = ()) -> Any:
    properties = [vim.vApp.PropertyInfo(key=n, id=name, type="string") for n, name in enumerate(names)]
    return vim.vApp.VmConfigInfo(property=properties, ovfEnvironmentTransport=list(transports))


def template(*devices: Any, **properties: Any) -> VmDetails:
    """A template with these devices; further properties by their path with `__` for the dots."""
    found = {
        "name": "ubuntu-22.04",
        "config.instanceUuid": "503c1a2b-0000-4000-8000-000000000001",
        "config.uuid": "423c1a2b-0000-4000-8000-000000000001",
        "config.changeVersion": "v7",
        "config.hardware.device": list(devices),
        "config.hardware.numCPU": 2,
        "config.hardware.memoryMB": 2048,
        "config.version": "vmx-15",
        "config.template": True,
    }
    found.update({path.replace("__", "."): value for path, value in properties.items()})
    return decode(MoRef("VirtualMachine:vm-1"), found)
