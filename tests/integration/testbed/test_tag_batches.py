"""Tags in bulk: what a batch call does and refuses, and tags of others in numbers."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import urllib.error
from collections.abc import Iterator

import pytest
from com.vmware.cis.tagging_client import Category, CategoryModel, Tag
from com.vmware.vapi.std.errors_client import InvalidArgument
from com.vmware.vapi.std_client import DynamicID
from pyVmomi import vim
from vmware.vapi.vsphere.client import VsphereClient

from testbed import TestBed
from tests.integration.testbed.clients import automation

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def client(test_bed: TestBed) -> Iterator[VsphereClient]:
    client = automation(test_bed.info.vcenter)
    yield client
    client.session_svc.delete()


@pytest.fixture
def category(client: VsphereClient) -> Iterator[str]:
    spec = Category.CreateSpec(
        name="batches",
        description="",
        cardinality=CategoryModel.Cardinality.SINGLE,
        associable_types=set(),
    )
    made = client.tagging.Category.create(spec)
    yield made
    client.tagging.Category.delete(made)


def _tag(client: VsphereClient, category: str, name: str) -> str:
    spec = Tag.CreateSpec(name=name, description="", category_id=category)
    return str(client.tagging.Tag.create(spec))


def _id(entity: vim.ManagedEntity) -> DynamicID:
    return DynamicID(type="Folder", id=entity._moId)


def test_a_batch_over_objects_does_what_it_can_and_tells_the_rest(
    client: VsphereClient, category: str, folder: vim.Folder
) -> None:
    tag = _tag(client, category, "one")
    gone = DynamicID(type="Folder", id="group-none")
    association = client.tagging.TagAssociation
    batch = association.attach_tag_to_multiple_objects(tag, [gone, _id(folder)])
    assert (batch.success, len(batch.error_messages)) == (False, 1)
    assert "group-none" in str(batch.error_messages[0])
    assert association.list_attached_tags(_id(folder)) == [tag]
    assert association.detach_tag_from_multiple_objects(tag, [_id(folder)]).success


def test_a_batch_over_tags_honours_the_cardinality(
    client: VsphereClient, category: str, folder: vim.Folder
) -> None:
    one, two = _tag(client, category, "one"), _tag(client, category, "two")
    association = client.tagging.TagAssociation
    assert set(association.list_attachable_tags(_id(folder))) >= {one, two}
    batch = association.attach_multiple_tags_to_object(_id(folder), [one, two])
    assert (batch.success, len(batch.error_messages)) == (False, 1)
    assert association.list_attached_tags(_id(folder)) == [one]
    assert not {one, two} & set(association.list_attachable_tags(_id(folder)))
    assert association.detach_multiple_tags_from_object(_id(folder), [one, two]).success


def test_a_batch_has_at_most_2000_objects(client: VsphereClient, category: str, folder: vim.Folder) -> None:
    tag = _tag(client, category, "one")
    association = client.tagging.TagAssociation
    most = [_id(folder)] * 2000
    assert len(association.list_attached_tags_on_objects(most)) == 2000
    for call in (
        lambda: association.list_attached_tags_on_objects([*most, _id(folder)]),
        lambda: association.attach_tag_to_multiple_objects(tag, [*most, _id(folder)]),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert association.list_attached_tags(_id(folder)) == []


@pytest.mark.parametrize("categories", [1, 3])
def test_tags_of_others_come_in_numbers(test_bed: TestBed, client: VsphereClient, categories: int) -> None:
    before_tags, before = set(client.tagging.Tag.list()), set(client.tagging.Category.list())
    test_bed.info.vcenter.control(
        "/foreign-tags", {"count": 300, "category": "foreign", "categories": categories}
    )
    assert len(set(client.tagging.Tag.list()) - before_tags) == 300
    made = set(client.tagging.Category.list()) - before
    assert len(made) == categories
    assert {len(client.tagging.Tag.list_tags_for_category(one)) for one in made} == {300 // categories}
    for one in made:
        client.tagging.Category.delete(one)


def test_tags_of_others_need_a_number_and_a_category(test_bed: TestBed) -> None:
    with pytest.raises(urllib.error.HTTPError):
        test_bed.info.vcenter.control("/foreign-tags", {"category": "foreign"})
