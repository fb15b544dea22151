"""Storage DRS: asks a datastore cluster where a clone should go, and lets it make the clone there.

Every initial placement is a recommendation to be applied, also where Storage DRS is on manual. What Storage DRS
does not want to decide is decided by `datastores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsphere_operator.vsphere import clone_spec, morefs
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError, from_vim
from vsphere_operator.vsphere.inventory import StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.datastores import Ranking
from vsphere_operator.vsphere.tasks import TaskRef, Tasks
from vsphere_operator.vsphere.vmomi import vim

NOT_BY_ITSELF = "manual"
"""The behaviour that worker VMs get: Storage DRS recommends moves of their disks and makes none by itself.

Not `enabled=False`, which also forbids it to recommend where the VM goes at first.
"""
LEASE_SECONDS = 120
"""For how long Storage DRS holds the space of a recommendation: from the question to the applied answer."""
STALE = "RecommendationStale"
_STALE_FAULT = Fault(
    FaultClass.CONFLICT,
    STALE,
    "The recommendation of Storage DRS is no longer valid; nothing was cloned, and it is asked again.",
    1.0,
    STALE,
)
# With these the question itself got no answer; everything else is an answer that leaves the choice to us.
_UNANSWERED = frozenset(
    {
        FaultClass.TRANSIENT,
        FaultClass.UNREACHABLE,
        FaultClass.UNTRUSTED,
        FaultClass.CREDENTIALS,
        FaultClass.GONE,
    }
)
# Reasons of faults that vCenter gives as such, when Storage DRS itself fails: a clone need not wait for its repair.
_OWN_TROUBLE = frozenset({"VCenterFault", "SystemError", "InvalidState"})


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A placement that can be applied once, for a short time. `rating`: 5 is best, 1 worst."""

    key: str
    datastore: MoRef
    rating: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recommended:
    """At least one recommendation, the best first."""

    recommendations: tuple[Recommendation, ...]


@dataclass(frozen=True, slots=True)
class NotRecommended:
    """Storage DRS leaves the choice to us; `why` is words, `fault` what it gave as reason."""

    why: str
    fault: Fault | None = None


class StorageDrs:
    """Storage DRS of one vCenter."""

    def __init__(self, calls: Calls, tasks: Tasks) -> None:
        self._calls = calls
        self._tasks = tasks

    async def recommend(
        self, pod: StoragePod, request: CloneRequest, *, op_id: str, lease_seconds: int = LEASE_SECONDS
    ) -> Recommended | NotRecommended:
        """Ask where this clone should go; `request.datastore` is not looked at. One call, none with SDRS off.

        What was recommended is held for `lease_seconds`. Recommendations that would move other VMs' disks are
        neither asked for nor taken. `VSphereError` only where vCenter could not be asked, or an object is gone.
        """
        if not pod.drs_enabled:
            return NotRecommended("Storage DRS is off, or may not be read")
        clone_spec.build(request, placed=False)  # a template that does not fit is refused before any call

        def asking(content: Any) -> Any:
            spec = self._placement(pod, request, lease_seconds)
            return content.storageResourceManager.RecommendDatastores(storageSpec=spec)

        try:
            # It changes nothing but a lease, and that ends by itself.
            found = await self._calls.soap(asking, op_id=op_id, mutating=False)
        except VSphereError as error:
            if _unanswered(error.fault):
                raise
            return NotRecommended(error.fault.message, error.fault)
        return decode(found)

    def _placement(self, pod: StoragePod, request: CloneRequest, lease_seconds: int) -> Any:
        """What the API expects for a clone and no more: parameters of other workflows are refused.

        The new VM's own configuration is kept in the datastore cluster when the recommendation is applied.
        """
        source = self._object(request.template)
        selection = vim.storageDrs.PodSelectionSpec
        location = self._object(pod.moref)
        own = vim.storageDrs.VmConfigInfo(enabled=True, behavior=NOT_BY_ITSELF) if pod.automated else None
        disks = [selection.DiskLocator(diskId=disk.key) for disk in request.template_details.disks]
        return vim.storageDrs.StoragePlacementSpec(
            type="clone",
            vm=source,
            folder=self._object(request.folder),
            cloneName=request.name,
            cloneSpec=clone_spec.build(request, source._stub, placed=False),
            podSelectionSpec=selection(
                storagePod=location,
                initialVmConfig=[selection.VmPodConfig(storagePod=location, disk=disks, vmConfig=own)],
            ),
            disallowPrerequisiteMoves=True,
            resourceLeaseDurationSec=lease_seconds,
        )

    async def apply(self, key: str, *, op_id: str) -> TaskRef:
        """Make the clone as recommended. The task's result is the new VM, as of `VirtualMachines.clone`.

        `VSphereError` with the reason `RecommendationStale`, a conflict, when the key is not valid any more:
        then nothing was cloned, and a new recommendation has to be asked for.
        """

        def applying(content: Any) -> MoRef:
            return morefs.of(content.storageResourceManager.ApplyStorageDrsRecommendation_Task(key=[key]))

        try:
            task = await self._calls.soap(applying, op_id=op_id, mutating=True)
        except VSphereError as error:
            if error.fault.kind == "InvalidArgument":  # the key is all that the call has
                raise VSphereError(_STALE_FAULT) from error
            raise
        self._tasks.begun(task)
        return task

    async def switch_off(self, pod: StoragePod, vm: MoRef, *, op_id: str) -> TaskRef:
        """Keep Storage DRS from moving the disks of this one VM by itself; all else in the pod stays as it is.

        `VSphereError`, of the class `PERMISSION` where `StoragePod.Config` is missing on the pod.
        """
        operation = "edit" if vm in pod.vm_automation else "add"

        def configuring(content: Any) -> MoRef:
            own = vim.storageDrs.VmConfigInfo(vm=self._object(vm), enabled=True, behavior=NOT_BY_ITSELF)
            change = vim.storageDrs.VmConfigSpec(operation=operation, info=own)
            return morefs.of(
                content.storageResourceManager.ConfigureStorageDrsForPod_Task(
                    pod=self._object(pod.moref),
                    spec=vim.storageDrs.ConfigSpec(vmConfigSpec=[change]),
                    modify=True,
                )
            )

        task = await self._calls.soap(configuring, op_id=op_id, mutating=True)
        self._tasks.follow(task)
        return task

    def _object(self, moref: MoRef) -> Any:
        return self._calls.session.object(moref)


def _unanswered(fault: Fault) -> bool:
    return fault.fault_class in _UNANSWERED and fault.reason not in _OWN_TROUBLE


def decode(result: Any) -> Recommended | NotRecommended:
    """A `StoragePlacementResult`, with only those recommendations that place the VM and do nothing else."""
    given = result.recommendations or ()
    taken = [_recommendation(one) for one in given if _is_plain(one)]
    if taken:
        return Recommended(tuple(taken))
    fault = _drs_fault(result.drsFault)
    if given:
        return NotRecommended("every recommendation of Storage DRS would do more than place this VM", fault)
    if fault is not None:
        return NotRecommended(fault.message, fault)
    return NotRecommended("Storage DRS gave no recommendation")


def _is_plain(recommendation: Any) -> bool:
    actions = list(recommendation.action or ())
    return (
        not recommendation.prerequisite
        and len(actions) == 1
        and isinstance(actions[0], vim.storageDrs.StoragePlacementAction)
    )


def _recommendation(one: Any) -> Recommendation:
    return Recommendation(
        one.key, morefs.of(one.action[0].destination), int(one.rating or 0), one.reasonText or ""
    )


def _drs_fault(faults: Any) -> Fault | None:
    for by_vm in (faults.faultsByVm if faults is not None else None) or ():
        for fault in by_vm.fault or ():
            return from_vim(fault)
    return None


def choose(recommended: Recommended, ranking: Ranking, *, crowded: bool) -> Recommendation | None:
    """The recommendation to apply, `None` if by our own count no recommended datastore can take the VM.

    Storage DRS knows more than we do, so its best one is taken. But it does not know of clones that have not
    begun yet, and gives requests that come close together the same answer (terraform-provider-vsphere#2448):
    while space is promised (`crowded`), our ranking decides among those that it recommends.
    """
    excluded = {one.datastore.moref for one in ranking.excluded}
    possible = [one for one in recommended.recommendations if one.datastore not in excluded]
    if not possible or not crowded:
        return possible[0] if possible else None
    place = {one.datastore.moref: n for n, one in enumerate(ranking.candidates)}
    return min(possible, key=lambda one: place.get(one.datastore, len(place)))
