"""From the name of a storage policy to its id, or to words that say what to change."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.placements import Placement
from vsphere_operator.controllers.settings import Setting
from vsphere_operator.vsphere.answers import Absent, Unknown
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory.entities import Datastore, StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.policies import FRESH

STORAGE_POLICY_READY = "StoragePolicyReady"


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """A policy's id, and those of the storage's datastores that cannot serve it."""

    id: str
    unfit: frozenset[MoRef] = frozenset()


async def find_policy(placement: Placement, setting: Setting, *, op_id: str) -> PolicyChoice | Problem:
    """The policy, if it is there and the storage can serve it as far as vCenter tells.

    A user who may not read policies can still use one by its id.
    """
    policies = placement.site.access.vcenter.policies
    found = await policies.find(setting.value, op_id=op_id)
    match found:
        case Unknown() if _is_id(setting.value) and _forbidden(found):
            return PolicyChoice(setting.value)
        case Unknown():
            return _unknown(found, setting)
        case Absent():
            words = (
                f'the storage policy "{setting.value}" does not exist; create it, or correct {setting.field}'
            )
            return Problem(STORAGE_POLICY_READY, "StoragePolicyNotFound", words, retry_after=FRESH)
    datastores = _datastores(placement)
    unfit = await policies.unfit(found.value, datastores, op_id=op_id) if datastores else {}
    if isinstance(unfit, Unknown):
        return PolicyChoice(found.value.id)  # the clone will tell
    if len(unfit) < len(datastores) or not datastores:
        return PolicyChoice(found.value.id, frozenset(unfit))
    return _incompatible(placement, setting, unfit[datastores[0]])


def _incompatible(placement: Placement, setting: Setting, why: str) -> Problem:
    name = placement.storage.name if placement.storage else ""
    noun = "datastore cluster" if isinstance(placement.storage, StoragePod) else "datastore"
    words = (
        f'the {noun} "{name}" cannot serve the storage policy "{setting.value}": {why}; '
        f"choose other storage, or correct {setting.field}"
    )
    return Problem(STORAGE_POLICY_READY, "StoragePolicyIncompatible", words, retry_after=FRESH)


def _unknown(answer: Unknown, setting: Setting) -> Problem:
    if _forbidden(answer):
        words = (
            f'whether there is a storage policy "{setting.value}" cannot be told: the user may not read policies; '
            f"grant StorageProfile.View at vCenter's root, or write the policy's id into {setting.field}"
        )
        return Problem(
            STORAGE_POLICY_READY, "StoragePolicyNotReadable", words, stalled=False, retry_after=FRESH
        )
    words = f'the storage policy "{setting.value}" cannot be looked up now: {answer.why}'
    return Problem(STORAGE_POLICY_READY, "StoragePolicyUnknown", words, stalled=False, retry_after=FRESH)


def _datastores(placement: Placement) -> list[MoRef]:
    storage, site = placement.storage, placement.site
    if isinstance(storage, StoragePod):
        members = (child.moref for child in site.inventory.children(storage.moref))
        return sorted(m for m in members if m in site.compute.datastores)
    return [storage.moref] if isinstance(storage, Datastore) else []


def _forbidden(answer: Unknown) -> bool:
    return answer.fault is not None and answer.fault.fault_class is FaultClass.PERMISSION


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
