"""All controllers together, with the indexes that they read by and the routes that wake them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vsphere_operator.controllers.cluster.controller import ClusterController
from vsphere_operator.controllers.datacenters import VCenterPool
from vsphere_operator.controllers.machine.controller import MachineController
from vsphere_operator.controllers.machinedeployment.controller import MachineDeploymentController
from vsphere_operator.controllers.machineset.controller import MachineSetController
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.seed.controller import SeedController
from vsphere_operator.controllers.wakeups import INDEXES, Index, Wakeups
from vsphere_operator.runtime.engine import Controller
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.inventory.entities import Change


@dataclass(frozen=True)
class Controllers:
    """What the engine, the store and the vCenters are given."""

    controllers: Sequence[Controller]
    router: Callable[[str, Object | None, Object | None], Iterable[Key]]
    indexes: Sequence[tuple[str, str, Index]]
    on_vcenter_change: Callable[[object, Sequence[Change]], None]


def build(
    *,
    objects: Objects,
    vcenters: VCenterPool,
    enqueue: Callable[[Key], None],
    installation: str,
    events: Events,
    metrics: Any = None,
) -> Controllers:
    """Wire the controllers; nothing runs yet."""
    del metrics  # the engine counts reconciles, the vCenters count calls
    wakeups = Wakeups(objects)

    def on_vcenter_change(_: object, changes: Sequence[Change]) -> None:
        for key in wakeups.for_vcenter(changes):
            enqueue(key)

    return Controllers(
        controllers=[
            SeedController(objects=objects, vcenters=vcenters, events=events),
            ClusterController(objects=objects, vcenters=vcenters, events=events, installation=installation),
            MachineDeploymentController(objects=objects, events=events),
            MachineSetController(objects=objects, events=events),
            MachineController(objects=objects, vcenters=vcenters, events=events, installation=installation),
        ],
        router=wakeups.for_object,
        indexes=INDEXES,
        on_vcenter_change=on_vcenter_change,
    )
