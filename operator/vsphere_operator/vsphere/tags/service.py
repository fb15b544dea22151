"""Tags and categories of one vCenter: finding, making, deleting, attaching. Other people's are never touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import cardinality
from vsphere_operator.vsphere.tags.models import CATEGORY_URN, Category, Tag
from vsphere_operator.vsphere.tags.names import Names
from vsphere_operator.vsphere.tags.polling import Attached, Later, TagPoll
from vsphere_operator.vsphere.tags.wire import Wire

_AT_ONCE = 2
"""Ids of a category read at a time: a search must not take all of a vCenter's threads."""


class TagBatchError(VSphereError):
    """A batch that was carried out in part: `failed` are the ids of the tags that were not."""

    def __init__(self, fault: Fault, failed: tuple[str, ...]) -> None:
        super().__init__(fault)
        self.failed = failed


class Tags:
    """Belongs to one event loop. `notify` hears of tags that others attached to or took off what is watched."""

    def __init__(
        self,
        calls: Calls,
        *,
        notify: Callable[[Sequence[Change]], None] = lambda _: None,
        later: Later | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = Wire(calls)
        self._clock = clock
        self._categories = Names[Category]()
        self._tags: dict[str, Names[Tag]] = {}
        self._poll = TagPoll(
            lambda morefs, op_id: self.attached(morefs, op_id=op_id),
            notify=notify,
            later=later or asyncio.get_running_loop().call_later,
            clock=clock,
        )

    def close(self) -> None:
        self._poll.close()

    # Finding by name, through what is remembered

    async def category(self, name_or_id: str, *, op_id: str) -> Answer[Category]:
        """A category by name or id. `Absent`: the vCenter user sees none. Never raises `VSphereError`."""
        if name_or_id.startswith(CATEGORY_URN):
            return await self._category_by_id(name_or_id, op_id)
        return await self._resolve(
            self._categories,
            name_or_id,
            ids=lambda: self._wire.category_ids(op_id),
            read=lambda category_id: self.get_category_fresh(category_id, op_id=op_id),
            missing=f"there is no tag category {name_or_id!r} that the vCenter user can see",
        )

    async def _category_by_id(self, category_id: str, op_id: str) -> Answer[Category]:
        known = self._categories.get(category_id)
        if known is not None and self._categories.find(known.name, self._clock()) == known:
            return Present(known)
        answer = await self.get_category_fresh(category_id, op_id=op_id)
        if isinstance(answer, Present):
            self._categories.remember(answer.value, self._clock())
        return answer

    async def tag(self, category_id: str, name: str, *, op_id: str) -> Answer[Tag]:
        """A tag of a category by name. `Absent`: the vCenter user sees none. Never raises `VSphereError`.

        Costs a list, and one call for each tag of the category that is not known yet: for what may be made,
        ask `known_tag` and then create.
        """
        return await self._resolve(
            self._names(category_id),
            name,
            ids=lambda: self._wire.tag_ids(category_id, op_id),
            read=lambda tag_id: self.get_tag_fresh(tag_id, op_id=op_id),
            missing=f"the category has no tag {name!r} that the vCenter user can see",
        )

    async def known_tag(self, category_id: str, name: str, *, op_id: str) -> Present[Tag] | Unknown | None:
        """The tag, if memory or a hint leads to it: one call at most. `None` says nothing about vCenter."""
        names = self._names(category_id)
        async with names.lock:
            return await self._known(names, name, lambda i: self.get_tag_fresh(i, op_id=op_id))

    def hint(self, tag_id: str, name: str, category_id: str) -> None:
        """A record says that the tag had this id. It is believed after one look."""
        self._names(category_id).hint(tag_id, name)

    def hint_category(self, category_id: str, name: str) -> None:
        """The same for a category."""
        self._categories.hint(category_id, name)

    def distrust(self) -> None:
        """Something did not fit what is remembered: names are looked at again before they are believed."""
        self._categories.distrust()
        for names in self._tags.values():
            names.distrust()

    def _names(self, category_id: str) -> Names[Tag]:
        return self._tags.setdefault(category_id, Names[Tag]())

    async def _resolve(
        self, names: Names[Any], name: str, *, ids: Any, read: Any, missing: str
    ) -> Answer[Any]:
        # One search a category at a time: fifty machines that ask for the same tag cost one.
        async with names.lock:
            known = await self._known(names, name, read)
            if known is not None:
                return known
            if names.is_absent(name, self._clock()):
                return Absent(missing)
            try:
                found = await self._search(names, name, await ids(), read)
            except VSphereError as error:
                return Unknown(error.fault.message, error.fault)
            if isinstance(found, Absent):
                names.missed(name, self._clock())
                return Absent(missing)
            return found

    async def _known(self, names: Names[Any], name: str, read: Any) -> Present[Any] | Unknown | None:
        known = names.find(name, self._clock())
        if known is not None:
            return Present(known)
        candidate = names.candidate(name)
        if candidate is None:
            return None
        answer = await read(candidate)
        if isinstance(answer, Unknown):
            return answer
        names.drop(candidate)
        if isinstance(answer, Present):
            names.remember(answer.value, self._clock())
        found = names.find(name, self._clock())
        return None if found is None else Present(found)

    async def _search(self, names: Names[Any], name: str, ids: list[str], read: Any) -> Answer[Any]:
        names.keep_only(set(ids))
        unread = names.to_read(ids, name, self._clock())
        for start in range(0, len(unread), _AT_ONCE):
            answers = await asyncio.gather(*(read(i) for i in unread[start : start + _AT_ONCE]))
            for answer in answers:
                if isinstance(answer, Present):
                    names.remember(answer.value, self._clock())
            found = names.find(name, self._clock())
            if found is not None:
                return Present(found)
            unclear = next((a for a in answers if isinstance(a, Unknown)), None)
            if unclear is not None:
                return unclear
        return Absent("")

    # Reading now

    async def get_category_fresh(self, category_id: str, *, op_id: str) -> Answer[Category]:
        """A category by id, read now; `Absent` is a proof. Never raises `VSphereError`."""
        return await _fresh(category_id, self._wire.read_category(category_id, op_id))

    async def get_tag_fresh(self, tag_id: str, *, op_id: str) -> Answer[Tag]:
        """A tag by id, read now, with its description (the ownership mark); `Absent` is a proof."""
        return await _fresh(tag_id, self._wire.read_tag(tag_id, op_id))

    async def tags_in_category_fresh(self, category_id: str, *, op_id: str) -> list[str]:
        """The ids of all tags of a category, now. `GONE` if the category does not exist."""
        return await self._wire.tag_ids(category_id, op_id)

    # Making and deleting

    async def create_category(
        self,
        name: str,
        description: str,
        cardinality: str = "MULTIPLE",
        *,
        associable_types: Collection[str] = (),
        category_id: str | None = None,
        op_id: str,
    ) -> Category:
        """Make a category. `CONFLICT` when the name is taken.

        `associable_types`: the kinds of objects that may carry its tags (`Folder`, `VirtualMachine`); empty
        for all. `category_id`: the id that it shall have (`new_category_id`), so that a creation whose answer
        was lost can be looked for; a vCenter that does not take it chooses its own.
        """
        kinds = frozenset(associable_types)
        self._categories.expect(name)
        made = await _with_or_without_id(
            category_id,
            lambda wanted: self._wire.create_category(name, description, cardinality, kinds, wanted, op_id),
        )
        category = Category(made, name, description, cardinality, kinds)
        self._categories.remember(category, self._clock())
        return category

    async def create_tag(
        self, category_id: str, name: str, description: str, *, tag_id: str | None = None, op_id: str
    ) -> Tag:
        """Make a tag. `CONFLICT` when the name is taken. `tag_id` as with `create_category`."""
        names = self._names(category_id)
        names.expect(name)
        made = await _with_or_without_id(
            tag_id, lambda wanted: self._wire.create_tag(category_id, name, description, wanted, op_id)
        )
        tag = Tag(made, name, description, category_id)
        names.remember(tag, self._clock())
        return tag

    async def delete_category(self, category_id: str, *, op_id: str) -> None:
        """Delete a category *with its tags*. One that is gone already is no error."""
        await _gone_is_fine(self._wire.delete_category(category_id, op_id))
        self._categories.drop(category_id)
        self._tags.pop(category_id, None)

    async def delete_tag(self, tag_id: str, *, op_id: str) -> None:
        """Delete a tag, attached or not. One that is gone already is no error."""
        await _gone_is_fine(self._wire.delete_tag(tag_id, op_id))
        for names in self._tags.values():
            names.drop(tag_id)

    # Attaching

    async def attach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        """Attach tags to an object in one call; those attached already stay.

        Refused with `TagCardinality` before the call when a category allows no second tag; `TagBatchError`
        when vCenter refused some of them.
        """
        if not tag_ids:
            return
        await self._check_cardinality(tag_ids, moref, op_id)
        await self._change("attach_multiple_tags_to_object", tag_ids, moref, op_id)

    async def detach(self, tag_ids: Sequence[str], moref: MoRef, *, op_id: str) -> None:
        """Detach tags from an object in one call. Raises `TagBatchError` when some stayed on."""
        if tag_ids:
            await self._change("detach_multiple_tags_from_object", tag_ids, moref, op_id)

    async def attach_to_many(self, tag_id: str, objects: Sequence[MoRef], *, op_id: str) -> None:
        """Attach a tag to objects, 2,000 a call. Raises `TagBatchError` when some did not take it."""
        await self._change_many("attach_tag_to_multiple_objects", tag_id, objects, op_id)

    async def detach_from_many(self, tag_id: str, objects: Sequence[MoRef], *, op_id: str) -> None:
        """Detach a tag from objects, 2,000 a call. Raises `TagBatchError` when it stayed on some."""
        await self._change_many("detach_tag_from_multiple_objects", tag_id, objects, op_id)

    async def _change_many(self, method: str, tag_id: str, objects: Sequence[MoRef], op_id: str) -> None:
        attaching = method.startswith("attach")
        try:
            results = await self._wire.change_many(method, tag_id, objects, op_id)
        except VSphereError as error:
            if error.fault.kind == "vapi.NotFound":
                self.distrust()
            raise
        refused = next((r for r in results if not r.success), None)
        failed: list[MoRef] = []
        if refused is not None:
            self.distrust()
            on = await self.attached(objects, op_id=op_id)
            failed = [moref for moref in objects if (tag_id in on[moref]) is not attaching]
        for moref in objects:
            done = [tag_id] if moref not in failed else []
            self._poll.changed(moref, add=done if attaching else (), remove=() if attaching else done)
        if refused is not None:
            words = "attached to" if attaching else "taken off"
            shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
            raise TagBatchError(self._batch_fault(refused, [tag_id], f"{words} {shown}"), (tag_id,))

    async def _change(self, method: str, tag_ids: Sequence[str], moref: MoRef, op_id: str) -> None:
        attaching = method.startswith("attach")
        try:
            result = await self._wire.change(method, tag_ids, moref, op_id)
        except VSphereError as error:
            if error.fault.kind == "vapi.NotFound":
                self.distrust()
            raise
        # A batch answers with success and tells its failures in the result only, without saying whose they are.
        failed: tuple[str, ...] = ()
        if not result.success:
            self.distrust()
            on = set((await self.attached([moref], op_id=op_id))[moref])
            failed = tuple(i for i in tag_ids if (i in on) is not attaching)
        done = [i for i in tag_ids if i not in failed]
        self._poll.changed(moref, add=done if attaching else (), remove=() if attaching else done)
        if not result.success:
            words = "attached to" if attaching else "taken off"
            raise TagBatchError(self._batch_fault(result, failed, f"{words} {moref}"), failed)

    def _batch_fault(self, result: Any, failed: Sequence[str], done: str) -> Fault:
        texts = [
            m.default_message for m in result.error_messages or () if getattr(m, "default_message", None)
        ]
        reason = f" (vCenter says: {texts[0][:200]})" if texts else ""
        known = {tag.id: tag.name for tag in self._known_tags(failed)}
        names = ", ".join(f'"{known.get(i, i)}"' for i in failed) or "some of the tags"
        words = (
            f"Could not be {done}: {names}{reason}. Check that the tags exist and fit this kind of object, and that "
            "the vCenter user has InventoryService.Tagging.AttachTag."
        )
        return Fault(FaultClass.CONFLICT, "TagBatchFailed", words, 30.0, "TagBatchFailed")

    async def _check_cardinality(self, tag_ids: Sequence[str], moref: MoRef, op_id: str) -> None:
        """Costs calls only where a wanted tag's category is known to be SINGLE."""
        wanted = self._known_tags(tag_ids)
        categories = {c.id: c for t in wanted if (c := self._categories.get(t.category_id)) is not None}
        for category_id, tags in cardinality.single(wanted, categories).items():
            on = await self._tags_on(moref, category_id, op_id)
            found = cardinality.in_the_way(tags, on, categories[category_id])
            if found is not None:
                raise VSphereError(cardinality.refusal(found, moref))

    async def _tags_on(self, moref: MoRef, category_id: str, op_id: str) -> list[Tag]:
        attached = set((await self.attached([moref], op_id=op_id))[moref])
        if attached:
            attached &= set(await self._wire.tag_ids(category_id, op_id))
        names, found = self._names(category_id), []
        for tag_id in sorted(attached):
            answer = await self.get_tag_fresh(tag_id, op_id=op_id)
            if isinstance(answer, Present):
                names.remember(answer.value, self._clock())
                found.append(answer.value)
        return found

    def _known_tags(self, tag_ids: Sequence[str]) -> list[Tag]:
        return [t for i in tag_ids for names in self._tags.values() if (t := names.get(i)) is not None]

    # Who carries what

    async def attached(self, objects: Sequence[MoRef], *, op_id: str) -> dict[MoRef, list[str]]:
        """The ids of the tags on each object, read now, 2,000 objects a call. Without tags: an empty list."""
        found: dict[MoRef, list[str]] = {moref: [] for moref in objects}
        found |= await self._wire.tags_on(objects, op_id)
        return found

    async def attached_objects(self, tag_ids: Sequence[str], *, op_id: str) -> dict[str, list[MoRef]]:
        """The objects that carry each tag, as far as the vCenter user may see: an empty list is no proof."""
        found: dict[str, list[MoRef]] = {tag_id: [] for tag_id in tag_ids}
        found |= await self._wire.objects_with(tag_ids, op_id)
        return found

    def watch(self, moref: MoRef, believed: Collection[str] | None = None) -> None:
        """Look at an object's tags once a minute and tell differences as `Change("tags", moref)`.

        `believed`: what a record says is attached, so that nothing has to be asked at once.
        """
        self._poll.watch(moref, believed)

    def unwatch(self, moref: MoRef) -> None:
        """The end of one `watch`."""
        self._poll.unwatch(moref)

    def attached_last(self, moref: MoRef) -> Attached:
        """The ids of the tags on a watched object at the last look; `Unknown` when that failed. No call."""
        return self._poll.last(moref)

    async def attached_within(self, moref: MoRef, *, max_age: float) -> Attached:
        """What a good look within the last `max_age` seconds saw: else read now, in one call for all who ask."""
        return await self._poll.look(moref, max_age=max_age)


async def _fresh(item_id: str, reading: Any) -> Answer[Any]:
    try:
        return Present(await reading)
    except VSphereError as error:
        if error.fault.kind == "vapi.NotFound":
            return Absent(f"vCenter knows no tag or category {item_id}")
        return Unknown(error.fault.message, error.fault)


async def _gone_is_fine(deleting: Any) -> None:
    try:
        await deleting
    except VSphereError as error:
        if error.fault.kind != "vapi.NotFound":
            raise


async def _with_or_without_id(wanted: str | None, create: Callable[[str | None], Any]) -> str:
    """Refused arguments have made nothing: where it may be the id that displeases, vCenter chooses its own."""
    try:
        return str(await create(wanted))
    except VSphereError as error:
        if wanted is None or error.fault.kind != "vapi.InvalidArgument":
            raise
    return str(await create(None))
