"""Answers that decode what is asked for: the same in every property as what pyVmomi makes of the same bytes."""

from __future__ import annotations

import io
import logging
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from pyVmomi import SoapAdapter, VmomiSupport

from tests.unit.vsphere import templates
from vsphere_operator.vsphere import devices, morefs, questions
from vsphere_operator.vsphere.faults import from_vim
from vsphere_operator.vsphere.inventory import filters
from vsphere_operator.vsphere.session import lazy_objects
from vsphere_operator.vsphere.session.lazy_objects import Decoder, UnexpectedAnswerError
from vsphere_operator.vsphere.session.soap import TRANSPORT_ERRORS
from vsphere_operator.vsphere.vmomi import SoapResponseDeserializer, vim, vmodl

soap: Any = SoapAdapter
support: Any = VmomiSupport
VIM = "urn:vim25"
VERSION = "vim.version.v7_0"
collector = vmodl.query.PropertyCollector

ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    '<soapenv:Body><WaitForUpdatesExResponse xmlns="urn:vim25">{}</WaitForUpdatesExResponse></soapenv:Body>'
    "</soapenv:Envelope>"
)


class Stub:
    version = VERSION

    def SupportServerGUIDs(self) -> bool:  # noqa: N802  # pyVmomi's name
        return False


def lazy(answer: bytes) -> Any:
    returned = lazy_objects.read(io.BytesIO(answer), "WaitForUpdatesEx")
    return None if returned is None else Decoder(VERSION, Stub()).decode(returned, collector.UpdateSet)


def eager(answer: bytes) -> Any:
    return SoapResponseDeserializer(Stub()).Deserialize(io.BytesIO(answer), collector.UpdateSet)


def envelope(returned: str) -> bytes:
    return ENVELOPE.format(returned).encode()


def sent(first: Any, *, missing: Any = None, **properties: Any) -> bytes:
    """An answer as pyVmomi writes it: one VM with these properties, and with one that may not be read."""
    changes = [
        collector.Change(name=name, op="assign", val=value)
        for name, value in {"x": first, **properties}.items()
    ]
    unread = [] if missing is None else [collector.MissingObject(obj=vim.Folder("f"), fault=missing)]
    update = collector.UpdateSet(
        version="1",
        truncated=True,
        filterSet=[
            collector.FilterUpdate(
                filter=collector.Filter("filter-1"),
                objectSet=[
                    collector.ObjectUpdate(kind="enter", obj=vim.VirtualMachine("vm-1"), changeSet=changes)
                ],
                missingSet=unread,
            )
        ],
    )
    info = support.Object(name="returnval", type=object, version=VERSION, flags=0)
    text = soap.SerializeToStr(update, info, VERSION)
    return envelope(text.removeprefix(soap.XML_HEADER).strip())


def raw(val: str) -> bytes:
    """An answer whose one property is this XML."""
    return envelope(
        '<returnval><version>1</version><filterSet><filter type="PropertyFilter">f</filter><objectSet>'
        '<kind>modify</kind><obj type="VirtualMachine">vm-1</obj><changeSet><name>x</name><op>assign</op>'
        f"{val}</changeSet></objectSet></filterSet></returnval>"
    )


def value(update: Any) -> Any:
    return update.filterSet[0].objectSet[0].changeSet[0].val


def types_below(base: Any, *, newer: bool = False) -> list[Any]:
    """The types of the inventory's API that are a `base`, those of this version or those of later ones."""
    names = [definition[0] for (space, _), definition in list(support._wsdlDefMap.items()) if space == VIM]
    found = [support.GetVmodlType(name) for name in names]
    return [
        kind
        for kind in found
        if issubclass(kind, base) and (support.GetCompatibleType(kind, VERSION) is not kind) == newer
    ]


class Filler:
    """Objects with something in every property, or in some."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._backings = types_below(vim.vm.device.VirtualDevice.BackingInfo)

    def of(self, kind: Any, depth: int = 3) -> Any:
        made = kind()
        for info in kind._GetPropertyList():
            known = support.IsChildVersion(VERSION, info.version)
            if known and (not info.flags & support.F_OPTIONAL or self._random.random() < 0.8):
                filled = self._value(info.type, depth)
                if filled is not None:
                    setattr(made, info.name, filled)
        return made

    def _value(self, kind: Any, depth: int) -> Any:
        if issubclass(kind, list):
            return kind(v for v in (self._value(kind.Item, depth - 1) for _ in range(2)) if v is not None)
        if kind is vim.vm.device.VirtualDevice.BackingInfo:
            kind = self._random.choice(self._backings)
        if kind is object:
            return self._random.choice(["text", 7, True])
        if kind is type:
            return vim.VirtualMachine
        if kind is support.ManagedMethod:
            return None
        if kind is bool:
            return self._random.random() < 0.5
        if kind is datetime:
            return datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
        if issubclass(kind, support.binary):
            return kind(b"\x00\xff&<")
        if issubclass(kind, support.Enum):
            return self._random.choice([*kind.values, kind.values[0]])
        if issubclass(kind, int | float):
            return kind(self._random.randrange(-100, 100))
        if issubclass(kind, str):
            return kind(self._random.choice(["", " a ", "<&>\"'", "[ds] ü/☃.vmdk", "line\nline"]))
        if issubclass(kind, support.ManagedObject):
            return kind(f"id-{self._random.randrange(9)}")
        return self.of(kind, depth - 1) if depth > 0 else None


def assert_same(one: Any, other: Any) -> None:
    assert repr(one) == repr(other)
    if isinstance(one, support.DataObject):
        assert isinstance(other, type(one))
        for info in one._GetPropertyList():
            assert_same(getattr(one, info.name), getattr(other, info.name))
    elif isinstance(one, list):
        assert isinstance(other, list)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other
        assert isinstance(one, type(other)) or one == str(other)


def same_of_all(kinds: list[Any]) -> None:
    for seed in range(3):
        filler = Filler(seed)
        for kind in kinds:
            answer = sent(filler.of(kind))
            assert_same(eager(answer), lazy(answer))


@pytest.mark.parametrize("base", [vim.vm.device.VirtualDevice, vim.vm.device.VirtualDevice.BackingInfo])
def test_all_kinds_of_devices_are_as_pyvmomi_has_them(base: Any) -> None:
    kinds = types_below(base)
    assert len(kinds) > 30
    same_of_all(kinds)


def test_all_faults_are_as_pyvmomi_has_them() -> None:
    faults = [kind for kind in types_below(vmodl.MethodFault) if kind is not vmodl.LocalizedMethodFault]
    assert len(faults) > 500
    filler = Filler(1)
    for kind in faults:
        answer = sent(filler.of(kind), missing=filler.of(kind))
        before, after = eager(answer), lazy(answer)
        assert_same(before, after)
        assert type(value(after)) is kind
        assert from_vim(value(after)) == from_vim(value(before))


def test_what_else_the_watch_asks_for_is_as_pyvmomi_has_it() -> None:
    same_of_all(
        [
            vim.vm.GuestInfo.NicInfo,
            vim.vm.QuestionInfo,
            vim.Datastore.HostMount,
            vim.host.DatastoreBrowser.SearchResults,
            vim.cluster.PowerOnVmResult,
            vim.storageDrs.ApplyRecommendationResult,
        ]
    )


@pytest.mark.parametrize(
    "sent_value",
    [
        "a <name> & more",
        "",
        True,
        7,
        support.long(2**40),
        datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        vim.HostSystem("host-1"),
        vim.VirtualMachine.PowerState.poweredOn,
        support.GetWsdlType(VIM, "ArrayOfManagedObject")([vim.Datastore("ds-1"), vim.Network("n-2")]),
        support.GetWsdlType(VIM, "ArrayOfString")(["a", "b"]),
        vim.vm.device.VirtualDevice.Array(),
        support.GetWsdlType(VIM, "ArrayOfInt")([3, 4]),
    ],
    ids=repr,
)
def test_plain_values_and_lists_are_as_pyvmomi_has_them(sent_value: Any) -> None:
    answer = sent(sent_value)
    assert_same(eager(answer), lazy(answer))
    assert value(lazy(answer)) == sent_value


def test_the_records_of_a_vm_are_the_same() -> None:
    lock = "msg.cdromdisconnect.locked"
    question = vim.vm.QuestionInfo(id="1", text="eject?", message=[vim.vm.Message(id=lock)])
    question.choice = vim.option.ChoiceOption(
        choiceInfo=[vim.ElementDescription(key="0", label="Yes"), vim.ElementDescription(key="1", label="No")]
    )
    linked = templates.disk(2001, unit=1)
    linked.backing.parent = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName="[ds] base.vmdk", diskMode="x"
    )
    linked.vDiskId = vim.vslm.ID(id="fcd-1")
    opaque, bare = templates.nic(4001), templates.nic(4002)
    opaque.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(switchUuid="50 01", portgroupKey="dvportgroup-1")
    )
    bare.backing = None
    drive = templates.cdrom(iso="[ds] w-1/seed.iso")
    drive.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=False
    )
    found = [templates.ide(holds=(3000,)), templates.disk(), linked, templates.nic(), opaque, bare, drive,
             templates.cdrom(3001), templates.floppy(), templates.sata()]  # fmt: skip
    nics = [
        vim.vm.GuestInfo.NicInfo(
            network="n", ipAddress=["10.0.0.1", "fe80::1"], connected=True, deviceConfigId=4
        )
    ]
    array = support.GetWsdlType
    properties = {
        "config.hardware.device": vim.vm.device.VirtualDevice.Array(found),
        "guest.net": array(VIM, "ArrayOfGuestNicInfo")(nics),
        "runtime.question": question,
        "resourcePool": vim.ResourcePool("resgroup-1"),
    }
    answer = sent(None, **properties)
    fields = []
    for update in (eager(answer), lazy(answer)):
        changes = {c.name: c.val for c in update.filterSet[0].objectSet[0].changeSet}
        fields.append(filters.field_changes("VirtualMachine", changes))
    assert fields[0] == fields[1]
    assert fields[1]["devices"] == devices.kept(found)
    assert len(fields[1]["devices"].disks) == 2
    assert fields[1]["question"] == questions.decode(question)
    assert fields[1]["resource_pool"] == "ResourcePool:resgroup-1"


def test_a_property_that_became_unset_has_no_value() -> None:
    answer = raw("")
    assert_same(eager(answer), lazy(answer))
    assert value(lazy(answer)) is None


def test_an_object_says_what_it_does_not_have() -> None:
    disk = value(lazy(sent(templates.disk())))
    assert disk.vDiskId is None
    assert disk.shares is None
    with pytest.raises(AttributeError, match="fileName"):
        _ = disk.fileName
    assert getattr(disk, "_moId", None) is None


def test_prefixes_comments_entities_and_cdata_change_nothing() -> None:
    answer = raw(
        '<val xmlns:v="urn:vim25" xsi:type="v:VirtualDisk"><!-- <key>1</key> --><key>2000</key>'
        '<backing xsi:type="v:VirtualDiskFlatVer2BackingInfo"><fileName>[d&#x73;] a&amp;b<![CDATA[<c>]]></fileName>'
        "<diskMode>persistent</diskMode><parent><fileName>p</fileName></parent></backing>"
        "<capacityInKB> 7 </capacityInKB></val>"
    )
    assert_same(eager(answer), lazy(answer))
    disk = value(lazy(answer))
    assert (disk.key, disk.backing.fileName, disk.capacityInKB) == (2000, "[ds] a&b<c>", 7)


def test_a_list_may_come_as_one_array() -> None:
    answer = raw(
        '<val xsi:type="VirtualIDEController"><key>200</key>'
        '<device xsi:type="ArrayOfInt"><int>3000</int><int>3001</int></device><busNumber>0</busNumber></val>'
    )
    assert_same(eager(answer), lazy(answer))
    assert value(lazy(answer)).device == [3000, 3001]


def test_the_name_of_a_type_stands_for_it_whatever_it_is_said_to_be() -> None:
    answer = raw('<val xsi:type="PropertySpec"><type xsi:type="xsd:string">VirtualMachine</type></val>')
    assert_same(eager(answer), lazy(answer))
    assert value(lazy(answer)).type is vim.VirtualMachine


# What pyVmomi would fail on


def test_a_device_of_an_unknown_kind_counts_as_a_device_and_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = '<VirtualDevice xsi:type="VirtualQuantumDrive"><key>9</key><qubits>7</qubits></VirtualDevice>'
    disk = '<VirtualDevice xsi:type="VirtualDisk"><key>2000</key><backing xsi:type="NewBackingInfo"/></VirtualDevice>'
    answer = raw(f'<val xsi:type="ArrayOfVirtualDevice">{device * 3}{disk}</val>')
    with caplog.at_level(logging.WARNING):
        found = value(lazy(answer))
    assert [d.key for d in found] == [9, 9, 9, 2000]
    kept = devices.kept(found)
    assert [d.key for d in kept.disks] == [2000]
    assert (kept.nics, kept.cdroms) == ((), ())
    assert [r.args for r in caplog.records] == [("VirtualQuantumDrive",), ("NewBackingInfo",)]
    with pytest.raises(KeyError):
        eager(answer)


def test_a_kind_that_the_api_version_does_not_have_is_what_it_is_made_of() -> None:
    newer = types_below(support.DataObject, newer=True)
    assert len(newer) > 100
    for kind in newer:
        if issubclass(kind, Exception):
            fault = f'<fault xsi:type="{kind._wsdlName}"/><localizedMessage>no</localizedMessage>'
            answer = raw(f'<val xsi:type="LocalizedMethodFault">{fault}</val>')
        else:
            answer = raw(f'<val xsi:type="{kind._wsdlName}"/>')
        found = value(lazy(answer))
        assert_same(eager(answer), lazy(answer))
        assert not isinstance(found, kind)
        assert isinstance(found, support.GetCompatibleType(kind, VERSION))


@pytest.mark.parametrize(
    "val",
    ['<val xsi:type="Unheard">x</val>', '<val xsi:type="ArrayOfUnheard"><Unheard/></val>', "<val>x</val>"],
)
def test_a_value_of_an_unknown_kind_is_unset(val: str) -> None:
    assert value(lazy(raw(val))) is None


def test_a_new_value_of_an_enumeration_is_a_word_like_others() -> None:
    assert value(lazy(raw('<val xsi:type="VirtualMachinePowerState">hibernated</val>'))) == "hibernated"


def test_a_reference_to_an_unknown_kind_of_object_keeps_its_name() -> None:
    found = value(lazy(raw('<val xsi:type="ManagedObjectReference" type="Hyperfabric">fabric-1</val>')))
    assert morefs.of(found) == "Hyperfabric:fabric-1"


def test_an_unknown_fault_is_a_fault() -> None:
    answer = raw(
        '<val xsi:type="LocalizedMethodFault"><fault xsi:type="FluxFault"><flux>1</flux></fault>'
        "<localizedMessage>Too much flux.</localizedMessage></val>"
    )
    fault = value(lazy(answer))
    assert type(fault) is vmodl.MethodFault
    assert fault.msg == "Too much flux."


# What is no answer


def test_nothing_new_is_no_update() -> None:
    assert lazy(envelope("")) is None
    assert eager(envelope("")) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html><body>Service unavailable</body></html>",
        b"not XML at all",
        sent("x")[:-40],
        sent("x").replace(b"WaitForUpdatesExResponse", b"LoginResponse"),
        ENVELOPE.format("").replace("<soapenv:Envelope", "<!DOCTYPE x []><soapenv:Envelope").encode(),
    ],
    ids=["nothing", "a page", "text", "cut off", "of another call", "with a document type"],
)
def test_anything_but_a_whole_answer_is_an_error_of_the_connection(answer: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError):
        lazy(answer)
    assert issubclass(UnexpectedAnswerError, TRANSPORT_ERRORS)


def test_a_large_answer_is_read_piece_by_piece() -> None:
    sizes: list[int] = []

    class Source(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(size)
            sizes.append(len(got))
            return got

    source = Source(sent("ü" * 200_000))
    assert lazy_objects.read(source, "WaitForUpdatesEx") is not None
    assert max(sizes) <= 64 * 1024
    assert sizes[-1] == 0
