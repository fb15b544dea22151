"""The copy of the inventory: paths, names, answers, and what counts as a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.clone_spec import NetworkRef
from vsphere_operator.vsphere.inventory import (
    ComputeCluster,
    Datacenter,
    DistributedPortgroup,
    DistributedSwitch,
    Entity,
    Folder,
    GuestNic,
    Host,
    Inventory,
    Network,
    OpaqueNetwork,
    ResourcePool,
    StoragePod,
    VmEntity,
    filters,
    paths,
)
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import VmMark
from vsphere_operator.vsphere.vm_details import decode
from vsphere_operator.vsphere.vmomi import vim

ROOT, DC, VM_FOLDER, HOST_FOLDER = (
    MoRef(r) for r in ("Folder:group-d1", "Datacenter:datacenter-2", "Folder:group-v3", "Folder:group-h4")
)
CLUSTER, RESOURCES, GOLD, SILVER, INNER = (
    MoRef(r)
    for r in ("ClusterComputeResource:domain-c5", "ResourcePool:resgroup-6", "ResourcePool:resgroup-7",
              "ResourcePool:resgroup-8", "ResourcePool:resgroup-9")
)  # fmt: skip
KUBE, VM1, VM2 = MoRef("Folder:group-v10"), MoRef("VirtualMachine:vm-11"), MoRef("VirtualMachine:vm-12")
NET_FOLDER = MoRef("Folder:group-n13")
UUID = "8D6FBB3C-0d0f-5f0e-9c1c-6a54ed0c7b1e"

ENTITIES: list[Entity] = [
    Folder(ROOT, "Datacenters", None),
    Datacenter(DC, "DC0", ROOT, vm_folder=VM_FOLDER, host_folder=HOST_FOLDER),
    Folder(VM_FOLDER, "vm", DC),
    Folder(HOST_FOLDER, "host", DC),
    Folder(NET_FOLDER, "network", DC),
    Folder(KUBE, "a/b", VM_FOLDER),
    VmEntity(VM1, "w-1", KUBE, instance_uuid=UUID, host=MoRef("HostSystem:host-20")),
    VmEntity(VM2, "ubuntu", VM_FOLDER, template=True, instance_uuid="other"),
    ComputeCluster(CLUSTER, "DC0_C0", HOST_FOLDER, root_pool=RESOURCES, hosts=(MoRef("HostSystem:host-20"),)),
    Host(MoRef("HostSystem:host-20"), "esx", CLUSTER),
    ResourcePool(RESOURCES, "Resources", CLUSTER, owner=CLUSTER),
    ResourcePool(GOLD, "gold", RESOURCES, owner=CLUSTER),
    ResourcePool(SILVER, "silver", RESOURCES, owner=CLUSTER),
    ResourcePool(INNER, "apps", GOLD, owner=CLUSTER),
    Network(MoRef("Network:network-30"), "VM Network", NET_FOLDER),
    DistributedSwitch(MoRef("VmwareDistributedVirtualSwitch:dvs-31"), "DVS0", NET_FOLDER, uuid="50 01"),
    DistributedPortgroup(
        MoRef("DistributedVirtualPortgroup:dvportgroup-32"), "pg", NET_FOLDER, key="dvportgroup-32",
        switch=MoRef("VmwareDistributedVirtualSwitch:dvs-31"),
    ),
    DistributedPortgroup(
        MoRef("DistributedVirtualPortgroup:dvportgroup-33"), "dark", NET_FOLDER, key="dvportgroup-33",
        switch=MoRef("VmwareDistributedVirtualSwitch:dvs-99"),
    ),
    OpaqueNetwork(MoRef("OpaqueNetwork:network-o34"), "seg", NET_FOLDER, opaque_id="n1", opaque_type="nsx"),
]  # fmt: skip


@pytest.fixture
def inventory() -> Inventory:
    made = Inventory()
    made.root = ROOT
    made.apply([(e.moref, e) for e in ENTITIES])
    made.synced = True
    return made


def put(inventory: Inventory, *entities: Entity) -> None:
    inventory.apply([(e.moref, e) for e in entities])


def test_a_path_starts_at_the_datacenter_and_escapes_slashes(inventory: Inventory) -> None:
    assert inventory.path(VM1) == "/DC0/vm/a%2fb/w-1"
    assert inventory.path(DC) == "/DC0"


def test_a_path_through_something_unseen_is_not_known(inventory: Inventory) -> None:
    inventory.apply([(VM_FOLDER, None)])
    assert inventory.path(VM1) is None


@pytest.mark.parametrize("path", ["/DC0/vm/a%2fb/w-1", "DC0/vm/a%2Fb/w-1/", "//DC0/vm/a%2fb//w-1"])
def test_an_object_is_found_by_its_path(inventory: Inventory, path: str) -> None:
    answer = inventory.by_path(path)
    assert isinstance(answer, Present)
    assert answer.value.moref == VM1


def test_a_missing_path_is_absent_and_the_proof_says_where_it_ends(inventory: Inventory) -> None:
    assert inventory.by_path("/DC0/vm/nix/x") == Absent(
        "/DC0/vm holds no 'nix' that the vCenter user can see"
    )


def test_nothing_is_absent_before_all_was_read(inventory: Inventory) -> None:
    inventory.synced = False
    assert isinstance(inventory.by_path("/DC0/vm/nix"), Unknown)
    assert isinstance(inventory.datacenter("DC9"), Unknown)
    assert isinstance(inventory.lookup(Network, "x", datacenter=DC), Unknown)
    assert isinstance(inventory.resource_pool("", cluster=CLUSTER), Unknown)


def test_where_a_name_may_not_be_read_nothing_is_absent(inventory: Inventory) -> None:
    put(inventory, Folder(MoRef("Folder:group-v99"), None, VM_FOLDER))
    assert isinstance(inventory.by_path("/DC0/vm/nix"), Unknown)
    assert isinstance(inventory.by_path("/DC0/vm/a%2fb"), Present)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_paths_are_taken_apart_as_they_were_joined(names: list[str]) -> None:
    names = [n for n in names if "\\" not in n]
    assert paths.split(paths.join(names)) == names


@pytest.mark.parametrize(
    ("api", "people"), [("a%2fb", "a/b"), ("a%5Cb", "a\\b"), ("100%25", "100%"), ("a%20b", "a%20b")]
)
def test_names_are_shown_as_people_wrote_them(api: str, people: str) -> None:
    assert paths.unescape(api) == people


def test_names_are_found_within_a_datacenter_only(inventory: Inventory) -> None:
    other_dc, other_folder = MoRef("Datacenter:datacenter-50"), MoRef("Folder:group-v51")
    twin = MoRef("VirtualMachine:vm-52")
    put(
        inventory,
        Datacenter(other_dc, "DC1", ROOT),
        Folder(other_folder, "vm", other_dc),
        VmEntity(twin, "ubuntu", other_folder),
    )
    assert [e.moref for e in inventory.find("VirtualMachine", "ubuntu", datacenter=DC)] == [VM2]
    assert [e.moref for e in inventory.find(VmEntity, "ubuntu", datacenter=other_dc)] == [twin]
    assert len(inventory.find(VmEntity, "ubuntu")) == 2


@pytest.mark.parametrize("reference", ["ubuntu", "/DC0/vm/ubuntu", "VirtualMachine:vm-12", "vm-12"])
def test_a_template_is_found_by_name_path_or_moref(inventory: Inventory, reference: str) -> None:
    answer = inventory.lookup(VmEntity, reference, datacenter=DC)
    assert isinstance(answer, Present)
    assert answer.value.moref == VM2


def test_a_name_that_two_have_is_unknown_and_both_paths_are_told(inventory: Inventory) -> None:
    put(inventory, VmEntity(MoRef("VirtualMachine:vm-60"), "ubuntu", KUBE))
    answer = inventory.lookup(VmEntity, "ubuntu", datacenter=DC)
    assert isinstance(answer, Unknown)
    assert "/DC0/vm/ubuntu" in answer.why
    assert "/DC0/vm/a%2fb/ubuntu" in answer.why


def test_the_wrong_kind_at_a_path_is_absent(inventory: Inventory) -> None:
    assert isinstance(inventory.lookup(VmEntity, "/DC0/vm", datacenter=DC), Absent)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", RESOURCES), ("Resources", RESOURCES), ("gold", GOLD), ("gold/apps", INNER), ("apps", INNER),
     ("Resources/gold", GOLD), ("/DC0/host/DC0_C0/Resources/silver", SILVER)],
)  # fmt: skip
def test_a_pool_is_found_by_what_people_write(inventory: Inventory, name: str, expected: MoRef) -> None:
    answer = inventory.resource_pool(name, cluster=CLUSTER)
    assert isinstance(answer, Present)
    assert answer.value.moref == expected


@pytest.mark.parametrize("name", ["bronze", "silver/apps", "/DC0/vm", "/DC0/host/x"])
def test_what_is_no_pool_of_the_cluster_is_absent(inventory: Inventory, name: str) -> None:
    assert isinstance(inventory.resource_pool(name, cluster=CLUSTER), Absent)


@pytest.mark.parametrize(
    ("moref", "expected"),
    [
        ("Network:network-30", NetworkRef(MoRef("Network:network-30"), "VM Network")),
        (
            "DistributedVirtualPortgroup:dvportgroup-32",
            NetworkRef(MoRef("DistributedVirtualPortgroup:dvportgroup-32"), "pg", "dvportgroup-32", "50 01"),
        ),
        (
            "OpaqueNetwork:network-o34",
            NetworkRef(MoRef("OpaqueNetwork:network-o34"), "seg", None, None, "n1", "nsx"),
        ),
    ],
)
def test_a_network_is_named_as_its_kind_needs(inventory: Inventory, moref: str, expected: NetworkRef) -> None:
    assert inventory.network_ref(MoRef(moref)) == Present(expected)


def test_a_port_group_whose_switch_is_not_readable_is_unknown(inventory: Inventory) -> None:
    assert isinstance(inventory.network_ref(MoRef("DistributedVirtualPortgroup:dvportgroup-33")), Unknown)


def test_a_vm_in_a_vapp_is_placed_by_its_host(inventory: Inventory) -> None:
    moref = MoRef("VirtualMachine:vm-70")
    put(inventory, VmEntity(moref, "x", None, host=MoRef("HostSystem:host-20")))
    home = inventory.datacenter_of(moref)
    assert home is not None
    assert home.moref == DC


def test_vms_are_found_by_instance_uuid_whatever_its_case(inventory: Inventory) -> None:
    assert [vm.moref for vm in inventory.vms_by_instance_uuid(UUID.upper())] == [VM1]
    put(inventory, VmEntity(VM1, "w-1", KUBE, instance_uuid="changed"))
    assert inventory.vms_by_instance_uuid(UUID) == []


def test_vms_are_found_by_their_bios_uuid_and_their_owner(inventory: Inventory) -> None:
    mark = VmMark("i", "c", "machine-1", "team/w-1", UUID.lower())
    vm = VmEntity(VM1, "w-1", KUBE, bios_uuid="4200ABCD", extra_config=mark.as_extra_config())
    put(inventory, vm, replace(vm, moref=VM2, bios_uuid="4200ABCE"))
    assert [v.moref for v in inventory.vms_by_bios_uuid("4200abcd")] == [VM1]
    assert [v.moref for v in inventory.vms_marked_for("machine-1")] == [VM1, VM2]
    inventory.apply([(VM1, None), (VM2, replace(vm, moref=VM2, bios_uuid=None, extra_config={}))])
    assert inventory.vms_by_bios_uuid("4200abcd") == []
    assert inventory.vms_marked_for("machine-1") == []


def test_only_real_changes_are_told(inventory: Inventory) -> None:
    vm = inventory.vm(VM1)
    assert vm is not None
    off = replace(vm, power_state="poweredOn")
    assert inventory.apply([(VM1, vm)]) == []
    (changed,) = inventory.apply([(VM1, off)])
    assert (changed.kind, changed.old, changed.new) == ("changed", vm, off)
    (left,) = inventory.apply([(VM1, None)])
    assert (left.kind, left.old) == ("left", off)
    assert inventory.apply([(VM1, None)]) == []


def test_a_rename_and_a_move_leave_no_trace_in_the_indexes(inventory: Inventory) -> None:
    put(inventory, VmEntity(VM1, "w-2", VM_FOLDER, instance_uuid=UUID))
    assert inventory.find(VmEntity, "w-1") == []
    assert inventory.children(KUBE) == []
    assert inventory.path(VM1) == "/DC0/vm/w-2"


def test_addresses_come_from_virtual_cards_in_their_order() -> None:
    nics = (
        GuestNic("b", "m2", ("10.0.0.2",), 4001),
        GuestNic(None, None, ("172.17.0.1",), -1),
        GuestNic("a", "m1", ("10.0.0.1", "fe80::1"), 4000),
    )
    assert VmEntity(VM1, guest_nics=nics).addresses == ("10.0.0.1", "fe80::1", "10.0.0.2")


@pytest.mark.parametrize(("uuid", "ready"), [(None, False), (UUID, True)])
def test_a_vm_without_a_configuration_is_not_ready(uuid: str | None, ready: bool) -> None:
    assert VmEntity(VM1, "w-1", KUBE, instance_uuid=uuid).config_ready is ready
    details = decode(VM1, {"name": "w-1", "config.instanceUuid": uuid, "config.hardware.device": []})
    assert details.config_ready is ready


def test_every_leaf_is_a_field_of_its_entity() -> None:
    for cls, leaves in filters.WIDE.values():
        assert {leaf.field for leaf in leaves} <= set(cls.__dataclass_fields__)


def test_an_unset_property_gets_its_default_back() -> None:
    changed = filters.field_changes(
        "VirtualMachine", {"runtime.host": None, "guest.toolsRunningStatus": None}
    )
    assert changed == {"host": None, "tools_running": False}


POD = MoRef("StoragePod:group-p1")


def _entry(number: int, **said: Any) -> Any:
    return vim.storageDrs.VmConfigInfo(vm=vim.VirtualMachine(f"vm-{number}"), **said)


def _pod(**podded: Any) -> StoragePod:
    prefix = "podStorageDrsEntry.storageDrsConfig."
    found = {
        f"{prefix}podConfig.enabled": podded.get("enabled", True),
        f"{prefix}podConfig.defaultVmBehavior": podded.get("behavior", "automated"),
        f"{prefix}vmConfig": podded.get("entries"),
    }
    pod = filters.decoded(POD, None, found)
    assert isinstance(pod, StoragePod)
    return pod


@pytest.mark.parametrize(
    ("said", "in_automated", "in_manual"),
    [
        ({"enabled": True}, True, False),
        ({"intraVmAffinity": True}, True, False),
        ({"behavior": "manual"}, False, False),
        ({"behavior": "automated"}, True, True),
        ({"enabled": False}, False, False),
        ({"enabled": False, "behavior": "automated"}, False, False),
    ],
)
def test_what_a_storage_pod_says_of_one_vm_overrules_what_it_says_of_all(
    said: dict[str, Any], in_automated: bool, in_manual: bool
) -> None:
    one, other = MoRef("VirtualMachine:vm-1"), MoRef("VirtualMachine:vm-2")
    for behavior, moved in (("automated", in_automated), ("manual", in_manual)):
        pod = _pod(behavior=behavior, entries=[_entry(1, **said)])
        assert (pod.moves(one), pod.moves(other)) == (moved, behavior == "automated")
        assert list(pod.vm_automation) == [one]
    assert not _pod(enabled=False, entries=[_entry(1, **said)]).moves(one)


def test_a_storage_pod_without_words_on_single_vms_forgets_those_it_had() -> None:
    pod = _pod(entries=[_entry(1, enabled=False)])
    after = filters.decoded(POD, pod, {"podStorageDrsEntry.storageDrsConfig.vmConfig": None})
    assert isinstance(after, StoragePod)
    assert after.vm_automation == {}


def test_whole_objects_are_never_asked_for() -> None:
    whole = {"config", "runtime", "summary", "guest", "config.hardware", "config.extraConfig", "info"}
    asked = {leaf.path for _, leaves in filters.WIDE.values() for leaf in leaves}
    assert not whole & (asked | set(filters.RECENT_TASK_PATHS))
