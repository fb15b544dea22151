"""From the names that people write to the things in vCenter's inventory, or to words that say what to change.

Names may be plain (unique within the datacenter) or inventory paths. The inventory shows only what the user may
read, so "not found" says both. No call leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.inventory.entities import (
    ComputeCluster,
    Datacenter,
    Datastore,
    Entity,
    Folder,
    Network,
    ResourcePool,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.inventory.paths import escape, split, unescape
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import MACHINE

E = TypeVar("E", bound=Entity)

PLACEMENT = "PlacementReady"
TEMPLATE = "TemplateReady"


@dataclass(frozen=True, slots=True)
class Fence:
    """The only things of a kind that somebody may name, and how to name them.

    What lies outside is told of in one and the same way whether it exists or not, and whatever its state.
    """

    morefs: frozenset[MoRef]
    names: tuple[str, ...]


def find_datacenter(inventory: Inventory, name: str, *, field: str) -> Datacenter | Problem:
    answer = inventory.datacenter(name)
    match answer:
        case Present(value=datacenter):
            return datacenter
        case Unknown(why=why):
            return Problem(PLACEMENT, "DatacenterUnknown", f"{why} ({field})")
        case Absent():
            return _missing("Datacenter", "datacenter", name, "vCenter", field)


def find_compute_cluster(
    inventory: Inventory, name: str, datacenter: Datacenter, *, field: str
) -> ComputeCluster | Problem:
    return _find(inventory, ComputeCluster, name, datacenter, noun="compute cluster", field=field)


def find_datastore(
    inventory: Inventory, name: str, datacenter: Datacenter, *, field: str, fence: Fence | None = None
) -> Datastore | Problem:
    """The datastore, if VM files can be put there now."""
    found = _find(inventory, Datastore, name, datacenter, noun="datastore", field=field, fence=fence)
    if isinstance(found, Problem):
        return found
    if not found.accessible:
        return Problem(
            PLACEMENT, "DatastoreInaccessible", f'no host can reach the datastore "{name}"', stalled=False
        )
    if found.maintenance_mode not in (None, "", "normal"):
        words = f'the datastore "{name}" is in or on its way into maintenance; wait, or name another one ({field})'
        return Problem(PLACEMENT, "DatastoreInMaintenance", words, stalled=False)
    return found


def find_datastore_cluster(
    inventory: Inventory, name: str, datacenter: Datacenter, *, field: str, fence: Fence | None = None
) -> StoragePod | Problem:
    """The datastore cluster, whatever the state of its datastores."""
    return _find(inventory, StoragePod, name, datacenter, noun="datastore cluster", field=field, fence=fence)


def find_network(
    inventory: Inventory,
    name: str,
    datacenter: Datacenter,
    *,
    cluster: ComputeCluster | None,
    field: str,
    fence: Fence | None = None,
) -> Network | Problem:
    """The network; of several of one name (a segment stands once a switch) the one that the cluster's hosts reach."""
    reached = cluster.networks if cluster is not None else ()
    return _find(
        inventory,
        Network,
        name,
        datacenter,
        noun="network",
        field=field,
        fence=fence,
        prefer=lambda n: n.moref in reached,
    )


def find_pool(
    inventory: Inventory,
    name: str | None,
    cluster: ComputeCluster,
    datacenter: Datacenter,
    *,
    field: str,
    fence: Fence | None = None,
) -> ResourcePool | Problem:
    """The named pool, or the compute cluster's own when none is named."""
    if not name:
        root = inventory.get(cluster.root_pool) if cluster.root_pool else None
        if isinstance(root, ResourcePool):
            return root
        words = f'the root resource pool of the compute cluster "{cluster.name}" is not visible to this user'
        return Problem(PLACEMENT, "ResourcePoolNotFound", words)
    return _find(
        inventory,
        ResourcePool,
        name,
        datacenter,
        noun="resource pool",
        field=field,
        fence=fence,
        prefer=lambda pool: pool.owner == cluster.moref,
    )


def find_folder(inventory: Inventory, path: str) -> Folder | None:
    """The VM folder (or folder) at that full inventory path."""
    answer = inventory.by_path(path)
    return answer.value if isinstance(answer, Present) and isinstance(answer.value, Folder) else None


def first_missing(inventory: Inventory, path: str) -> str | None:
    """The first part of a folder path that is not there; None when all of it is."""
    parts = [p for p in path.split("/") if p]
    for count in range(1, len(parts) + 1):
        partial = "/" + "/".join(parts[:count])
        if not isinstance(inventory.by_path(partial), Present):
            return partial
    return None


def find_template(
    inventory: Inventory, name: str, datacenter: Datacenter, *, field: str, fence: Fence | None = None
) -> VmEntity | Problem:
    """A template by name, inventory path or MoRef; a VM that is powered off may serve as one.

    Not a worker of any Cluster: its disks hold what that user cluster booted with.
    """
    found = _find(
        inventory,
        VmEntity,
        name,
        datacenter,
        noun="template",
        field=field,
        fence=fence,
        prefer=lambda vm: vm.template,
    )
    if isinstance(found, Problem):
        return Problem(TEMPLATE, found.reason, found.message)
    if not found.template and MACHINE in found.extra_config:
        words = (
            f'"{name}" is a worker of a Cluster and cannot serve as a template; name another one ({field})'
        )
        return Problem(TEMPLATE, "TemplateIsWorker", words)
    if not found.template and found.power_state != "poweredOff":
        words = f'"{name}" is a VM that runs; power it off or convert it to a template ({field})'
        return Problem(TEMPLATE, "TemplatePoweredOn", words)
    return found


def _find(
    inventory: Inventory,
    kind: type[E],
    name: str,
    datacenter: Datacenter,
    *,
    noun: str,
    field: str,
    fence: Fence | None = None,
    prefer: Callable[[E], bool] | None = None,
) -> E | Problem:
    found = candidates(inventory, kind, name, datacenter)
    if fence is not None:
        found = [c for c in found if c.moref in fence.morefs]
    if prefer and any(prefer(c) for c in found):
        found = [c for c in found if prefer(c)]
    if len(found) == 1:
        return found[0]
    title = "".join(word.capitalize() for word in noun.split())
    if not found and fence is not None:
        return not_allowed(noun, name, fence, field)
    if not found:
        return _elsewhere(inventory, title, noun, name, datacenter, field) or _missing(
            title, noun, name, f'the datacenter "{datacenter.name}"', field
        )
    paths = ", ".join(sorted(inventory.path(c.moref) or c.moref for c in found))
    words = f'there are several {noun}s named "{name}": {paths}; write the whole inventory path ({field})'
    return Problem(PLACEMENT, f"{title}Ambiguous", words)


def candidates(inventory: Inventory, kind: type[E], name: str, datacenter: Datacenter) -> Sequence[E]:
    """All that a name, an inventory path or, for VMs, a MoRef stands for in a datacenter."""
    found: Sequence[Entity]
    if name.startswith("/"):
        answer = inventory.by_path(name)
        found = [answer.value] if isinstance(answer, Present) else []
    else:
        referred = _vm_by_reference(inventory, name) if kind is VmEntity else None
        found = [referred] if referred else inventory.find(kind, unescape(name), datacenter=datacenter.moref)
    return [e for e in found if isinstance(e, kind) and _lies_in(inventory, e, datacenter)]


def _vm_by_reference(inventory: Inventory, text: str) -> VmEntity | None:
    """By MoRef, written as in a status or as vCenter itself shows it (`vm-42`)."""
    found = (inventory.vm(MoRef(written)) for written in (text, f"VirtualMachine:{text}"))
    return next((vm for vm in found if vm is not None), None)


def _lies_in(inventory: Inventory, entity: Entity, datacenter: Datacenter) -> bool:
    home = inventory.datacenter_of(entity.moref)
    return home is not None and home.moref == datacenter.moref


def not_allowed(noun: str, name: str, fence: Fence, field: str) -> Problem:
    """Tells what may be named, and nothing of what may not."""
    title = "".join(word.capitalize() for word in noun.split())
    may = f"allowed are: {', '.join(fence.names)}" if fence.names else "none may be named; leave it out"
    words = f'the {noun} "{name}" is not among those that may be named here ({may}); correct {field}'
    return Problem(PLACEMENT, f"{title}NotAllowed", words)


def _elsewhere(
    inventory: Inventory, title: str, noun: str, name: str, datacenter: Datacenter, field: str
) -> Problem | None:
    """A path that leads into another datacenter can be told by its beginning."""
    home = inventory.path(datacenter.moref) or f"/{escape(datacenter.name or '')}"
    if not name.startswith("/") or split(name)[: len(split(home))] == split(home):
        return None
    words = (
        f'the path "{name}" of the {noun} does not lead into the datacenter "{datacenter.name}"; '
        f"write one that begins with {home}/ ({field})"
    )
    return Problem(PLACEMENT, f"{title}InOtherDatacenter", words)


def _missing(title: str, noun: str, name: str, where: str, field: str) -> Problem:
    words = f'the {noun} "{name}" is not in {where}, or this user may not see it; correct {field}'
    return Problem(PLACEMENT, f"{title}NotFound", words)
