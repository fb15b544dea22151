"""Where a clone goes, and whether it may begin now: the datastore, its share of clones, and the space promised."""

from __future__ import annotations

from vsphere_operator.controllers import lookups
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine.actions import Work, clone_request
from vsphere_operator.controllers.machine.observed import Prepared
from vsphere_operator.controllers.machine.operations import CLONE
from vsphere_operator.controllers.machine.steps import Block, Wait
from vsphere_operator.controllers.machine.turns import DATASTORE, SIZE, Turns
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.inventory.entities import StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.choice import NotPlaced, Placed
from vsphere_operator.vsphere.placement.datastores import needed_bytes
from vsphere_operator.vsphere.placement.reservations import SETTLE

_FULL_PAUSE = 60.0
"""Seconds until a datastore cluster without room is looked at again; more space wakes sooner."""


class Placing:
    """Finds a place for each clone. A token comes first: who has to wait asks vCenter nothing."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def place(self, key: Key, work: Work, prepared: Prepared) -> Placed | Wait | Block:
        """The place, with its token and its reservation; or what to wait for."""
        machine, access, storage = work.machine, work.access, prepared.storage
        fixed = None if isinstance(storage, StoragePod) else storage.moref
        if not self._turns.may_begin(key, machine, access, CLONE, fixed):
            return waiting()
        request = clone_request(work, prepared)
        if not isinstance(storage, StoragePod):
            return self._there(work, request, storage.moref)
        found = await access.vcenter.placement.in_pod(
            work.instance_uuid, storage, prepared.compute, request, op_id=work.op_id
        )
        if isinstance(found, NotPlaced):
            words = f'no datastore of the datastore cluster "{storage.name}" can take the VM now: {found.why}'
            problem = Problem(
                lookups.PLACEMENT, "NoDatastoreFits", words, stalled=False, retry_after=_FULL_PAUSE
            )
            return Block(problem)
        if not self._turns.move(key, machine, access, found.datastore):
            access.vcenter.reservations.release(work.instance_uuid)
            return waiting()
        return found

    def _there(self, work: Work, request: CloneRequest, datastore: MoRef) -> Placed:
        """A datastore that a person named is taken as it is: its limits are vCenter's to know."""
        work.access.vcenter.reservations.reserve(work.instance_uuid, datastore, needed_bytes(request))
        return Placed(datastore, request)


def waiting() -> Wait:
    """For the condition of who has to wait for a token."""
    words = "vCenter is doing as much at once as the limits of the datacenter allow; waits for its turn."
    return Wait("WaitingForTurn", words)


def promise_again(work: Work) -> None:
    """A clone is under way that perhaps an earlier process began: its space is promised."""
    operation = work.machine.status.operation
    if operation is None or operation.type != CLONE:
        return
    datastore, size = operation.details.get(DATASTORE), operation.details.get(SIZE)
    if datastore and size:
        work.access.vcenter.reservations.reserve(work.instance_uuid, MoRef(datastore), int(size))


def clone_ended(work: Work, *, well: bool) -> None:
    """The promise is fulfilled, which the datastore's free space shows a little later, or void."""
    work.access.vcenter.reservations.release(work.instance_uuid, after=SETTLE if well else 0.0)
