"""Operations on VM folders. A folder carries no mark: its recorded MoRef tells who made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Answer
from vsphere_operator.vsphere.calls import Calls, answer, properties
from vsphere_operator.vsphere.inventory import paths
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import TaskRef, Tasks


class Folders:
    def __init__(self, calls: Calls, tasks: Tasks, instance_uuid: Callable[[], str]) -> None:
        self._calls = calls
        self._tasks = tasks
        self._instance_uuid = instance_uuid

    async def create(self, parent: MoRef, name: str, *, op_id: str) -> MoRef:
        """Make a folder. `CONFLICT` with the existing object in `fault.object` when the name is taken."""
        return await self._calls.soap(
            lambda _: morefs.of(self._object(parent).CreateFolder(name)), op_id=op_id, mutating=True
        )

    async def rename(self, moref: MoRef, name: str, *, op_id: str) -> TaskRef:
        """Needs `Folder.Rename`, which not every role has."""
        return await self._task(lambda: self._object(moref).Rename_Task(name), op_id)

    async def destroy(self, moref: MoRef, *, op_id: str) -> TaskRef:
        """Delete the folder *and everything in it*: read `child_entities_fresh` first."""
        return await self._task(lambda: self._object(moref).Destroy_Task(), op_id)

    async def child_entities_fresh(self, moref: MoRef, *, op_id: str) -> Answer[list[MoRef]]:
        """What lies in the folder now, as far as the vCenter user may see. Never raises `VSphereError`."""

        async def reading() -> list[MoRef]:
            found = await self._read(moref, ("childEntity",), op_id)
            return [morefs.of(child) for child in found.get("childEntity") or ()]

        return await answer(reading, moref=moref, instance_uuid=self._instance_uuid())

    async def exists_fresh(self, moref: MoRef, *, op_id: str) -> Answer[str]:
        """The folder's name now; `Absent` is a proof. Never raises `VSphereError`."""

        async def reading() -> str:
            return paths.unescape(str((await self._read(moref, ("name",), op_id)).get("name", "")))

        return await answer(reading, moref=moref, instance_uuid=self._instance_uuid())

    async def _read(self, moref: MoRef, property_paths: tuple[str, ...], op_id: str) -> dict[str, Any]:
        return await self._calls.soap(
            lambda content: properties(content, self._object(moref), property_paths),
            op_id=op_id,
            mutating=False,
        )

    def _object(self, moref: MoRef) -> Any:
        return self._calls.session.object(moref)

    async def _task(self, start: Callable[[], Any], op_id: str) -> TaskRef:
        task = await self._calls.soap(lambda _: morefs.of(start()), op_id=op_id, mutating=True)
        self._tasks.begun(task)
        return task
