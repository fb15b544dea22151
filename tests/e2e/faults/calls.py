"""The kinds of calls that the operator makes for one Machine or one Cluster, and where in its life each stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyVmomi

_pyvmomi: Any = pyVmomi
vim, vmodl = _pyvmomi.vim, _pyvmomi.vmodl

UP, DOWN = "up", "down"
BY_HOST = "an ISO by way of a host"
"""Where vCenter itself cannot write to the datastore."""
_TAGGING = "com.vmware.cis.tagging"


@dataclass(frozen=True)
class Call:
    """A kind of call; `needs` is what a life must have so that the call is made at all."""

    name: str
    method: str
    kind: str = "Machine"
    phase: str = UP
    needs: str = ""
    reads: bool = False
    """Whether it changes nothing: then it may be made again at once."""
    declared_by: tuple[Any, str] | None = None
    """Where pyVmomi declares a SOAP method, with its faults."""
    alone: str = ""
    """Lives with the same word here go one after the other: they would take each other's calls away."""
    gets_by: tuple[str, ...] = ()
    """The faults after which the operator does without it; `*`: after whatever vCenter answers."""
    falls_back: str = ""
    """What a condition says when the operator gets by without it."""

    @property
    def protocol(self) -> str:
        if self.method.startswith("com."):
            return "rest"
        if "/folder" in self.method:
            return "host" if self.needs == BY_HOST else "http"
        return "soap"

    @property
    def is_task(self) -> bool:
        return self.method.endswith("_Task")

    def declares(self, fault: str) -> bool:
        """Whether vCenter's interface lets this SOAP method fail with that fault: declared, or a RuntimeFault."""
        assert self.declared_by is not None, self.name
        owner, method = self.declared_by
        kind = _fault_type(fault)
        faults = tuple(vmodl_type(f) for f in owner._GetMethodInfo(method).faults)
        return issubclass(kind, (vmodl.RuntimeFault, *faults))


def vmodl_type(name: Any) -> Any:
    """The class of a dotted name, as `vim.fault.InvalidState`."""
    return _pyvmomi.VmomiSupport.GetVmodlType(name) if isinstance(name, str) else name


def _fault_type(name: str) -> Any:
    for package in (vim.fault, vmodl.fault, vmodl):
        found = getattr(package, name, None)
        if found is not None:
            return found
    raise AssertionError(f"pyVmomi has no fault {name}")


_READ = (vmodl.query.PropertyCollector, "RetrievePropertiesEx")
_DESTROY = (vim.ManagedEntity, "Destroy")
IN_POD = "a datastore cluster"
"""With Storage DRS."""
TAG = "a tag"
NEW_CATEGORY = "a tag in a category that nobody knows"
"""One search finds all categories that there are."""
LOST_VM = "a VM that somebody destroyed"

MACHINE_CALLS = (
    Call("clone", "CloneVM_Task", declared_by=(vim.VirtualMachine, "Clone")),
    Call(
        "ask for a datastore",
        "RecommendDatastores",
        needs=IN_POD,
        reads=True,
        declared_by=(vim.StorageResourceManager, "RecommendDatastores"),
        gets_by=("*",),
    ),
    Call(
        "clone as recommended",
        "ApplyStorageDrsRecommendation_Task",
        needs=IN_POD,
        declared_by=(vim.StorageResourceManager, "ApplyRecommendation"),
        gets_by=("NoPermission",),
    ),
    Call("read the new VM", "RetrievePropertiesEx", reads=True, declared_by=_READ),
    Call("upload the ISO", "PUT /folder", needs="an ISO"),
    Call(
        "get a ticket for a host",
        "AcquireGenericServiceTicket",
        needs=BY_HOST,
        reads=True,
        declared_by=(vim.SessionManager, "AcquireGenericServiceTicket"),
    ),
    Call("upload the ISO to a host", "PUT /folder", needs=BY_HOST),
    Call(
        "attach the ISO",
        "ReconfigVM_Task",
        needs="an ISO",
        declared_by=(vim.VirtualMachine, "Reconfigure"),
    ),
    Call("power on", "PowerOnMultiVM_Task", declared_by=(vim.Datacenter, "PowerOnVm")),
    Call("list categories", f"{_TAGGING}.category.list", needs=NEW_CATEGORY, reads=True, alone=NEW_CATEGORY),
    Call("read a category", f"{_TAGGING}.category.get", needs=NEW_CATEGORY, reads=True, alone=NEW_CATEGORY),
    Call("list tags", f"{_TAGGING}.tag.list_tags_for_category", needs=TAG, reads=True),
    Call("read a tag", f"{_TAGGING}.tag.get", needs=TAG, reads=True),
    Call("tag the VM", f"{_TAGGING}.tag_association.attach_multiple_tags_to_object", needs=TAG),
    Call("read the VM to delete", "RetrievePropertiesEx", phase=DOWN, reads=True, declared_by=_READ),
    Call("power off", "PowerOffVM_Task", phase=DOWN, declared_by=(vim.VirtualMachine, "PowerOff")),
    Call(
        "detach a disk",
        "ReconfigVM_Task",
        phase=DOWN,
        needs="a foreign disk",
        declared_by=(vim.VirtualMachine, "Reconfigure"),
    ),
    Call(
        "delete the ISO",
        "DeleteDatastoreFile_Task",
        phase=DOWN,
        needs="an ISO",
        declared_by=(vim.FileManager, "DeleteFile"),
    ),
    Call("destroy the VM", "Destroy_Task", phase=DOWN, declared_by=_DESTROY),
    Call(
        "search for a lost VM",
        "FindAllByUuid",
        phase=DOWN,
        needs=LOST_VM,
        alone=LOST_VM,
        reads=True,
        declared_by=(vim.SearchIndex, "FindAllByUuid"),
    ),
)
_WITHOUT_NAME = "keeps its working name"
CLUSTER_CALLS = tuple(
    Call(
        name,
        method,
        kind="Cluster",
        phase=phase,
        reads=reads,
        declared_by=declared,
        falls_back=_WITHOUT_NAME if method == "Rename_Task" else "",
    )
    for name, method, phase, reads, declared in (
        ("create the folder", "CreateFolder", UP, False, (vim.Folder, "CreateFolder")),
        ("name the folder", "Rename_Task", UP, False, (vim.ManagedEntity, "Rename")),
        ("look for the category", f"{_TAGGING}.category.list", UP, True, None),
        ("create the category", f"{_TAGGING}.category.create", UP, False, None),
        ("create a tag", f"{_TAGGING}.tag.create", UP, False, None),
        ("tag the folder", f"{_TAGGING}.tag_association.attach_multiple_tags_to_object", UP, False, None),
        ("look into the folder", "RetrievePropertiesEx", DOWN, True, _READ),
        ("destroy the folder", "Destroy_Task", DOWN, False, _DESTROY),
        ("read a tag to delete", f"{_TAGGING}.tag.get", DOWN, True, None),
        (
            "see who uses a tag",
            f"{_TAGGING}.tag_association.list_attached_objects_on_tags",
            DOWN,
            True,
            None,
        ),
        ("delete a tag", f"{_TAGGING}.tag.delete", DOWN, False, None),
        ("read a category to delete", f"{_TAGGING}.category.get", DOWN, True, None),
        ("see what is in a category", f"{_TAGGING}.tag.list_tags_for_category", DOWN, True, None),
        ("delete a category", f"{_TAGGING}.category.delete", DOWN, False, None),
    )
)
CALLS = MACHINE_CALLS + CLUSTER_CALLS

AT_MOST = (
    (("CloneVM_Task", "ApplyStorageDrsRecommendation_Task"), 1),
    (("PowerOnMultiVM_Task", "PowerOnVM_Task"), 1),
    (("PowerOffVM_Task",), 1),
    (("ReconfigVM_Task",), 1),
    (("Destroy_Task",), 1),
    (("CreateFolder",), 1),
    (("Rename_Task",), 1),
    ((f"{_TAGGING}.category.create",), 2),
    ((f"{_TAGGING}.tag.create",), 2),
    ((f"{_TAGGING}.tag.delete",), 2),
    ((f"{_TAGGING}.category.delete",), 2),
)
"""How often these may be carried out in one phase of a life. What is not here may be done twice
without harm: uploading a file again, deleting one that is gone, attaching what is attached."""
