"""All that a clone and a first boot need, looked up and checked: placement, template, bootstrap data, tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine
from vsphere_operator.api.names import BOOTSTRAP_KEY, ID_ANNOTATION
from vsphere_operator.bootstrap.delivery import Delivery
from vsphere_operator.bootstrap.errors import BootstrapError
from vsphere_operator.bootstrap.operating_systems import Family, family_of
from vsphere_operator.bootstrap.rendering import render
from vsphere_operator.controllers import lookups, settings, unsupported
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.faults import problem_of
from vsphere_operator.controllers.machine.observed import Prepared
from vsphere_operator.controllers.machine.templates import Templates
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.controllers.settings import Setting, Settings
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datacenter,
    Datastore,
    ResourcePool,
    StoragePod,
)
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import VmDetails

BOOTSTRAP = "BootstrapReady"
_TAGS_POLLED = 60.0  # seconds; no watch tells of a tag that a person makes
_OFFLOAD_FROM = 14  # vmx-14: the hardware version whose vmxnet3 offloads UDP tunnels


class Preparation:
    """Looks things up for Machines; keeps templates' details for a short while."""

    def __init__(self, *, objects: Objects, templates: Templates) -> None:
        self._objects = objects
        self._templates = templates

    async def prepare(
        self, obj: Object, machine: Machine, cluster: Cluster, access: Access, *, macs: Sequence[str]
    ) -> Prepared | Problem:
        """What is needed, or the first thing that stands in the way."""
        refused = unsupported.refused_in_machine(obj["spec"]) or unsupported.refused_in_datacenter(
            access.offer.name, access.offer.vsphere.to_json()
        )
        if refused:
            return refused
        if access.preset_problem:
            return access.preset_problem
        place = _place(access, cluster, machine)
        if isinstance(place, Problem):
            return place
        datacenter, compute, pool, storage, networks, effective = place
        template = await self._template(access, datacenter, machine, effective.get("template"))
        if isinstance(template, Problem):
            return template
        delivery = await self._bootstrap(machine, template, macs)
        if isinstance(delivery, Problem):
            return delivery
        tags = await self._tags(access, machine)
        if isinstance(tags, Problem):
            return tags
        folder = cluster.status.folder
        if folder is None or folder.mo_ref is None:
            return Problem("ClusterReady", "ClusterNotReady", "the Cluster has no folder yet", stalled=False)
        return Prepared(
            template=template,
            folder=MoRef(folder.mo_ref),
            datacenter=datacenter,
            pool=pool,
            compute=compute,
            storage=storage,
            networks=networks,
            delivery=delivery,
            tag_ids=tags,
            effective=settings.describe(
                access.offer,
                effective,
                folder=folder.path,
                tags=settings.tags_of(access.offer, machine.spec.vsphere.tags),
                infra=access.login,
            ),
        )

    async def _template(
        self, access: Access, datacenter: Datacenter, machine: Machine, setting: Setting | None
    ) -> VmDetails | Problem:
        system = machine.spec.operating_system.value
        if setting is None:
            words = (
                f"no template for {system}: set spec.vsphere.template, or {access.offer.field('templates')}"
            )
            return Problem(lookups.TEMPLATE, "TemplateMissing", words)
        found = lookups.find_template(
            access.vcenter.inventory, setting.value, datacenter, field=setting.field
        )
        if isinstance(found, Problem):
            return found
        try:
            answer = await self._templates.read(access.vcenter, found.moref)
        except VSphereError as error:
            return problem_of(error.fault, lookups.TEMPLATE)
        if isinstance(answer, Present):
            return answer.value
        if isinstance(answer, Unknown):
            return Problem(lookups.TEMPLATE, "TemplateUnknown", answer.why, stalled=False, retry_after=10.0)
        words = f'the template "{setting.value}" has just been removed; correct {setting.field}'
        return Problem(lookups.TEMPLATE, "TemplateNotFound", words)

    async def _bootstrap(
        self, machine: Machine, template: VmDetails, macs: Sequence[str]
    ) -> Delivery | Problem:
        family = family_of(machine.spec.operating_system.value)
        if machine.spec.delivery and (machine.spec.delivery.value == "guestinfo") != (
            family is Family.IGNITION
        ):
            words = "spec.delivery must be iso for cloud-init systems and guestinfo for Flatcar; remove it"
            return Problem(BOOTSTRAP, "DeliveryNotSupportedYet", words)
        namespace, name = machine.metadata.namespace or "", machine.spec.bootstrap.data_secret_name
        data = await self._objects.secret(namespace, name)
        if data is None:
            words = (
                f"waits for the Secret {namespace}/{name} with the bootstrap data in its key {BOOTSTRAP_KEY}"
            )
            return Problem(BOOTSTRAP, "BootstrapSecretNotFound", words, stalled=False)
        if BOOTSTRAP_KEY not in data:
            words = f"the Secret {namespace}/{name} has no key {BOOTSTRAP_KEY}; put the bootstrap data there"
            return Problem(BOOTSTRAP, "BootstrapSecretIncomplete", words)
        return await _rendered(machine, template, data, macs, f"Secret {namespace}/{name}")

    async def _tags(self, access: Access, machine: Machine) -> tuple[str, ...] | Problem:
        op_id = f"{machine.metadata.namespace}-{machine.metadata.name}"[:100]
        ids = []
        for wanted in settings.tags_of(access.offer, machine.spec.vsphere.tags):
            found = await _tag_id(access, wanted.name, wanted.category, op_id)
            if isinstance(found, Problem):
                return found
            ids.append(found)
        return tuple(ids)


Place = tuple[
    Datacenter,
    ComputeCluster,
    ResourcePool,
    Datastore | StoragePod,
    tuple[NetworkRef, ...] | None,
    Settings,
]


def _place(access: Access, cluster: Cluster, machine: Machine) -> Place | Problem:
    inventory, offer = access.vcenter.inventory, access.offer
    effective = settings.for_machine(offer, cluster, machine.spec)
    datacenter = lookups.find_datacenter(inventory, offer.vsphere.datacenter, field=offer.field("datacenter"))
    if isinstance(datacenter, Problem):
        return datacenter
    compute = lookups.find_compute_cluster(
        inventory, offer.vsphere.cluster, datacenter, field=offer.field("cluster")
    )
    if isinstance(compute, Problem):
        return compute
    pool = _pool(inventory, effective.get("resourcePool"), compute, datacenter)
    if isinstance(pool, Problem):
        return pool
    storage = _storage(inventory, effective, compute, datacenter)
    if isinstance(storage, Problem):
        return storage
    networks = _networks(inventory, effective.get("networks"), compute, datacenter)
    if isinstance(networks, Problem):
        return networks
    return datacenter, compute, pool, storage, networks, effective


def _pool(
    inventory: Inventory, setting: Setting | None, compute: ComputeCluster, datacenter: Datacenter
) -> ResourcePool | Problem:
    if setting is None:
        return lookups.find_pool(inventory, None, compute, datacenter, field="resourcePool")
    pool = lookups.find_pool(inventory, setting.value, compute, datacenter, field=setting.field)
    if isinstance(pool, ResourcePool) and pool.owner not in (None, compute.moref):
        words = (
            f'the resource pool "{setting.value}" is not in the compute cluster "{compute.name}"; '
            f"correct {setting.field}"
        )
        return Problem(lookups.PLACEMENT, "ResourcePoolElsewhere", words)
    return pool


def _storage(
    inventory: Inventory, effective: Settings, compute: ComputeCluster, datacenter: Datacenter
) -> Datastore | StoragePod | Problem:
    if "datastoreCluster" in effective:
        return _datastore_cluster(inventory, effective["datastoreCluster"], compute, datacenter)
    if "datastore" in effective:
        return _datastore(inventory, effective["datastore"], compute, datacenter)
    words = (
        "no datastore is named; set datastore or datastoreCluster in the Machine's template or the Cluster, or "
        "datastore in the Seed's datacenter"
    )
    return Problem(lookups.PLACEMENT, "DatastoreMissing", words)


def _datastore_cluster(
    inventory: Inventory, setting: Setting, compute: ComputeCluster, datacenter: Datacenter
) -> StoragePod | Problem:
    pod = lookups.find_datastore_cluster(inventory, setting.value, datacenter, field=setting.field)
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


def _datastore(
    inventory: Inventory, setting: Setting, compute: ComputeCluster, datacenter: Datacenter
) -> Datastore | Problem:
    datastore = lookups.find_datastore(inventory, setting.value, datacenter, field=setting.field)
    if isinstance(datastore, Datastore) and datastore.moref not in compute.datastores:
        words = (
            f'no host of the compute cluster "{compute.name}" has the datastore "{setting.value}"; '
            f"correct {setting.field}"
        )
        return Problem(lookups.PLACEMENT, "DatastoreElsewhere", words)
    return datastore


def _networks(
    inventory: Inventory, setting: Setting | None, compute: ComputeCluster, datacenter: Datacenter
) -> tuple[NetworkRef, ...] | Problem | None:
    """The networks, or None to keep the template's own."""
    if setting is None:
        return None
    references = []
    for name in setting.value:
        network = lookups.find_network(inventory, name, datacenter, cluster=compute, field=setting.field)
        if isinstance(network, Problem):
            return network
        if network.moref not in compute.networks:
            words = f'no host of the compute cluster "{compute.name}" has the network "{name}"; correct {setting.field}'
            return Problem(lookups.PLACEMENT, "NetworkElsewhere", words)
        reference = inventory.network_ref(network.moref)
        if not isinstance(reference, Present):
            return Problem(
                lookups.PLACEMENT, "NetworkUnknown", f'the network "{name}" cannot be read now', stalled=False
            )
        references.append(reference.value)
    return tuple(references)


async def _rendered(
    machine: Machine, template: VmDetails, data: Mapping[str, bytes], macs: Sequence[str], where: str
) -> Delivery | Problem:
    offload = machine.spec.vsphere.disable_network_offload
    if offload is None:
        offload = template.hardware_version >= _OFFLOAD_FROM
    arguments: dict[str, Any] = {
        "operating_system": machine.spec.operating_system.value,
        "machine_name": machine.metadata.name,
        "hostname": machine.metadata.name,
        "user_data": data[BOOTSTRAP_KEY],
        "instance_id": machine.metadata.annotations.get(ID_ANNOTATION, machine.metadata.uid),
        "disable_network_offload": offload,
        "nic_macs": macs,
    }
    try:
        return await asyncio.to_thread(render, **arguments)
    except BootstrapError as error:
        return Problem(BOOTSTRAP, error.reason, f"{where}: {error}")


async def _tag_id(access: Access, name: str, category: str | None, op_id: str) -> str | Problem:
    if category is None:
        words = f'the tag "{name}" names no category and the datacenter has no defaultTagCategory; add one'
        return Problem("TagsReady", "CategoryMissing", words)
    found = await access.vcenter.tags.category(category, op_id=op_id)
    if isinstance(found, Unknown):
        return _tags_unknown(found)
    if isinstance(found, Absent):
        words = f'the tag category "{category}" does not exist, or this user may not see it; create it'
        return Problem("TagsReady", "CategoryNotFound", words, retry_after=_TAGS_POLLED)
    tag = await access.vcenter.tags.tag(found.value.id, name, op_id=op_id)
    if isinstance(tag, Unknown):
        return _tags_unknown(tag)
    if isinstance(tag, Absent):
        words = (
            f'the tag "{name}" is not in the category "{category}"; create it, or remove it from the template'
        )
        return Problem("TagsReady", "TagNotFound", words, retry_after=_TAGS_POLLED)
    return tag.value.id


def _tags_unknown(answer: Unknown) -> Problem:
    """Nothing is missing: vCenter could not be asked."""
    if answer.fault is not None:
        return problem_of(answer.fault, "TagsReady")
    return Problem("TagsReady", "TagsUnknown", answer.why, stalled=False, retry_after=10.0)
