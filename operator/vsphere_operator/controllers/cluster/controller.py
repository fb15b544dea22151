"""A Cluster's vSphere side: credentials, folder, tags; and their end."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace

from vsphere_operator.api.durations import parse_duration
from vsphere_operator.controllers import (
    clusters,
    conditions,
    indexes,
    lookups,
    settings,
    status,
    tenancy,
    unsupported,
)
from vsphere_operator.controllers.cluster import deletion, folder, folder_actions, pools, tag_actions, vm_tags
from vsphere_operator.controllers.cluster.cloud_configuration import CloudConfiguration
from vsphere_operator.controllers.cluster.ending import DELETING, Ending, advised, progress
from vsphere_operator.controllers.cluster.interrupted_tags import TAGS_READY
from vsphere_operator.controllers.cluster.tag_looks import TagLooks
from vsphere_operator.controllers.cluster.user_cluster_looks import UserClusterLooks
from vsphere_operator.controllers.cluster.work import Turns, Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import (
    CREDENTIALS_VALID,
    DATACENTER_KNOWN,
    VCENTER_AVAILABLE,
    Access,
    VCenterPool,
    explain,
)
from vsphere_operator.controllers.drift import Drift, DriftMetrics
from vsphere_operator.controllers.faults import problem_of, was_asked
from vsphere_operator.controllers.lifecycle import (
    adopt,
    has_finalizer,
    identity,
    is_deleting,
    is_paused,
    metadata,
    orphaned,
    release,
)
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.placements import find_placement, find_volume_datastore
from vsphere_operator.controllers.policies import STORAGE_POLICY_READY, find_policy
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.presets import PRESET_READY, pin_of
from vsphere_operator.controllers.resync import look_again
from vsphere_operator.controllers.setbacks import Setbacks, inputs_of
from vsphere_operator.controllers.twins import problem_of_twin
from vsphere_operator.controllers.user_clusters import UserClusterPool
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key, key_of
from vsphere_operator.runtime.queue import Clock
from vsphere_operator.vsphere.answers import Present, Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.morefs import MoRef

Act = Callable[[Work], Awaitable[Problem | None]]


class ClusterController:
    """Brings each Cluster's folder and tags into being, keeps them, and takes them away."""

    kind = "Cluster"

    def __init__(
        self,
        *,
        objects: Objects,
        vcenters: VCenterPool,
        events: Events,
        installation: str,
        losses: Losses,
        wake: Callable[[Key], None],
        user_clusters: UserClusterPool | None = None,
        drift_metrics: DriftMetrics | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._objects = objects
        self._vcenters = vcenters
        self._events = events
        self._installation = installation
        self._losses = losses
        self._user_clusters = user_clusters
        self._clock = clock
        self._setbacks = Setbacks(clock)
        # One for each vCenter: a Cluster whose vCenter hangs must not hold up those of another.
        self._ledgers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns = Turns()
        self._tag_looks = TagLooks(clock)
        self._user_cluster_looks = UserClusterLooks(wake, clock)
        self._drift = Drift(events, drift_metrics)
        self._cloud = CloudConfiguration(
            objects=objects, drift=self._drift, user_clusters=user_clusters, wake=wake, clock=clock
        )

    async def reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, key.namespace, key.name)
        if obj is None or (is_deleting(obj) and not has_finalizer(obj)):
            self._tag_looks.forget(key)
            self._cloud.forget(key)
            self._user_cluster_looks.forget(key)
            self._setbacks.clear(key)
            return Result()
        work = Work(
            obj,
            self._objects,
            self._installation,
            self._losses,
            ledgers=self._ledgers,
            turns=self._turns,
        )
        if is_paused(obj):
            if is_deleting(obj):
                work.found(DELETING, "Paused", "nothing goes while spec.paused is true")
            return await self._finish(work, obj, conditions.paused(), None)
        if is_deleting(obj):
            return await self._delete(work)
        return await self._keep(work)

    async def _keep(self, work: Work) -> Result:
        before = work.obj
        work.obj = await adopt(self._objects, work.obj)
        problem = await self._guarded(work, folder.FOLDER_READY, self._make)
        if problem is not None:
            work.hindered(problem)
            summary = conditions.summary(problem)
        else:
            bad = next((c for c in work.findings.values() if c.status == "False"), None)
            summary = conditions.stalled(bad.reason, bad.message) if bad else conditions.ready("Reconciled")
        return await self._finish(work, before, summary, problem)

    async def _make(self, work: Work) -> Problem | None:
        refused = self._twin(work.obj)
        if refused:
            return refused
        await self._cloud.ensure(work)
        found = await self._reach(work)
        if isinstance(found, Problem):
            return found
        beyond = unsupported.refused_in_datacenter(found.offer.name, found.offer.vsphere.to_json())
        if beyond:
            return beyond
        lost = _without_datacenter(found)
        if lost:
            return lost
        if found.preset_problem:
            return found.preset_problem
        _tell_preset(work, found)
        await self._check_consumer(work, found)
        held = self._held(work, found)
        if held is not None:
            return held
        await _check_placement(work, found)
        pools.tell(work)
        forbidden = tenancy.refused_path(found.offer, work.cluster, work.id)
        return forbidden or await folder_actions.ensure(work, self._drift) or await self._tags(work)

    async def _tags(self, work: Work) -> Problem | None:
        """Tags are in no watch: what is attached is polled for all Clusters together, and the record tells the rest."""
        forbidden = await _forbidden_tags(work, work.there)
        if forbidden is not None:
            return forbidden
        key, looks, work.concern = _key(work), self._tag_looks, TAGS_READY
        folder_moref = tag_actions.folder_of(work)
        on_vms = tag_actions.for_vms(work)
        if not tag_actions.concerned(work) or (folder_moref is None and not on_vms):
            looks.unwatch(key)
            return await tag_actions.without_folder(work)
        workers = vm_tags.workers(work) if on_vms else []
        believed = frozenset(t.id for t in work.status.tags if t.vms)
        watched: dict[MoRef, frozenset[str] | None] = {w.moref: believed for w in workers}
        looks.watch(key, work.there.vcenter.tags, watched | ({folder_moref: None} if folder_moref else {}))
        tag_actions.hint(work)
        interval = 0.75 * parse_duration(work.there.offer.vsphere.resync_interval)
        seen = await _tags_seen(work, folder_moref, workers, interval)
        if isinstance(seen, Problem):
            return seen
        if looks.names_are_believed(key) and tag_actions.in_line(work, seen):
            work.found(TAGS_READY, "Attached")
            return None
        left = looks.recent(key, tag_actions.fingerprint(work, seen), interval)
        if left is not None:
            work.keep(TAGS_READY)
            work.differences += left
            return None
        before = len(work.differences)
        problem = await tag_actions.ensure(work, seen, self._drift)
        if problem is None:
            now = await _tags_seen(work, folder_moref, workers, interval)
            seen = seen if isinstance(now, Problem) else now
            looks.ended_well(key, tag_actions.fingerprint(work, seen), work.differences[before:])
        return problem

    async def _reach(self, work: Work) -> Access | Problem:
        found = await clusters.access(self._objects, self._vcenters, work.cluster)
        if isinstance(found, Problem):
            return found
        work.access = found
        work.found(DATACENTER_KNOWN, "Offered")
        work.found(VCENTER_AVAILABLE, "Connected")
        work.found(CREDENTIALS_VALID, "LoggedIn", str(found.login.use))
        return found

    async def _check_consumer(self, work: Work, access: Access) -> None:
        """The CCM's and CSI driver's user: told when it is wrong; folder and tags do not wait for it."""
        login = await clusters.consumer_login(self._objects, work.cluster)
        if isinstance(login, Problem):
            if login.reason != clusters.NO_CONSUMER:
                work.hindered(login)
            return
        if login.credentials != access.login.credentials:
            fault = await self._vcenters.check_login(access.endpoint, login.credentials)
            if fault is not None:
                refused = explain(fault, access.offer, login)
                work.hindered(refused)
                work.look_again_in(refused.retry_after)
                return
        work.found(CREDENTIALS_VALID, "LoggedIn", f"{access.login.use}; {login.use}")

    def _twin(self, obj: Object) -> Problem | None:
        return problem_of_twin(obj, self._objects.by_index(self.kind, indexes.ID, identity(obj)))

    async def _delete(self, work: Work) -> Result:
        before = work.obj
        self._cloud.stop_delivering(_key(work))
        ending = Ending(
            work,
            self._events,
            reach=self._reach_unless_held,
            user_clusters=self._user_clusters,
            looks=self._user_cluster_looks,
        )
        problem = await self._guarded(work, folder.FOLDER_READY, lambda _: deletion.unmake(ending))
        if problem is None:
            await release(self._objects, work.obj)
            if not orphaned(before) and not ending.leaves:
                self._events.normal(before, "Deleted", "Nothing of this Cluster is left in vCenter.")
            return Result()
        if work.status.folder is None:
            work.over.add(folder.FOLDER_READY)
        problem = advised(work, problem, status.now())
        if problem.condition != DELETING:
            work.hindered(problem)
        assert work.step is not None  # noqa: S101 - a problem comes from a step
        work.found(DELETING, problem.reason, problem.message)
        words = f"Deletion: {problem.message}"
        make = conditions.stalled if problem.stalled else conditions.reconciling
        told = progress(work.status.deletion, work.step, problem, status.now())
        return await self._finish(work, before, make(problem.reason, words), problem, deletion=told)

    async def _reach_unless_held(self, work: Work) -> Access | Problem:
        found = await self._reach(work)
        return found if isinstance(found, Problem) else self._held(work, found) or found

    async def _guarded(self, work: Work, concern: str, act: Act) -> Problem | None:
        """A fault of vCenter is a condition, not an exception, and a reason to leave it alone for a while."""
        key = _key(work)
        try:
            result = await act(work)
        except VSphereError as error:
            problem = problem_of(error.fault, work.concern or concern)
            if work.access is not None:
                inputs = inputs_of(work.access, work.obj)
                asked = was_asked(error.fault)
                self._setbacks.record(key, problem, inputs=inputs, delay=error.fault.retry_after, asked=asked)
            return problem
        if result is None:
            self._setbacks.clear(key)
        return result

    def _held(self, work: Work, access: Access) -> Problem | None:
        """What vCenter refused a moment ago. Intents are written and struck, so each try wakes this object again."""
        held = self._setbacks.current(_key(work), inputs=inputs_of(access, work.obj))
        return None if held is None else replace(held[0], retry_after=held[1])

    async def _finish(
        self,
        work: Work,
        before: Object,
        summary: list[conditions.Condition],
        problem: Problem | None,
        **fields: object,
    ) -> Result:
        fields |= self._settings(work, problem)
        machines = self._objects.by_index(
            "Machine",
            indexes.CLUSTER,
            f"{metadata(work.obj)['namespace']}/{metadata(work.obj)['name']}",
        )
        ready = [
            m
            for m in machines
            if conditions.is_true((m.get("status") or {}).get("conditions") or [], conditions.READY)
        ]
        complete = work.access is not None and problem is None
        await work.finish(
            summary, complete=complete, machines=len(machines), ready_machines=len(ready), **fields
        )
        status.announce(self._events, before, work.obj)
        self._drift.announce(before, work.obj)
        return Result(requeue_after=_look_again(work, problem))

    def _settings(self, work: Work, problem: Problem | None) -> dict[str, object]:
        """What status tells of the settings; while the preset is not known, what it told before."""
        access, cluster = work.access, work.cluster
        if access is None or access.preset_problem or work.deleting:
            return {}
        use = clusters.consumer_secret(self._objects, cluster)
        effective = settings.describe(
            access.offer,
            settings.for_cluster(access.offer, cluster),
            folder=work.status.folder.path if work.status.folder else None,
            tags=settings.cluster_tags(access.offer, cluster),
            volumes=settings.volume_datastore(access.offer, cluster),
            infra=access.login,
            consumer=None if isinstance(use, Problem) else use,
        )
        fields: dict[str, object] = {"effective": effective}
        pin = pin_of(cluster, access.offer.preset)
        if problem is None or pin is None:
            fields["pinned"] = pin
        return fields


async def _check_placement(work: Work, access: Access) -> None:
    """Where VMs and volumes would go: told at once, and not only by the first Machine. Nothing else waits for it."""
    wanted = settings.for_cluster(access.offer, work.cluster)
    placement = find_placement(access, wanted)
    if isinstance(placement, Problem):
        work.hindered(placement)
        return
    if "storagePolicy" in wanted:
        policy = await find_policy(placement, wanted["storagePolicy"], op_id=work.op_id)
        if isinstance(policy, Problem):
            work.hindered(policy)
            work.look_again_in(policy.retry_after)
        else:
            work.found(STORAGE_POLICY_READY, "Found")
    volumes = settings.volume_datastore(access.offer, work.cluster)
    datastore = find_volume_datastore(access, volumes) if volumes else None
    if isinstance(datastore, Problem):
        work.hindered(datastore)
    else:
        work.found(lookups.PLACEMENT, "Found")


async def _forbidden_tags(work: Work, access: Access) -> Problem | None:
    setting = settings.for_cluster(access.offer, work.cluster).get("tags")
    if setting is None:
        return None
    tags = settings.tags_of(access.offer, setting.value)
    return await tenancy.refused_tags(access, tags, setting.source, field=setting.field, op_id=work.op_id)


def _tell_preset(work: Work, access: Access) -> None:
    """Which preset holds, and whether it is followed."""
    preset = access.offer.preset
    if preset is not None:
        work.found(PRESET_READY, "Pinned" if preset.pinned else "Followed")


async def _tags_seen(
    work: Work, folder_moref: MoRef | None, workers: list[vm_tags.Worker], interval: float
) -> tag_actions.Seen | Problem:
    """What is on the folder now or was a short while ago, and on the VMs at the last poll."""
    found = vm_tags.seen(work, workers)
    if folder_moref is None:
        return tag_actions.Seen(None, frozenset(), found)
    answer = await work.there.vcenter.tags.attached_within(folder_moref, max_age=interval)
    if isinstance(answer, Unknown):
        return tag_actions.not_seen(answer)
    return tag_actions.Seen(folder_moref, answer.value if isinstance(answer, Present) else frozenset(), found)


def _without_datacenter(access: Access) -> Problem | None:
    """A datacenter that vCenter lacks is the Seed's mistake; without it no folder shows, not even one's own."""
    name, field = access.offer.vsphere.datacenter, access.offer.field("datacenter")
    found = lookups.find_datacenter(access.vcenter.inventory, name, field=field)
    return replace(found, condition=DATACENTER_KNOWN) if isinstance(found, Problem) else None


def _key(work: Work) -> Key:
    return key_of(work.obj)


def _look_again(work: Work, problem: Problem | None) -> float:
    interval = work.access.offer.vsphere.resync_interval if work.access else None
    after = look_again(problem.retry_after if problem else None, interval)
    return after if work.next_look is None else min(after, work.next_look)
