"""Carrying out a Machine's steps: the intent into status, the call, the task's reference into status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from vsphere_operator.api.machine import Machine, MachineStatus, StaticAddress, VirtualMachineStatus
from vsphere_operator.api.names import CLUSTER_NAME_LABEL
from vsphere_operator.api.operations import Operation
from vsphere_operator.bootstrap.delivery import GuestInfoDelivery, IsoDelivery
from vsphere_operator.controllers import status as status_writing
from vsphere_operator.controllers.conditions import Condition
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.faults import may_have_happened, problem_of
from vsphere_operator.controllers.lifecycle import adopt, identity
from vsphere_operator.controllers.machine import address_record, first_nic, operations, steps
from vsphere_operator.controllers.machine import status as machine_status
from vsphere_operator.controllers.machine.observed import Prepared
from vsphere_operator.controllers.machine.plan_create import VM_CLONED
from vsphere_operator.controllers.machine.turns import DATASTORE, SIZE
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.entities import Datacenter, Datastore, StoragePod, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import VmMark
from vsphere_operator.vsphere.placement.choice import Placed
from vsphere_operator.vsphere.placement.datastores import needed_bytes
from vsphere_operator.vsphere.vm_details import VmDetails

POD = "storagePod"
"""The datastore cluster, in the details of an operation."""


@dataclass
class Work:
    """A Machine while it is reconciled: the object as last written, and where its VM lives."""

    obj: Object
    access: Access
    installation: str
    cluster_id: str
    folder: MoRef | None = None
    vm: VmEntity | None = None
    prepared: Prepared | None = field(default=None, repr=False)
    concerns: Sequence[Condition] = ()
    """What else the status tells, whatever becomes of the VM."""
    look_after: float | None = None
    """Seconds until something beside the VM itself is worth a look."""

    @property
    def machine(self) -> Machine:
        return Machine.model_validate(self.obj)

    @property
    def op_id(self) -> str:
        """What vCenter's own log shows for calls on this Machine's behalf."""
        meta = self.obj["metadata"]
        return f"{meta['namespace']}-{meta['name']}"[:100]

    @property
    def instance_uuid(self) -> str:
        """Of the VM that this Machine has or will have."""
        return instance_uuid(identity(self.obj))

    @property
    def datacenter(self) -> Datacenter:
        """The Seed's datacenter; a name that vCenter no longer shows is an error that heals."""
        answer = self.access.vcenter.inventory.datacenter(self.access.offer.vsphere.datacenter)
        if isinstance(answer, Present):
            return answer.value
        words = f'the datacenter "{self.access.offer.vsphere.datacenter}" is not visible in vCenter now'
        raise VSphereError(
            Fault(FaultClass.TRANSIENT, "DatacenterNotFound", words, 30.0, "DatacenterNotFound")
        )


class Actions:
    """The steps that change something, each safe to be cut off at any point."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def save(
        self, work: Work, new: MachineStatus, *, end: machine_status.End | None = None, guarded: bool = False
    ) -> None:
        """Write the status if it differs."""
        deleting = "deletionTimestamp" in work.obj["metadata"]
        text = machine_status.compose(
            work.obj,
            new,
            vm=work.vm,
            end=end,
            deleting=deleting,
            at=status_writing.now(),
            concerns=work.concerns,
        )
        work.obj = await status_writing.write(self._objects, work.obj, text, guarded=guarded)

    async def clone(self, work: Work, placed: Placed) -> None:
        labels = {CLUSTER_NAME_LABEL: work.obj["spec"]["clusterName"]}
        work.obj = await adopt(self._objects, work.obj, extra_labels=labels)
        machine, prepared, vcenter = work.machine, _prepared(work), work.access.vcenter
        uuid = work.instance_uuid
        await self._run(
            work,
            operations.CLONE,
            target=f"{prepared.template.name} -> {machine.metadata.name}",
            details={
                "template": prepared.template.moref,
                "instanceUUID": uuid,
                DATASTORE: placed.datastore,
                SIZE: str(needed_bytes(placed.request)),
            },
            base=machine.status.model_copy(update={"effective": prepared.effective}),
            call=lambda: vcenter.placement.start(placed, op_id=work.op_id),
        )

    async def record_vm(self, work: Work, moref: MoRef, addresses: Sequence[StaticAddress] = ()) -> None:
        status = work.machine.status
        held = status.static_addresses or [
            a.model_copy(update={"vcenter": work.access.instance_uuid}) for a in addresses
        ]
        seen = (status.vm or VirtualMachineStatus()).model_copy(
            update={
                "mo_ref": moref,
                "vcenter": work.access.instance_uuid,
                "instance_uuid": work.instance_uuid,
                "name": work.machine.metadata.name,
            }
        )
        await self.save(work, status.model_copy(update={"vm": seen, "static_addresses": held}))

    async def record_details(self, work: Work, details: VmDetails) -> None:
        status = work.machine.status
        seen = (status.vm or VirtualMachineStatus()).model_copy(
            update={
                "path": details.directory,
                "disks": [d.backing_uuid for d in details.disks if d.backing_uuid],
                "bios_uuid": details.bios_uuid,
                "hardware_version": f"vmx-{details.hardware_version}",
            }
        )
        macs = [nic.mac for nic in sorted(details.nics, key=lambda nic: nic.key)]
        held = [a.model_copy(update={"mac": next(iter(macs), None)}) for a in status.static_addresses]
        await self.save(work, status.model_copy(update={"vm": seen, "static_addresses": held}))

    async def attach_tags(self, work: Work, details: VmDetails) -> None:
        """Written down before they are attached: only what status speaks of is ever taken off again."""
        prepared, status = _prepared(work), work.machine.status
        if prepared.tags:
            await self.save(work, machine_status.with_tags(status, prepared.tags, attached=False))
        await work.access.vcenter.tags.attach(prepared.tag_ids, details.moref, op_id=work.op_id)
        done = machine_status.with_tags(work.machine.status, prepared.tags, attached=True)
        await self.save(work, done)

    async def retag(self, work: Work, moref: MoRef, change: steps.Retag) -> None:
        """Nothing is forgotten before it is off the VM, and nothing is attached before it is written down."""
        tags, before = work.access.vcenter.tags, work.machine.status
        either = {t.id: t for t in (*before.tags, *change.records)}
        if change.attach or change.detach:
            await self.save(work, machine_status.with_tags(before, either.values(), attached=False))
        # First off, then on: a category may allow one tag on an object.
        if change.detach:
            await tags.detach(change.detach, moref, op_id=work.op_id)
        if change.attach:
            await tags.attach(change.attach, moref, op_id=work.op_id)
        await self.save(work, machine_status.with_tags(work.machine.status, change.records, attached=True))

    async def deliver_iso(self, work: Work, details: VmDetails) -> None:
        """The path is in status before the file is in vCenter, so that it is deleted whatever happens."""
        delivery = _prepared(work).delivery
        assert isinstance(delivery, IsoDelivery)  # noqa: S101 - planned for these only
        path = f"{details.directory}/{delivery.file_name}"
        datastore, _, file_path = path.removeprefix("[").partition("] ")
        status = work.machine.status
        seen = (status.vm or VirtualMachineStatus()).model_copy(update={"iso_path": path})
        vcenter, home = work.access.vcenter, _prepared(work).datacenter
        # A datacenter may lie in folders: the file service wants its whole path, without the first slash.
        name = (vcenter.inventory.path(home.moref) or home.name or "").lstrip("/")

        async def put() -> MoRef:
            await vcenter.files.upload(name, datastore, file_path, delivery.iso, op_id=work.op_id)
            return await vcenter.vms.attach_iso(details, path, op_id=work.op_id)

        await self._run(
            work, operations.DELIVER_ISO, target=path, call=put, base=status.model_copy(update={"vm": seen})
        )

    async def switch_storage_drs_off(self, work: Work, details: VmDetails, pod: StoragePod) -> None:
        storage_drs = work.access.vcenter.storage_drs
        await self._run(
            work,
            operations.SWITCH_STORAGE_DRS_OFF,
            target=details.moref,
            details={POD: pod.moref},
            call=lambda: storage_drs.switch_off(pod, details.moref, op_id=work.op_id),
        )

    async def power_on(self, work: Work, details: VmDetails) -> None:
        vcenter, datacenter = work.access.vcenter, _prepared(work).datacenter
        await self._run(
            work,
            operations.POWER_ON,
            target=details.moref,
            call=lambda: vcenter.vms.power_on(details.moref, datacenter.moref, op_id=work.op_id),
        )

    async def set_provider_id(self, work: Work, provider_id: str) -> None:
        meta = work.obj["metadata"]
        patch = {"spec": {"providerID": provider_id}}
        work.obj = await self._objects.merge_patch("Machine", meta["namespace"], meta["name"], patch)

    async def power_off(self, work: Work, details: VmDetails) -> None:
        vms = work.access.vcenter.vms
        await self._run(
            work,
            operations.POWER_OFF,
            target=details.moref,
            call=lambda: vms.power_off(details.moref, op_id=work.op_id),
        )

    async def detach_disks(self, work: Work, details: VmDetails, keys: Sequence[int]) -> None:
        vms = work.access.vcenter.vms
        await self._run(
            work,
            operations.DETACH_DISKS,
            target=details.moref,
            call=lambda: vms.detach_disks(details, keys, op_id=work.op_id),
        )

    async def delete_iso(self, work: Work, path: str) -> None:
        files = work.access.vcenter.files
        await self._run(
            work,
            operations.DELETE_ISO,
            target=path,
            call=lambda: files.delete(path, work.datacenter.moref, op_id=work.op_id),
        )

    async def destroy(self, work: Work, details: VmDetails) -> None:
        vms = work.access.vcenter.vms
        await self._run(
            work,
            operations.DESTROY,
            target=details.moref,
            call=lambda: vms.destroy(details.moref, op_id=work.op_id),
        )

    async def strike(self, work: Work, step: steps.OperationDone) -> None:
        """The operation is over: forget it, keep what it made."""
        status = work.machine.status.model_copy(update={"operation": None})
        self.unfollow(work)
        if step.operation.type == operations.DELETE_ISO and step.succeeded and status.vm:
            status = status.model_copy(update={"vm": status.vm.model_copy(update={"iso_path": None})})
        if step.operation.type == operations.CLONE and step.result is not None:
            seen = VirtualMachineStatus(
                mo_ref=step.result,
                vcenter=work.access.instance_uuid,
                instance_uuid=work.instance_uuid,
                name=work.machine.metadata.name,
            )
            status = status.model_copy(update={"vm": seen})
        await self.save(work, status)

    async def strike_failed(self, work: Work) -> None:
        self.unfollow(work)
        await self.save(work, work.machine.status.model_copy(update={"operation": None}))

    def unfollow(self, work: Work) -> None:
        """Let go of the task that status speaks of; nobody asks for it again."""
        operation = work.machine.status.operation
        if operation is not None and operation.task_ref:
            work.access.vcenter.tasks.unfollow(MoRef(operation.task_ref))

    async def _run(
        self,
        work: Work,
        type_: str,
        *,
        target: str,
        call: Callable[[], Awaitable[MoRef]],
        details: dict[str, str] | None = None,
        base: MachineStatus | None = None,
    ) -> None:
        """Intent, call, task. A fault strikes the intent off, unless the call may have been carried out."""
        operation = Operation(
            type=type_,
            target=target,
            vcenter=work.access.instance_uuid,
            started_at=status_writing.now().replace(microsecond=0),
            resource_version=work.obj["metadata"]["resourceVersion"],
            details=details or {},
        )
        status = base or work.machine.status
        await self.save(work, status.model_copy(update={"operation": operation}), guarded=True)
        try:
            task = await call()
        except VSphereError as error:
            if not may_have_happened(error.fault):
                await self.strike_failed(work)
            raise
        work.access.vcenter.tasks.follow(task)
        running = operation.model_copy(update={"task_ref": task})
        await self.save(work, work.machine.status.model_copy(update={"operation": running}))


def failure(error: VSphereError, type_: str) -> steps.Block:
    """How a refused call shows on the Machine."""
    condition = VM_CLONED if type_ == operations.CLONE else "VMReady"
    return steps.Block(problem_of(error.fault, condition))


def _prepared(work: Work) -> Prepared:
    if work.prepared is None:
        raise AssertionError("a step was planned without its preparation")
    return work.prepared


def clone_request(work: Work, prepared: Prepared) -> CloneRequest:
    """The VM to make; on the datastore that a person named, or on none yet."""
    machine, uuid = work.machine, work.instance_uuid
    own, delivery = machine.spec.vsphere, prepared.delivery
    meta = machine.metadata
    mark = VmMark(
        installation=work.installation,
        cluster_id=work.cluster_id,
        machine_id=identity(work.obj),
        name=f"{meta.namespace}/{meta.name}",
        instance_uuid=uuid,
    )
    guestinfo = dict(delivery.extra_config) if isinstance(delivery, GuestInfoDelivery) else {}
    noted = address_record.write(machine.status.static_addresses)
    return CloneRequest(
        template=prepared.template.moref,
        folder=prepared.folder,
        name=meta.name,
        pool=prepared.pool.moref,
        datastore=prepared.storage.moref if isinstance(prepared.storage, Datastore) else None,
        cpus=own.cpus,
        memory_mib=own.memory_mb,
        disk_gib=own.disk_size_gb,
        networks=prepared.networks,
        first_mac=first_nic.chosen_mac(machine, prepared.template, prepared.networks),
        instance_uuid=uuid,
        template_details=prepared.template,
        extra_config={**(own.extra_config or {}), **guestinfo, **noted, **mark.as_extra_config()},
        annotation=f"Machine {meta.namespace}/{meta.name} of the user cluster {machine.spec.cluster_name}",
        vapp_properties=dict(delivery.vapp_properties) if isinstance(delivery, GuestInfoDelivery) else {},
        needs_cdrom=isinstance(delivery, IsoDelivery),
        storage_policy=prepared.policy.id if prepared.policy else None,
        unfit_datastores=prepared.policy.unfit if prepared.policy else frozenset(),
    )
