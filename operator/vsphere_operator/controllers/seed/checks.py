"""Whether what a Seed's datacenter names is in vCenter. Reads the inventory's copy; only policies take calls."""

from __future__ import annotations

from vsphere_operator.controllers import folder_paths, lookups, settings
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.datacenters import Access, Offer
from vsphere_operator.controllers.placements import find_placement
from vsphere_operator.controllers.policies import find_policy
from vsphere_operator.vsphere.inventory.entities import ComputeCluster, Datacenter
from vsphere_operator.vsphere.inventory.index import Inventory

INVENTORY = "InventoryReady"
"""All that the datacenter names is there. Its message lists everything that is not."""


def check(access: Access) -> list[Condition]:
    """One condition; the message names every missing thing, so that one edit mends all."""
    problems = find_problems(access.offer, access.vcenter.inventory)
    if not problems:
        return [Condition(INVENTORY, "True", "Found")]
    reason = problems[0].reason if len(problems) == 1 else "SeveralMissing"
    return [Condition(INVENTORY, "False", reason, "; ".join(p.message for p in problems))]


async def check_policy(access: Access) -> Problem | None:
    """What is wrong with the default storage policy. Asks the policy service, at most once a minute."""
    wanted = settings.for_datacenter(access.offer)
    policy, placement = wanted.get("storagePolicy"), find_placement(access, wanted)
    if policy is None or isinstance(placement, Problem):
        return None
    found = await find_policy(placement, policy, op_id=f"seed-{access.offer.seed}")
    return found if isinstance(found, Problem) else None


def find_problems(offer: Offer, inventory: Inventory) -> list[Problem]:
    """Everything that the datacenter names and vCenter does not show."""
    own = offer.vsphere
    datacenter = lookups.find_datacenter(inventory, own.datacenter, field=offer.field("datacenter"))
    if isinstance(datacenter, Problem):
        return [datacenter]
    cluster = lookups.find_compute_cluster(inventory, own.cluster, datacenter, field=offer.field("cluster"))
    found: list[object] = [cluster, _root(offer, inventory)]
    if own.datastore:
        found.append(
            lookups.find_datastore(inventory, own.datastore, datacenter, field=offer.field("datastore"))
        )
    reach = cluster if isinstance(cluster, ComputeCluster) else None
    found += [
        lookups.find_network(inventory, n.name, datacenter, cluster=reach, field=offer.field("networks"))
        for n in own.networks or []
    ]
    found += _templates(offer, inventory, datacenter)
    if own.resource_pool and isinstance(cluster, ComputeCluster):
        pool = lookups.find_pool(
            inventory, own.resource_pool, cluster, datacenter, field=offer.field("resourcePool")
        )
        found.append(pool)
    return [p for p in found if isinstance(p, Problem)]


def _templates(offer: Offer, inventory: Inventory, datacenter: Datacenter) -> list[object]:
    return [
        lookups.find_template(inventory, name, datacenter, field=offer.field(f"templates.{system}"))
        for system, name in sorted((offer.vsphere.templates or {}).items())
    ]


def _root(offer: Offer, inventory: Inventory) -> Problem | None:
    path = offer.vsphere.root_path
    if path is None or lookups.find_folder(inventory, path) is not None:
        return None
    if (
        offer.vsphere.create_root_path
        and folder_paths.lacking(inventory, path, offer.vsphere.datacenter) is not None
    ):
        return None  # made with the first Cluster
    missing = lookups.first_missing(inventory, path) or path
    words = f"the folder {missing} is not in vCenter; create it, or correct {offer.field('rootPath')}"
    return Problem(lookups.PLACEMENT, "RootPathNotFound", words)
