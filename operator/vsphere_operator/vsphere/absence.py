"""The proof that a VM is gone: by its MoRef, by its UUID, and with read rights where it would have to be.

One sign alone proves nothing: what we may not read is not found by a search, a host that is added again brings its VMs
with new MoRefs, and a restored vCenter gives old MoRefs out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.faults import from_vim
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vmomi import vim, vmodl

_VIEW_ONLY = frozenset({-3, -4, -5})
"""System roles (API `AuthorizationRole`) that let nothing below be read: Anonymous, View, NoAccess."""

Objects = Callable[[MoRef], Any]


def prove(
    content: Any,
    objects: Objects,
    *,
    vcenter: str,
    moref: MoRef | None,
    instance_uuid: str,
    folders: Sequence[MoRef],
) -> Answer[MoRef]:
    """Ask vCenter now, in at most three calls. `Present` says where the VM is, also under another MoRef.

    Raises what pyVmomi raises, except for what proves something.
    """
    if (content.about.instanceUuid or "") != vcenter:
        return Unknown("another vCenter answers at this address than the one whose inventory was read")
    found: dict[MoRef, dict[str, Any]] | Unknown | None = None
    if moref is not None:
        found = _read(content, objects, (moref, *folders), gone=moref)
        if isinstance(found, dict):
            return _judge_vm(moref, found.get(moref), instance_uuid)
    if found is None:
        found = _read(content, objects, folders, gone=None)
    if not isinstance(found, dict):
        return found or Unknown("the folders of the VM could not be read")
    for folder in folders:
        why = _unreadable(folder, found.get(folder))
        if why is not None:
            return why
    return _search(content, moref, instance_uuid, vcenter)


def _read(
    content: Any, objects: Objects, wanted: Sequence[MoRef], *, gone: MoRef | None
) -> dict[MoRef, dict[str, Any]] | Unknown | None:
    """Properties by MoRef; `None` when vCenter says of `gone` that there is no such object."""
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=objects(moref)) for moref in wanted],
        propSet=[
            collector.PropertySpec(type=vim.VirtualMachine, pathSet=["name", "config.instanceUuid"]),
            collector.PropertySpec(type=vim.Folder, pathSet=["name", "effectiveRole"]),
        ],
    )
    try:
        result = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
    except vmodl.fault.ManagedObjectNotFound as fault:
        missing = None if fault.obj is None else morefs.of(fault.obj)
        if missing is not None and missing == gone:
            return None
        fault_of = from_vim(fault)
        return Unknown(
            f"{missing or 'an object'} is gone, by which the right to see the VM is told", fault_of
        )
    return {morefs.of(o.obj): _properties(o) for o in (result.objects if result is not None else ())}


def _properties(found: Any) -> dict[str, Any]:
    for missing in found.missingSet or ():
        if isinstance(missing.fault, vim.fault.NotAuthenticated):
            raise missing.fault
    faults = {m.path: m.fault for m in found.missingSet or ()}
    return {**faults, **{p.name: p.val for p in found.propSet or ()}}


def _judge_vm(moref: MoRef, properties: dict[str, Any] | None, instance_uuid: str) -> Answer[MoRef]:
    if properties is None:
        return Unknown(f"{moref} could not be read")
    uuid = properties.get("config.instanceUuid")
    if isinstance(uuid, vmodl.MethodFault):
        return Unknown(f"{moref} is there, and who it is may not be read", from_vim(uuid))
    if uuid is not None and uuid.lower() != instance_uuid.lower():
        return Unknown(
            f"{moref} is now a VM with another instance UUID ({uuid}): vCenter was restored, or somebody changed it"
        )
    return Present(moref)


def _unreadable(folder: MoRef, properties: dict[str, Any] | None) -> Unknown | None:
    """Why not finding something in this folder would prove nothing."""
    if properties is None:
        return Unknown(f"{folder} could not be read: what lies in it may be hidden")
    name, roles = properties.get("name"), properties.get("effectiveRole")
    for value in (name, roles):
        if isinstance(value, vmodl.MethodFault):
            return Unknown(
                f"the vCenter user may not read {folder}, so what lies in it may be hidden", from_vim(value)
            )
    if name is None or (roles and set(roles) <= _VIEW_ONLY):
        return Unknown(f"the vCenter user may see {folder} but not read what lies in it")
    return None


def _search(content: Any, moref: MoRef | None, instance_uuid: str, vcenter: str) -> Answer[MoRef]:
    result = content.searchIndex.FindAllByUuid(
        datacenter=None, uuid=instance_uuid, vmSearch=True, instanceUuid=True
    )
    found = [morefs.of(vm) for vm in result or ()]
    if len(found) > 1:
        return Unknown(f"{len(found)} VMs have the instance UUID {instance_uuid}: {', '.join(found)}")
    if found and found[0] == moref:
        return Unknown(f"vCenter finds {moref} and does not know it at once: it is being removed or added")
    if found:
        return Present(found[0])
    by_moref = f"no {morefs.kind_of(moref)} {morefs.id_of(moref)} and " if moref is not None else ""
    return Absent(f"vCenter {vcenter} knows {by_moref}no VM with the instance UUID {instance_uuid}")
