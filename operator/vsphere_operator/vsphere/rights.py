"""What the vCenter user may read: without that, finding nothing proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
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

        Proven by `System.Read` on the root folder by a permission that propagates, and on each datacenter that shows
        and its four folders. An object deeper down, on which a permission of its own takes the right away again,
        is not found out. Needs `System.View` on what it asks about, and `System.Read` on the root (API reference:
        `HasUserPrivilegeOnEntities`, `RetrieveEntityPermissions`). Never raises `VSphereError`.
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
        if lacking is None or isinstance(lacking, Unknown):
            return lacking
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

    def _lacking(self, content: Any, entities: list[MoRef]) -> MoRef | Unknown | None:
        """The first entity that may not be read. Three calls."""
        user = content.sessionManager.currentSession.userName
        answers = content.authorizationManager.HasUserPrivilegeOnEntities(
            [self._calls.session.object(moref) for moref in entities], user, [READ]
        )
        granted = {morefs.of(a.entity): all(p.isGranted for p in a.privAvailability) for a in answers or ()}
        lacking = next((moref for moref in entities if not granted.get(moref, False)), None)
        if lacking is not None:
            return lacking
        root = self._calls.session.object(entities[0])
        permissions = content.authorizationManager.RetrieveEntityPermissions(root, False)
        return None if propagates(permissions or (), user) else _ONLY_THE_ROOT


_ONLY_THE_ROOT = Unknown(
    f"the vCenter user may not read all of vCenter: {READ} on the root folder may not reach what is below it"
)


def propagates(permissions: Sequence[Any], user: str) -> bool:
    """Whether the right that a user has on an object holds for all below it.

    A user's own permission counts before those of groups. Who is in which group cannot be asked, so without one of
    its own all of the object's permissions have to propagate.
    """
    own = [p for p in permissions if not p.group and _account(p.principal) == _account(user)]
    return all(p.propagate for p in own or permissions)


def _account(name: str) -> tuple[str, str]:
    """A domain, a backslash and a name are the same user as name@domain (API reference: `Permission.principal`)."""
    domain, separator, account = name.lower().partition("\\")
    if separator:
        return domain, account
    account, _, domain = name.lower().partition("@")
    return domain, account
