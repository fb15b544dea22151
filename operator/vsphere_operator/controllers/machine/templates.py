"""Templates' details, kept for a short while: a hundred clones of one template read it once."""

from __future__ import annotations

import time
from collections.abc import Callable

from vsphere_operator.vsphere.answers import Answer, Present
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vcenters import VCenter
from vsphere_operator.vsphere.vm_details import VmDetails

_FRESH = 60.0  # seconds; a template that is edited is seen within this, one that is removed at once by the inventory


class Templates:
    """Reads each template once in a while for all Machines made from it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read: dict[tuple[object, MoRef], tuple[float, Answer[VmDetails]]] = {}

    async def read(self, vcenter: VCenter, moref: MoRef) -> Answer[VmDetails]:
        """The template's details, at most a minute old. Raises VSphereError."""
        now = self._clock()
        known = self._read.get((vcenter.id, moref))
        if known and now - known[0] < _FRESH:
            return known[1]
        answer = await vcenter.vms.read(moref, op_id=f"template-{moref}")
        self._read = {k: v for k, v in self._read.items() if now - v[0] < _FRESH}
        if isinstance(answer, Present):
            self._read[(vcenter.id, moref)] = (now, answer)
        return answer
