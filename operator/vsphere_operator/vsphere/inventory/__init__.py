"""vCenter's inventory as an in-memory copy: read on the event loop, kept by one watching thread a vCenter."""

from vsphere_operator.vsphere.inventory.brake import Doubt
from vsphere_operator.vsphere.inventory.entities import (
    Change,
    ComputeCluster,
    Datacenter,
    Datastore,
    DistributedPortgroup,
    DistributedSwitch,
    Entity,
    Folder,
    GuestNic,
    Host,
    Network,
    OpaqueNetwork,
    ResourcePool,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.inventory.index import Inventory

__all__ = [
    "Change",
    "ComputeCluster",
    "Datacenter",
    "Datastore",
    "DistributedPortgroup",
    "DistributedSwitch",
    "Doubt",
    "Entity",
    "Folder",
    "GuestNic",
    "Host",
    "Inventory",
    "Network",
    "OpaqueNetwork",
    "ResourcePool",
    "StoragePod",
    "VmEntity",
]
