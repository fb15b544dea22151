"""The Automation API, as the unmodified SDK speaks it, and its REST form."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

from collections.abc import Iterator

import pytest
from com.vmware.cis.tagging_client import Category, CategoryModel, Tag
from com.vmware.vapi.std.errors_client import AlreadyExists, InvalidArgument, NotFound, Unauthenticated
from com.vmware.vapi.std_client import DynamicID
from pyVmomi import vim
from vmware.vapi.vsphere.client import VsphereClient

from testbed import TestBed
from tests.integration.testbed.clients import Seat, automation, http_session, result

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def client(test_bed: TestBed) -> Iterator[VsphereClient]:
    client = automation(test_bed.info.vcenter)
    yield client
    client.session_svc.delete()


def _category(client: VsphereClient, name: str, cardinality: str = "SINGLE", *types: str) -> str:
    spec = Category.CreateSpec(
        name=name,
        description="described",
        cardinality=CategoryModel.Cardinality(cardinality),
        associable_types=set(types),
    )
    return str(client.tagging.Category.create(spec))


@pytest.fixture
def category(client: VsphereClient) -> Iterator[str]:
    made = _category(client, "test-category")
    yield made
    if made in client.tagging.Category.list():
        client.tagging.Category.delete(made)


def _tag(client: VsphereClient, category: str, name: str) -> str:
    return str(client.tagging.Tag.create(Tag.CreateSpec(name=name, description="", category_id=category)))


def _id(entity: vim.ManagedEntity) -> DynamicID:
    return DynamicID(type=entity._wsdlName, id=entity._moId)


def test_a_wrong_password_is_unauthenticated(test_bed: TestBed) -> None:
    with pytest.raises(Unauthenticated):
        automation(test_bed.info.vcenter, password="wrong")


def test_a_session_is_known_until_it_is_deleted(test_bed: TestBed) -> None:
    client = automation(test_bed.info.vcenter)
    assert client.session_svc.get().user == test_bed.info.vcenter.username
    client.session_svc.delete()
    with pytest.raises(Unauthenticated):
        client.tagging.Tag.list()


def test_categories_and_tags_read_back_as_written(client: VsphereClient, category: str) -> None:
    tag = _tag(client, category, "one")
    model = client.tagging.Category.get(category)
    assert (model.name, model.description, model.cardinality) == ("test-category", "described", "SINGLE")
    assert client.tagging.Tag.get(tag).category_id == category
    client.tagging.Tag.update(tag, Tag.UpdateSpec(description="changed"))
    assert client.tagging.Tag.get(tag).description == "changed"
    assert client.tagging.Tag.list_tags_for_category(category) == [tag]


def test_names_are_unique(client: VsphereClient, category: str) -> None:
    _tag(client, category, "one")
    with pytest.raises(AlreadyExists):
        _tag(client, category, "one")
    with pytest.raises(AlreadyExists):
        _category(client, "test-category")


def test_what_does_not_exist_is_not_found(client: VsphereClient, category: str, seat: Seat) -> None:
    with pytest.raises(NotFound):
        client.tagging.Tag.get("urn:vmomi:InventoryServiceTag:none:GLOBAL")
    with pytest.raises(NotFound):
        _tag(client, "urn:vmomi:InventoryServiceCategory:none:GLOBAL", "one")
    tag, gone = _tag(client, category, "one"), DynamicID(type="VirtualMachine", id="vm-0")
    with pytest.raises(NotFound):
        client.tagging.TagAssociation.attach(tag, gone)


def test_a_single_category_allows_one_tag_on_an_object(
    client: VsphereClient, category: str, folder: vim.Folder
) -> None:
    one, two = _tag(client, category, "one"), _tag(client, category, "two")
    association, target = client.tagging.TagAssociation, _id(folder)
    association.attach(one, target)
    association.attach(one, target)  # again is no error
    with pytest.raises(InvalidArgument):
        association.attach(two, target)
    batch = association.attach_multiple_tags_to_object(target, [one, two])
    assert not batch.success
    assert len(batch.error_messages) == 1
    assert association.list_attached_tags(target) == [one]
    many = Category.UpdateSpec(cardinality=CategoryModel.Cardinality.MULTIPLE)
    client.tagging.Category.update(category, many)
    association.attach(two, target)
    assert set(association.list_attached_tags(target)) == {one, two}
    single = Category.UpdateSpec(cardinality=CategoryModel.Cardinality.SINGLE)
    with pytest.raises(InvalidArgument):
        client.tagging.Category.update(category, single)


def test_a_category_can_be_for_some_types_only(client: VsphereClient, folder: vim.Folder) -> None:
    category = _category(client, "vms-only", "MULTIPLE", "VirtualMachine")
    with pytest.raises(InvalidArgument):
        client.tagging.TagAssociation.attach(_tag(client, category, "one"), _id(folder))
    client.tagging.Category.delete(category)


def test_attachments_are_listed_from_both_ends(
    client: VsphereClient, category: str, folder: vim.Folder
) -> None:
    tag = _tag(client, category, "one")
    other = folder.CreateFolder("other")
    association = client.tagging.TagAssociation
    assert association.attach_tag_to_multiple_objects(tag, [_id(folder), _id(other)]).success
    assert {found.id for found in association.list_attached_objects(tag)} == {folder._moId, other._moId}
    (on_tag,) = association.list_attached_objects_on_tags([tag])
    assert (on_tag.tag_id, len(on_tag.object_ids)) == (tag, 2)
    on_objects = association.list_attached_tags_on_objects([_id(folder), _id(other)])
    assert [found.tag_ids for found in on_objects] == [[tag], [tag]]
    association.detach(tag, _id(folder))
    association.detach(tag, _id(folder))  # again is no error
    assert [found.id for found in association.list_attached_objects(tag)] == [other._moId]
    result(other.Destroy_Task())
    assert association.list_attached_objects(tag) == []


def test_a_deleted_tag_is_on_nothing_and_a_deleted_category_takes_its_tags(
    client: VsphereClient, category: str, folder: vim.Folder
) -> None:
    one, two = _tag(client, category, "one"), _tag(client, category, "two")
    client.tagging.TagAssociation.attach(one, _id(folder))
    client.tagging.Tag.delete(one)
    assert client.tagging.TagAssociation.list_attached_tags(_id(folder)) == []
    client.tagging.Category.delete(category)
    assert two not in client.tagging.Tag.list()


def test_the_rest_form_says_the_same(test_bed: TestBed, client: VsphereClient, category: str) -> None:
    tag = _tag(client, category, "one")
    vcenter = test_bed.info.vcenter
    http, api = http_session(vcenter), f"{vcenter.url}/api"
    assert http.post(f"{api}/session", auth=(vcenter.username, "wrong"), timeout=10).status_code == 401
    answer = http.post(f"{api}/session", auth=(vcenter.username, vcenter.password), timeout=10)
    assert answer.status_code == 201
    http.headers["vmware-api-session-id"] = answer.json()
    assert http.get(f"{api}/cis/tagging/tag", timeout=10).json() == [tag]
    assert http.get(f"{api}/cis/tagging/tag/{tag}", timeout=10).json()["name"] == "one"
    missing = http.get(f"{api}/cis/tagging/tag/none", timeout=10)
    assert (missing.status_code, missing.json()["error_type"]) == (404, "NOT_FOUND")
    assert http.delete(f"{api}/session", timeout=10).status_code == 204
    assert http.get(f"{api}/cis/tagging/tag", timeout=10).status_code == 401
