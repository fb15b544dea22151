"""All controllers together, with the indexes that they read by and the routes that wake them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vsphere_operator.controllers.cluster.controller import ClusterController
from vsphere_operator.controllers.drift import DriftMetrics
from vsphere_operator.controllers.indexes import INDEXES, Index
from vsphere_operator.controllers.lanes import lanes
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.machine.controller import MachineController
from vsphere_operator.controllers.machinedeployment.controller import MachineDeploymentController
from vsphere_operator.controllers.machineset.controller import MachineSetController
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.preset.controller import PresetController
from vsphere_operator.controllers.seed.controller import SeedController
from vsphere_operator.controllers.sessions import RetainingPool, SessionUse, Tracked
from vsphere_operator.controllers.user_clusters import UserClusterPool
from vsphere_operator.controllers.wakeups import Wakeups
from vsphere_operator.runtime.admission import AdmissionMetrics, Admissions
from vsphere_operator.runtime.engine import Controller
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.runtime.queue import Clock, LaneOf
from vsphere_operator.vsphere.inventory.entities import Change


@dataclass(frozen=True)
class Controllers:
    """What the engine, the store and the vCenters are given."""

    controllers: Sequence[Controller]
    router: Callable[[str, Object | None, Object | None], Iterable[Key]]
    indexes: Sequence[tuple[str, str, Index]]
    on_vcenter_change: Callable[[object, Sequence[Change]], None]
    lane_of: LaneOf


def build(
    *,
    objects: Objects,
    vcenters: RetainingPool,
    enqueue: Callable[[Key], None],
    installation: str,
    events: Events,
    user_clusters: UserClusterPool | None = None,
    admission_metrics: AdmissionMetrics | None = None,
    drift_metrics: DriftMetrics | None = None,
    clock: Clock = time.monotonic,
) -> Controllers:
    """Wire the controllers; nothing runs yet."""
    wakeups = Wakeups(objects)
    use = SessionUse(vcenters)

    def on_vcenter_change(_: object, changes: Sequence[Change]) -> None:
        for key in wakeups.for_vcenter(changes):
            enqueue(key)

    def router(kind: str, old: Object | None, new: Object | None) -> Iterable[Key]:
        if new is None and old is not None:
            use.forget(key_of(old))
        return wakeups.for_object(kind, old, new)

    admissions = Admissions(
        enqueue, clock=clock, timer=asyncio.get_running_loop().call_later, metrics=admission_metrics
    )
    losses = Losses(objects, clock)
    seeds = SeedController(objects=objects, vcenters=use, events=events, losses=losses)
    clusters = ClusterController(
        objects=objects,
        vcenters=use,
        events=events,
        installation=installation,
        losses=losses,
        wake=enqueue,
        user_clusters=user_clusters,
        drift_metrics=drift_metrics,
        clock=clock,
    )
    machines = MachineController(
        objects=objects,
        vcenters=use,
        events=events,
        installation=installation,
        admissions=admissions,
        losses=losses,
        drift_metrics=drift_metrics,
        clock=clock,
    )
    return Controllers(
        controllers=[
            Tracked(seeds, use),
            PresetController(objects=objects, events=events),
            Tracked(clusters, use),
            MachineDeploymentController(objects=objects, events=events),
            MachineSetController(objects=objects, events=events),
            Tracked(machines, use),
        ],
        router=router,
        indexes=INDEXES,
        on_vcenter_change=on_vcenter_change,
        lane_of=lanes(objects),
    )
