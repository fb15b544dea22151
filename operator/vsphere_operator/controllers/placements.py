"""From settings to the pool, the storage and the networks that VMs are put into, checked as far as memory reaches."""

from __future__ import annotations

from dataclasses import dataclass

from vsphere_operator.controllers import lookups, tenancy
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.settings import Setting, Settings
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datacenter,
    Datastore,
    ResourcePool,
    StoragePod,
)
from vsphere_operator.vsphere.inventory.index import Inventory


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are looked up: a datacenter on offer and its compute cluster, as the inventory shows them."""

    access: Access
    datacenter: Datacenter
    compute: ComputeCluster

    @property
    def inventory(self) -> Inventory:
        return self.access.vcenter.inventory

    def fence(self, name: str, setting: Setting) -> lookups.Fence | None:
        """What may be named for a setting."""
        return tenancy.fence(self.access.offer, self.inventory, self.datacenter, name, setting)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where VMs go. ``storage`` is None where no datastore is named, ``networks`` where the template's are kept."""

    site: Site
    pool: ResourcePool
    storage: Datastore | StoragePod | None
    networks: tuple[NetworkRef, ...] | None


def find_site(access: Access) -> Site | Problem:
    """The datacenter and the compute cluster that the Seed names."""
    inventory, offer = access.vcenter.inventory, access.offer
    datacenter = lookups.find_datacenter(inventory, offer.vsphere.datacenter, field=offer.field("datacenter"))
    if isinstance(datacenter, Problem):
        return datacenter
    compute = lookups.find_compute_cluster(
        inventory, offer.vsphere.cluster, datacenter, field=offer.field("cluster")
    )
    return compute if isinstance(compute, Problem) else Site(access, datacenter, compute)


def find_placement(access: Access, settings: Settings) -> Placement | Problem:
    """All that the settings name, or the first thing that cannot be used."""
    site = find_site(access)
    if isinstance(site, Problem):
        return site
    pool = _pool(site, settings.get("resourcePool"))
    if isinstance(pool, Problem):
        return pool
    storage = _storage(site, settings)
    if isinstance(storage, Problem):
        return storage
    networks = _networks(site, settings.get("networks"))
    if isinstance(networks, Problem):
        return networks
    return Placement(site, pool, storage, networks)


def no_storage() -> Problem:
    """For a VM that nobody has named a place for."""
    words = (
        "no datastore is named; set datastore or datastoreCluster in the Machine's template, the Cluster or its "
        "preset, or datastore in the Seed's datacenter"
    )
    return Problem(lookups.PLACEMENT, "DatastoreMissing", words)


def find_volume_datastore(access: Access, setting: Setting) -> Datastore | Problem:
    """The datastore that volumes go to by default, if VM files could be put there now."""
    site = find_site(access)
    return site if isinstance(site, Problem) else _datastore(site, setting)


def _pool(site: Site, setting: Setting | None) -> ResourcePool | Problem:
    inventory, compute, datacenter = site.inventory, site.compute, site.datacenter
    if setting is None:
        return lookups.find_pool(inventory, None, compute, datacenter, field="resourcePool")
    fence = site.fence("resourcePool", setting)
    pool = lookups.find_pool(inventory, setting.value, compute, datacenter, field=setting.field, fence=fence)
    if isinstance(pool, ResourcePool) and pool.owner not in (None, compute.moref):
        words = (
            f'the resource pool "{setting.value}" is not in the compute cluster "{compute.name}"; '
            f"correct {setting.field}"
        )
        return Problem(lookups.PLACEMENT, "ResourcePoolElsewhere", words)
    return pool


def _storage(site: Site, settings: Settings) -> Datastore | StoragePod | Problem | None:
    if "datastoreCluster" in settings:
        return _datastore_cluster(site, settings["datastoreCluster"])
    if "datastore" in settings:
        return _datastore(site, settings["datastore"])
    return None


def _datastore_cluster(site: Site, setting: Setting) -> StoragePod | Problem:
    inventory, compute = site.inventory, site.compute
    fence = site.fence("datastoreCluster", setting)
    pod = lookups.find_datastore_cluster(
        inventory, setting.value, site.datacenter, field=setting.field, fence=fence
    )
    if isinstance(pod, Problem):
        return pod
    members = {child.moref for child in inventory.children(pod.moref)}
    if members and not members & set(compute.datastores):
        words = (
            f'no host of the compute cluster "{compute.name}" has a datastore of the datastore cluster '
            f'"{setting.value}"; correct {setting.field}'
        )
        return Problem(lookups.PLACEMENT, "DatastoreClusterElsewhere", words)
    return pod


def _datastore(site: Site, setting: Setting) -> Datastore | Problem:
    compute, fence = site.compute, site.fence("datastore", setting)
    datastore = lookups.find_datastore(
        site.inventory, setting.value, site.datacenter, field=setting.field, fence=fence
    )
    if isinstance(datastore, Datastore) and datastore.moref not in compute.datastores:
        words = (
            f'no host of the compute cluster "{compute.name}" has the datastore "{setting.value}"; '
            f"correct {setting.field}"
        )
        return Problem(lookups.PLACEMENT, "DatastoreElsewhere", words)
    return datastore


def _networks(site: Site, setting: Setting | None) -> tuple[NetworkRef, ...] | Problem | None:
    """The networks, or None to keep the template's own, which is also what a cleared list means."""
    if setting is None:
        return None
    fence = site.fence("networks", setting)
    if not setting.value:
        return lookups.not_allowed("network", "the template's own", fence, setting.field) if fence else None
    references = []
    for name in setting.value:
        reference = _network(site, name, setting.field, fence)
        if isinstance(reference, Problem):
            return reference
        references.append(reference)
    return tuple(references)


def _network(site: Site, name: str, field: str, fence: lookups.Fence | None) -> NetworkRef | Problem:
    compute = site.compute
    network = lookups.find_network(
        site.inventory, name, site.datacenter, cluster=compute, field=field, fence=fence
    )
    if isinstance(network, Problem):
        return network
    if network.moref not in compute.networks:
        words = f'no host of the compute cluster "{compute.name}" has the network "{name}"; correct {field}'
        return Problem(lookups.PLACEMENT, "NetworkElsewhere", words)
    reference = site.inventory.network_ref(network.moref)
    if isinstance(reference, Present):
        return reference.value
    words = f'the network "{name}" cannot be read now'
    return Problem(lookups.PLACEMENT, "NetworkUnknown", words, stalled=False)
