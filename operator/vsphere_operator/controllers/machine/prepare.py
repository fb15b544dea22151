"""All that a clone and a first boot need, looked up and checked: placement, template, bootstrap data, tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine, MachineTag
from vsphere_operator.api.names import BOOTSTRAP_KEY, ID_ANNOTATION
from vsphere_operator.bootstrap.delivery import Delivery
from vsphere_operator.bootstrap.errors import BootstrapError
from vsphere_operator.bootstrap.operating_systems import Family, family_of
from vsphere_operator.bootstrap.rendering import render
from vsphere_operator.bootstrap.static_network import StaticNetwork
from vsphere_operator.controllers import lookups, settings, unsupported
from vsphere_operator.controllers.cluster import vm_tags
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.faults import problem_of
from vsphere_operator.controllers.machine import first_nic
from vsphere_operator.controllers.machine.observed import Prepared
from vsphere_operator.controllers.machine.steps import TakeAddresses
from vsphere_operator.controllers.machine.templates import Templates
from vsphere_operator.controllers.placements import Placement, Site, find_placement, no_storage
from vsphere_operator.controllers.policies import PolicyChoice, find_policy
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.controllers.settings import Setting
from vsphere_operator.controllers.tenancy import refused_tags
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.faults import VSphereError
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
    ) -> Prepared | TakeAddresses | Problem:
        """What is needed, or the first thing that stands in the way."""
        refused = unsupported.refused_in_machine(obj["spec"]) or unsupported.refused_in_datacenter(
            access.offer.name, access.offer.vsphere.to_json()
        )
        if refused:
            return refused
        if access.preset_problem:
            return access.preset_problem
        effective = settings.for_machine(access.offer, cluster, machine.spec)
        place = find_placement(access, effective)
        if isinstance(place, Problem):
            return place
        if place.storage is None:
            return no_storage()
        policy = await _policy(place, effective.get("storagePolicy"), machine)
        if isinstance(policy, Problem):
            return policy
        template = await self._template(place.site, machine, effective.get("template"))
        if isinstance(template, Problem):
            return template
        wanted = first_nic.wanted(cluster, machine, template, place.networks)
        if wanted is not None:
            return wanted
        hindrance = first_nic.hindrance(machine, template, place.networks, macs, condition=BOOTSTRAP)
        if hindrance is not None:
            return hindrance
        static = first_nic.static_network(machine, template, place.networks)
        delivery = await self._bootstrap(machine, template, macs, static)
        if isinstance(delivery, Problem):
            return delivery
        tags = await self.tags(access, machine, cluster)
        if isinstance(tags, Problem):
            return tags
        folder = cluster.status.folder
        if folder is None or folder.mo_ref is None:
            return Problem("ClusterReady", "ClusterNotReady", "the Cluster has no folder yet", stalled=False)
        return Prepared(
            template=template,
            folder=MoRef(folder.mo_ref),
            datacenter=place.site.datacenter,
            pool=place.pool,
            compute=place.site.compute,
            storage=place.storage,
            networks=place.networks,
            delivery=delivery,
            tags=tuple(tags),
            tag_ids=tuple(
                dict.fromkeys([*(t.id for t in tags), *vm_tags.for_new_vms(access.offer, cluster)])
            ),
            policy=policy,
            effective=settings.describe(
                access.offer,
                effective,
                folder=folder.path,
                tags=settings.tags_of(access.offer, machine.spec.vsphere.tags),
                infra=access.login,
            ),
        )

    async def _template(self, site: Site, machine: Machine, setting: Setting | None) -> VmDetails | Problem:
        access, system = site.access, machine.spec.operating_system.value
        if setting is None:
            words = (
                f"no template for {system}: set spec.vsphere.template, or {access.offer.field('templates')}"
            )
            return Problem(lookups.TEMPLATE, "TemplateMissing", words)
        fence = site.fence("template", setting)
        found = lookups.find_template(
            site.inventory, setting.value, site.datacenter, field=setting.field, fence=fence
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
        self, machine: Machine, template: VmDetails, macs: Sequence[str], static: StaticNetwork | None
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
        return await _rendered(machine, template, data, macs, static, f"Secret {namespace}/{name}")

    async def tags(self, access: Access, machine: Machine, cluster: Cluster) -> list[MachineTag] | Problem:
        """The tags that the Machine itself asks for; all of them must exist."""
        setting = settings.for_machine(access.offer, cluster, machine.spec).get("tags")
        if setting is None:
            return []
        op_id = _op_id(machine)
        named = settings.tags_of(access.offer, setting.value)
        refused = await refused_tags(access, named, setting.source, field=setting.field, op_id=op_id)
        if refused:
            return refused
        tags = []
        for wanted in named:
            found = await _tag_id(access, wanted.name, wanted.category, op_id)
            if isinstance(found, Problem):
                return found
            tags.append(MachineTag(name=wanted.name, category=wanted.category or "", id=found))
        return tags


def _op_id(machine: Machine) -> str:
    return f"{machine.metadata.namespace}-{machine.metadata.name}"[:100]


async def _policy(
    place: Placement, setting: Setting | None, machine: Machine
) -> PolicyChoice | Problem | None:
    return await find_policy(place, setting, op_id=_op_id(machine)) if setting else None


async def _rendered(
    machine: Machine,
    template: VmDetails,
    data: Mapping[str, bytes],
    macs: Sequence[str],
    static: StaticNetwork | None,
    where: str,
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
        "static": static,
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
