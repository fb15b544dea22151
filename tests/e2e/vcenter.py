"""vCenter as its administrator sees it: plain pyVmomi, the official Automation SDK, and the double's control API."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pyVim.connect
import pyVim.task
import pyVmomi
import requests
from com.vmware.cis.tagging_client import Category, CategoryModel, Tag
from com.vmware.vapi.std.errors_client import NotFound
from com.vmware.vapi.std_client import DynamicID
from vmware.vapi.vsphere.client import create_vsphere_client

from testbed import VCenter

_module: Any = pyVmomi
vim: Any = _module.vim
pbm: Any = _module.pbm
_request_context: Any = _module.VmomiSupport.GetRequestContext
_connect: Any = pyVim.connect
_task: Any = pyVim.task

Vm = Any
Folder = Any


class Administrator:
    """A person with all rights and a client of their own."""

    not_found: Any = pyVmomi.vmodl.fault.ManagedObjectNotFound

    def __init__(self, double: VCenter) -> None:
        self.double = double
        self._http = requests.Session()
        self._http.trust_env = False  # else the environment's bundle replaces ours
        self._http.verify = str(double.ca_file)
        self.log_in()

    def log_in(self) -> None:
        """Begin new sessions: needed after a restart of vCenter, and when sessions end while idle."""
        double = self.double
        host, port = double.address
        trust = ssl.create_default_context(cafile=str(double.ca_file))
        self._instance = _connect.SmartConnect(
            host=host, port=port, user=double.username, pwd=double.password, sslContext=trust
        )
        self._automation = create_vsphere_client(
            f"{host}:{port}", username=double.username, password=double.password, session=self._http
        )
        self.tags = Tags(self._automation)

    def can_log_in(self) -> bool:
        """Begin new sessions; false while vCenter takes nobody. pyVmomi raises all kinds of things then."""
        with contextlib.suppress(Exception):
            self.log_in()
            return True
        return False

    def close(self) -> None:
        _connect.Disconnect(self._instance)

    @contextlib.contextmanager
    def policy_service(self) -> Iterator[Any]:
        """The content of the storage policy service, as pyVmomi's samples reach it: the header is the thread's."""
        host, port = self.double.address
        trust = ssl.create_default_context(cafile=str(self.double.ca_file))
        stub = _module.SoapStubAdapter(
            host=host, port=port, path="/pbm/sdk", version="pbm.version.version2", sslContext=trust
        )
        session = self._instance._stub.cookie.partition(";")[0].partition("=")[2].strip('"')
        _request_context()["vcSessionCookie"] = session
        try:
            yield pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        finally:
            _request_context().pop("vcSessionCookie", None)

    def policies_of(self, vm: Vm) -> set[str]:
        """The names of the policies of a VM's home and of its disks; "" for those that have none."""
        keys = [("virtualMachine", vm._moId), *(("virtualDiskId", f"{vm._moId}:{d.key}") for d in disks(vm))]
        references = [pbm.ServerObjectRef(objectType=kind, key=key) for kind, key in keys]
        with self.policy_service() as service:
            found = service.profileManager.QueryAssociatedProfiles(entities=references)
            ids = [p for one in found for p in one.profileId]
            named = service.profileManager.RetrieveContent(profileIds=ids) if ids else []
        return {p.name for p in named} | {"" for one in found if not one.profileId}

    def find(self, path: str) -> Any:
        """The inventory object at a full path, None when there is none."""
        return self._instance.content.searchIndex.FindByInventoryPath(path.strip("/"))

    def names_in(self, folder: str) -> list[str]:
        return [child.name for child in self.find(folder).childEntity]

    def vms_in(self, folder: str) -> list[Vm]:
        """The VMs right in a folder; none when there is no such folder."""
        found = self.find(folder)
        return (
            [child for child in found.childEntity if isinstance(child, vim.VirtualMachine)] if found else []
        )

    def make_folder(self, path: str) -> Folder:
        where = PurePosixPath(path)
        return self.find(str(where.parent)).CreateFolder(where.name)

    def make_vm(self, name: str, folder: str, *, on: bool = False) -> Vm:
        """A small VM of somebody else's, without a disk and without bootstrap data."""
        vm = self.clone(self.find("/DC0/vm/no-disk"), name, folder)
        if on:
            self.wait(vm.PowerOnVM_Task())
        return vm

    def clone(self, vm: Vm, name: str, folder: str) -> Vm:
        """A copy with everything that a person's copy has, powered off."""
        pool = self.find("/DC0/host/DC0_C0").resourcePool
        spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=pool), powerOn=False, template=False)
        return self.wait(vm.CloneVM_Task(self.find(folder), name, spec))

    def make_portgroup(self, name: str) -> Any:
        """A port group of the distributed switch that all hosts have."""
        switch = self.find("/DC0/network/DVS0")
        spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name=name, numPorts=8, type="earlyBinding")
        self.wait(switch.AddDVPortgroup_Task([spec]))
        return self.find(f"/DC0/network/{name}")

    def make_pool(self, name: str, parent: Any) -> Any:
        """A resource pool without limits."""
        allocation = vim.ResourceAllocationInfo(
            reservation=0,
            expandableReservation=True,
            limit=-1,
            shares=vim.SharesInfo(level="normal", shares=0),
        )
        return parent.CreateResourcePool(
            name, vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)
        )

    def destroy(self, entity: Any) -> None:
        if isinstance(entity, vim.VirtualMachine) and entity.runtime.powerState != "poweredOff":
            self.wait(entity.PowerOffVM_Task())
        self.wait(entity.Destroy_Task())

    def rename(self, entity: Any, name: str) -> None:
        self.wait(entity.Rename_Task(name))

    def move(self, entity: Any, folder: str) -> None:
        self.wait(self.find(folder).MoveIntoFolder_Task([entity]))

    def add_disk(self, vm: Vm, file: str, size_mib: int) -> None:
        """Attach a new disk, as a CSI driver or a person does; `file` is a datastore path."""
        controller = next(
            d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualSCSIController)
        )
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=file, diskMode="independent_persistent", thinProvisioned=True
        )
        disk = vim.vm.device.VirtualDisk(
            backing=backing, controllerKey=controller.key, unitNumber=5, key=-1, capacityInKB=size_mib * 1024
        )
        change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
        self.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    def wait(self, task: Any) -> Any:
        """What the task made; raises its fault."""
        _task.WaitForTask(task, si=self._instance)
        return task.info.result

    def download(self, datastore_path: str) -> bytes | None:
        """A file's bytes by `[datastore] path`, None when there is none."""
        datastore, _, path = datastore_path.removeprefix("[").partition("] ")
        cookie = self._instance._stub.cookie.split(";")[0]
        response = self._http.get(
            f"{self.double.url}/folder/{path}",
            params={"dcPath": "DC0", "dsName": datastore},
            headers={"Cookie": cookie},
            timeout=30,
        )
        if response.status_code == 404:
            return None
        response.raise_for_status()
        return response.content

    def remove_directory(self, datastore_path: str) -> None:
        """Delete a directory that must be empty; AssertionError when it is not."""
        datastore, _, path = datastore_path.removeprefix("[").partition("] ")
        files = self.double.control("/state")["files"][datastore]
        assert [file for file in files if file.startswith(f"{path}/")] == [f"{path}/"]
        self.delete_files(datastore_path)

    def delete_files(self, datastore_path: str) -> None:
        """Delete a file, or a directory with all that is in it."""
        manager = self._instance.content.fileManager
        self.wait(manager.DeleteDatastoreFile_Task(datastore_path, self.find("/DC0")))

    def delete_disk(self, datastore_path: str) -> None:
        manager = self._instance.content.virtualDiskManager
        self.wait(manager.DeleteVirtualDisk_Task(datastore_path, self.find("/DC0")))

    def state(self) -> dict[str, Any]:
        """All that a client could leave behind, without what comes and goes by itself."""
        state = dict(self.double.control("/state"))
        state.pop("sessions")
        return state

    def end_sessions(self, user: str) -> None:
        """End a user's SOAP sessions, as an administrator does in the client."""
        manager = self._instance.content.sessionManager
        ended = [session.key for session in manager.sessionList if session.userName == user]
        manager.TerminateSession(ended)

    def all_sessions(self) -> dict[str, list[str]]:
        """The users of the open sessions, by protocol."""
        return dict(self.double.control("/state")["sessions"])

    def sessions(self, user: str) -> dict[str, int]:
        """How many open sessions a user has, by protocol."""
        return {protocol: names.count(user) for protocol, names in self.all_sessions().items()}


class Tags:
    """Tags and categories by name."""

    def __init__(self, automation: Any) -> None:
        self._tagging = automation.tagging

    def make_category(self, name: str, description: str = "somebody's") -> str:
        spec = Category.CreateSpec(
            name=name,
            description=description,
            cardinality=CategoryModel.Cardinality.MULTIPLE,
            associable_types=set(),
        )
        return str(self._tagging.Category.create(spec))

    def make(self, name: str, category_id: str, description: str = "somebody's") -> str:
        spec = Tag.CreateSpec(name=name, description=description, category_id=category_id)
        return str(self._tagging.Tag.create(spec))

    def attach(self, tag_id: str, entity: Any) -> None:
        self._tagging.TagAssociation.attach(tag_id, _dynamic_id(entity))

    def detach(self, tag_id: str, entity: Any) -> None:
        self._tagging.TagAssociation.detach(tag_id, _dynamic_id(entity))

    def on(self, entity: Any) -> set[str]:
        """The names of the tags on an object."""
        ids = self._tagging.TagAssociation.list_attached_tags(_dynamic_id(entity))
        return {self._tagging.Tag.get(tag_id).name for tag_id in ids}

    def all(self) -> dict[tuple[str, str], Any]:
        """(category's name, tag's name) -> tag."""
        tags = _still_there(self._tagging.Tag.get, self._tagging.Tag.list())
        names = {category.id: name for name, category in self.categories().items()}
        return {(names[tag.category_id], tag.name): tag for tag in tags if tag.category_id in names}

    def categories(self) -> dict[str, Any]:
        found = _still_there(self._tagging.Category.get, self._tagging.Category.list())
        return {category.name: category for category in found}

    def delete(self, tag_ids: Iterable[str] = (), category_ids: Iterable[str] = ()) -> None:
        for tag_id in tag_ids:
            self._tagging.Tag.delete(tag_id)
        for category_id in category_ids:
            self._tagging.Category.delete(category_id)


def _still_there(get: Callable[[str], Any], ids: Iterable[str]) -> Iterator[Any]:
    """Each of them that was not deleted since it was listed."""
    for id_ in ids:
        with contextlib.suppress(NotFound):
            yield get(id_)


def _dynamic_id(entity: Any) -> Any:
    return DynamicID(type=type(entity).__name__.rpartition(".")[2], id=entity._moId)


def extra_config(vm: Vm) -> dict[str, str]:
    return {option.key: option.value for option in vm.config.extraConfig}


def disks(vm: Vm) -> list[Any]:
    return [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


def nic_networks(vm: Vm) -> list[str]:
    """The names of the networks of the NICs, in order."""
    cards = [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard)]
    return [card.backing.network.name if card.backing.network else card.backing.deviceName for card in cards]


def iso_paths(vm: Vm) -> list[str]:
    backings = [d.backing for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom)]
    return [b.fileName for b in backings if isinstance(b, vim.vm.device.VirtualCdrom.IsoBackingInfo)]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What two states have not in common, a line each: `+ new thing`, `- lost thing`."""
    old, new = set(_lines("", before)), set(_lines("", after))
    return [*(f"- {line}" for line in sorted(old - new)), *(f"+ {line}" for line in sorted(new - old))]


def _lines(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lines(f"{where}/{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            name = inner.get("id") or inner.get("object") if isinstance(inner, Mapping) else None
            yield from _lines(f"{where}/{name or '*'}", inner)
    else:
        yield f"{where}: {value}"
