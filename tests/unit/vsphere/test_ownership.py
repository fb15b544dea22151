"""When a mark is a proof."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.vsphere import identity, ownership
from vsphere_operator.vsphere.ownership import NotOurs, Proof, TagMark, VmMark

words = st.text(min_size=1, max_size=40)


@dataclass(frozen=True)
class Vm:
    instance_uuid: str | None
    extra_config: dict[str, str] = field(default_factory=dict)


def ours(machine: str = "m-1", installation: str = "seed-1") -> tuple[Vm, str]:
    instance = identity.instance_uuid(machine)
    return Vm(instance, VmMark(installation, "c-1", machine, "ns/w-1", instance).as_extra_config()), instance


def proof(vm: Vm, instance: str, machine: str = "m-1") -> Proof | NotOurs:
    return ownership.proves(vm, installation="seed-1", machine_id=machine, instance_uuid=instance)


@given(words, words, words, words)
def test_a_mark_is_read_back_as_it_was_written(
    installation: str, cluster: str, machine: str, name: str
) -> None:
    mark = VmMark(installation, cluster, machine, name, identity.instance_uuid(machine))
    assert ownership.parse_mark(mark.as_extra_config()) == mark
    vm = Vm(mark.instance_uuid, mark.as_extra_config())
    found = ownership.proves(
        vm, installation=installation, machine_id=machine, instance_uuid=mark.instance_uuid
    )
    assert found == Proof(mark)


@given(st.uuids())
def test_a_copy_proves_nothing(other: uuid.UUID) -> None:
    vm, instance = ours()
    copy = Vm(str(other), vm.extra_config)
    assert isinstance(proof(copy, instance), Proof) is (str(other) == instance)


def test_the_case_of_the_uuid_does_not_matter() -> None:
    vm, instance = ours()
    assert isinstance(proof(Vm(instance.upper(), vm.extra_config), instance), Proof)


@pytest.mark.parametrize("missing", ownership.KEYS)
def test_a_mark_with_a_part_missing_proves_nothing(missing: str) -> None:
    vm, instance = ours()
    rest = {key: value for key, value in vm.extra_config.items() if key != missing}
    assert isinstance(proof(Vm(instance, rest), instance), NotOurs)


def test_another_installations_vm_is_not_ours() -> None:
    vm, instance = ours(installation="seed-2")
    assert "another installation" in _reason(proof(vm, instance))


def test_another_machines_vm_is_not_this_ones() -> None:
    vm, _ = ours(machine="m-2")
    assert "another machine" in _reason(proof(vm, identity.instance_uuid("m-1")))


def test_only_a_vm_whose_uuid_goes_with_its_mark_is_certainly_another_machines() -> None:
    def anothers(vm: Vm) -> bool:
        return ownership.is_anothers(vm, machine_id="m-1")

    vm, instance = ours(machine="m-2")
    assert anothers(vm)
    assert proof(vm, identity.instance_uuid("m-1")) == NotOurs(
        "its mark names another machine (ns/w-1)", anothers=True
    )
    assert not anothers(Vm(identity.instance_uuid("m-1"), vm.extra_config)), "somebody wrote into our VM"
    assert not anothers(Vm(instance, {})), "no mark"
    assert not anothers(ours(machine="m-1")[0]), "our own"


def test_a_vm_whose_configuration_cannot_be_read_proves_nothing() -> None:
    vm, instance = ours()
    assert isinstance(proof(Vm(None, vm.extra_config), instance), NotOurs)


def test_keys_are_what_a_vmx_file_takes_and_a_guest_cannot_write() -> None:
    for key in ownership.KEYS:
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz.-")
        assert not key.startswith("guestinfo")


@given(words, words)
def test_a_description_is_read_back_as_it_was_written(installation: str, cluster: str) -> None:
    mark = TagMark(installation, cluster)
    assert ownership.parse_description(mark.as_description()) == mark


def test_a_description_of_uuids_fits_into_a_tag() -> None:
    assert len(TagMark(str(uuid.uuid4()), str(uuid.uuid4())).as_description()) <= 255


@given(st.text())
def test_other_descriptions_prove_nothing(text: str) -> None:
    assert ownership.parse_description(text) is None


@pytest.mark.parametrize(
    "tail", ["", "{", "[]", "{}", '{"installation":1,"cluster":"c"}', '{"installation":"i"}']
)
def test_a_damaged_description_proves_nothing(tail: str) -> None:
    whole = TagMark("i", "c").as_description()
    assert ownership.parse_description(whole[: whole.index("{")] + tail) is None


def test_the_instance_uuid_of_a_machine_never_changes() -> None:
    assert (
        identity.instance_uuid("m-1")
        == identity.instance_uuid("m-1")
        == "4b21b056-2304-5a6a-812d-f3aec3cd6aed"
    )
    assert identity.instance_uuid("m-2") != identity.instance_uuid("m-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (identity.instance_uuid("m"), True),
        ("40891b7d-ca25-4f08-af3f-764f8dc78833", False),
        ("", False),
        ("no uuid", False),
    ],
)
def test_which_vms_deserve_a_closer_look(text: str, expected: bool) -> None:
    assert identity.may_be_ours(text) is expected


def _reason(found: Proof | NotOurs) -> str:
    assert isinstance(found, NotOurs)
    return found.reason
