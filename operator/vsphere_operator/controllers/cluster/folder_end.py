"""What becomes of a Cluster's folder when the Cluster goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vsphere_operator.api.cluster import FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.cluster.folder import FOLDER_READY
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.morefs import MoRef


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. ``contents`` is a fresh read of what lies in the folder (None: not read yet), ``names`` what the
    inventory calls that."""

    record: FolderStatus | None
    vcenter: str
    let_go: bool = False
    contents: Answer[list[MoRef]] | None = None
    names: Mapping[MoRef, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no folder that would have to go."""


@dataclass(frozen=True, slots=True)
class LeaveBehind:
    """A person lets go of it; it stays, with our tags taken off."""

    record: FolderStatus


@dataclass(frozen=True, slots=True)
class LeaveAdopted:
    """It was there before this Cluster, and stays, with our tags taken off."""

    record: FolderStatus


@dataclass(frozen=True, slots=True)
class Forget:
    """It is gone, or was never ours: only the record goes."""

    why: str


@dataclass(frozen=True, slots=True)
class LookInside:
    """Ours: what is in it decides."""

    moref: MoRef


@dataclass(frozen=True, slots=True)
class Destroy:
    """Ours and empty."""

    moref: MoRef


@dataclass(frozen=True, slots=True)
class Block:
    problem: Problem


End = Nothing | LeaveBehind | LeaveAdopted | Forget | LookInside | Destroy | Block


def plan(seen: Seen) -> End:
    """The next step towards a folder that is gone or may stay."""
    record = seen.record
    if record is None or record.mo_ref is None:
        return Nothing()
    if seen.let_go:
        return LeaveBehind(record)
    if record.origin is Origin.EXTERNAL:
        return Forget("a person named it in the spec, and it is only used")
    if record.vcenter and record.vcenter != seen.vcenter:
        words = "the folder was recorded on another vCenter than the one at this address; nothing is touched"
        return Block(Problem(FOLDER_READY, "OtherVCenter", words))
    if record.origin is not Origin.CREATED:
        return LeaveAdopted(record)
    return _ours(MoRef(record.mo_ref), record, seen)


def _ours(moref: MoRef, record: FolderStatus, seen: Seen) -> End:
    match seen.contents:
        case None:
            return LookInside(moref)
        case Absent():
            return Forget("it is gone already")
        case Unknown(why=why):
            words = f"waits until vCenter can tell what is in the folder {record.path}: {why}"
            return Block(Problem(FOLDER_READY, "FolderUnknown", words, stalled=False, retry_after=10.0))
        case Present(value=children) if children:
            return Block(_not_empty(record, children, seen.names))
    return Destroy(moref)


def _not_empty(record: FolderStatus, children: Sequence[MoRef], names: Mapping[MoRef, str]) -> Problem:
    inside = tuple(sorted(f'"{names[c]}"' if names.get(c) else c for c in children))
    words = (
        f"the folder {record.path} holds what is not this Cluster's and is left alone: "
        f"{conditions.named(inside)}. Move it away, or annotate the Cluster with userclusters.io/orphan: folder to "
        "leave the folder"
    )
    return Problem(FOLDER_READY, "FolderNotEmpty", words, retry_after=60.0, waits_for=inside)
