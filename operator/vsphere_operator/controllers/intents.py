"""An intent whose call may or may not have arrived: from when on the inventory's silence means that it did not."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers import status
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Expected

GRACE = timedelta(seconds=5)
"""A call that was on the wire when its operator died arrives within this."""


def inventory_at(inventory: Inventory) -> datetime | None:
    """When the watch last answered: what came later than that may be missing from the copy."""
    if inventory.seen_at is None:
        return None
    return status.now() - timedelta(seconds=asyncio.get_running_loop().time() - inventory.seen_at)


def expected(operation: Operation, entity: MoRef | None = None) -> Expected:
    """What the task of a recorded operation has to be: a restored vCenter gives the numbers of tasks out again."""
    return Expected(started_at=operation.started_at, entity=entity)


def seconds_until_shown(operation: Operation, *, now: datetime, looked_at: datetime | None) -> float:
    """How long to wait until what the call made, if it made anything, shows in the inventory; 0 when it would."""
    if operation.started_at is None:
        return 0.0
    arrived = operation.started_at + GRACE
    if now < arrived:
        return (arrived - now).total_seconds()
    # A connection that lost the call's answer may have lost the watch's, too: its silence shows nothing.
    return 0.0 if looked_at is not None and looked_at >= arrived else 2.0
