"""One clone with everything in its spec: hardware, disk, NICs, identity, boot data. Pure.

Nothing is left to a second task, so that a crash in between can leave no half-made virtual machine behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.faults import invalid
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import GIB, Controller, Disk, VmDetails
from vsphere_operator.vsphere.vmomi import vim

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*")
GUESTINFO_LIMIT = 64 * 1024
"""Bytes of a guestinfo value that reach the guest; longer ones are cut off silently."""
VMX_LIMIT = 1024 * 1024 - 64 * 1024
"""Bytes that all extraConfig together may have: a VMX file ends at about 1 MiB and has other lines, too."""
_FULL_COPY = vim.vm.RelocateSpec.DiskMoveOptions.moveAllDiskBackingsAndDisallowSharing
_IDE_SLOTS, _SATA_SLOTS = 2, 30
_SATA_HARDWARE_VERSION = 10


@dataclass(frozen=True, slots=True)
class NetworkRef:
    """A network as a NIC has to name it, depending on its kind.

    Standard: `name`. Distributed: `portgroup_key` and `switch_uuid`. NSX opaque: `opaque_id` and
    `opaque_type`.
    """

    moref: MoRef
    name: str
    portgroup_key: str | None = None
    switch_uuid: str | None = None
    opaque_id: str | None = None
    opaque_type: str | None = None


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """A virtual machine to be made. Sizes: MiB of memory, GiB of system disk (`None`: the template's)."""

    template: MoRef
    folder: MoRef
    name: str
    pool: MoRef
    datastore: MoRef | None
    """`None` while nobody has chosen; a clone needs one, a question to Storage DRS does not."""
    cpus: int
    memory_mib: int
    disk_gib: int | None
    networks: tuple[NetworkRef, ...] | None
    """A NIC each, in order, in place of the template's; `None` keeps those."""
    instance_uuid: str
    template_details: VmDetails = field(repr=False)
    first_mac: str | None = None
    """The MAC of the first NIC, from 00:50:56:00:00:00 to 3f:ff:ff; `None`: vCenter draws one, as for all others."""
    extra_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Ownership marks and guestinfo; may hold bootstrap secrets, so it shows in no repr."""
    annotation: str = ""
    disk_uuid_enabled: bool = True
    """CSI finds its volumes in the guest by the disks' UUIDs."""
    vapp_properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs_cdrom: bool = False
    storage_policy: str | None = None
    """The id of the policy for the VM's home and its disks; `None`: the datastore's default."""
    unfit_datastores: frozenset[MoRef] = frozenset()
    """Those that cannot serve the policy; whoever chooses a datastore leaves them out."""


def build(request: CloneRequest, stub: Any = None, *, placed: bool = True) -> Any:
    """The `VirtualMachineCloneSpec`; a terminal `VSphereError` when the template does not fit.

    Unless `placed`, it names no datastore: then Storage DRS chooses.
    """
    details = request.template_details
    if not details.config_ready:
        raise invalid(
            "TemplateNotReady", f"The template {details.name} has no configuration yet: it is being made."
        )
    return vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(
            datastore=_datastore(request, stub) if placed else None,
            pool=vim.ResourcePool(morefs.id_of(request.pool), stub),
            diskMoveType=_FULL_COPY,
            profile=_profiles(request),
            disk=_disk_locators(request, stub) if placed else [],
        ),
        config=_config(request, details, stub),
        # Power-on inside the clone would bypass DRS, in a task that nobody sees.
        powerOn=False,
        template=False,
    )


def _profiles(request: CloneRequest) -> list[Any]:
    if request.storage_policy is None:
        return []
    return [vim.vm.DefinedProfileSpec(profileId=request.storage_policy)]


def _disk_locators(request: CloneRequest, stub: Any) -> list[Any]:
    """The profile of a relocation is that of the VM's home only (API reference): each disk needs it, too."""
    if request.storage_policy is None:
        return []
    return [
        vim.vm.RelocateSpec.DiskLocator(
            diskId=disk.key,
            datastore=_datastore(request, stub),
            diskMoveType=_FULL_COPY,
            profile=_profiles(request),
        )
        for disk in request.template_details.disks
    ]


def _datastore(request: CloneRequest, stub: Any) -> Any:
    if request.datastore is None:
        raise invalid("DatastoreMissing", f"No datastore has been chosen for {request.name}.")
    return vim.Datastore(morefs.id_of(request.datastore), stub)


def _config(request: CloneRequest, details: VmDetails, stub: Any) -> Any:
    config = vim.vm.ConfigSpec(
        instanceUuid=request.instance_uuid,
        numCPUs=request.cpus,
        memoryMB=request.memory_mib,
        annotation=request.annotation or None,
        deviceChange=[
            *_disk_changes(request, details),
            *_floppy_changes(details),
            *_nic_changes(request, details, stub),
            *(cdrom_changes(details) if request.needs_cdrom else ()),
        ],
        extraConfig=_extra_config(request),
    )
    if details.cores_per_socket > 1 and request.cpus % details.cores_per_socket:
        # vCenter refuses a number of CPUs that does not fill the template's sockets.
        config.numCoresPerSocket = 1
    if request.disk_uuid_enabled:
        config.flags = vim.vm.FlagInfo(diskUuidEnabled=True)
    vapp = _vapp_config(request, details)
    if vapp is not None:
        config.vAppConfig = vapp
    return config


def _disk_changes(request: CloneRequest, details: VmDetails) -> list[Any]:
    if not details.disks:
        raise invalid(
            "TemplateWithoutDisk", f"The template {details.name} has no disk to boot from. Use another one."
        )
    if request.disk_gib is None:
        return []
    system = details.disks[0]
    wanted = request.disk_gib * GIB
    if wanted == system.capacity_bytes:
        return []
    if wanted < system.capacity_bytes:
        has = -(-system.capacity_bytes // GIB)
        raise invalid(
            "DiskTooSmall",
            f"The template {details.name} has a system disk of {has} GiB, and a disk cannot shrink: ask for"
            " at least"
            f" {has} GiB instead of {request.disk_gib}.",
        )
    return [_device_change("edit", grown(system, wanted))]


def grown(disk: Disk, capacity_bytes: int) -> Any:
    """The disk's device with a new size, naming its own backing so that nothing else about it changes."""
    return vim.vm.device.VirtualDisk(
        key=disk.key,
        controllerKey=disk.controller_key,
        unitNumber=disk.unit_number,
        backing=disk.device.backing,
        capacityInKB=capacity_bytes // 1024,
        capacityInBytes=capacity_bytes,
    )


def _floppy_changes(details: VmDetails) -> list[Any]:
    return [_device_change("remove", floppy.device) for floppy in details.floppies]


def _nic_changes(request: CloneRequest, details: VmDetails, stub: Any) -> list[Any]:
    if request.networks is None:
        return _first_nic_change(request.first_mac, details) if request.first_mac else []
    if not request.networks:
        raise invalid("NoNetwork", f"No network is given for {request.name}: name at least one.")
    changes = [_device_change("remove", nic.device) for nic in details.nics]
    for index, network in enumerate(request.networks):
        nic = vim.vm.device.VirtualVmxnet3(
            key=-(100 + index),
            **_mac_address(request.first_mac if index == 0 else None),
            wakeOnLanEnabled=True,
            backing=_nic_backing(network, stub),
            connectable=vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=True, allowGuestControl=True, connected=False
            ),
        )
        changes.append(_device_change("add", nic))
    return changes


def _mac_address(mac: str | None) -> dict[str, str]:
    return {"addressType": "manual", "macAddress": mac} if mac else {"addressType": "generated"}


def _first_nic_change(mac: str, details: VmDetails) -> list[Any]:
    """The template's first NIC as it is, but for its MAC."""
    nic = min(details.nics, key=lambda nic: nic.key, default=None)
    if nic is None or nic.device is None:
        return []
    edited = type(nic.device)(
        key=nic.key,
        controllerKey=nic.device.controllerKey,
        unitNumber=nic.device.unitNumber,
        backing=_same_network(nic.device.backing),
        connectable=nic.device.connectable,
        wakeOnLanEnabled=nic.device.wakeOnLanEnabled,
        **_mac_address(mac),
    )
    return [_device_change("edit", edited)]


def _same_network(backing: Any) -> Any:
    """Of a distributed switch the port group alone: the port itself is the template's."""
    card = vim.vm.device.VirtualEthernetCard
    if not isinstance(backing, card.DistributedVirtualPortBackingInfo):
        return backing
    port = vim.dvs.PortConnection(portgroupKey=backing.port.portgroupKey, switchUuid=backing.port.switchUuid)
    return card.DistributedVirtualPortBackingInfo(port=port)


def _nic_backing(network: NetworkRef, stub: Any) -> Any:
    card = vim.vm.device.VirtualEthernetCard
    if network.portgroup_key is not None:
        if network.switch_uuid is None:
            raise invalid(
                "SwitchUnknown",
                f"The distributed switch of network {network.name} cannot be read: the vCenter user needs"
                " read access.",
            )
        port = vim.dvs.PortConnection(portgroupKey=network.portgroup_key, switchUuid=network.switch_uuid)
        return card.DistributedVirtualPortBackingInfo(port=port)
    if network.opaque_id is not None:
        return card.OpaqueNetworkBackingInfo(
            opaqueNetworkId=network.opaque_id, opaqueNetworkType=network.opaque_type or "nsx.LogicalSwitch"
        )
    return card.NetworkBackingInfo(
        deviceName=network.name, network=vim.Network(morefs.id_of(network.moref), stub)
    )


def cdrom_changes(details: VmDetails) -> list[Any]:
    """What adds an empty CD-ROM drive, and a controller if no slot is free; nothing if there is one."""
    if details.cdroms:
        return []
    free = _free_controller(details.controllers)
    if free is not None:
        return [_device_change("add", _cdrom(free.key))]
    if details.hardware_version >= _SATA_HARDWARE_VERSION:
        buses = [c.bus_number for c in details.controllers if c.kind == "sata"]
        controller = vim.vm.device.VirtualAHCIController(key=-200, busNumber=_first_free(buses))
    else:
        buses = [c.bus_number for c in details.controllers if c.kind == "ide"]
        controller = vim.vm.device.VirtualIDEController(key=-200, busNumber=_first_free(buses))
    return [_device_change("add", controller), _device_change("add", _cdrom(controller.key))]


def _first_free(taken: list[int]) -> int:
    return next(n for n in range(len(taken) + 1) if n not in taken)


def _free_controller(controllers: tuple[Controller, ...]) -> Controller | None:
    slots = {"ide": _IDE_SLOTS, "sata": _SATA_SLOTS}
    for kind in ("ide", "sata"):
        for controller in controllers:
            if controller.kind == kind and len(controller.devices) < slots[kind]:
                return controller
    return None


def _cdrom(controller_key: int) -> Any:
    return vim.vm.device.VirtualCdrom(
        key=-201,
        controllerKey=controller_key,
        backing=empty_drive(),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=False, allowGuestControl=True, connected=False
        ),
    )


def empty_drive() -> Any:
    return vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)


def _extra_config(request: CloneRequest) -> list[Any]:
    options = dict(request.extra_config)
    if request.needs_cdrom:
        # Else ejecting a mounted ISO asks a question, and the VM stands still until somebody answers.
        options.setdefault("cdrom.showIsoLockWarning", "FALSE")
    check_extra_config(options)
    return [vim.option.OptionValue(key=key, value=value) for key, value in sorted(options.items())]


def check_extra_config(options: Mapping[str, str]) -> None:
    """Refuse what vCenter would cut off or drop without a word. No value is quoted: they may be secret."""
    for key, value in options.items():
        if not _KEY.fullmatch(key):
            raise invalid(
                "InvalidExtraConfigKey",
                f"The extraConfig key {key!r} may hold letters, digits, . and - only.",
            )
        if key.startswith("guestinfo.") and len(value.encode()) > GUESTINFO_LIMIT:
            raise invalid(
                "BootstrapDataTooLarge",
                f"{key} is larger than the {GUESTINFO_LIMIT // 1024} KiB that guestinfo carries. Deliver it"
                " as an ISO, or"
                " make it smaller.",
            )
    if sum(len(k) + len(v.encode()) for k, v in options.items()) > VMX_LIMIT:
        raise invalid(
            "BootstrapDataTooLarge", "The boot data is larger than a VMX file may be. Deliver it as an ISO."
        )


def _vapp_config(request: CloneRequest, details: VmDetails) -> Any:
    vapp = details.vapp
    if vapp is None:
        if request.vapp_properties:
            raise invalid(
                "TemplateWithoutVAppProperties",
                f"The template {details.name} has no vApp properties, and its boot data needs"
                f" {', '.join(sorted(request.vapp_properties))}. Use a template made from the"
                " distribution's OVA.",
            )
        return None
    known = {p.id: p for p in vapp.properties}
    missing = sorted(set(request.vapp_properties) - set(known))
    if missing:
        raise invalid(
            "TemplateWithoutVAppProperties",
            f"The template {details.name} lacks the vApp properties {', '.join(missing)}. Use one made from"
            " the"
            " distribution's OVA.",
        )
    spec = vim.vApp.VmConfigSpec(
        property=[
            vim.vApp.PropertySpec(
                operation="edit",
                info=vim.vApp.PropertyInfo(
                    key=known[name].key, id=name, type=known[name].type, userConfigurable=True, value=value
                ),
            )
            for name, value in sorted(request.vapp_properties.items())
        ]
    )
    if "iso" in vapp.transports:
        # The OVF environment's own ISO would take the CD-ROM drive. A list with one empty string clears (API
        # reference).
        spec.ovfEnvironmentTransport = ["com.vmware.guestInfo"] if request.vapp_properties else [""]
    elif not request.vapp_properties:
        return None
    return spec


def _device_change(operation: str, device: Any) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)


def detach(disks: tuple[Disk, ...], change_version: str | None) -> Any:
    """A reconfigure that takes disks off a VM and keeps their files, unless the VM changed since."""
    return vim.vm.ConfigSpec(
        changeVersion=change_version,
        # No fileOperation: with `destroy` the file would go as well.
        deviceChange=[_device_change("remove", disk.device) for disk in disks],
    )


def insert_iso(details: VmDetails, iso_path: str) -> Any:
    """A reconfigure that puts an ISO (`[datastore] dir/file.iso`) into the first CD-ROM drive."""
    if not details.cdroms:
        raise invalid("NoCdRom", f"{details.name} has no CD-ROM drive for its boot data.")
    drive = details.cdroms[0]
    device = vim.vm.device.VirtualCdrom(
        key=drive.key,
        controllerKey=drive.controller_key,
        unitNumber=drive.device.unitNumber if drive.device is not None else None,
        backing=vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=iso_path),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True,
            allowGuestControl=True,
            connected=details.power_state == "poweredOn",
        ),
    )
    return vim.vm.ConfigSpec(
        changeVersion=details.change_version, deviceChange=[_device_change("edit", device)]
    )
