"""A Cluster's cloud configuration from end to end: gathered, written beside the Cluster, delivered into its own API.

vCenter need not answer for it, and nothing in vCenter waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vsphere_operator.api.cluster import DeliveredObject
from vsphere_operator.api.durations import parse_duration
from vsphere_operator.cloudconfig import cluster_id
from vsphere_operator.controllers import clusters, settings, user_clusters
from vsphere_operator.controllers.cluster import cloud_config, delivery, delivery_actions
from vsphere_operator.controllers.cluster.cloud_config import CloudFiles
from vsphere_operator.controllers.cluster.cloud_secrets import CloudSecrets
from vsphere_operator.controllers.cluster.deliveries import Deliveries
from vsphere_operator.controllers.cluster.delivery import Delivery
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Offer
from vsphere_operator.controllers.drift import CLOUD_CONFIG, Difference, Drift
from vsphere_operator.controllers.lifecycle import metadata
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.controllers.presets import PresetUse, preset_for
from vsphere_operator.controllers.user_clusters import USER_CLUSTER_REACHABLE, UserCluster, UserClusterPool
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.runtime.queue import Clock


class CloudConfiguration:
    """Keeps it, as far as it can; each concern is told in a condition of its own."""

    def __init__(
        self,
        *,
        objects: Objects,
        drift: Drift,
        user_clusters: UserClusterPool | None,
        wake: Callable[[Key], None],
        clock: Clock,
    ) -> None:
        self._objects = objects
        self._pool = user_clusters
        self._drift = drift
        self._secrets = CloudSecrets(objects, drift)
        self._deliveries = Deliveries(wake, clock)

    def forget(self, key: Key) -> None:
        """The Cluster is gone."""
        self._secrets.forget(key)
        self._deliveries.forget(key)

    def stop_delivering(self, key: Key) -> None:
        """The Cluster goes: what is removed from the user cluster must not come back."""
        self._deliveries.forget(key)

    async def ensure(self, work: Work) -> None:
        offer = clusters.offer_for(self._objects, work.cluster)
        if isinstance(offer, Problem):
            return
        files = await cloud_config.gather(self._objects, offer, work.cluster, work.id)
        if isinstance(files, Problem):
            (work.remark if files.reason == clusters.NO_CONSUMER else work.hindered)(files)
        else:
            await self._write(work, files)
        await self._deliver(work, offer, files)

    async def _write(self, work: Work, files: CloudFiles) -> None:
        problem = await self._secrets.ensure(work, files)
        if problem is None:
            work.found(cloud_config.CLOUD_CONFIG_READY, "Written")
            return
        work.hindered(problem)
        work.look_again_in(problem.retry_after)

    async def _deliver(self, work: Work, offer: Offer, files: CloudFiles | Problem) -> None:
        key = key_of(work.obj)
        if self._pool is None or work.cluster.spec.kubeconfig_secret_ref is None:
            self._deliveries.forget(key)
            return
        found = await user_clusters.connect(self._objects, self._pool, work.cluster)
        if isinstance(found, Problem):
            self._deliveries.forget(key)
            # Often the user cluster comes after its vSphere side: to wait for its kubeconfig is no fault.
            (work.remark if found.reason == user_clusters.MISSING else work.hindered)(found)
            return
        wanted = self._plan(work, offer, files)
        if wanted is None:
            work.keep(delivery_actions.DELIVERED)
            wanted = Delivery(cluster_id(work.id))
        await _record(work, wanted)
        self._look(key, work, offer, found, wanted)

    def _plan(self, work: Work, offer: Offer, files: CloudFiles | Problem) -> Delivery | None:
        """None when it cannot be told now what to deliver: what was delivered stays as it is."""
        preset = preset_for(self._objects, work.cluster)
        if isinstance(files, Problem) or isinstance(preset, Problem):
            return None
        return delivery.plan(
            files,
            cluster=metadata(work.obj)["name"],
            installation=work.installation,
            storage_policy=_policy(work, offer, preset),
        )

    def _look(self, key: Key, work: Work, offer: Offer, found: UserCluster, wanted: Delivery) -> None:
        recorded = list(work.status.delivered) if wanted.complete else []
        fingerprint, obj = (wanted.fingerprint, found), work.obj
        repeated = self._deliveries.was_done(key, fingerprint)
        outcome = self._deliveries.look(
            key,
            fingerprint,
            lambda: self._try(obj, found, wanted, recorded, repeated=repeated),
            interval=parse_duration(offer.vsphere.resync_interval),
        )
        work.look_again_in(self._deliveries.next_look(key))
        if outcome is None:
            work.keep_remark(USER_CLUSTER_REACHABLE)
            work.keep(delivery_actions.DELIVERED)
            return
        problem = outcome.problem
        if problem is not None and problem.condition == USER_CLUSTER_REACHABLE:
            (work.hindered if problem.stalled else work.remark)(problem)
            work.keep(delivery_actions.DELIVERED)
            return
        work.found(USER_CLUSTER_REACHABLE, "Answers")
        if problem is not None:
            work.hindered(problem)
        elif wanted.wanted:
            work.found(delivery_actions.DELIVERED, "Delivered")

    async def _try(
        self,
        obj: Object,
        found: UserCluster,
        wanted: Delivery,
        recorded: list[DeliveredObject],
        *,
        repeated: bool,
    ) -> Problem | None:
        """What a repeated try has to write is what somebody changed since the last one."""
        written, problem = await delivery_actions.deliver(found, wanted, recorded)
        for name in written if repeated else ():
            words = f"The {name} in the user cluster was changed or deleted, and is as it was again."
            self._drift.repaired(obj, Difference(CLOUD_CONFIG, words))
        return problem


def _policy(work: Work, offer: Offer, preset: PresetUse | None) -> str | None:
    setting = settings.for_cluster(replace(offer, preset=preset), work.cluster).get("storagePolicy")
    return setting.value if setting else None


async def _record(work: Work, wanted: Delivery) -> None:
    """Before the first of it is written, so that it can be taken back whatever happens in between."""
    known = list(work.status.delivered)
    new: list[DeliveredObject] = [one.place for one in wanted.wanted if one.place not in known]
    if new:
        await work.save(work.status.model_copy(update={"delivered": [*known, *new]}))
