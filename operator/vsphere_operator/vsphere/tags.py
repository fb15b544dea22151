"""Tags and categories through the official SDK, resolved once and then kept.

The API finds nothing by name: a category lists ids, and each id is one more call. So ids are looked up once a
process and remembered; a second look at a category costs one list, and one call for each tag that is new.
What we made ourselves is known by its id from the ledger and never searched. Other categories' tags are
never touched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef

_CATEGORY_URN = "urn:vmomi:InventoryServiceCategory:"
_BATCH = 2000
"""Objects or tags a call, at most (VMware's tagging best practices)."""
NEGATIVE_SECONDS = 60.0
"""How long a name that was not found is not looked for again."""
POSITIVE_SECONDS = 600.0
"""How long a resolved name is believed: people rename tags."""


@dataclass(frozen=True, slots=True)
class Category:
    """`cardinality`: SINGLE or MULTIPLE tags of it an object. `associable_types`: empty for all."""

    id: str
    name: str
    description: str
    cardinality: str
    associable_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tag:
    id: str
    name: str
    description: str
    category_id: str


N = TypeVar("N", Category, Tag)


class _Names(Generic[N]):
    """What is known of the names below one place: items by id with an age, and names that were not there."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.absent_until: dict[str, float] = {}
        self._items: dict[str, tuple[N, float]] = {}
        self._by_name: dict[str, str] = {}

    def find(self, name: str, now: float) -> N | None:
        item_id = self._by_name.get(name)
        return None if item_id is None else self.fresh(item_id, now)

    def fresh(self, item_id: str, now: float) -> N | None:
        item, until = self._items.get(item_id, (None, 0.0))
        return item if until > now else None

    def urgency(self, item_id: str, name: str, now: float) -> int:
        if self._by_name.get(name) == item_id:
            return 0
        return 1 if item_id not in self._items or self.fresh(item_id, now) is not None else 2

    def remember(self, item: N, until: float) -> None:
        self.drop(item.id)
        self._items[item.id] = (item, until)
        self._by_name[item.name] = item.id
        self.absent_until.pop(item.name, None)

    def drop(self, item_id: str) -> None:
        item, _ = self._items.pop(item_id, (None, 0.0))
        if item is not None and self._by_name.get(item.name) == item_id:
            del self._by_name[item.name]

    def keep_only(self, ids: set[str]) -> None:
        for item_id in set(self._items) - ids:
            self.drop(item_id)


class Tags:
    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._clock = clock
        self._categories = _Names[Category]()
        self._tags: dict[str, _Names[Tag]] = {}

    # Looking up, through the cache

    async def category(self, name_or_id: str, *, op_id: str) -> Answer[Category]:
        """A category by name or id. `Absent`: the vCenter user sees none. Never raises `VSphereError`."""
        if name_or_id.startswith(_CATEGORY_URN):
            return await self.get_category_fresh(name_or_id, op_id=op_id)
        return await self._resolve(
            self._categories,
            name_or_id,
            ids=lambda: self._sdk("Category", lambda service: service.list(), op_id),
            read=lambda category_id: self.get_category_fresh(category_id, op_id=op_id),
            missing=f"there is no tag category {name_or_id!r} that the vCenter user can see",
        )

    async def tag(self, category_id: str, name: str, *, op_id: str) -> Answer[Tag]:
        """A tag of a category by name. `Absent`: the vCenter user sees none. Never raises `VSphereError`."""
        return await self._resolve(
            self._tags.setdefault(category_id, _Names[Tag]()),
            name,
            ids=lambda: self._sdk("Tag", lambda service: service.list_tags_for_category(category_id), op_id),
            read=lambda tag_id: self.get_tag_fresh(tag_id, op_id=op_id),
            missing=f"the category has no tag {name!r} that the vCenter user can see",
        )

    async def _resolve(
        self, names: _Names[Any], name: str, *, ids: Any, read: Any, missing: str
    ) -> Answer[Any]:
        # One search a category at a time: fifty machines that ask for the same tag cost one.
        async with names.lock:
            now = self._clock()
            known = names.find(name, now)
            if known is not None:
                return Present(known)
            if names.absent_until.get(name, 0.0) > now:
                return Absent(missing)
            try:
                found = await self._search(names, name, await ids(), read)
            except VSphereError as error:
                return Unknown(error.fault.message, error.fault)
            if isinstance(found, Absent):
                names.absent_until[name] = self._clock() + NEGATIVE_SECONDS
                return Absent(missing)
            return found

    async def _search(self, names: _Names[Any], name: str, ids: Sequence[str], read: Any) -> Answer[Any]:
        names.keep_only(set(ids))
        # First those that had the name before, then the new ones, then those whose name is old knowledge.
        for item_id in sorted(ids, key=lambda i: names.urgency(i, name, self._clock())):
            known = names.fresh(item_id, self._clock())
            if known is None:
                answer = await read(item_id)
                if isinstance(answer, Unknown):
                    return answer
                if isinstance(answer, Absent):
                    continue
                known = answer.value
                names.remember(known, self._clock() + POSITIVE_SECONDS)
            if known.name == name:
                return Present(known)
        return Absent("")

    def invalidate(self) -> None:
        """Forget all names, after something did not fit what is remembered."""
        self._categories = _Names[Category]()
        self._tags = {}

    # Reading now

    async def get_category_fresh(self, category_id: str, *, op_id: str) -> Answer[Category]:
        """A category by id, read now; `Absent` is a proof. Never raises `VSphereError`."""
        return await self._fresh("Category", category_id, _category, op_id)

    async def get_tag_fresh(self, tag_id: str, *, op_id: str) -> Answer[Tag]:
        """A tag by id, read now, with its description (the ownership mark); `Absent` is a proof."""
        return await self._fresh("Tag", tag_id, _tag, op_id)

    async def _fresh(
        self, service: str, item_id: str, decode: Callable[[Any], Any], op_id: str
    ) -> Answer[Any]:
        try:
            return Present(decode(await self._sdk(service, lambda stub: stub.get(item_id), op_id)))
        except VSphereError as error:
            if error.fault.kind == "vapi.NotFound":
                return Absent(f"vCenter knows no tag or category {item_id}")
            return Unknown(error.fault.message, error.fault)

    async def tags_in_category_fresh(self, category_id: str, *, op_id: str) -> list[str]:
        """The ids of all tags of a category, now. `GONE` if the category does not exist."""
        found = await self._sdk("Tag", lambda stub: stub.list_tags_for_category(category_id), op_id)
        return list(found)

    # Making and deleting

    async def create_category(
        self, name: str, description: str, cardinality: str = "MULTIPLE", *, op_id: str
    ) -> Category:
        """Make a category for all kinds of objects. `CONFLICT` when the name is taken."""

        def create(service: Any) -> str:
            spec = service.CreateSpec(
                name=name, description=description, cardinality=cardinality, associable_types=set()
            )
            return str(service.create(spec))

        self._categories.absent_until.pop(name, None)
        category_id = await self._sdk("Category", create, op_id, mutating=True)
        category = Category(category_id, name, description, cardinality)
        self._categories.remember(category, self._clock() + POSITIVE_SECONDS)
        return category

    async def create_tag(self, category_id: str, name: str, description: str, *, op_id: str) -> Tag:
        """Make a tag. `CONFLICT` when the name is taken."""

        def create(service: Any) -> str:
            spec = service.CreateSpec(name=name, description=description, category_id=category_id)
            return str(service.create(spec))

        names = self._tags.setdefault(category_id, _Names[Tag]())
        names.absent_until.pop(name, None)
        tag = Tag(await self._sdk("Tag", create, op_id, mutating=True), name, description, category_id)
        names.remember(tag, self._clock() + POSITIVE_SECONDS)
        return tag

    async def delete_category(self, category_id: str, *, op_id: str) -> None:
        """Delete a category *with its tags*. One that is gone already is no error."""
        await self._delete("Category", category_id, op_id)
        self._categories.drop(category_id)
        self._tags.pop(category_id, None)

    async def delete_tag(self, tag_id: str, *, op_id: str) -> None:
        """Delete a tag, attached or not. One that is gone already is no error."""
        await self._delete("Tag", tag_id, op_id)
        for names in self._tags.values():
            names.drop(tag_id)

    async def _delete(self, service: str, item_id: str, op_id: str) -> None:
        try:
            await self._sdk(service, lambda stub: stub.delete(item_id), op_id, mutating=True)
        except VSphereError as error:
            if error.fault.kind != "vapi.NotFound":
                raise

    # Attaching

    async def attach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        """Attach tags to an object in one call; those attached already stay. Raises if any was refused."""
        await self._batch("attach_multiple_tags_to_object", "attached", tag_ids, moref, op_id)

    async def detach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        """Detach tags from an object in one call. Raises if any was refused."""
        await self._batch("detach_multiple_tags_from_object", "detached", tag_ids, moref, op_id)

    async def _batch(self, method: str, done: str, tag_ids: Sequence[str], moref: MoRef, op_id: str) -> None:
        if not tag_ids:
            return
        for ids in _batches(tag_ids):
            try:
                result = await self._sdk(
                    "TagAssociation", partial(_change, method, moref, ids), op_id, mutating=True
                )
            except VSphereError as error:
                if error.fault.kind == "vapi.NotFound":
                    self.invalidate()
                raise
            # A batch answers with success and tells its failures in the result only.
            if not result.success:
                self.invalidate()
                raise VSphereError(_batch_fault(result, done, moref))

    async def attached(self, objects: Sequence[MoRef], *, op_id: str) -> dict[MoRef, list[str]]:
        """The ids of the tags on each object, 2,000 objects a call. Without tags: an empty list."""
        found: dict[MoRef, list[str]] = {moref: [] for moref in objects}
        for part in _batches(objects):
            answers = await self._sdk(
                "TagAssociation",
                partial(_list_on_objects, part),
                op_id,
            )
            for item in answers:
                found[morefs.join(item.object_id.type, item.object_id.id)] = list(item.tag_ids)
        return found

    async def attached_objects(self, tag_ids: Sequence[str], *, op_id: str) -> dict[str, list[MoRef]]:
        """The objects that carry each tag, as far as the vCenter user may see: an empty list is no proof."""
        found: dict[str, list[MoRef]] = {tag_id: [] for tag_id in tag_ids}
        for part in _batches(tag_ids):
            answers = await self._sdk(
                "TagAssociation",
                partial(_list_on_tags, part),
                op_id,
            )
            for item in answers:
                found[item.tag_id] = [morefs.join(o.type, o.id) for o in item.object_ids]
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


def _change(method: str, moref: MoRef, tag_ids: Sequence[str], stub: Any) -> Any:
    return getattr(stub, method)(_dynamic_id(moref), list(tag_ids))


def _list_on_objects(objects: Sequence[MoRef], stub: Any) -> Any:
    return stub.list_attached_tags_on_objects([_dynamic_id(moref) for moref in objects])


def _list_on_tags(tag_ids: Sequence[str], stub: Any) -> Any:
    return stub.list_attached_objects_on_tags(list(tag_ids))


def _dynamic_id(moref: MoRef) -> Any:
    from com.vmware.vapi.std_client import DynamicID

    return DynamicID(type=morefs.kind_of(moref), id=morefs.id_of(moref))


def _batch_fault(result: Any, done: str, moref: MoRef) -> Fault:
    texts = [m.default_message for m in result.error_messages or () if getattr(m, "default_message", None)]
    reason = f" (vCenter says: {texts[0][:200]})" if texts else ""
    words = f"Not all tags could be {done} on {moref}{reason}. Check that the tags exist and fit this kind of object."
    return Fault(FaultClass.CONFLICT, "TagBatchFailed", words, 30.0, "TagBatchFailed")


def _category(model: Any) -> Category:
    return Category(
        model.id,
        model.name,
        model.description or "",
        str(model.cardinality),
        frozenset(model.associable_types or ()),
    )


def _tag(model: Any) -> Tag:
    return Tag(model.id, model.name, model.description or "", model.category_id)
