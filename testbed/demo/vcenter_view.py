"""What is in vCenter now that was not there when the demo began: folders, tags, VMs, images, space, calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from testbed.demo.vcenter_client import LIVE, Found, Reader, moref

IMAGE = "cloud-init.iso"
IGNITION = "guestinfo.ignition.config.data"


@dataclass(frozen=True)
class Vm:
    """A virtual machine. `image` is the file that its CD-ROM drive holds, as `[datastore] path`."""

    moref: str
    name: str
    folder: str
    power: str = ""
    address: str = ""
    cpus: int = 0
    memory_mb: int = 0
    directory: str = ""
    image: str = ""
    has_ignition: bool = False
    tags: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether it is powered on."""
        return self.power == "poweredOn"


@dataclass(frozen=True)
class Folder:
    """A VM folder, by its full inventory path."""

    moref: str
    path: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Datastore:
    """A datastore; sizes in bytes."""

    name: str
    free: int
    capacity: int


@dataclass(frozen=True)
class VCenterView:
    """One look at vCenter. `images` are the cloud-init.iso files as `[datastore] path`."""

    folders: tuple[Folder, ...] = ()
    vms: tuple[Vm, ...] = ()
    datastores: tuple[Datastore, ...] = ()
    images: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    calls: int = 0
    tasks: int = 0

    def vms_of(self, prefix: str) -> tuple[Vm, ...]:
        """Return the VMs whose names start with a MachineDeployment's."""
        return tuple(vm for vm in self.vms if vm.name.startswith(f"{prefix}-"))


@dataclass
class CallCounter:
    """Counts one user's calls and tasks, reading only the new part of the log each time."""

    user: str
    calls: int = 0
    tasks: int = 0
    _seen: int = field(default=0, repr=False)

    def add(self, log: Iterable[Mapping[str, Any]]) -> None:
        """Count the calls of a further part of the log."""
        for call in log:
            self._seen = max(self._seen, call["sequence"])
            if call.get("user") == self.user:
                self.calls += 1
                self.tasks += call["method"].endswith("_Task")

    @property
    def path(self) -> str:
        """Where the control API shows what has not been counted."""
        return f"/calls?since={self._seen}"


def look(reader: Reader, counter: CallCounter, known: frozenset[str]) -> VCenterView:
    """Read everything that is not in `known`, the MoRefs of before.

    Raises one of `vcenter_client.ERRORS`.
    """
    found = reader.read(LIVE)
    new = [
        f.moref for f in found if f.moref not in known and f.moref.startswith(("Folder:", "VirtualMachine:"))
    ]
    tags = reader.tags(new) if new else {}
    counter.add(reader.control(counter.path))
    state = reader.control("/state")
    return VCenterView(
        folders=tuple(_folders(found, known, tags)),
        vms=tuple(_vms(found, known, tags, with_ignition(state))),
        datastores=tuple(_datastores(found)),
        images=images(state["files"]),
        running=reader.running_tasks(),
        calls=counter.calls,
        tasks=counter.tasks,
    )


def images(files: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the cloud-init.iso files among the datastores' files."""
    return tuple(
        sorted(f"[{ds}] {f}" for ds, paths in files.items() for f in paths if f.endswith(f"/{IMAGE}"))
    )


def with_ignition(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the MoRefs of the VMs that have an Ignition configuration, by the double's GET /state."""
    return frozenset(vm["object"] for vm in state["virtualMachines"] if vm["extraConfig"].get(IGNITION))


def paths(found: Iterable[Found]) -> dict[str, str]:
    """Return the inventory path of each folder and VM by its MoRef."""
    parts = {f.moref: f for f in found if "name" in f.values}

    def path(at: str) -> str:
        entity = parts.get(at)
        if entity is None:
            return ""
        parent = entity.values.get("parent")
        above = path(moref(parent)) if parent is not None else ""
        return f"{above}/{entity.values['name']}"

    return {at: path(at) for at in parts}


def _folders(
    found: Iterable[Found], known: frozenset[str], tags: Mapping[str, tuple[str, ...]]
) -> Iterable[Folder]:
    everything = list(found)
    where = paths(everything)
    new = [f for f in everything if f.moref.startswith("Folder:") and f.moref not in known]
    return sorted((Folder(f.moref, where[f.moref], tags.get(f.moref, ())) for f in new), key=lambda f: f.path)


def _vms(
    found: Iterable[Found],
    known: frozenset[str],
    tags: Mapping[str, tuple[str, ...]],
    ignited: frozenset[str],
) -> Iterable[Vm]:
    everything = list(found)
    where = paths(everything)
    new = [f for f in everything if f.moref.startswith("VirtualMachine:") and f.moref not in known]
    return sorted(
        (_vm(f, where, tags.get(f.moref, ()), ignited=f.moref in ignited) for f in new),
        key=lambda vm: vm.name,
    )


def _vm(found: Found, where: Mapping[str, str], tags: tuple[str, ...], *, ignited: bool) -> Vm:
    values = found.values
    parent = values.get("parent")
    return Vm(
        moref=found.moref,
        name=values.get("name", ""),
        folder=where.get(moref(parent), "") if parent is not None else "",
        power=str(values.get("runtime.powerState", "")),
        address=values.get("guest.ipAddress") or "",
        cpus=values.get("config.hardware.numCPU", 0),
        memory_mb=values.get("config.hardware.memoryMB", 0),
        directory=values.get("config.files.vmPathName", "").rpartition("/")[0],
        image=_image(values.get("config.hardware.device", ())),
        has_ignition=ignited,
        tags=tags,
    )


def _image(devices: Iterable[Any]) -> str:
    for device in devices:
        backing = getattr(device, "backing", None)
        if isinstance(device, vim.vm.device.VirtualCdrom) and isinstance(
            backing, vim.vm.device.VirtualCdrom.IsoBackingInfo
        ):
            return str(backing.fileName)
    return ""


def _datastores(found: Iterable[Found]) -> Iterable[Datastore]:
    return sorted(
        (
            Datastore(f.values["name"], f.values["summary.freeSpace"], f.values["summary.capacity"])
            for f in found
            if f.moref.startswith("Datastore:")
        ),
        key=lambda datastore: datastore.name,
    )
