"""Users with roles: what they may do, what they see, and what happens when that changes."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from com.vmware.vapi.std.errors_client import Unauthorized
from com.vmware.vapi.std_client import DynamicID
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl
from vmware.vapi.vsphere.client import create_vsphere_client

from testbed import Options, TestBed, VCenter
from tests.integration.testbed.clients import Seat, http_session, result

pytestmark = pytest.mark.testbed

TENANT = "tenant@vsphere.local"
SYSTEM = ["System.Anonymous", "System.View", "System.Read"]
VM_CONFIG = ["AdvancedConfig", "CPUCount", "Memory", "AddNewDisk"]
CREATOR: list[dict[str, Any]] = [
    {"entity": "/", "privileges": ["Sessions.ValidateSession"], "propagate": False},
    {"entity": "/DC0", "privileges": SYSTEM, "propagate": False},
    {"entity": "/DC0/vm", "privileges": SYSTEM, "propagate": False},
    {"entity": "/DC0/vm/ubuntu-22.04", "privileges": ["VirtualMachine.Provisioning.DeployTemplate"]},
    {
        "entity": "/DC0/vm/kubernetes",
        "privileges": [
            "Folder.Create",
            "Folder.Delete",
            "VirtualMachine.Inventory.CreateFromExisting",
            "VirtualMachine.Inventory.Delete",
            "VirtualMachine.Interact.PowerOn",
            *(f"VirtualMachine.Config.{name}" for name in VM_CONFIG),
        ],
    },
    {"entity": "/DC0/host", "privileges": ["Resource.AssignVMToPool"]},
    {"entity": "/DC0/datastore", "privileges": ["Datastore.AllocateSpace", "Datastore.FileManagement"]},
    {"entity": "/DC0/network", "privileges": ["Network.Assign"]},
]


@pytest.fixture(scope="module")
def rights_bed() -> Iterator[TestBed]:
    with TestBed(Options(vms=2, users=((TENANT, "s3cret"),))) as bed:
        yield bed


@pytest.fixture
def vcenter(rights_bed: TestBed) -> Iterator[VCenter]:
    vcenter = rights_bed.info.vcenter
    yield vcenter
    vcenter.control("/rights", {"user": TENANT})
    vcenter.control("/hide", {"objects": []})


@pytest.fixture
def admin(vcenter: VCenter) -> Iterator[Seat]:
    seat = Seat(vcenter)
    yield seat
    Disconnect(seat.instance)


@pytest.fixture
def tenant(vcenter: VCenter) -> Iterator[Seat]:
    seat = Seat(vcenter, TENANT, vcenter.users[TENANT])
    yield seat
    Disconnect(seat.instance)


@pytest.fixture
def allow(vcenter: VCenter) -> Callable[..., None]:
    def set_roles(*roles: dict[str, Any]) -> None:
        vcenter.control("/rights", {"user": TENANT, "roles": list(roles)})

    return set_roles


def _without(privilege: str) -> list[dict[str, Any]]:
    return [
        role | {"privileges": [p for p in role["privileges"] if p != privilege] or SYSTEM} for role in CREATOR
    ]


def _names(seat: Seat, kind: type[Any]) -> set[str]:
    view = seat.content.viewManager.CreateContainerView(seat.content.rootFolder, [kind], True)
    try:
        return {found.name for found in view.view}
    finally:
        view.Destroy()


def _template_and_folder(admin: Seat, tenant: Seat) -> tuple[Any, Any, Any]:
    """Find them as somebody who sees them, and hand them to the tenant's session."""
    stub = tenant.instance._stub
    return (
        vim.VirtualMachine(admin.find(vim.VirtualMachine, "ubuntu-22.04")._moId, stub),
        vim.Folder(admin.find(vim.Folder, "kubernetes")._moId, stub),
        vim.ResourcePool(admin.pool._moId, stub),
    )


def _clone(admin: Seat, tenant: Seat, name: str) -> Any:
    template, folder, pool = _template_and_folder(admin, tenant)
    option = vim.option.OptionValue(key="a", value="b")
    spec = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(pool=pool),
        powerOn=False,
        config=vim.vm.ConfigSpec(numCPUs=2, memoryMB=1024, extraConfig=[option]),
    )
    return template.CloneVM_Task(folder, name, spec)


def test_a_role_with_all_that_is_needed_makes_and_unmakes_a_vm(
    vcenter: VCenter, admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    allow(*CREATOR)
    vcenter.control("/privileges", method="DELETE")
    vm = result(_clone(admin, tenant, "rightful"))
    assert vm.name == "rightful"
    result(vm.Destroy_Task())
    used = vcenter.control("/privileges")
    assert all(entry["granted"] for entry in used)
    assert {e["privilege"] for e in used if e["method"] == "CloneVM_Task" and e["user"] == TENANT} == {
        "VirtualMachine.Provisioning.DeployTemplate",
        "VirtualMachine.Inventory.CreateFromExisting",
        "Resource.AssignVMToPool",
        "Datastore.AllocateSpace",
        "VirtualMachine.Config.CPUCount",
        "VirtualMachine.Config.Memory",
        "VirtualMachine.Config.AdvancedConfig",
    }


@pytest.mark.parametrize(
    ("privilege", "kind"),
    [
        ("VirtualMachine.Provisioning.DeployTemplate", "VirtualMachine"),
        ("VirtualMachine.Inventory.CreateFromExisting", "Folder"),
        ("Resource.AssignVMToPool", "ResourcePool"),
        ("Datastore.AllocateSpace", "Datastore"),
        ("VirtualMachine.Config.AdvancedConfig", "Folder"),
    ],
)
def test_a_missing_privilege_is_named_with_its_object(
    admin: Seat, tenant: Seat, allow: Callable[..., None], privilege: str, kind: str
) -> None:
    allow(*_without(privilege))
    with pytest.raises(vim.fault.NoPermission) as caught:
        _clone(admin, tenant, "rightless")
    assert caught.value.privilegeId == privilege
    assert type(caught.value.object).__name__.endswith(kind)
    assert "rightless" not in _names(admin, vim.VirtualMachine)


@pytest.mark.parametrize(
    ("privilege", "about", "call"),
    [
        ("Resource.HotMigrate", "vm", lambda s, vm, _: vm.MigrateVM_Task(s.pool, None, "defaultPriority")),
        ("Resource.HotMigrate", "vm", lambda s, vm, _: vm.RelocateVM_Task(vim.vm.RelocateSpec())),
        ("VirtualMachine.Interact.AnswerQuestion", "vm", lambda s, vm, _: vm.AnswerVM("1", "0")),
        ("VirtualMachine.State.RemoveSnapshot", "vm", lambda s, vm, of: of.RemoveSnapshot_Task(True)),
        ("VirtualMachine.State.RevertToSnapshot", "vm", lambda s, vm, of: of.RevertToSnapshot_Task()),
        ("VirtualMachine.Provisioning.MarkAsVM", "vm", lambda s, vm, _: vm.MarkAsVirtualMachine(s.pool)),
        ("Datastore.Rename", "datastore", lambda s, vm, _: vm.datastore[0].RenameDatastore("mine")),
        ("Host.Config.Connection", "host", lambda s, vm, _: vm.runtime.host.DisconnectHost_Task()),
        ("Host.Config.Connection", "host", lambda s, vm, _: vm.runtime.host.ReconnectHost_Task()),
        ("Datastore.FileManagement", "datastore", lambda s, vm, _: _make_directory(s)),
    ],
)
def test_who_may_only_read_changes_nothing(
    admin: Seat,
    tenant: Seat,
    allow: Callable[..., None],
    privilege: str,
    about: str,
    call: Callable[[Seat, Any, Any], Any],
) -> None:
    admins = admin.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    if admins.snapshot is None:
        result(admins.CreateSnapshotEx_Task("before", "", False, None))
    objects = {"vm": admins, "datastore": admins.datastore[0], "host": admins.runtime.host}
    allow({"entity": "/", "privileges": SYSTEM})
    vm = tenant.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    snapshot = vim.vm.Snapshot(admins.snapshot.currentSnapshot._moId, tenant.instance._stub)
    with pytest.raises(vim.fault.NoPermission) as caught:
        call(tenant, vm, snapshot)
    assert caught.value.privilegeId == privilege
    assert caught.value.object._moId == objects[about]._moId


def _make_directory(seat: Seat) -> None:
    seat.content.fileManager.MakeDirectory("[LocalDS_0] mine", seat.datacenter, False)


def test_a_permission_is_lost_while_everything_else_goes_on(
    admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    allow(*CREATOR)
    vm = result(_clone(admin, tenant, "kept"))
    allow(*_without("VirtualMachine.Inventory.Delete"))
    with pytest.raises(vim.fault.NoPermission) as caught:
        vm.Destroy_Task()
    assert (caught.value.object, caught.value.privilegeId) == (vm, "VirtualMachine.Inventory.Delete")
    result(admin.find(vim.VirtualMachine, "kept").Destroy_Task())


def test_views_and_searches_show_only_what_may_be_seen(
    admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    assert "DC0_C0_RP0_VM0" in _names(tenant, vim.VirtualMachine)
    vm = admin.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    allow(*(role for role in CREATOR if role["entity"] != "/DC0/host"))
    assert _names(tenant, vim.VirtualMachine) == {"ubuntu-22.04"}
    assert _names(tenant, vim.Folder) >= {"vm", "kubernetes"}
    index = tenant.content.searchIndex
    assert index.FindByUuid(None, vm.config.instanceUuid, True, True) is None
    assert index.FindAllByUuid(None, vm.config.uuid, True, False) == []
    assert index.FindByInventoryPath("/DC0/vm/DC0_C0_RP0_VM0") is None
    assert index.FindByInventoryPath("/DC0/vm/kubernetes") is not None
    folder = index.FindByInventoryPath("/DC0/vm")
    assert {child.name for child in folder.childEntity} == {"ubuntu-22.04", "kubernetes"}


def test_what_may_not_be_read_is_missing_with_the_reason(
    admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    vm = admin.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    allow({"entity": "/", "privileges": ["System.Anonymous", "System.View"]})
    mine = vim.VirtualMachine(vm._moId, tenant.instance._stub)
    assert mine.name == "DC0_C0_RP0_VM0"
    with pytest.raises(vim.fault.NoPermission) as caught:
        _ = mine.config
    assert (caught.value.object, caught.value.privilegeId) == (mine, "System.Read")
    allow({"entity": "/", "privileges": ["Folder.Create"], "propagate": False})
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=mine)],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=["name", "config.uuid"])],
    )
    (content,) = tenant.content.propertyCollector.RetrieveContents([spec])
    assert content.propSet == []
    assert {(m.path, m.fault.privilegeId) for m in content.missingSet} == {
        ("name", "System.View"),
        ("config.uuid", "System.Read"),
    }
    with pytest.raises(vim.fault.NoPermission):
        mine.PowerOffVM_Task()
    gone = vim.VirtualMachine("vm-99999", tenant.instance._stub)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = gone.name


def _watch(seat: Seat) -> Callable[[], dict[str, list[str]]]:
    """Return a function that tells which VMs entered, changed or left since the last time."""
    collector = seat.content.propertyCollector
    query = vmodl.query.PropertyCollector
    view = seat.content.viewManager.CreateContainerView(seat.content.rootFolder, [vim.VirtualMachine], True)
    traversal = query.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
    collector.CreateFilter(
        query.FilterSpec(
            objectSet=[query.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
            propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
        ),
        partialUpdates=False,
    )
    version = ""

    def updates() -> dict[str, list[str]]:
        nonlocal version
        update = collector.WaitForUpdatesEx(version, query.WaitOptions(maxWaitSeconds=2))
        found: dict[str, list[str]] = {}
        if update is None:
            return found
        version = update.version
        for one in update.filterSet[0].objectSet:
            found.setdefault(one.kind, []).append(one.obj._moId)
        return found

    return updates


def test_losing_a_right_looks_like_leaving(admin: Seat, tenant: Seat, allow: Callable[..., None]) -> None:
    vm = admin.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")._moId
    updates = _watch(tenant)
    assert vm in updates()["enter"]
    allow(*(role for role in CREATOR if role["entity"] != "/DC0/host"))
    left = updates()
    assert set(left) == {"leave"}
    assert vm in left["leave"]
    allow({"entity": "/", "privileges": SYSTEM})
    assert set(updates()["enter"]) == set(left["leave"])
    assert vim.VirtualMachine(vm, admin.instance._stub).name == "DC0_C0_RP0_VM0"


def test_a_part_of_the_inventory_is_missing_for_a_while(vcenter: VCenter, admin: Seat, tenant: Seat) -> None:
    vm = admin.find(vim.VirtualMachine, "DC0_C0_RP0_VM0")
    updates = _watch(admin)
    before = _names(admin, vim.VirtualMachine)
    updates()
    vcenter.control("/hide", {"objects": ["/DC0/host/DC0_C0/Resources"], "subtree": True})
    assert _names(admin, vim.VirtualMachine) == _names(tenant, vim.VirtualMachine)
    assert "DC0_C0_RP0_VM0" not in _names(admin, vim.VirtualMachine)
    assert "DC0_H0_VM0" in _names(admin, vim.VirtualMachine)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vm.name
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.PowerOffVM_Task()
    assert vm._moId in updates()["leave"]
    vcenter.control("/hide", {"objects": []})
    assert _names(admin, vim.VirtualMachine) == before
    assert vm._moId in updates()["enter"]


def test_questions_about_privileges_are_answered_truly(
    admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    tag = "InventoryService.Tagging.AttachTag"
    allow(*CREATOR, {"entity": "global", "privileges": [tag]})
    folder = admin.find(vim.Folder, "kubernetes")
    manager = admin.content.authorizationManager
    (fetched,) = manager.FetchUserPrivilegeOnEntities([folder], TENANT)
    assert set(fetched.privileges) == {*CREATOR[4]["privileges"], *SYSTEM}
    asked = ["Folder.Create", "Folder.Rename", tag]
    (answer,) = manager.HasUserPrivilegeOnEntities([folder], TENANT, asked)
    assert [p.isGranted for p in answer.privAvailability] == [True, False, False]
    session = tenant.content.sessionManager.currentSession.key
    (answer,) = manager.HasPrivilegeOnEntities([folder], session, asked)
    assert [p.isGranted for p in answer.privAvailability] == [True, False, False]
    (everything,) = manager.FetchUserPrivilegeOnEntities([folder], admin.vcenter.username)
    assert len(everything.privileges) > 100


def test_tagging_needs_its_own_privileges(vcenter: VCenter, admin: Seat, allow: Callable[..., None]) -> None:
    client = create_vsphere_client(
        vcenter.url.removeprefix("https://"), TENANT, vcenter.users[TENANT], session=http_session(vcenter)
    )
    category_spec = client.tagging.Category.CreateSpec(
        name="rights", description="", cardinality="MULTIPLE", associable_types=set()
    )
    category = client.tagging.Category.create(category_spec)
    allow({"entity": "/", "privileges": SYSTEM})
    tag_spec = client.tagging.Tag.CreateSpec(name="rights", description="", category_id=category)
    for forbidden in (
        lambda: client.tagging.Category.create(category_spec),
        lambda: client.tagging.Category.delete(category),
        lambda: client.tagging.Tag.create(tag_spec),
    ):
        with pytest.raises(Unauthorized):
            forbidden()
    allow(
        _tagging("CreateTag", "AttachTag", "DeleteTag"),
        {"entity": "/DC0/vm/kubernetes", "privileges": SYSTEM},
    )
    tag = client.tagging.Tag.create(tag_spec)
    folder = DynamicID(type="Folder", id=admin.find(vim.Folder, "kubernetes")._moId)
    association = client.tagging.TagAssociation
    association.attach(tag, folder)
    assert [one.id for one in association.list_attached_objects(tag)] == [folder.id]
    allow(_tagging("AttachTag", "DeleteTag"))
    assert association.list_attached_objects(tag) == []
    with pytest.raises(Unauthorized):
        association.detach(tag, folder)
    client.tagging.Tag.delete(tag)
    allow(_tagging("DeleteCategory"))
    client.tagging.Category.delete(category)
    client.session_svc.delete()


def _tagging(*names: str) -> dict[str, Any]:
    """Return a global permission that does not reach into the inventory."""
    privileges = [f"InventoryService.Tagging.{name}" for name in names]
    return {"entity": "global", "privileges": privileges, "propagate": False}


def test_files_need_rights_on_the_datastore(tenant: Seat, allow: Callable[..., None]) -> None:
    allow({"entity": "/", "privileges": ["Datastore.Browse"]})
    assert tenant.put("LocalDS_0", "ubuntu-22.04/x", b"x").status_code == 403
    allow({"entity": "/", "privileges": ["Datastore.FileManagement"]})
    assert tenant.put("LocalDS_0", "ubuntu-22.04/x", b"x").status_code == 201
    assert tenant.get("LocalDS_0", "ubuntu-22.04/x").status_code == 403
    assert tenant.delete("LocalDS_0", "ubuntu-22.04/x").status_code == 204


def test_a_user_can_start_with_roles() -> None:
    roles = {TENANT: ({"entity": "/DC0/vm/kubernetes", "privileges": ["Folder.Create"]},)}
    with TestBed(Options(vms=0, users=((TENANT, "s3cret"),), roles=roles)) as bed:
        seat = Seat(bed.info.vcenter, TENANT, "s3cret")
        assert _folders_seen(seat) == {"kubernetes"}
        Disconnect(seat.instance)


def _folders_seen(seat: Seat) -> set[str]:
    folder = seat.content.searchIndex.FindByInventoryPath("/DC0/vm/kubernetes")
    assert seat.content.searchIndex.FindByInventoryPath("/DC0/vm") is None
    return {folder.name}


def test_somebody_elses_task_needs_a_right_to_be_cancelled(
    vcenter: VCenter, admin: Seat, tenant: Seat, allow: Callable[..., None]
) -> None:
    vcenter.control("/tasks", {"held": ["CloneVM_Task"]})
    allow({"entity": "/", "privileges": SYSTEM})
    task = admin.clone(admin.find(vim.Folder, "kubernetes"), "cancelled")
    mine = vim.Task(task._moId, tenant.instance._stub)
    with pytest.raises(vim.fault.NoPermission) as caught:
        mine.CancelTask()
    assert caught.value.privilegeId == "Global.CancelTask"
    task.CancelTask()
    with pytest.raises(vmodl.fault.RequestCanceled):
        result(task)
    vcenter.control("/tasks", {"held": []})


@pytest.mark.parametrize(
    "body",
    [
        {"user": "stranger@vsphere.local", "roles": []},
        {"user": TENANT, "roles": [{"entity": "/DC0/vm/nowhere", "privileges": []}]},
        {"user": TENANT, "role": []},
    ],
)
def test_rights_that_make_no_sense_are_refused(vcenter: VCenter, body: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        vcenter.control("/rights", body)
