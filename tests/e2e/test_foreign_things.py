"""What others made is used where a person says so, and never changed, emptied or deleted."""

from __future__ import annotations

from tests.e2e.foreign_things import ELSEWHERE, ForeignThings
from tests.e2e.vcenter import extra_config
from tests.e2e.world import Tenant


def test_a_foreign_vm_of_the_same_name_is_left_alone_while_creating_and_deleting(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    theirs = foreign.vm("alone", tenant.folder(), on=True)
    before = (theirs.config.changeVersion, extra_config(theirs))
    tenant.create_machine("alone")
    message = tenant.condition("Machine", "alone", "Ready", "False", "NameTaken")
    assert theirs._moId in message
    tenant.delete("Machine", "alone")
    tenant.gone("Machine", "alone")
    assert theirs.runtime.powerState == "poweredOn"
    assert (theirs.config.changeVersion, extra_config(theirs)) == before


def test_a_machine_whose_name_was_taken_is_made_when_the_other_vm_has_moved_away(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    theirs = foreign.vm("alone", tenant.folder())
    tenant.create_machine("alone")
    tenant.condition("Machine", "alone", "Ready", "False", "NameTaken")
    tenant.vcenter.move(theirs, ELSEWHERE)
    tenant.ready("Machine", "alone")
    assert tenant.vm("alone")._moId != theirs._moId


def test_a_foreign_vm_keeps_the_folder_with_a_condition_that_names_it_until_it_moves_away(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    tenant.deploy()
    tenant.all_ready("workers", 1)
    theirs = foreign.vm("precious", tenant.folder(), on=True)
    tenant.delete("Cluster", "shop")
    tenant.eventually(lambda: not tenant.machines(), "the workers are gone")

    def named() -> bool:
        found = tenant.must_get("Cluster", "shop")["status"]["conditions"]
        return any(c["status"] == "False" and "precious" in c["message"] for c in found)

    tenant.eventually(named, "a condition names the VM that is in the way")
    assert [vm.name for vm in tenant.vms()] == ["precious"]
    assert theirs.runtime.powerState == "poweredOn"
    tenant.vcenter.move(theirs, ELSEWHERE)
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.find(tenant.folder()) is None
    assert theirs.runtime.powerState == "poweredOn"


def test_a_folder_that_was_there_is_adopted_and_never_deleted(tenant: Tenant, foreign: ForeignThings) -> None:
    folder = foreign.folder(tenant.folder())
    theirs = foreign.tag("theirs", foreign.category(f"their-{tenant.namespace}"))
    tenant.vcenter.tags.attach(theirs, folder)
    tenant.shop()
    assert tenant.must_get("Cluster", "shop")["status"]["folder"]["origin"] == "Adopted"
    assert tenant.vcenter.tags.on(folder) == {"theirs", "team", f"env-{tenant.namespace}"}
    tenant.deploy()
    tenant.all_ready("workers", 1)
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.find(tenant.folder())._moId == folder._moId
    assert tenant.vcenter.tags.on(folder) == {"theirs"}
    assert tenant.vms() == []


def test_a_folder_named_by_a_person_is_used_and_neither_tagged_nor_deleted(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    folder = foreign.folder(f"/DC0/vm/given-{tenant.namespace}")
    path = f"/DC0/vm/given-{tenant.namespace}"
    tenant.shop(cloud={"vsphere": {"folder": path, "tags": None}})
    assert tenant.must_get("Cluster", "shop")["status"]["folder"]["origin"] == "External"
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    assert [vm.name for vm in tenant.vcenter.vms_in(path)] == [machine["metadata"]["name"]]
    assert tenant.vcenter.tags.on(folder) == set()
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.find(path)._moId == folder._moId


def test_a_tag_and_a_category_that_were_there_are_adopted_and_only_detached(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    category = foreign.category(f"owner-{tenant.namespace}")
    tag = foreign.tag("team", category)
    bystander = foreign.tag("bystander", category)
    tenant.shop()
    status = tenant.must_get("Cluster", "shop")["status"]
    assert {t["name"]: t["origin"] for t in status["tags"]}["team"] == "Adopted"
    assert {c["name"]: c["origin"] for c in status["categories"]}[f"owner-{tenant.namespace}"] == "Adopted"
    folder = tenant.vcenter.find(tenant.folder())
    tenant.vcenter.tags.attach(bystander, folder)
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    tags = {tag.id: tag for tag in tenant.vcenter.tags.all().values()}
    assert {tags[tag].description, tags[bystander].description} == {"somebody's"}
    assert tenant.vcenter.tags.categories()[f"owner-{tenant.namespace}"].id == category


def test_a_tag_that_is_no_longer_wanted_goes_and_a_foreign_one_on_the_folder_stays(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    theirs = foreign.tag("theirs", foreign.category(f"their-{tenant.namespace}"))
    tenant.shop()
    folder = tenant.vcenter.find(tenant.folder())
    tenant.vcenter.tags.attach(theirs, folder)
    patch = {"spec": {"cloud": {"vsphere": {"tags": [{"name": f"env-{tenant.namespace}"}]}}}}
    tenant.patch("Cluster", "shop", patch)
    left = {"theirs", f"env-{tenant.namespace}"}
    tenant.eventually(lambda: tenant.vcenter.tags.on(folder) == left, "the unwanted tag is off the folder")
    tenant.ready("Cluster", "shop")
    assert f"owner-{tenant.namespace}" not in tenant.vcenter.tags.categories()


def test_a_foreign_tag_in_a_category_of_ours_keeps_the_category(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    name = f"owner-{tenant.namespace}"
    category = tenant.vcenter.tags.categories()[name]
    tenant.vcenter.tags.make("bystander", category.id)
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")
    assert {tag for category, tag in tenant.vcenter.tags.all() if category == name} == {"bystander"}
    tenant.eventually(lambda: tenant.told("LeftBehind", name), "an event names the category")
    tenant.vcenter.tags.delete(category_ids=[category.id])


def test_a_tag_that_two_clusters_share_goes_with_the_last_of_them(tenant: Tenant) -> None:
    tenant.create_cluster("one")
    tenant.create_cluster("two")
    shared = (f"owner-{tenant.namespace}", "team")
    tenant.ready("Cluster", "one")
    tenant.ready("Cluster", "two")
    assert "team" in tenant.vcenter.tags.on(tenant.vcenter.find(tenant.folder("one")))
    tenant.delete("Cluster", "one")
    tenant.gone("Cluster", "one")
    assert shared in tenant.vcenter.tags.all()
    assert "team" in tenant.vcenter.tags.on(tenant.vcenter.find(tenant.folder("two")))
    tenant.delete("Cluster", "two")
    tenant.gone("Cluster", "two")
    assert shared not in tenant.vcenter.tags.all()
    assert shared[0] not in tenant.vcenter.tags.categories()


def test_a_tag_of_ours_on_somebody_elses_object_stops_the_end_with_a_condition_until_it_is_detached(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    theirs = foreign.vm("precious", ELSEWHERE)
    team = tenant.vcenter.tags.all()[(f"owner-{tenant.namespace}", "team")]
    tenant.vcenter.tags.attach(team.id, theirs)
    tenant.delete("Cluster", "shop")
    message = tenant.condition("Cluster", "shop", "TagsReady", "False", "TagsInUseElsewhere")
    assert "team" in message
    assert tenant.vcenter.tags.on(theirs) == {"team"}
    tenant.patch("Cluster", "shop", {"metadata": {"annotations": {"userclusters.io/orphan": "tags"}}})
    tenant.gone("Cluster", "shop")
    assert tenant.vcenter.tags.on(theirs) == {"team"}
    left = [name for name in tenant.vcenter.tags.categories() if tenant.namespace in name]
    for name in left:
        tenant.eventually(lambda name=name: tenant.told("LeftBehind", name), f"an event names {name}")  # type: ignore[misc]
    categories = tenant.vcenter.tags.categories()
    tenant.vcenter.tags.delete(category_ids=[categories[name].id for name in left])


def test_a_copy_of_a_workers_vm_is_nobodys_and_stays(tenant: Tenant, foreign: ForeignThings) -> None:
    tenant.shop()
    tenant.deploy()
    (machine,) = tenant.all_ready("workers", 1)
    name = machine["metadata"]["name"]
    copy = foreign.copy(tenant.vm(name), "copy", ELSEWHERE)
    marks = {k: v for k, v in extra_config(copy).items() if k.startswith("userclusters.io.")}
    assert marks["userclusters.io.machine"] == machine["metadata"]["uid"]
    tenant.delete("Machine", name)
    tenant.gone("Machine", name)
    tenant.all_ready("workers", 1)
    assert copy.name == "copy"
