"""A Cluster's VM folder: where it belongs, whose it is, what to do next. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from vsphere_operator.api.cluster import Cluster, FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Offer
from vsphere_operator.controllers.folder_paths import Lacking
from vsphere_operator.vsphere.morefs import MoRef

FOLDER_READY = "FolderReady"
CREATE = "CreateFolder"
RENAME = "RenameFolder"
DESTROY = "DestroyFolder"

_LONGEST = 80  # characters in a vSphere inventory name
_ID = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where the folder belongs. ``external`` folders are named by a person and only used."""

    parent: str
    name: str
    working_name: str
    external: bool

    @property
    def path(self) -> str:
        return f"{self.parent.rstrip('/')}/{self.name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the inventory. ``recorded`` is the folder of the status, there under ``recorded_name``.

    ``lacking`` is what may be made of the way there, ``misplaced`` why no VM of the datacenter can lie there.
    ``at_path`` lies where the folder belongs, ``working`` lies there under its working name; ``taken_by`` is another
    Cluster that records the one at the path.
    """

    status: FolderStatus | None
    vcenter: str
    recorded: MoRef | None = None
    recorded_name: str | None = None
    recorded_path: str | None = None
    parent: MoRef | None = None
    first_missing: str | None = None
    lacking: Lacking | None = None
    misplaced: str | None = None
    at_path: MoRef | None = None
    working: MoRef | None = None
    taken_by: str | None = None
    rename_refused: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The folder is there; ``record`` is what the status says of it."""

    record: FolderStatus
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Write down which folder it is, before anything else."""

    record: FolderStatus


@dataclass(frozen=True, slots=True)
class CreateParents:
    """Make the way there, which the Seed allows, and then the folder under its working name."""

    lacking: Lacking
    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Make it under its working name."""

    parent: MoRef
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Give it its own name, once its MoRef is written down."""

    moref: MoRef
    name: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """The inventory does not show it any more: ask vCenter whether it is gone."""

    moref: MoRef


@dataclass(frozen=True, slots=True)
class Block:
    problem: Problem


Step = Ready | Record | CreateParents | Create | Rename | Confirm | Block


def place(offer: Offer, cluster: Cluster, cluster_id: str) -> Place:
    """From the datacenter's root path, the Cluster's base path or its own folder."""
    own = cluster.spec.cloud.vsphere
    if own.folder:
        parent, _, name = own.folder.rpartition("/")
        return Place(parent, name, name, external=True)
    root = offer.vsphere.root_path or f"/{offer.vsphere.datacenter}/vm"
    base = own.base_path or (offer.preset.settings.base_path if offer.preset else None)
    if base:
        root = base if base.startswith("/") else f"{root.rstrip('/')}/{base}"
    name = folder_name(cluster.metadata.namespace or "", cluster.metadata.name)
    return Place(root, name, _shortened(name, f"~{cluster_id[:_ID]}"), external=False)


def folder_name(namespace: str, name: str) -> str:
    """``<namespace>-<name>``; two tenants may both have a ``shop``. Too long a name ends in a digest of itself."""
    full = f"{namespace}-{name}"
    if len(full) <= _LONGEST:
        return full
    return _shortened(full, f"-{hashlib.sha256(full.encode()).hexdigest()[:_ID]}")


def plan(seen: Seen, where: Place) -> Step:
    """The next step towards a folder that is there and known."""
    if where.external:
        return _external(seen, where)
    if seen.status is not None and seen.status.mo_ref:
        return _recorded(seen, where, seen.status)
    if seen.working is not None:
        # Made by us before the operator died: nobody else would choose this name.
        return Record(_record(seen, where, seen.working, Origin.CREATED))
    if seen.misplaced:
        words = f"no VM of this datacenter can lie in {where.parent}: {seen.misplaced}; correct rootPath or basePath"
        return Block(Problem(FOLDER_READY, "FolderElsewhere", words))
    if seen.at_path is not None:
        if seen.taken_by:
            return _taken(where, seen.taken_by, "rename one of the two")
        return Record(_record(seen, where, seen.at_path, Origin.ADOPTED))
    if seen.parent is not None:
        return Create(seen.parent, where.working_name)
    if seen.lacking is not None:
        return CreateParents(seen.lacking, where.working_name)
    words = (
        f"the folder {seen.first_missing or where.parent} is missing, so {where.name} cannot be made below it; "
        "create it in vCenter, set createRootPath in the Seed, or correct rootPath there or basePath in the Cluster"
    )
    return Block(Problem(FOLDER_READY, "ParentFolderNotFound", words))


def _taken(where: Place, owner: str, remedy: str) -> Block:
    words = f"the folder {where.path} belongs to the Cluster {owner}; {remedy}"
    return Block(Problem(FOLDER_READY, "FolderTaken", words))


def _external(seen: Seen, where: Place) -> Step:
    if seen.at_path is None:
        words = f"the folder {where.path} of spec.cloud.vsphere.folder is not there, or may not be seen; create it"
        return Block(Problem(FOLDER_READY, "FolderNotFound", words))
    if seen.taken_by:
        return _taken(where, seen.taken_by, "name another one in spec.cloud.vsphere.folder of a new Cluster")
    if seen.misplaced:
        words = (
            f"no VM of this datacenter can lie in {where.path}: {seen.misplaced}; name a folder that suits"
        )
        return Block(Problem(FOLDER_READY, "FolderElsewhere", words))
    if seen.status is not None and seen.status.origin is Origin.CREATED:
        words = (
            f"this Cluster has a folder of its own already ({seen.status.path}), and VMs do not move: "
            "remove spec.cloud.vsphere.folder by making the Cluster anew"
        )
        return Block(Problem(FOLDER_READY, "FolderCreatedBefore", words))
    record = _record(seen, where, seen.at_path, Origin.EXTERNAL)
    return Ready(record, "External") if record == seen.status else Record(record)


def _recorded(seen: Seen, where: Place, status: FolderStatus) -> Step:
    if status.vcenter and status.vcenter != seen.vcenter:
        words = "the folder was recorded on another vCenter than the one at this address; nothing is touched"
        return Block(Problem(FOLDER_READY, "OtherVCenter", words))
    if seen.recorded is None:
        return Confirm(MoRef(status.mo_ref or ""))
    path = seen.recorded_path or status.path
    record = status.model_copy(update={"path": path})
    if record != status:
        return Record(record)
    if status.origin is Origin.CREATED and seen.recorded_name == where.working_name:
        return _unrenamed(seen, where, record)
    if path != where.path:
        return Ready(
            record, "Moved", f"Somebody moved or renamed the folder; it is used where it is now: {path}."
        )
    return Ready(record, (status.origin or Origin.ADOPTED).value)


def _unrenamed(seen: Seen, where: Place, record: FolderStatus) -> Step:
    if seen.rename_refused:
        words = (
            f"The folder keeps its working name: the user may not rename it to {where.name} (Folder.Rename)."
        )
        return Ready(record, "RenameNotPermitted", words)
    if seen.at_path is not None:
        words = f"somebody has made {where.path} meanwhile; move it away, so that this Cluster's can have its name"
        return Block(Problem(FOLDER_READY, "FolderTaken", words))
    return Rename(MoRef(record.mo_ref or ""), where.name)


def _record(seen: Seen, where: Place, moref: MoRef, origin: Origin) -> FolderStatus:
    path = f"{where.parent.rstrip('/')}/{where.working_name}" if origin is Origin.CREATED else where.path
    return FolderStatus(path=path, mo_ref=moref, vcenter=seen.vcenter, origin=origin)


def _shortened(name: str, ending: str) -> str:
    return f"{name[: _LONGEST - len(ending)]}{ending}"
