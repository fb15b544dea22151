"""What the vCenter user may read: without that, finding nothing proves nothing."""

from __future__ import annotations

from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory.entities import Datacenter
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

READ = "System.Read"


class Rights:
    """Asks the AuthorizationManager, with the user's name as the session spells it."""

    def __init__(self, calls: Calls, inventory: Inventory) -> None:
        self._calls = calls
        self._inventory = inventory

    async def unreadable(self, *, op_id: str) -> Unknown | None:
        """Why something in this vCenter may be out of sight; `None` when the user may read all of it.

        Proven by `System.Read` on the root folder and, because a right there need not propagate, on each datacenter
        and its four folders. An object deeper down, on which a permission of its own takes the right away again,
        is not found out. Never raises `VSphereError`.
        """
        if self._inventory.root is None:
            return Unknown("vCenter's inventory has not been read yet")
        entities = [self._inventory.root, *self._below()]
        try:
            lacking = await self._calls.soap(
                lambda c: self._lacking(c, entities), op_id=op_id, mutating=False
            )
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)
        if lacking is None:
            return None
        entity = self._inventory.get(lacking)
        name = entity.name if entity is not None and entity.name else lacking
        return Unknown(f'the vCenter user may not read all of vCenter: {READ} is missing on "{name}"')

    def _below(self) -> list[MoRef]:
        found: list[MoRef] = []
        for datacenter in self._inventory.all(Datacenter):
            assert isinstance(datacenter, Datacenter)  # noqa: S101 - asked for these
            folders = (
                datacenter.vm_folder,
                datacenter.host_folder,
                datacenter.datastore_folder,
                datacenter.network_folder,
            )
            found += [datacenter.moref, *(f for f in folders if f is not None)]
        return found

    def _lacking(self, content: Any, entities: list[MoRef]) -> MoRef | None:
        """The first entity that may not be read. Two calls."""
        user = content.sessionManager.currentSession.userName
        answers = content.authorizationManager.HasUserPrivilegeOnEntities(
            [self._calls.session.object(moref) for moref in entities], user, [READ]
        )
        granted = {morefs.of(a.entity): all(p.isGranted for p in a.privAvailability) for a in answers or ()}
        return next((moref for moref in entities if not granted.get(moref, False)), None)
