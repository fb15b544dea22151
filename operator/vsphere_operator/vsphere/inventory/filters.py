"""What the watch asks for, and how each answer becomes a field of an entity. Leaf properties only.

Two views: a wide one over everything (a few leaves each), and a narrow one over the VMs that may be ours
(guest addresses, ownership marks, devices, questions), which would be hundreds of megabytes for all VMs of a big
vCenter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Any

from vsphere_operator.vsphere import devices, morefs, ownership, questions
from vsphere_operator.vsphere.inventory import entities, paths
from vsphere_operator.vsphere.inventory.entities import Entity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vmomi import vim, vmodl


@dataclass(frozen=True, slots=True)
class Leaf:
    """Property path -> entity field. `convert` gets what vCenter sent, never an unset value."""

    path: str
    field: str
    convert: Callable[[Any], Any]


def _ref(value: Any) -> MoRef:
    return morefs.of(value)


def _refs(values: Any) -> tuple[MoRef, ...]:
    return tuple(morefs.of(value) for value in values)


def _mounts(values: Any) -> tuple[MoRef, ...]:
    """The hosts that can use the datastore; a mount that is unset in a field counts as good."""
    return tuple(
        morefs.of(mount.key)
        for mount in values
        if mount.mountInfo.mounted is not False
        and mount.mountInfo.accessible is not False
        and mount.mountInfo.accessMode != "readOnly"
    )


def _nics(values: Any) -> tuple[entities.GuestNic, ...]:
    return tuple(
        entities.GuestNic(nic.network, nic.macAddress, tuple(nic.ipAddress or ()), nic.deviceConfigId)
        for nic in values
    )


def _vm_automation(entries: Any) -> dict[MoRef, entities.VmAutomation]:
    """Few words of each entry: a datastore cluster may hold one for every VM in it."""
    return {morefs.of(entry.vm): _automation(entry) for entry in entries if entry.vm is not None}


def _automation(entry: Any) -> entities.VmAutomation:
    if entry.enabled is False:
        return "excluded"
    if entry.behavior == "manual":
        return "manual"
    return "automated" if entry.behavior == "automated" else "inherited"


_NAMED = (Leaf("name", "name", lambda name: paths.unescape(str(name))), Leaf("parent", "parent", _ref))
_VM = (
    *_NAMED,
    Leaf("config.template", "template", bool),
    Leaf("config.instanceUuid", "instance_uuid", str),
    Leaf("config.uuid", "bios_uuid", str),
    Leaf("runtime.powerState", "power_state", str),
    Leaf("runtime.connectionState", "connection_state", str),
    Leaf("runtime.host", "host", _ref),
    Leaf("guest.toolsRunningStatus", "tools_running", lambda status: status == "guestToolsRunning"),
    Leaf("resourcePool", "resource_pool", _ref),
    Leaf("datastore", "datastores", _refs),
)
_NETWORK = (*_NAMED, Leaf("summary.accessible", "accessible", bool), Leaf("host", "hosts", _refs))
_COMPUTE = (
    *_NAMED,
    Leaf("host", "hosts", _refs),
    Leaf("resourcePool", "root_pool", _ref),
    Leaf("network", "networks", _refs),
    Leaf("datastore", "datastores", _refs),
)

WIDE: dict[str, tuple[type[Entity], tuple[Leaf, ...]]] = {
    "Folder": (entities.Folder, _NAMED),
    "Datacenter": (
        entities.Datacenter,
        (
            *_NAMED,
            Leaf("vmFolder", "vm_folder", _ref),
            Leaf("hostFolder", "host_folder", _ref),
            Leaf("datastoreFolder", "datastore_folder", _ref),
            Leaf("networkFolder", "network_folder", _ref),
        ),
    ),
    "VirtualMachine": (entities.VmEntity, _VM),
    "Datastore": (
        entities.Datastore,
        (
            *_NAMED,
            Leaf("summary.accessible", "accessible", bool),
            Leaf("summary.maintenanceMode", "maintenance_mode", str),
            Leaf("summary.capacity", "capacity", int),
            Leaf("summary.freeSpace", "free_space", int),
            Leaf("summary.url", "url", str),
            Leaf("summary.multipleHostAccess", "shared", bool),
            Leaf("host", "hosts", _mounts),
        ),
    ),
    "StoragePod": (
        entities.StoragePod,
        (
            *_NAMED,
            Leaf("podStorageDrsEntry.storageDrsConfig.podConfig.enabled", "drs_enabled", bool),
            Leaf(
                "podStorageDrsEntry.storageDrsConfig.podConfig.defaultVmBehavior",
                "automated",
                lambda behavior: behavior == "automated",
            ),
            Leaf("podStorageDrsEntry.storageDrsConfig.vmConfig", "vm_automation", _vm_automation),
        ),
    ),
    "Network": (entities.Network, _NETWORK),
    "DistributedVirtualPortgroup": (
        entities.DistributedPortgroup,
        (*_NETWORK, Leaf("key", "key", str), Leaf("config.distributedVirtualSwitch", "switch", _ref)),
    ),
    "OpaqueNetwork": (
        entities.OpaqueNetwork,
        (
            *_NETWORK,
            Leaf("summary.opaqueNetworkId", "opaque_id", str),
            Leaf("summary.opaqueNetworkType", "opaque_type", str),
        ),
    ),
    "DistributedVirtualSwitch": (entities.DistributedSwitch, (*_NAMED, Leaf("uuid", "uuid", str))),
    "ComputeResource": (entities.ComputeCluster, _COMPUTE),
    "ClusterComputeResource": (
        entities.ComputeCluster,
        (*_COMPUTE, Leaf("configurationEx.drsConfig.enabled", "drs_enabled", bool)),
    ),
    "HostSystem": (
        entities.Host,
        (
            *_NAMED,
            Leaf("runtime.connectionState", "connection_state", str),
            Leaf("runtime.inMaintenanceMode", "in_maintenance", bool),
            Leaf("datastore", "datastores", _refs),
        ),
    ),
    "ResourcePool": (entities.ResourcePool, (*_NAMED, Leaf("owner", "owner", _ref))),
}
# Kinds that vCenter may send as a more special type than the one asked for.
_FAMILY = {"VmwareDistributedVirtualSwitch": "DistributedVirtualSwitch", "VirtualApp": "ResourcePool"}

MARK_PATHS = {f'config.extraConfig["{key}"].value': key for key in ownership.KEYS}
NARROW = (
    Leaf("guest.net", "guest_nics", _nics),
    Leaf("config.hardware.device", "devices", devices.kept),
    Leaf("runtime.question", "question", questions.decode),
)

RECENT_TASK_PATHS = (
    "info.descriptionId",
    "info.entity",
    "info.error",
    "info.queueTime",
    "info.result",
    "info.state",
)
FOLLOWED_TASK_PATHS = (*RECENT_TASK_PATHS, "info.progress")


def decoder_of(kind: str) -> tuple[type[Entity], dict[str, Leaf]] | None:
    """Entity class and leaves by path for a WSDL type; `None` for types that are not kept."""
    return _DECODERS.get(_FAMILY.get(kind, kind))


_DECODERS = {
    kind: (cls, {leaf.path: leaf for leaf in (*leaves, *(NARROW if kind == "VirtualMachine" else ()))})
    for kind, (cls, leaves) in WIDE.items()
}


def decoded(moref: MoRef, known: Entity | None, changes: Mapping[str, Any]) -> Entity:
    """An object's record, new or as it was known, with the changed properties."""
    kind = morefs.kind_of(moref)
    if known is None:
        found = decoder_of(kind)
        known = (found[0] if found is not None else Entity)(moref)
    return replace(known, **field_changes(kind, changes))


def field_changes(kind: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Entity fields for changed property paths; an unset property (`None`) gets the field's default back."""
    found = decoder_of(kind)
    if found is None:
        return {}
    cls, leaves = found
    fields: dict[str, Any] = {}
    for path, value in changes.items():
        leaf = leaves.get(path)
        if leaf is None:
            continue
        fields[leaf.field] = _default(cls, leaf.field) if value is None else leaf.convert(value)
    return fields


def close_look_defaults() -> dict[str, Any]:
    """The fields of a close look as they are when nothing is told of them."""
    return {leaf.field: _default(entities.VmEntity, leaf.field) for leaf in NARROW}


def _default(cls: type[Entity], name: str) -> Any:
    found = cls.__dataclass_fields__[name]
    return found.default if found.default_factory is MISSING else found.default_factory()


# The filters themselves


def wide_filter(container_views: Sequence[Any]) -> Any:
    """Everything in the container views with its few leaves."""
    return _filter(
        [_properties(kind, _leaf_paths(kind)) for kind in WIDE],
        *(_through_view(view) for view in container_views),
    )


def _leaf_paths(kind: str) -> tuple[str, ...]:
    return tuple(leaf.path for leaf in WIDE[kind][1])


def map_filter(root_folder: Any) -> Any:
    """All datacenters and the folders above them, and nothing inside of datacenters."""
    collector = vmodl.query.PropertyCollector
    below = collector.TraversalSpec(
        name="below",
        type=managed("Folder"),
        path="childEntity",
        skip=False,
        selectSet=[collector.SelectionSpec(name="below")],
    )
    spec = collector.ObjectSpec(obj=root_folder, skip=False, selectSet=[below])
    return _filter([_properties(kind, _leaf_paths(kind)) for kind in ("Folder", "Datacenter")], spec)


def root_filter(root_folder: Any) -> Any:
    """The root folder, which a view of its contents does not show."""
    spec = vmodl.query.PropertyCollector.ObjectSpec(obj=root_folder)
    return _filter([_properties("Folder", ("name",))], spec)


def narrow_filter(list_view: Any) -> Any:
    """Guest addresses, devices, questions and ownership marks of the VMs in a list view."""
    properties = _properties("VirtualMachine", (*(leaf.path for leaf in NARROW), *MARK_PATHS))
    return _filter([properties], _through_view(list_view))


def followed_tasks_filter(list_view: Any) -> Any:
    return _filter([_properties("Task", FOLLOWED_TASK_PATHS)], _through_view(list_view))


def recent_tasks_filter(task_manager: Any) -> Any:
    """The tasks that vCenter still remembers. Without their progress: other people's tasks are noise."""
    traversal = vmodl.query.PropertyCollector.TraversalSpec(
        name="recent", type=managed("TaskManager"), path="recentTask", skip=False
    )
    spec = vmodl.query.PropertyCollector.ObjectSpec(obj=task_manager, skip=True, selectSet=[traversal])
    return _filter([_properties("Task", RECENT_TASK_PATHS)], spec)


def managed(kind: str) -> Any:
    return getattr(vim, kind)


def _properties(kind: str, property_paths: tuple[str, ...]) -> Any:
    return vmodl.query.PropertyCollector.PropertySpec(
        type=_TYPES[kind], all=False, pathSet=list(property_paths)
    )


_TYPES: dict[str, Any] = {
    **{kind: getattr(vim, kind, None) for kind in WIDE},
    "DistributedVirtualPortgroup": vim.dvs.DistributedVirtualPortgroup,
    "Task": vim.Task,
}


def view_types() -> list[Any]:
    """The types of a container view; subtypes (StoragePods, port groups) come with their base."""
    bases = ("Folder", "Datacenter", "VirtualMachine", "Datastore", "Network", "DistributedVirtualSwitch",
             "ComputeResource", "HostSystem", "ResourcePool")  # fmt: skip
    return [_TYPES[kind] for kind in bases]


def _through_view(view: Any) -> Any:
    traversal = vmodl.query.PropertyCollector.TraversalSpec(
        name="view", type=vim.view.View, path="view", skip=False
    )
    return vmodl.query.PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])


def _filter(property_specs: list[Any], *object_specs: Any) -> Any:
    return vmodl.query.PropertyCollector.FilterSpec(
        propSet=property_specs, objectSet=list(object_specs), reportMissingObjectsInResults=True
    )
