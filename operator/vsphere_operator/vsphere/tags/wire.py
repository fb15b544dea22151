"""The calls of `com.vmware.cis.tagging`, each as a coroutine; batches of a size that vCenter takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags.models import Category, Tag, category_of, tag_of

_BATCH = 2000
"""Objects or tags a call, at most (VMware's tagging best practices)."""


class Wire:
    """All raise `VSphereError` and nothing else."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def category_ids(self, op_id: str) -> list[str]:
        return list(await self._sdk("Category", lambda stub: stub.list(), op_id))

    async def tag_ids(self, category_id: str, op_id: str) -> list[str]:
        return list(await self._sdk("Tag", lambda stub: stub.list_tags_for_category(category_id), op_id))

    async def read_category(self, category_id: str, op_id: str) -> Category:
        return category_of(await self._sdk("Category", lambda stub: stub.get(category_id), op_id))

    async def read_tag(self, tag_id: str, op_id: str) -> Tag:
        return tag_of(await self._sdk("Tag", lambda stub: stub.get(tag_id), op_id))

    async def create_category(
        self,
        name: str,
        description: str,
        cardinality: str,
        kinds: Collection[str],
        category_id: str | None,
        op_id: str,
    ) -> str:
        def create(stub: Any) -> str:
            spec = stub.CreateSpec(name, description, cardinality, set(kinds), category_id)
            return str(stub.create(spec))

        return str(await self._sdk("Category", create, op_id, mutating=True))

    async def create_tag(
        self, category_id: str, name: str, description: str, tag_id: str | None, op_id: str
    ) -> str:
        def create(stub: Any) -> str:
            return str(stub.create(stub.CreateSpec(name, description, category_id, tag_id)))

        return str(await self._sdk("Tag", create, op_id, mutating=True))

    async def delete_category(self, category_id: str, op_id: str) -> None:
        await self._sdk("Category", lambda stub: stub.delete(category_id), op_id, mutating=True)

    async def delete_tag(self, tag_id: str, op_id: str) -> None:
        await self._sdk("Tag", lambda stub: stub.delete(tag_id), op_id, mutating=True)

    async def change(self, method: str, tag_ids: Sequence[str], moref: MoRef, op_id: str) -> Any:
        """Attach or detach; the SDK's `BatchResult`. One object carries far fewer tags than a call takes."""

        def run(stub: Any) -> Any:
            return getattr(stub, method)(_dynamic_id(moref), list(tag_ids))

        return await self._sdk("TagAssociation", run, op_id, mutating=True)

    async def change_many(self, method: str, tag_id: str, objects: Sequence[MoRef], op_id: str) -> list[Any]:
        """Attach or detach one tag at many objects; the SDK's `BatchResult` of each call."""

        def run(part: Sequence[MoRef], stub: Any) -> Any:
            return getattr(stub, method)(tag_id, [_dynamic_id(moref) for moref in part])

        return [
            await self._sdk("TagAssociation", partial(run, part), op_id, mutating=True)
            for part in _batches(objects)
        ]

    async def tags_on(self, objects: Sequence[MoRef], op_id: str) -> dict[MoRef, list[str]]:
        found = {}
        for part in _batches(objects):
            for item in await self._sdk("TagAssociation", partial(_list_on_objects, part), op_id):
                found[morefs.join(item.object_id.type, item.object_id.id)] = list(item.tag_ids)
        return found

    async def objects_with(self, tag_ids: Sequence[str], op_id: str) -> dict[str, list[MoRef]]:
        found = {}
        for part in _batches(tag_ids):
            for item in await self._sdk("TagAssociation", partial(_list_on_tags, part), op_id):
                found[str(item.tag_id)] = [morefs.join(o.type, o.id) for o in item.object_ids]
        return found

    async def _sdk(
        self, service: str, function: Callable[[Any], Any], op_id: str, *, mutating: bool = False
    ) -> Any:
        def call(stubs: Any) -> Any:
            from com.vmware.cis import tagging_client

            return function(getattr(tagging_client, service)(stubs))

        return await self._calls.automation(call, op_id=op_id, mutating=mutating)


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _list_on_objects(objects: Sequence[MoRef], stub: Any) -> Any:
    return stub.list_attached_tags_on_objects([_dynamic_id(moref) for moref in objects])


def _list_on_tags(tag_ids: Sequence[str], stub: Any) -> Any:
    return stub.list_attached_objects_on_tags(list(tag_ids))


def _dynamic_id(moref: MoRef) -> Any:
    from com.vmware.vapi.std_client import DynamicID

    return DynamicID(type=morefs.kind_of(moref), id=morefs.id_of(moref))
