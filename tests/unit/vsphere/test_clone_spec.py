"""Rules of the clone specification, a table each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.vsphere import templates as t
from vsphere_operator.vsphere import clone_spec
from vsphere_operator.vsphere.clone_spec import CloneRequest, NetworkRef
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vm_details import GIB, VmDetails
from vsphere_operator.vsphere.vmomi import vim

STANDARD = NetworkRef(MoRef("Network:network-7"), "VM Network")
DISTRIBUTED = NetworkRef(
    MoRef("DistributedVirtualPortgroup:dvportgroup-9"),
    "pg",
    portgroup_key="dvportgroup-9",
    switch_uuid="50 2c",
)
OPAQUE = NetworkRef(
    MoRef("OpaqueNetwork:network-o9"), "seg", opaque_id="nsx-1", opaque_type="nsx.LogicalSwitch"
)


def request(details: VmDetails, **changes: Any) -> CloneRequest:
    base = CloneRequest(
        template=details.moref,
        folder=MoRef("Folder:group-v3"),
        name="workers-1",
        pool=MoRef("ResourcePool:resgroup-8"),
        datastore=MoRef("Datastore:datastore-5"),
        cpus=4,
        memory_mib=8192,
        disk_gib=None,
        networks=(STANDARD,),
        instance_uuid="8d6fbb3c-0d0f-5f0e-9c1c-6a54ed0c7b1e",
        template_details=details,
    )
    return replace(base, **changes)


def config_of(details: VmDetails, **changes: Any) -> Any:
    return clone_spec.build(request(details, **changes)).config


def changes_of(config: Any, kind: Any, operation: str) -> list[Any]:
    return [c.device for c in config.deviceChange if isinstance(c.device, kind) and c.operation == operation]


def test_a_clone_stays_powered_off_and_says_where_it_goes() -> None:
    spec = clone_spec.build(request(t.template(t.disk())))
    assert spec.powerOn is False
    assert spec.template is False
    assert spec.location.pool._moId == "resgroup-8"
    assert spec.location.datastore._moId == "datastore-5"
    assert spec.location.host is None


def test_a_storage_policy_is_that_of_the_home_and_of_each_disk() -> None:
    spec = clone_spec.build(request(t.template(t.disk()), storage_policy="gold-id"))
    (disk,) = spec.location.disk
    assert [p.profileId for p in spec.location.profile] == ["gold-id"]
    assert [p.profileId for p in disk.profile] == ["gold-id"]
    assert (disk.diskId, disk.datastore._moId) == (t.disk().key, "datastore-5")


def test_without_a_policy_nothing_is_said_about_disks() -> None:
    spec = clone_spec.build(request(t.template(t.disk())))
    assert spec.location.profile == spec.location.disk == []


def test_a_question_to_storage_drs_names_the_policy_and_no_disk() -> None:
    asked = clone_spec.build(request(t.template(t.disk()), storage_policy="gold-id"), placed=False)
    assert [p.profileId for p in asked.location.profile] == ["gold-id"]
    assert asked.location.disk == []


def test_hardware_identity_and_annotation_are_in_the_one_spec() -> None:
    config = config_of(t.template(t.disk()), annotation="made for shop", extra_config={"a.b": "c"})
    assert (config.numCPUs, config.memoryMB, config.annotation) == (4, 8192, "made for shop")
    assert config.instanceUuid == "8d6fbb3c-0d0f-5f0e-9c1c-6a54ed0c7b1e"
    assert config.flags.diskUuidEnabled is True
    assert [(o.key, o.value) for o in config.extraConfig] == [("a.b", "c")]


@pytest.mark.parametrize(
    ("has", "wants", "edited"), [(10, None, None), (10, 10, None), (10, 40, 40), (1, 2, 2)]
)
def test_a_disk_grows_or_stays(has: int, wants: int | None, edited: int | None) -> None:
    config = config_of(t.template(t.disk(gib=has)), disk_gib=wants)
    edits = changes_of(config, vim.vm.device.VirtualDisk, "edit")
    assert [e.capacityInBytes for e in edits] == ([] if edited is None else [edited * GIB])
    assert [e.capacityInKB * 1024 for e in edits] == [e.capacityInBytes for e in edits]
    assert all(e.key == 2000 and e.backing is not None for e in edits)


def test_a_disk_does_not_shrink_and_the_message_names_the_least_size() -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(request(t.template(t.disk(gib=40)), disk_gib=39))
    assert caught.value.fault.reason == "DiskTooSmall"
    assert caught.value.fault.fault_class is FaultClass.TERMINAL
    assert "at least 40 GiB" in caught.value.fault.message


def test_a_template_without_a_disk_is_refused() -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(request(t.template(t.nic()), disk_gib=40))
    assert caught.value.fault.reason == "TemplateWithoutDisk"


def test_of_two_disks_the_one_that_boots_grows() -> None:
    second, first = t.disk(key=2001, unit=1, gib=100), t.disk(key=2000, unit=0, gib=10)
    config = config_of(t.template(second, first), disk_gib=20)
    assert [e.key for e in changes_of(config, vim.vm.device.VirtualDisk, "edit")] == [2000]


def test_a_template_that_is_still_being_made_is_refused() -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(request(t.template(t.disk(), config__instanceUuid=None)))
    assert caught.value.fault.reason == "TemplateNotReady"


def test_all_cards_are_replaced_by_vmxnet3_in_order() -> None:
    config = config_of(
        t.template(t.disk(), t.nic(4000), t.nic(4001)), networks=(DISTRIBUTED, STANDARD, OPAQUE)
    )
    assert [n.key for n in changes_of(config, vim.vm.device.VirtualEthernetCard, "remove")] == [4000, 4001]
    added = changes_of(config, vim.vm.device.VirtualEthernetCard, "add")
    assert all(isinstance(n, vim.vm.device.VirtualVmxnet3) for n in added)
    assert len({n.key for n in added}) == 3
    distributed, standard, opaque = (n.backing for n in added)
    assert (distributed.port.portgroupKey, distributed.port.switchUuid) == ("dvportgroup-9", "50 2c")
    assert (standard.deviceName, standard.network._moId) == ("VM Network", "network-7")
    assert opaque.opaqueNetworkId == "nsx-1"


def test_a_chosen_mac_is_the_first_cards() -> None:
    config = config_of(
        t.template(t.disk(), t.nic(4000)), networks=(DISTRIBUTED, STANDARD), first_mac="00:50:56:01:02:03"
    )
    added = changes_of(config, vim.vm.device.VirtualEthernetCard, "add")
    assert [(n.addressType, n.macAddress) for n in added] == [
        ("manual", "00:50:56:01:02:03"),
        ("generated", None),
    ]


def test_a_chosen_mac_is_all_that_changes_of_the_templates_first_card() -> None:
    card = vim.vm.device.VirtualEthernetCard
    second, first = t.nic(4001), t.nic(4000)
    port = vim.dvs.PortConnection(
        portgroupKey="dvportgroup-9", switchUuid="50 2c", portKey="17", connectionCookie=4711
    )
    first.backing = card.DistributedVirtualPortBackingInfo(port=port)
    config = config_of(t.template(t.disk(), second, first), networks=None, first_mac="00:50:56:01:02:03")
    (edited,) = changes_of(config, card, "edit")
    assert (edited.key, edited.addressType, edited.macAddress) == (4000, "manual", "00:50:56:01:02:03")
    assert type(edited) is type(first)
    port = edited.backing.port
    assert (port.portgroupKey, port.switchUuid) == ("dvportgroup-9", "50 2c")
    assert (port.portKey, port.connectionCookie) == (None, None), "that port is the template's"


def test_without_networks_in_the_request_the_templates_cards_stay() -> None:
    config = config_of(t.template(t.disk(), t.nic()), networks=None)
    assert not [c for c in config.deviceChange if isinstance(c.device, vim.vm.device.VirtualEthernetCard)]


@pytest.mark.parametrize(
    ("networks", "reason"), [((), "NoNetwork"), ((replace(DISTRIBUTED, switch_uuid=None),), "SwitchUnknown")]
)
def test_networks_that_cannot_be_attached_are_refused(networks: tuple[NetworkRef, ...], reason: str) -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(request(t.template(t.disk()), networks=networks))
    assert caught.value.fault.reason == reason


def test_floppies_go() -> None:
    config = config_of(t.template(t.disk(), t.floppy(8000)))
    assert [f.key for f in changes_of(config, vim.vm.device.VirtualFloppy, "remove")] == [8000]


@pytest.mark.parametrize(
    ("devices", "version", "controller_key", "new_controller"),
    [
        ((t.ide(),), "vmx-15", 200, None),
        ((t.ide(200, 0, (3000, 3001)), t.ide(201, 1)), "vmx-15", 201, None),
        ((t.ide(200, 0, (1, 2)), t.sata()), "vmx-15", 15000, None),
        ((), "vmx-15", -200, "VirtualAHCIController"),
        ((t.ide(200, 0, (1, 2)),), "vmx-15", -200, "VirtualAHCIController"),
        ((), "vmx-09", -200, "VirtualIDEController"),
    ],
)
def test_a_missing_drive_is_added_where_a_slot_is_free(
    devices: tuple[Any, ...], version: str, controller_key: int, new_controller: str | None
) -> None:
    config = config_of(t.template(t.disk(), *devices, config__version=version), needs_cdrom=True)
    drives = changes_of(config, vim.vm.device.VirtualCdrom, "add")
    assert [d.controllerKey for d in drives] == [controller_key]
    controllers = changes_of(config, vim.vm.device.VirtualController, "add")
    assert [c._wsdlName for c in controllers] == ([] if new_controller is None else [new_controller])
    assert {o.key: o.value for o in config.extraConfig} == {"cdrom.showIsoLockWarning": "FALSE"}


@pytest.mark.parametrize("needs", [True, False])
def test_no_second_drive_is_added(needs: bool) -> None:
    config = config_of(t.template(t.disk(), t.ide(), t.cdrom()), needs_cdrom=needs)
    assert not changes_of(config, vim.vm.device.VirtualCdrom, "add")


@pytest.mark.parametrize(("cores", "cpus", "expected"), [(1, 3, None), (2, 4, None), (2, 3, 1), (4, 2, 1)])
def test_cpus_fill_the_sockets(cores: int, cpus: int, expected: int | None) -> None:
    config = config_of(t.template(t.disk(), config__hardware__numCoresPerSocket=cores), cpus=cpus)
    assert config.numCoresPerSocket == expected


def test_vapp_properties_are_filled_in_by_their_key() -> None:
    config = config_of(
        t.template(t.disk(), config__vAppConfig=t.vapp("other", "guestinfo.ignition.config.data")),
        vapp_properties={"guestinfo.ignition.config.data": "e30="},
    )
    (change,) = config.vAppConfig.property
    assert (change.operation, change.info.key, change.info.value) == ("edit", 1, "e30=")


@pytest.mark.parametrize(
    ("transports", "properties", "expected"),
    [
        (("iso",), {}, [""]),
        (("iso",), {"user-data": "x"}, ["com.vmware.guestInfo"]),
        (("com.vmware.guestInfo",), {"user-data": "x"}, []),
    ],
)
def test_the_environments_own_iso_does_not_take_the_drive(
    transports: tuple[str, ...], properties: dict[str, str], expected: list[str]
) -> None:
    details = t.template(t.disk(), config__vAppConfig=t.vapp("user-data", transports=transports))
    config = config_of(details, vapp_properties=properties)
    assert list(config.vAppConfig.ovfEnvironmentTransport or []) == expected


@pytest.mark.parametrize("has", [None, t.vapp("hostname")])
def test_missing_vapp_properties_are_named(has: Any) -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(
            request(t.template(t.disk(), config__vAppConfig=has), vapp_properties={"user-data": "s3cret"})
        )
    assert caught.value.fault.reason == "TemplateWithoutVAppProperties"
    assert "user-data" in caught.value.fault.message
    assert "s3cret" not in caught.value.fault.message


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"guestinfo.userdata": "s" * (64 * 1024 + 1)}, "BootstrapDataTooLarge"),
        ({f"guestinfo.part{n}": "s" * 60_000 for n in range(20)}, "BootstrapDataTooLarge"),
        ({"user_clusters.io": "s"}, "InvalidExtraConfigKey"),
        ({"a b": "s"}, "InvalidExtraConfigKey"),
    ],
)
def test_what_vcenter_would_drop_or_cut_is_refused(options: dict[str, str], reason: str) -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.build(request(t.template(t.disk()), extra_config=options))
    assert caught.value.fault.reason == reason
    assert "sss" not in caught.value.fault.message


def test_64_kib_of_guestinfo_pass() -> None:
    config_of(t.template(t.disk()), extra_config={"guestinfo.userdata": "s" * 64 * 1024})


def test_bootstrap_data_shows_in_no_repr() -> None:
    made = request(
        t.template(t.disk()), extra_config={"guestinfo.userdata": "s3cret"}, vapp_properties={"p": "s3cret"}
    )
    assert "s3cret" not in repr(made)


def test_detaching_keeps_the_files_and_insists_on_the_version_that_was_read() -> None:
    details = t.template(t.disk(2000), t.disk(2001, unit=1))
    spec = clone_spec.detach(details.disks[1:], details.change_version)
    (change,) = spec.deviceChange
    assert (change.operation, change.fileOperation, change.device.key) == ("remove", None, 2001)
    assert spec.changeVersion == "v7"


@pytest.mark.parametrize(("power", "connected"), [("poweredOff", False), ("poweredOn", True)])
def test_an_iso_goes_into_the_first_drive(power: str, connected: bool) -> None:
    details = t.template(t.disk(), t.ide(), t.cdrom(3000), t.cdrom(3001), runtime__powerState=power)
    (change,) = clone_spec.insert_iso(details, "[LocalDS_0] w/cloud-init.iso").deviceChange
    assert (change.operation, change.device.key) == ("edit", 3000)
    assert change.device.backing.fileName == "[LocalDS_0] w/cloud-init.iso"
    assert (change.device.connectable.startConnected, change.device.connectable.connected) == (
        True,
        connected,
    )


def test_without_a_drive_nothing_is_inserted() -> None:
    with pytest.raises(VSphereError) as caught:
        clone_spec.insert_iso(t.template(t.disk()), "[d] x.iso")
    assert caught.value.fault.reason == "NoCdRom"
