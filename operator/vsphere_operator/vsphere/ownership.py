"""What is written into VMs, tags and categories that we make, and when that writing counts as a proof.

People clone and restore VMs, and `extraConfig` goes along. So a VM's mark names the instanceUuid it was made
with, and
counts only on the VM that has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vsphere_operator.vsphere import identity

PREFIX = "userclusters.io."
INSTALLATION = PREFIX + "installation"
CLUSTER = PREFIX + "cluster"
MACHINE = PREFIX + "machine"
NAME = PREFIX + "name"
INSTANCE_UUID = PREFIX + "instance-uuid"
KEYS = (INSTALLATION, CLUSTER, MACHINE, NAME, INSTANCE_UUID)
"""The `extraConfig` keys of a mark. Not `guestinfo.*`, which the guest can write."""


@dataclass(frozen=True, slots=True)
class VmMark:
    """Whose VM this is. `cluster_id` and `machine_id` are the portable ids; `name` is for people."""

    installation: str
    cluster_id: str
    machine_id: str
    name: str
    instance_uuid: str

    def as_extra_config(self) -> dict[str, str]:
        return {
            INSTALLATION: self.installation,
            CLUSTER: self.cluster_id,
            MACHINE: self.machine_id,
            NAME: self.name,
            INSTANCE_UUID: self.instance_uuid,
        }


class Marked(Protocol):
    """What a proof is read from: a VM read fresh, or its copy in the inventory."""

    @property
    def extra_config(self) -> Mapping[str, str]: ...
    @property
    def instance_uuid(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """The VM is ours, by this mark."""

    mark: VmMark


@dataclass(frozen=True, slots=True)
class NotOurs:
    """The VM is not ours to touch; `reason` says why, for a condition.

    `anothers`: it proves by itself to be another machine's, as a MoRef may that a restored vCenter gave out again.
    """

    reason: str
    anothers: bool = False


def parse_mark(extra_config: Mapping[str, str]) -> VmMark | None:
    """The mark that a VM carries, whoever made it; `None` if there is none or a part is missing."""
    values = [extra_config.get(key, "") for key in KEYS]
    if not all(values):
        return None
    return VmMark(*values)


def proves(vm: Marked, *, installation: str, machine_id: str, instance_uuid: str) -> Proof | NotOurs:
    """Whether this VM was made by this installation for this machine and is not a copy of that one."""
    mark = parse_mark(vm.extra_config)
    if mark is None:
        return NotOurs("it carries no ownership mark")
    if mark.installation != installation:
        words = f"its mark names another installation ({mark.installation})"
        return NotOurs(words, anothers=is_anothers(vm, machine_id=machine_id))
    if mark.machine_id != machine_id:
        words = f"its mark names another machine ({mark.name})"
        return NotOurs(words, anothers=is_anothers(vm, machine_id=machine_id))
    if not _same(mark.instance_uuid, instance_uuid):
        return NotOurs("its mark names another instance UUID than this machine's VM has")
    if not _same(vm.instance_uuid, instance_uuid):
        return NotOurs("it is a copy: its mark was made for another VM (the instance UUID differs)")
    return Proof(mark)


def is_anothers(vm: Marked, *, machine_id: str) -> bool:
    """Whether mark and instanceUuid both say, and agree, that the VM was made for another machine than this."""
    mark = parse_mark(vm.extra_config)
    if mark is None or mark.machine_id == machine_id:
        return False
    theirs = identity.instance_uuid(mark.machine_id)
    return _same(mark.instance_uuid, theirs) and _same(vm.instance_uuid, theirs)


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()


@dataclass(frozen=True, slots=True)
class TagMark:
    """What the description of a tag or category that we made says."""

    installation: str
    cluster_id: str

    def as_description(self) -> str:
        """Text for people first, then the part that is read back. Well under vCenter's 256 characters."""
        fields = json.dumps(
            {"installation": self.installation, "cluster": self.cluster_id}, separators=(",", ":")
        )
        return f"{_TAG_TEXT}{fields}"


_TAG_TEXT = "Made by the user cluster operator. Do not edit: userclusters.io="


def parse_description(description: str) -> TagMark | None:
    """The mark in a tag's or category's description; `None` for anything that we did not write."""
    if not description.startswith(_TAG_TEXT):
        return None
    try:
        fields = json.loads(description.removeprefix(_TAG_TEXT))
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    installation, cluster = fields.get("installation"), fields.get("cluster")
    if not isinstance(installation, str) or not isinstance(cluster, str) or not installation or not cluster:
        return None
    return TagMark(installation, cluster)
