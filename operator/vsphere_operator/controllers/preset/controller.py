"""A Preset is checked by itself: its users' Secrets, its datacenter; and it tells how many Clusters name it."""

from __future__ import annotations

from vsphere_operator.api.preset import Preset
from vsphere_operator.api.vspheresettings import Source
from vsphere_operator.controllers import conditions, indexes, status
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.datacenters import (
    CREDENTIALS_VALID,
    DATACENTER_KNOWN,
    Role,
    SecretUse,
    find_offer,
    read_login,
)
from vsphere_operator.controllers.lifecycle import is_deleting
from vsphere_operator.controllers.ports import Events, Objects
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key


class PresetController:
    """Makes nothing; tells whether what the Preset says can be used. What vCenter thinks of it, the Clusters tell."""

    kind = "Preset"

    def __init__(self, *, objects: Objects, events: Events) -> None:
        self._objects = objects
        self._events = events

    async def reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, "", key.name)
        if obj is None or is_deleting(obj):
            return Result()
        findings = await self._findings(Preset.model_validate(obj))
        bad = next((c for c in findings if c.status != "True"), None)
        summary = conditions.stalled(bad.reason, bad.message) if bad else conditions.ready("Checked")
        clusters = len(self._objects.by_index("Cluster", indexes.PRESET, key.name))
        new = status.compose(obj, {"clusters": clusters}, [*summary, *findings], at=status.now())
        after = await status.write(self._objects, obj, new)
        status.announce(self._events, obj, after)
        return Result()

    async def _findings(self, preset: Preset) -> list[Condition]:
        return [self._datacenter(preset), await self._users(preset)]

    def _datacenter(self, preset: Preset) -> Condition:
        if preset.spec.datacenter is None:
            return Condition(DATACENTER_KNOWN, "True", "Any")
        offer = find_offer(self._objects, preset.spec.datacenter)
        if isinstance(offer, Problem):
            return offer.as_condition()
        return Condition(DATACENTER_KNOWN, "True", "Offered")

    async def _users(self, preset: Preset) -> Condition:
        """Whether both Secrets can be read; whether vCenter takes them is known where they are used."""
        uses = _users_of(preset)
        if not uses:
            return Condition(CREDENTIALS_VALID, "True", "NoUser")
        found = [await read_login(self._objects, use) for use in uses]
        problems = [login for login in found if isinstance(login, Problem)]
        if not problems:
            return Condition(CREDENTIALS_VALID, "True", "Readable")
        return Condition(
            CREDENTIALS_VALID, "False", problems[0].reason, "; ".join(p.message for p in problems)
        )


def _users_of(preset: Preset) -> list[SecretUse]:
    own = preset.spec.vsphere
    infra = own.infra_management_user.secret_ref if own.infra_management_user else None
    named = ((infra, Role.INFRASTRUCTURE), (own.credentials_secret_ref, Role.CONSUMER))
    return [SecretUse(r.namespace, r.name, role, Source.PRESET) for r, role in named if r is not None]
