"""A Machine is one VM: gather, plan one step, carry it out, look again, until there is nothing to do but wait."""

from __future__ import annotations

import time
from dataclasses import replace

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.names import ID_ANNOTATION
from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers import clusters, drift, indexes
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Access, VCenterPool
from vsphere_operator.controllers.drift import Difference, Drift, DriftMetrics
from vsphere_operator.controllers.faults import may_have_happened, was_asked
from vsphere_operator.controllers.lifecycle import (
    has_finalizer,
    identity,
    is_deleting,
    is_paused,
    lets_go,
)
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.machine import gather, operations, placing, plan_create, plan_delete, steps
from vsphere_operator.controllers.machine import status as machine_status
from vsphere_operator.controllers.machine.actions import Actions, Work, failure
from vsphere_operator.controllers.machine.endings import Endings
from vsphere_operator.controllers.machine.observed import Observed, Prepared
from vsphere_operator.controllers.machine.operations import (
    CLONE,
    DELETE_ISO,
    DESTROY,
    POWER_ON,
    SWITCH_STORAGE_DRS_OFF,
)
from vsphere_operator.controllers.machine.placing import Placing
from vsphere_operator.controllers.machine.prepare import Preparation
from vsphere_operator.controllers.machine.static_addresses import StaticAddresses
from vsphere_operator.controllers.machine.storage_drs import StorageDrsGuard
from vsphere_operator.controllers.machine.templates import Templates
from vsphere_operator.controllers.machine.turns import Turns
from vsphere_operator.controllers.machine.vm_tags import TagKeeper
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.setbacks import Setbacks, inputs_of
from vsphere_operator.controllers.twins import problem_of_twin
from vsphere_operator.runtime.admission import Admissions
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key
from vsphere_operator.runtime.queue import Clock
from vsphere_operator.vsphere.answers import Answer, Present
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import proves
from vsphere_operator.vsphere.placement.choice import Placed
from vsphere_operator.vsphere.vm_details import VmDetails

_NO_EFFECT_PAUSE = 30.0
"""Seconds until something is done again that succeeded and does not show: a guest that powers itself off, HA."""
_MOST_STEPS = 20
"""Steps in one go. A whole creation takes eight; more means that two steps undo each other."""


class MachineController:
    """Makes, keeps and unmakes the VM of each Machine."""

    kind = "Machine"

    def __init__(
        self,
        *,
        objects: Objects,
        vcenters: VCenterPool,
        events: Events,
        installation: str,
        admissions: Admissions,
        losses: Losses,
        drift_metrics: DriftMetrics | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._objects = objects
        self._vcenters = vcenters
        self._installation = installation
        self._actions = Actions(objects)
        self._drift = Drift(events, drift_metrics)
        self._tags = TagKeeper(clock)
        self._preparation = Preparation(objects=objects, templates=Templates(clock))
        self._setbacks = Setbacks(clock)
        self._endings = Endings(
            objects=objects,
            events=events,
            actions=self._actions,
            setbacks=self._setbacks,
            drift=self._drift,
        )
        self._losses = losses
        self._turns = Turns(admissions, objects)
        self._placing = Placing(self._turns)
        self._storage_drs = StorageDrsGuard(clock)
        self._static = StaticAddresses(objects, self._actions)
        self._succeeded: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> Result:
        try:
            return await self._reconcile(key)
        finally:
            self._turns.settle(key)

    async def _reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, key.namespace, key.name)
        if obj is None:
            self._setbacks.clear(key)
            self._succeeded.pop(key, None)
            self._tags.forget(key)
            return Result()
        if is_deleting(obj) and not has_finalizer(obj):
            return Result()  # nothing was ever made for it; others hold it
        if is_deleting(obj) and self._is_let_go(obj):
            return await self._endings.let_go(obj)
        cluster = self._cluster(obj)
        if is_paused(obj) or (isinstance(cluster, Cluster) and cluster.spec.paused):
            return await self._endings.without_vcenter(obj, None)
        found = await self._access(obj, cluster)
        if isinstance(found, Problem):
            return await self._endings.without_vcenter(obj, found)
        assert isinstance(cluster, Cluster)  # noqa: S101 - _access has said so
        return await self._work(key, obj, cluster, found)

    def _is_let_go(self, obj: Object) -> bool:
        """On its own annotation, or on that of a Cluster that goes: nobody annotates a hundred Machines."""
        cluster = self._objects.get("Cluster", obj["metadata"]["namespace"], obj["spec"]["clusterName"])
        going = cluster is not None and is_deleting(cluster) and lets_go(cluster, "machines")
        return going or lets_go(obj, "machines")

    def _cluster(self, obj: Object) -> Cluster | Problem:
        namespace, name = obj["metadata"]["namespace"], obj["spec"]["clusterName"]
        found = self._objects.get("Cluster", namespace, name)
        if found is None:
            words = f'there is no Cluster "{name}" in the namespace {namespace}; create it'
            if is_deleting(obj):
                words += (
                    ", or annotate this Machine with userclusters.io/orphan: machines to leave its VM behind"
                )
            return Problem("ClusterReady", "ClusterNotFound", words)
        return Cluster.model_validate(found)

    async def _access(self, obj: Object, cluster: Cluster | Problem) -> Access | Problem:
        if isinstance(cluster, Problem):
            return cluster
        return await clusters.access(self._objects, self._vcenters, cluster)

    async def _work(self, key: Key, obj: Object, cluster: Cluster, access: Access) -> Result:
        folder = cluster.status.folder
        work = Work(
            obj,
            access,
            self._installation,
            cluster_id=cluster.metadata.annotations.get(ID_ANNOTATION, cluster.metadata.uid),
            folder=MoRef(folder.mo_ref) if folder and folder.mo_ref else None,
        )
        inputs = inputs_of(access, obj, cluster.metadata.generation)
        twin = problem_of_twin(
            obj, self._objects.by_index(self.kind, indexes.INSTANCE_UUID, work.instance_uuid)
        )
        if twin is not None:
            return await self._endings.end(key, work, steps.Block(twin), inputs)
        looks = gather.Looks()
        for _ in range(_MOST_STEPS):
            seen = self._observe(key, work, cluster, looks, inputs)
            step = plan_delete.plan(seen) if is_deleting(work.obj) else self._plan_life(seen, cluster)
            if isinstance(step, steps.Settle):
                self._succeeded.pop(key, None)
            if isinstance(step, steps.Wait | steps.Block | steps.Fail | steps.Settle):
                _tell_of_power(work, step)
                return await self._endings.end(key, work, step, inputs)
            if isinstance(step, steps.Release):
                return await self._endings.gone(work, step)
            if await self._look(work, cluster, looks, step):
                continue
            end = await self._attempt(key, work, step, inputs)
            if end is not None:
                return await self._endings.end(key, work, end, inputs)
            _forget_old_looks(work, looks, step)
        raise RuntimeError(
            f"{key} did not settle in {_MOST_STEPS} steps; the last one was {type(step).__name__}"
        )

    def _observe(self, key: Key, work: Work, cluster: Cluster, looks: gather.Looks, inputs: str) -> Observed:
        seen = gather.with_setback(gather.observe(work, looks), self._setbacks.current(key, inputs=inputs))
        work.vm = seen.vm
        self._turns.carry_on(key, seen.machine, work.access)
        placing.promise_again(work)
        seen = self._storage_drs.look(work, self._with_ownership(work, seen))
        seen = replace(seen, only_told=drift.only_told(cluster))
        return self._tags.look(work, cluster, seen, looks.tags)

    async def _look(self, work: Work, cluster: Cluster, looks: gather.Looks, step: steps.Step) -> bool:
        """Steps that change nothing; False for all others."""
        vcenter = work.access.vcenter
        match step:
            case steps.Prepare():
                prepared = await self._prepare(work, cluster, looks.details)
                looks.prepared = prepared
                work.prepared = prepared if isinstance(prepared, Prepared) else None
            case steps.Inspect(moref=moref):
                looks.details = await vcenter.vms.read(moref, op_id=work.op_id)
            case steps.ProveAbsence(moref=moref):
                looks.absence = await self._prove_absence(work, moref)
            case steps.NameTags():
                looks.tags = await self._preparation.tags(work.access, work.machine, cluster)
            case steps.LookIntoFolder(moref=moref):
                looks.folder_content = await vcenter.folders.child_entities_fresh(moref, op_id=work.op_id)
            case _:
                return False
        return True

    async def _prove_absence(self, work: Work, moref: MoRef | None) -> Answer[MoRef]:
        doubt = self._losses.doubt(work.access, *([moref] if moref else []), work.instance_uuid)
        if doubt is not None:
            return doubt
        vms = work.access.vcenter.vms
        return await vms.absence(moref, work.instance_uuid, work.folder, op_id=work.op_id)

    async def _attempt(
        self, key: Key, work: Work, step: steps.Step, inputs: str
    ) -> machine_status.End | None:
        type_ = steps.operation_type(step)
        if type_ is not None and self._succeeded.pop(key, None) == type_:
            problem = operations.no_effect(type_)
            self._setbacks.record(key, problem, inputs=inputs, delay=_NO_EFFECT_PAUSE)
            return steps.Block(problem)
        try:
            if isinstance(step, steps.Clone):
                return await self._clone(key, work)
            if type_ is not None and not self._turns.may_begin(key, work.machine, work.access, type_):
                return placing.waiting()
            return await self._carry_out(key, work, step, inputs)
        except VSphereError as error:
            if isinstance(step, steps.SwitchStorageDrsOff):
                self._storage_drs.refuse(work, step.pod.moref, step.details.moref, error.fault)
                return None
            if isinstance(step, steps.Retag):
                self._tags.refuse(work, error.fault)
                return None
            return self._set_back(key, work, step, error, inputs)

    async def _clone(self, key: Key, work: Work) -> machine_status.End | None:
        assert work.prepared is not None  # noqa: S101 - planned for what is prepared only
        placed = await self._placing.place(key, work, work.prepared)
        if not isinstance(placed, Placed):
            return placed
        try:
            wait = await self._static.confirm(work)
            if wait is not None:
                placing.clone_ended(work, well=False)
                return wait
            await self._actions.clone(work, placed)
        except VSphereError as error:
            if not may_have_happened(error.fault):
                placing.clone_ended(work, well=False)
            raise
        except Exception:
            # The Machine changed or went meanwhile. What its status speaks of is promised again at the next look.
            placing.clone_ended(work, well=False)
            raise
        return None

    def _plan_life(self, seen: Observed, cluster: Cluster) -> steps.Step:
        step = plan_create.plan(seen)
        if isinstance(step, steps.Clone | steps.Prepare) and seen.recorded is None:
            hindrance = gather.cluster_hindrance(cluster)
            if hindrance is not None:
                return steps.Block(hindrance)
        return step

    def _with_ownership(self, work: Work, seen: Observed) -> Observed:
        if not isinstance(seen.details, Present):
            return seen
        verdict = proves(
            seen.details.value,
            installation=self._installation,
            machine_id=identity(work.obj),
            instance_uuid=work.instance_uuid,
        )
        return gather.with_ownership(seen, verdict)

    async def _prepare(
        self, work: Work, cluster: Cluster, details: Answer[VmDetails] | None
    ) -> Prepared | steps.TakeAddresses | Problem:
        macs = gather.macs(details)
        return await self._preparation.prepare(work.obj, work.machine, cluster, work.access, macs=macs)

    async def _carry_out(
        self, key: Key, work: Work, step: steps.Step, inputs: str
    ) -> machine_status.End | None:
        """Do it. Returns how the look ends when nothing more can be done now."""
        act = self._actions
        match step:
            case steps.OperationDone(operation=operation) if operation.type == SWITCH_STORAGE_DRS_OFF:
                await act.strike(work, step)
                if step.succeeded:
                    self._storage_drs.done(work, operation)
            case steps.OperationFailed(operation=operation, fault=fault) if (
                operation.type == SWITCH_STORAGE_DRS_OFF
            ):
                await act.strike_failed(work)
                self._storage_drs.refuse_operation(work, operation, fault)
            case steps.OperationDone(operation=operation):
                await act.strike(work, step)
                if operation.type == CLONE:
                    placing.clone_ended(work, well=step.result is not None)
                if step.succeeded:
                    self._setbacks.clear(key)
                    self._succeeded[key] = operation.type
                if operation.type == POWER_ON and not _runs(work):
                    # The task's end is often seen before the power state is; asking would cost a call.
                    return steps.Wait("PoweringOn", "The VM has been powered on.", after=2.0)
            case steps.OperationFailed(operation=operation, fault=fault) if _is_done(operation, fault):
                await act.strike(work, steps.OperationDone(operation, succeeded=True))
            case steps.OperationFailed(operation=operation, fault=fault):
                await act.strike_failed(work)
                if operation.type == CLONE:
                    placing.clone_ended(work, well=False)
                return self._set_back(key, work, step, VSphereError(fault), inputs, operation.type)
            case steps.TakeAddresses():
                return await self._static.take(work, step)
            case steps.RecordVm(moref=moref, addresses=addresses):
                await act.record_vm(work, moref, addresses)
            case steps.RecordDetails(details=details):
                await act.record_details(work, details)
            case steps.SetProviderId(provider_id=provider_id):
                await act.set_provider_id(work, provider_id)
            case steps.AnswerQuestion(moref=moref, question_id=question_id, choice=choice):
                await work.access.vcenter.vms.answer_question(moref, question_id, choice, op_id=work.op_id)
                return steps.Wait(
                    "AnsweringQuestion", "The VM goes on after its question was answered.", after=2.0
                )
            case steps.AttachTags(details=details):
                await act.attach_tags(work, details)
            case steps.Retag() if work.vm is not None:
                await act.retag(work, work.vm.moref, step)
                if step.lost:
                    names = ", ".join(f'"{name}"' for name in step.lost)
                    words = f"Somebody took the tags {names} off the VM; they are on it again."
                    self._drift.repaired(work.obj, Difference(drift.VM_TAGS, words))
            case steps.DeliverIso(details=details):
                await act.deliver_iso(work, details)
            case steps.SwitchStorageDrsOff(details=details, pod=pod):
                await act.switch_storage_drs_off(work, details, pod)
            case steps.PowerOn(details=details):
                await act.power_on(work, details)
                if work.machine.spec.provider_id is not None:
                    words = "The VM ran and was powered off by somebody; it is powered on again."
                    self._drift.repaired(work.obj, Difference(drift.POWER_STATE, words))
            case steps.PowerOff(details=details):
                await act.power_off(work, details)
            case steps.DetachDisks(details=details, keys=keys):
                await act.detach_disks(work, details, keys)
            case steps.DeleteIso(path=path):
                await act.delete_iso(work, path)
            case steps.Destroy(details=details):
                await act.destroy(work, details)
        return None

    def _set_back(
        self,
        key: Key,
        work: Work,
        step: steps.Step,
        error: VSphereError,
        inputs: str,
        type_: str | None = None,
    ) -> steps.Block:
        block = failure(error, type_ or ("CloneVM" if isinstance(step, steps.Clone) else ""))
        delay, asked = error.fault.retry_after, was_asked(error.fault)
        self._setbacks.record(key, block.problem, inputs=inputs, delay=delay, asked=asked)
        return block


def _forget_old_looks(work: Work, looks: gather.Looks, step: steps.Step) -> None:
    """Whatever was read before a change of vCenter is history after it."""
    if isinstance(step, steps.RecordVm | steps.RecordDetails | steps.SetProviderId):
        return
    looks.details = looks.absence = looks.tags = None
    if isinstance(step, steps.Clone | steps.OperationDone | steps.TakeAddresses):
        looks.prepared = work.prepared = None  # the new VM's MACs belong into what it boots with


def _tell_of_power(work: Work, end: machine_status.End) -> None:
    if isinstance(end, steps.Block) and end.problem.reason == plan_create.POWERED_OFF:
        told = drift.condition([Difference(drift.POWER_STATE, "somebody powered the VM off")])
        work.concerns = (*work.concerns, *([told] if told else []))


def _runs(work: Work) -> bool:
    return work.vm is not None and work.vm.power_state == "poweredOn"


def _is_done(operation: Operation, fault: Fault) -> bool:
    """What was to go and is gone needs no second try."""
    return operation.type in (DELETE_ISO, DESTROY) and fault.fault_class is FaultClass.GONE
