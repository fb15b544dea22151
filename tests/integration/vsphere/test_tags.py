"""Tags and categories through the official SDK."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes
from vsphere_operator.vsphere.answers import Absent, Present
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import Change, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import TagMark, parse_description
from vsphere_operator.vsphere.tags import Category, Tag, TagBatchError, Tags, new_category_id, new_tag_id
from vsphere_operator.vsphere.tags.polling import INTERVAL
from vsphere_operator.vsphere.vcenters import VCenter

MARK = TagMark("seed-1", "cluster-1").as_description()


def automation_calls(double: Double, since: int = 0) -> Counter[str]:
    prefix = "com.vmware.cis.tagging."
    methods = (c["method"] for c in double.calls(since=since) if c["method"].startswith(prefix))
    return Counter(method.removeprefix(prefix) for method in methods)


def last_call(double: Double) -> int:
    return max(int(c["sequence"]) for c in double.calls())


def some_vms(vcenter: VCenter) -> list[MoRef]:
    return [e.moref for e in vcenter.inventory.all(VmEntity)][:2]


async def test_a_tag_and_its_category_live_and_go(vcenter: VCenter, double: Double) -> None:
    tags = vcenter.tags
    assert isinstance(await tags.category("k8c", op_id="x"), Absent)
    category = await tags.create_category("k8c", MARK, op_id="x")
    assert await tags.category("k8c", op_id="x") == Present(category)
    tag = await tags.create_tag(category.id, "shop", MARK, op_id="x")
    assert await tags.tag(category.id, "shop", op_id="x") == Present(tag)
    fresh = await tags.get_tag_fresh(tag.id, op_id="x")
    assert fresh == Present(tag)
    assert isinstance(fresh, Present)
    assert parse_description(fresh.value.description) == TagMark("seed-1", "cluster-1")
    assert isinstance(await tags.get_category_fresh(category.id, op_id="x"), Present)
    assert await tags.tags_in_category_fresh(category.id, op_id="x") == [tag.id]
    assert [t["name"] for t in double.control("/state")["tags"]] == ["shop"]

    await tags.delete_tag(tag.id, op_id="x")
    await tags.delete_tag(tag.id, op_id="x")
    assert isinstance(await tags.get_tag_fresh(tag.id, op_id="x"), Absent)
    assert isinstance(await tags.tag(category.id, "shop", op_id="x"), Absent)
    await tags.delete_category(category.id, op_id="x")
    assert isinstance(await tags.get_category_fresh(category.id, op_id="x"), Absent)
    assert double.control("/state")["tags"] == []


async def test_a_taken_name_is_a_conflict(vcenter: VCenter) -> None:
    category = await vcenter.tags.create_category("k8c", MARK, op_id="x")
    await vcenter.tags.create_tag(category.id, "shop", MARK, op_id="x")
    with pytest.raises(VSphereError) as caught:
        await vcenter.tags.create_tag(category.id, "shop", MARK, op_id="x")
    assert (caught.value.fault.fault_class, caught.value.fault.reason) == (
        FaultClass.CONFLICT,
        "AlreadyExists",
    )


async def test_tags_are_attached_and_detached_in_batches(vcenter: VCenter, double: Double) -> None:
    tags = vcenter.tags
    one, two = some_vms(vcenter)
    category = await tags.create_category("k8c", MARK, op_id="x")
    ids = [(await tags.create_tag(category.id, f"t{n}", MARK, op_id="x")).id for n in range(3)]
    before = last_call(double)
    await tags.attach(ids, one, op_id="x")
    await tags.attach(ids[:1], two, op_id="x")
    await tags.attach(ids[:1], two, op_id="x")
    assert {m: set(t) for m, t in (await tags.attached([one, two], op_id="x")).items()} == {
        one: set(ids), two: {ids[0]}
    }  # fmt: skip
    assert {i: set(o) for i, o in (await tags.attached_objects(ids, op_id="x")).items()} == {
        ids[0]: {one, two}, ids[1]: {one}, ids[2]: {one}
    }  # fmt: skip
    await tags.detach(ids[1:], one, op_id="x")
    assert await tags.attached([one], op_id="x") == {one: [ids[0]]}
    assert sum(automation_calls(double, before).values()) == 7


async def test_one_call_takes_a_tag_to_many_objects_and_one_takes_it_off(
    vcenter: VCenter, double: Double
) -> None:
    tags, vms = vcenter.tags, some_vms(vcenter)
    category = await tags.create_category("k8c", MARK, op_id="x")
    tag = (await tags.create_tag(category.id, "shop", MARK, op_id="x")).id
    before = last_call(double)
    await tags.attach_to_many(tag, vms, op_id="x")
    assert await tags.attached(vms, op_id="x") == {vm: [tag] for vm in vms}
    await tags.detach_from_many(tag, vms, op_id="x")
    assert await tags.attached(vms, op_id="x") == {vm: [] for vm in vms}
    assert automation_calls(double, before) == Counter(
        {
            "tag_association.attach_tag_to_multiple_objects": 1,
            "tag_association.detach_tag_from_multiple_objects": 1,
            "tag_association.list_attached_tags_on_objects": 2,
        }
    )


async def test_objects_that_do_not_take_a_tag_are_named_and_the_others_have_it(vcenter: VCenter) -> None:
    tags, (one, two) = vcenter.tags, some_vms(vcenter)
    category = await tags.create_category("single", MARK, "SINGLE", op_id="x")
    ours, theirs = [(await tags.create_tag(category.id, n, MARK, op_id="x")).id for n in ("ours", "theirs")]
    await tags.attach([theirs], one, op_id="x")
    tags.watch(one, ())
    tags.watch(two, ())
    with pytest.raises(TagBatchError) as caught:
        await tags.attach_to_many(ours, [one, two], op_id="x")
    assert one in caught.value.fault.message
    assert two not in caught.value.fault.message
    assert '"ours"' in caught.value.fault.message
    assert tags.attached_last(two) == Present(frozenset({ours}))
    assert tags.attached_last(one) == Present(frozenset())


async def test_nothing_to_attach_is_no_call(vcenter: VCenter, double: Double) -> None:
    before = last_call(double)
    await vcenter.tags.attach([], some_vms(vcenter)[0], op_id="x")
    assert automation_calls(double, before) == Counter()


async def test_a_refused_part_of_a_batch_is_an_error(vcenter: VCenter) -> None:
    tags = vcenter.tags
    category = await tags.create_category("single", MARK, "SINGLE", op_id="x")
    ids = [(await tags.create_tag(category.id, f"t{n}", MARK, op_id="x")).id for n in range(2)]
    with pytest.raises(VSphereError):
        await tags.attach(ids, some_vms(vcenter)[0], op_id="x")


async def test_foreign_tags_cost_nothing(vcenter: VCenter, double: Double) -> None:
    tags = vcenter.tags
    for c in range(2):
        foreign = await tags.create_category(f"foreign{c}", "somebody's", op_id="x")
        for n in range(20):
            await tags.create_tag(foreign.id, f"t{n}", "somebody's", op_id="x")
    category = await tags.create_category("k8c", MARK, op_id="x")
    tag = await tags.create_tag(category.id, "shop", MARK, op_id="x")
    tags = Tags(vcenter._calls)
    found = await tags.category("k8c", op_id="x")
    assert isinstance(found, Present)
    before = last_call(double)
    assert await tags.tag(found.value.id, "shop", op_id="x") == Present(tag)
    assert automation_calls(double, before) == Counter({"tag.list_tags_for_category": 1, "tag.get": 1})


async def test_fifty_that_ask_for_one_tag_cost_one_search_and_later_ones_nothing(
    vcenter: VCenter, double: Double
) -> None:
    tags = vcenter.tags
    category = await tags.create_category("k8c", "somebody's", op_id="x")
    for n in range(20):
        await tags.create_tag(category.id, f"t{n}", "somebody's", op_id="x")
    tags = Tags(vcenter._calls)
    before = last_call(double)
    found = await asyncio.gather(*(tags.tag(category.id, "t7", op_id="x") for _ in range(50)))
    assert all(isinstance(f, Present) and f.value.name == "t7" for f in found)
    calls = automation_calls(double, before)
    assert calls["tag.list_tags_for_category"] == 1
    assert calls["tag.get"] <= 20
    before = last_call(double)
    absent = await asyncio.gather(*(tags.tag(category.id, "nix", op_id="x") for _ in range(50)))
    assert all(isinstance(f, Absent) for f in absent)
    again = automation_calls(double, before)
    assert again["tag.list_tags_for_category"] == 1
    assert again["tag.get"] + calls["tag.get"] == 20


async def test_what_others_make_is_found_after_the_negative_entry(vcenter: VCenter, pool: object) -> None:
    now = [1000.0]
    tags = Tags(vcenter._calls, clock=lambda: now[0])
    category = await tags.create_category("k8c", MARK, op_id="x")
    assert isinstance(await tags.tag(category.id, "late", op_id="x"), Absent)
    late = await vcenter.tags.create_tag(category.id, "late", "somebody's", op_id="x")
    assert isinstance(await tags.tag(category.id, "late", op_id="x"), Absent)
    now[0] += 61
    assert await tags.tag(category.id, "late", op_id="x") == Present(late)


async def test_a_renamed_tag_is_noticed(vcenter: VCenter) -> None:
    now = [1000.0]
    tags = Tags(vcenter._calls, clock=lambda: now[0])
    category = await tags.create_category("k8c", MARK, op_id="x")
    tag = await tags.create_tag(category.id, "before", MARK, op_id="x")

    def rename(stubs: object) -> None:
        from com.vmware.cis.tagging_client import Tag as Service

        Service(stubs).update(tag.id, Service.UpdateSpec(name="after"))

    await vcenter._calls.automation(rename, op_id="x", mutating=True)
    now[0] += 601
    assert isinstance(await tags.tag(category.id, "before", op_id="x"), Absent)
    assert await tags.tag(category.id, "after", op_id="x") == Present(Tag(tag.id, "after", MARK, category.id))


async def test_a_lost_automation_session_is_renewed(vcenter: VCenter, double: Double) -> None:
    tags = vcenter.tags
    await tags.create_category("k8c", MARK, op_id="x")

    def log_out(stubs: object) -> None:
        from com.vmware.cis_client import Session

        Session(stubs).delete()

    await vcenter._calls.automation(log_out, op_id="x", mutating=False)
    found = await tags.create_category("other", MARK, op_id="x")
    assert isinstance(found, Category)
    assert len(double.calls(method="com.vmware.cis.session.create")) == 2


async def test_a_second_tag_of_a_single_category_is_refused_before_the_call(
    vcenter: VCenter, double: Double
) -> None:
    tags, vm = vcenter.tags, some_vms(vcenter)[0]
    category = await tags.create_category("zone", MARK, "SINGLE", op_id="x")
    north, south = [await tags.create_tag(category.id, n, MARK, op_id="x") for n in ("north", "south")]
    await tags.attach([north.id], vm, op_id="x")
    await tags.attach([north.id], vm, op_id="x")
    before = last_call(double)
    for wanted, other in (([south.id], "north"), ([north.id, south.id], "north")):
        with pytest.raises(VSphereError) as caught:
            await tags.attach(wanted, vm, op_id="x")
        assert caught.value.fault.reason == "TagCardinality"
        assert f'"{other}"' in caught.value.fault.message
    assert automation_calls(double, before)["tag_association.attach_multiple_tags_to_object"] == 0
    await tags.detach([north.id], vm, op_id="x")
    await tags.attach([south.id], vm, op_id="x")
    assert await tags.attached([vm], op_id="x") == {vm: [south.id]}


async def test_a_batch_carried_out_in_part_tells_which_part_was_not(vcenter: VCenter) -> None:
    tags, vm = vcenter.tags, some_vms(vcenter)[0]
    everywhere = await tags.create_category("everywhere", MARK, op_id="x")
    folders = await tags.create_category("folders", MARK, associable_types={"Folder"}, op_id="x")
    good = await tags.create_tag(everywhere.id, "good", MARK, op_id="x")
    bad = await tags.create_tag(folders.id, "bad", MARK, op_id="x")
    tags.watch(vm)
    assert await tags.attached_within(vm, max_age=1.0) == Present(frozenset())
    with pytest.raises(TagBatchError) as caught:
        await tags.attach([bad.id, good.id], vm, op_id="x")
    assert caught.value.failed == (bad.id,)
    assert '"bad"' in caught.value.fault.message
    assert '"good"' not in caught.value.fault.message
    assert tags.attached_last(vm) == Present(frozenset({good.id}))


async def test_a_creation_whose_answer_was_lost_is_found_by_the_id_it_was_to_have(
    vcenter: VCenter, double: Double
) -> None:
    tags, category_id, tag_id = vcenter.tags, new_category_id(), new_tag_id()
    category = await tags.create_category("k8c", MARK, category_id=category_id, op_id="x")
    tag = await tags.create_tag(category.id, "shop", MARK, tag_id=tag_id, op_id="x")
    assert (category.id, tag.id) == (category_id, tag_id)
    before = last_call(double)
    assert await Tags(vcenter._calls).get_tag_fresh(tag_id, op_id="x") == Present(tag)
    assert automation_calls(double, before) == Counter({"tag.get": 1})


async def test_where_a_wanted_id_is_refused_vcenter_chooses_its_own(vcenter: VCenter) -> None:
    category = await vcenter.tags.create_category("k8c", MARK, category_id="no-urn", op_id="x")
    tag = await vcenter.tags.create_tag(category.id, "shop", MARK, tag_id="no-urn", op_id="x")
    assert category.id.startswith("urn:")
    assert await vcenter.tags.get_tag_fresh(tag.id, op_id="x") == Present(tag)


async def test_a_hint_that_holds_costs_one_look_and_a_wrong_one_costs_a_search(
    vcenter: VCenter, double: Double
) -> None:
    category = await vcenter.tags.create_category("k8c", MARK, op_id="x")
    one, two = [await vcenter.tags.create_tag(category.id, n, MARK, op_id="x") for n in ("one", "two")]
    tags = Tags(vcenter._calls)
    tags.hint_category(category.id, "k8c")
    tags.hint(one.id, "one", category.id)
    tags.hint(one.id, "two", category.id)
    before = last_call(double)
    assert await tags.category("k8c", op_id="x") == Present(category)
    assert await tags.known_tag(category.id, "one", op_id="x") == Present(one)
    assert await tags.known_tag(category.id, "three", op_id="x") is None
    assert automation_calls(double, before) == Counter({"category.get": 1, "tag.get": 1})
    assert await tags.tag(category.id, "two", op_id="x") == Present(two)


async def test_a_missing_name_in_a_large_category_is_looked_for_with_one_list_a_minute(
    vcenter: VCenter, double: Double
) -> None:
    now = [1000.0]
    category = await vcenter.tags.create_category("k8c", "somebody's", op_id="x")
    for n in range(20):
        await vcenter.tags.create_tag(category.id, f"t{n}", "somebody's", op_id="x")
    tags = Tags(vcenter._calls, clock=lambda: now[0])
    assert isinstance(await tags.tag(category.id, "nix", op_id="x"), Absent)
    before = last_call(double)
    for _ in range(20):
        now[0] += 61
        assert isinstance(await tags.tag(category.id, "nix", op_id="x"), Absent)
    assert automation_calls(double, before) == Counter({"tag.list_tags_for_category": 20})


async def test_what_others_attach_is_told_by_the_poll(vcenter: VCenter, changes: list[Change]) -> None:
    due: list[Callable[[], object]] = []

    def later(delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        if delay < INTERVAL:
            return asyncio.get_running_loop().call_later(delay, callback)
        due.append(callback)
        return asyncio.get_running_loop().call_later(3600.0, lambda: None)

    one, two = some_vms(vcenter)
    category = await vcenter.tags.create_category("k8c", MARK, op_id="x")
    tag = await vcenter.tags.create_tag(category.id, "shop", MARK, op_id="x")
    told: list[Change] = []
    tags = Tags(vcenter._calls, notify=told.extend, later=later)
    for moref in (one, two):
        tags.watch(moref)
        assert await tags.attached_within(moref, max_age=1.0) == Present(frozenset())
    await vcenter.tags.attach([tag.id], two, op_id="x")
    due.pop()()
    await becomes(lambda: told)
    assert told == [Change("tags", two)]
    assert tags.attached_last(two) == Present(frozenset({tag.id}))
    tags.close()


async def test_a_refusal_says_which_operation_on_what_needs_which_privilege(
    vcenter: VCenter, double: Double
) -> None:
    tags, (vm, _) = vcenter.tags, some_vms(vcenter)
    category = await tags.create_category("k8c", MARK, op_id="x")
    tag = await tags.create_tag(category.id, "shop", MARK, op_id="x")
    double.control("/faults", {"method": "com.vmware.cis.tagging.*", "fault": "unauthorized", "count": -1})
    needs = "needs InventoryService.Tagging"
    for refused, words in (
        (
            tags.create_category("new", MARK, op_id="x"),
            f'tagging.category.create of "new" {needs}.CreateCategory',
        ),
        (tags.create_tag(category.id, "n", MARK, op_id="x"), f'tagging.tag.create of "n" {needs}.CreateTag'),
        (tags.delete_tag(tag.id, op_id="x"), f"tagging.tag.delete of {tag.id} {needs}.DeleteTag"),
        (tags.delete_category(category.id, op_id="x"), f"tagging.category.delete of {category.id} {needs}"),
        (
            tags.attach([tag.id], vm, op_id="x"),
            f"tagging.tag_association.attach_multiple_tags_to_object of {vm} {needs}.AttachTag",
        ),
        (tags.tags_in_category_fresh(category.id, op_id="x"), "tagging.tag.list_tags_for_category of urn:"),
        (tags.attached([vm], op_id="x"), "list_attached_tags_on_objects needs System.Read"),
    ):
        with pytest.raises(VSphereError) as caught:
            await refused
        assert caught.value.fault.fault_class is FaultClass.PERMISSION
        assert words in caught.value.fault.message
    double.control("/faults", method="DELETE")
    await tags.delete_category(category.id, op_id="x")
