"""Operations on virtual machines. Each starts one task and returns its reference; none waits for the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vsphere_operator.vsphere import absence, clone_spec, morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Unknown
from vsphere_operator.vsphere.calls import Calls, answer, properties
from vsphere_operator.vsphere.clone_spec import CloneRequest, NetworkRef
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError, invalid
from vsphere_operator.vsphere.inventory import Datacenter, Host, Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement import hosts
from vsphere_operator.vsphere.tasks import TaskRef, Tasks
from vsphere_operator.vsphere.vm_details import PATHS, VmDetails, decode
from vsphere_operator.vsphere.vmomi import vim

__all__ = ["CloneRequest", "NetworkRef", "VirtualMachines", "VmDetails"]

_NOT_ASKED = Fault(
    FaultClass.CONFLICT,
    "QuestionGone",
    "The virtual machine no longer asks this question: somebody else answered it, or it asks another one.",
    5.0,
    "QuestionGone",
)


class VirtualMachines:
    def __init__(
        self, calls: Calls, inventory: Inventory, tasks: Tasks, instance_uuid: Callable[[], str]
    ) -> None:
        self._calls = calls
        self._inventory = inventory
        self._tasks = tasks
        self._instance_uuid = instance_uuid

    async def read(self, moref: MoRef, *, op_id: str) -> Answer[VmDetails]:
        """All that decisions about this VM need, read now, in one call. Never raises `VSphereError`."""

        async def reading() -> VmDetails:
            found = await self._calls.soap(
                lambda content: properties(content, self._object(moref), PATHS),
                op_id=op_id,
                mutating=False,
            )
            return decode(moref, found)

        return await answer(reading, moref=moref, instance_uuid=self._instance_uuid())

    async def absence(
        self, moref: MoRef | None, instance_uuid: str, folder: MoRef | None, *, op_id: str
    ) -> Answer[MoRef]:
        """Whether the VM is gone, asked now: `Absent` only with the full proof, `Present` with where it is.

        `moref` is the recorded one, if any; `folder` the one that it would lie in, whose read right is part of
        the proof. Where no folder is known, or it is gone, those of all datacenters that are read stand for it. At
        most three calls while the folder is there. Never `Absent` while the inventory is in doubt. Never raises
        `VSphereError`.
        """
        first = await self._prove(
            moref, instance_uuid, [folder] if folder is not None else self._roots(), op_id
        )
        fault = first.fault if isinstance(first, Unknown) else None
        if fault is not None and fault.kind == "ManagedObjectNotFound" and fault.object == folder:
            first = await self._prove(moref, instance_uuid, self._roots(), op_id)
        doubt = self._inventory.doubt
        return Unknown(doubt.why) if isinstance(first, Absent) and doubt is not None else first

    async def _prove(
        self, moref: MoRef | None, instance_uuid: str, folders: list[MoRef], op_id: str
    ) -> Answer[MoRef]:
        if not folders:
            return Unknown("no datacenter has been read whose folder could tell what may be seen")

        def proving(content: Any) -> Answer[MoRef]:
            return absence.prove(
                content,
                self._object,
                vcenter=self._instance_uuid(),
                moref=moref,
                instance_uuid=instance_uuid,
                folders=folders,
            )

        try:
            return await self._calls.soap(proving, op_id=op_id, mutating=False)
        except VSphereError as error:
            return Unknown(error.fault.message, error.fault)

    def _roots(self) -> list[MoRef]:
        """The VM folders of the datacenters that are read."""
        known = (d for d in self._inventory.all(Datacenter) if isinstance(d, Datacenter))
        datacenters = [d for d in known if not self._inventory.is_unread(d.moref)]
        return [d.vm_folder for d in datacenters if d.vm_folder is not None]

    async def clone(self, request: CloneRequest, *, op_id: str) -> TaskRef:
        """Clone a template with everything in the spec; the VM stays powered off.

        The task's result is the new VM. A terminal `VSphereError` before any call if the template does not
        fit.
        """
        clone_spec.build(request)

        def start(_: Any) -> Any:
            folder, source = self._object(request.folder), self._object(request.template)
            return source.CloneVM_Task(
                folder=folder, name=request.name, spec=clone_spec.build(request, source._stub)
            )

        return await self._task(start, op_id)

    async def attach_iso(self, details: VmDetails, iso_path: str, *, op_id: str) -> TaskRef:
        """Put an ISO file (`[datastore] dir/file.iso`) into the CD-ROM drive, connected at power-on."""
        return await self._reconfigure(details, clone_spec.insert_iso(details, iso_path), op_id)

    async def detach_disks(self, details: VmDetails, keys: Iterable[int], *, op_id: str) -> TaskRef:
        """Take disks off the VM and keep their files; a `CONFLICT` if the VM changed since it was read."""
        wanted = set(keys)
        disks = tuple(disk for disk in details.disks if disk.key in wanted)
        if {disk.key for disk in disks} != wanted:
            raise invalid("DiskUnknown", f"{details.name} has no disk with one of the keys {sorted(wanted)}.")
        return await self._reconfigure(details, clone_spec.detach(disks, details.change_version), op_id)

    async def _reconfigure(self, details: VmDetails, spec: Any, op_id: str) -> TaskRef:
        return await self._task(lambda _: self._object(details.moref).ReconfigVM_Task(spec=spec), op_id)

    async def power_on(self, moref: MoRef, datacenter: MoRef, *, op_id: str) -> TaskRef:
        """Power on where DRS chooses; without DRS on the least loaded host that reaches the VM's datastores.

        The task counts as succeeded when the VM's own power-on, a sub-task of it, has.
        """
        vm = self._inventory.vm(moref)
        cluster = hosts.compute_cluster_of(self._inventory, vm) if vm is not None else None
        if vm is None or cluster is None or cluster.drs_enabled:
            return await self._task(lambda _: self._multi_power_on(moref, datacenter), op_id)
        members = [h for h in (self._inventory.get(ref) for ref in cluster.hosts) if isinstance(h, Host)]
        chosen = hosts.choose_host(vm, members, hosts.running_by_host(self._inventory))
        if chosen is None:
            words = (
                f"No host of the compute cluster {cluster.name} can run {vm.name}: each is disconnected, in"
                " maintenance or does not reach the VM's datastores."
            )
            raise VSphereError(
                Fault(FaultClass.CAPACITY, "NoCompatibleHost", words, 60.0, "NoCompatibleHost")
            )
        return await self._task(
            lambda _: self._object(moref).PowerOnVM_Task(host=self._object(chosen)), op_id
        )

    def _multi_power_on(self, moref: MoRef, datacenter: MoRef) -> Any:
        # DRS on manual would only recommend; this power-on is ours to decide.
        automation = vim.option.OptionValue(key="OverrideAutomationLevel", value="fullyAutomated")
        return self._object(datacenter).PowerOnMultiVM_Task(vm=[self._object(moref)], option=[automation])

    async def power_off(self, moref: MoRef, *, op_id: str) -> TaskRef:
        """Cut the power. `INVALID_POWER_STATE` as a conflict when it is off already."""
        return await self._task(lambda _: self._object(moref).PowerOffVM_Task(), op_id)

    async def destroy(self, moref: MoRef, *, op_id: str) -> TaskRef:
        """Delete the VM *with every disk that is attached*: detach what is not its own first.

        Announced to the inventory, for which the VM's going is then no loss.
        """
        self._inventory.expect_gone(moref)
        try:
            return await self._task(lambda _: self._object(moref).Destroy_Task(), op_id)
        except VSphereError as error:
            # Without a clear answer it may be on its way all the same.
            if error.fault.executed is Executed.NO:
                self._inventory.expect_no_more(moref)
            raise

    async def answer_question(self, moref: MoRef, question_id: str, choice: str, *, op_id: str) -> None:
        """Answer the question that the VM asks now; a `CONFLICT` if it asks nothing or something else."""

        def answering(content: Any) -> None:
            vm = self._object(moref)
            asked = properties(content, vm, ("runtime.question",)).get("runtime.question")
            if asked is None or asked.id != question_id:
                raise VSphereError(_NOT_ASKED)
            vm.AnswerVM(questionId=question_id, answerChoice=choice)

        await self._calls.soap(answering, op_id=op_id, mutating=True)

    def _object(self, moref: MoRef) -> Any:
        return self._calls.session.object(moref)

    async def _task(self, start: Callable[[Any], Any], op_id: str) -> TaskRef:
        task = await self._calls.soap(lambda content: morefs.of(start(content)), op_id=op_id, mutating=True)
        self._tasks.begun(task)
        return task
