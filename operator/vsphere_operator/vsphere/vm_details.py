"""A virtual machine read fresh in one call: what decisions about its hardware, identity and files need.

Devices keep the object that vCenter sent (`device`), because an edit has to send back what must not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsphere_operator.vsphere import devices, morefs
from vsphere_operator.vsphere.devices import CdRom, Controller, Disk, Floppy, Nic
from vsphere_operator.vsphere.morefs import MoRef

__all__ = ["GIB", "PATHS", "CdRom", "Controller", "Disk", "Floppy", "Nic", "VApp", "VAppProperty", "VmDetails",
           "decode"]  # fmt: skip

PATHS = (
    "name",
    "parent",
    "resourcePool",
    "datastore",
    "snapshot",
    "config.annotation",
    "config.changeVersion",
    "config.extraConfig",
    "config.files.vmPathName",
    "config.guestId",
    "config.hardware.device",
    "config.hardware.memoryMB",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.instanceUuid",
    "config.template",
    "config.uuid",
    "config.vAppConfig",
    "config.version",
    "runtime.connectionState",
    "runtime.host",
    "runtime.powerState",
)

_MIB = 1024 * 1024
GIB = 1024 * _MIB


@dataclass(frozen=True, slots=True)
class VAppProperty:
    key: int
    id: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class VApp:
    properties: tuple[VAppProperty, ...]
    transports: tuple[str, ...]
    """`iso`, `com.vmware.guestInfo`: how the OVF environment reaches the guest."""


@dataclass(frozen=True, slots=True)
class VmDetails:
    """One look at a VM. `config_ready` is False while it is being cloned: then nothing is decided."""

    moref: MoRef
    name: str
    config_ready: bool
    parent: MoRef | None = None
    resource_pool: MoRef | None = None
    host: MoRef | None = None
    datastores: tuple[MoRef, ...] = ()
    template: bool = False
    instance_uuid: str | None = None
    bios_uuid: str | None = None
    change_version: str | None = None
    vm_path_name: str | None = None
    annotation: str = ""
    guest_id: str = ""
    hardware_version: int = 0
    cpus: int = 0
    cores_per_socket: int = 1
    memory_mib: int = 0
    power_state: str = "poweredOff"
    """Stale unless `connection_state` is `connected`."""
    connection_state: str = "connected"
    has_snapshot: bool = False
    extra_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Without a guarantee of being free of secrets: kept out of `repr`."""
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    cdroms: tuple[CdRom, ...] = ()
    controllers: tuple[Controller, ...] = ()
    floppies: tuple[Floppy, ...] = ()
    vapp: VApp | None = None

    @property
    def directory(self) -> str | None:
        """`[datastore] directory` in which the VM really lives: not always one of its name."""
        return self.vm_path_name.rpartition("/")[0] if self.vm_path_name else None


def decode(moref: MoRef, properties: Mapping[str, Any]) -> VmDetails:
    """Turn the properties of `PATHS` into details. Unset properties are simply missing."""
    get = properties.get
    found = get("config.hardware.device") or ()
    return VmDetails(
        moref=moref,
        name=get("name") or "",
        config_ready=get("config.instanceUuid") is not None and get("config.hardware.device") is not None,
        parent=_ref(get("parent")),
        resource_pool=_ref(get("resourcePool")),
        host=_ref(get("runtime.host")),
        datastores=tuple(morefs.of(d) for d in get("datastore") or ()),
        template=bool(get("config.template")),
        instance_uuid=get("config.instanceUuid"),
        bios_uuid=get("config.uuid"),
        change_version=get("config.changeVersion"),
        vm_path_name=get("config.files.vmPathName"),
        annotation=get("config.annotation") or "",
        guest_id=get("config.guestId") or "",
        hardware_version=_hardware_version(get("config.version")),
        cpus=get("config.hardware.numCPU") or 0,
        cores_per_socket=get("config.hardware.numCoresPerSocket") or 1,
        memory_mib=get("config.hardware.memoryMB") or 0,
        power_state=str(get("runtime.powerState") or "poweredOff"),
        connection_state=str(get("runtime.connectionState") or "connected"),
        has_snapshot=get("snapshot") is not None,
        extra_config={o.key: str(o.value) for o in get("config.extraConfig") or ()},
        disks=devices.disks(found),
        nics=devices.nics(found),
        cdroms=devices.cdroms(found),
        controllers=devices.controllers(found),
        floppies=devices.floppies(found),
        vapp=_vapp(get("config.vAppConfig")),
    )


def _ref(managed_object: Any) -> MoRef | None:
    return None if managed_object is None else morefs.of(managed_object)


def _hardware_version(version: str | None) -> int:
    digits = (version or "").removeprefix("vmx-")
    return int(digits) if digits.isdigit() else 0


def _vapp(config: Any) -> VApp | None:
    if config is None:
        return None
    properties = tuple(
        VAppProperty(p.key, p.id or "", p.type or "string", p.value or p.defaultValue or "")
        for p in config.property or ()
    )
    return VApp(properties, tuple(config.ovfEnvironmentTransport or ()))
