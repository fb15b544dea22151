"""Each check passes for what is right and fails for what is wrong."""

import base64
import gzip
from dataclasses import replace
from typing import Any

import pytest

from testbed.demo import checks
from testbed.demo.kubernetes_view import rows
from testbed.demo.picture import Check, Picture
from testbed.demo.vcenter_view import IGNITION, Folder

from .pictures import FOLDER, TAGS, a_picture, a_view, a_vm, an_object


def outcomes(found: list[Check]) -> list[bool]:
    return [check.passed for check in found]


def test_the_folder_must_be_the_only_new_one_and_carry_the_tags() -> None:
    view = a_view()
    assert outcomes(checks.folder(view, FOLDER, TAGS)) == [True, True]
    assert outcomes(checks.folder(a_view(tags=TAGS[:1]), FOLDER, TAGS)) == [True, False]
    other = replace(view, folders=(*view.folders, Folder("Folder:2", "/DC0/vm/other")))
    assert outcomes(checks.folder(other, FOLDER, TAGS)) == [False, True]
    assert outcomes(checks.folder(replace(view, folders=()), FOLDER, TAGS)) == [False, False]


@pytest.mark.parametrize(
    ("change", "passes"),
    [({}, True), ({"power": "poweredOff"}, False), ({"folder": "/DC0/vm"}, False), ({"address": ""}, False)],
)
def test_a_vm_must_be_on_in_the_folder_with_an_address(change: dict[str, Any], passes: bool) -> None:
    assert checks.powered_on([a_vm(1), a_vm(2, **change)], FOLDER, 2).passed is passes


def test_the_number_of_vms_counts() -> None:
    assert not checks.powered_on([a_vm(1)], FOLDER, 2).passed


def test_an_image_must_be_on_the_datastore_and_in_the_drive() -> None:
    vm = a_vm(1)
    assert checks.images(a_view(vm), [vm]).passed
    assert not checks.images(replace(a_view(vm), images=()), [vm]).passed
    ejected = replace(vm, image="")
    assert not checks.images(a_view(vm), [ejected]).passed
    assert not checks.images(a_view(), []).passed


def state_of(value: str, encoding: str = "") -> dict[str, Any]:
    extra = {IGNITION: value, f"{IGNITION}.encoding": encoding}
    return {"virtualMachines": [{"object": "VirtualMachine:vm-1", "extraConfig": extra}]}


def test_ignition_is_read_in_any_encoding_and_must_hold_the_name() -> None:
    vm = a_vm(1, image="")
    text = f'{{"ignition": {{"version": "3.3.0"}}, "storage": "{vm.name}"}}'
    packed = base64.b64encode(gzip.compress(text.encode())).decode()
    assert checks.ignition(state_of(text), [vm]).passed
    assert checks.ignition(state_of(packed, "gzip+base64"), [vm]).passed
    assert not checks.ignition(state_of(packed, "base64"), [vm]).passed
    assert not checks.ignition(state_of(text.replace(vm.name, "other")), [vm]).passed
    assert not checks.ignition(state_of(""), [vm]).passed
    assert not checks.ignition(state_of(text), []).passed


def test_a_rollout_one_by_one_passes() -> None:
    rollout = checks.Rollout("workers", 2)
    for number in (2, 3, 2):
        rollout.see(a_picture(number))
    assert outcomes(rollout.checks()) == [True, True]


def test_two_at_a_time_are_seen() -> None:
    rollout = checks.Rollout("workers", 2)
    rollout.see(a_picture(4))
    assert outcomes(rollout.checks()) == [False, True]


def test_a_moment_with_too_few_is_seen() -> None:
    rollout = checks.Rollout("workers", 2)
    for number in (3, 1, 2):
        rollout.see(a_picture(number))
    assert outcomes(rollout.checks()) == [True, False]


def test_a_vm_that_is_off_counts_as_one_too_few() -> None:
    picture = a_picture(3)
    off = tuple(replace(vm, power="poweredOff") for vm in picture.vcenter.vms)
    rollout = checks.Rollout("workers", 2)
    rollout.see(replace(picture, vcenter=replace(picture.vcenter, vms=off)))
    assert outcomes(rollout.checks()) == [True, False]


def test_a_vm_on_its_way_out_is_counted_apart() -> None:
    names = [vm.name for vm in a_picture(4).vcenter.vms]
    items = [an_object("Machine", name, deleting=name == names[0]) for name in names]
    rollout = checks.Rollout("workers", 2)
    rollout.see(Picture(rows=rows({"Machine": items}), vcenter=a_picture(4).vcenter))
    assert outcomes(rollout.checks()) == [True, True]
    assert rollout.most_in_all == 4


def test_a_look_that_failed_is_no_look() -> None:
    rollout = checks.Rollout("workers", 2)
    rollout.see(replace(a_picture(2), note="no answer"))
    assert rollout.looks == 0
    assert not rollout.checks()[0].passed


def test_replaced_means_other_vms_of_the_new_size() -> None:
    old = [a_vm(1), a_vm(2)]
    assert checks.replaced(old, [a_vm(3, memory_mb=8192), a_vm(4, memory_mb=8192)], 8192).passed
    assert not checks.replaced(old, [a_vm(1, memory_mb=8192), a_vm(4, memory_mb=8192)], 8192).passed
    assert not checks.replaced(old, [a_vm(3), a_vm(4, memory_mb=8192)], 8192).passed
    assert not checks.replaced(old, [a_vm(3, memory_mb=8192)], 8192).passed


def test_kept_means_the_same_objects() -> None:
    assert checks.kept([a_vm(1)], [a_vm(1), a_vm(2)], "kept").passed
    assert not checks.kept([a_vm(1)], [replace(a_vm(1), moref="VirtualMachine:vm-9")], "kept").passed


def test_a_leak_fails_without_being_repeated() -> None:
    leaked, tidy = checks.log("login as infra with s3cret-word", ["s3cret-word", "other"])
    assert (leaked.passed, tidy.passed) == (False, True)
    assert "s3cret-word" not in leaked.line
    assert outcomes(checks.log("Traceback (most recent call last)\n", ["x" * 9])) == [True, False]


def test_the_operator_must_stop_well_and_log_out() -> None:
    assert outcomes(checks.stopped(0, {"soap": ["admin"], "rest": []}, "infra")) == [True, True]
    assert outcomes(checks.stopped(1, {"soap": ["infra"], "rest": []}, "infra")) == [False, False]


def test_the_difference_is_told_but_not_all_of_it() -> None:
    check = checks.as_before({}, {f"file {n}": "" for n in range(20)})
    assert not check.passed
    assert check.line.count("\n") == 7
    assert "and 14 more" in check.line


def test_boots_without_data_are_named() -> None:
    assert checks.nobody_without_data([]).passed
    assert "vm-a" in checks.nobody_without_data([{"name": "vm-a"}]).line
