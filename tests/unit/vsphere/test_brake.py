"""When so many of our VMs are gone that it is not believed, and what ends the doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.inventory import Change, Doubt, Inventory, VmEntity
from vsphere_operator.vsphere.inventory.brake import AT_ONCE, EXPECTED_FOR, judge
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import VmMark

FOLDER = MoRef("Folder:group-v3")


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def inventory(clock: Time) -> Inventory:
    return Inventory(clock)


def vm(number: int, moref: str | None = None) -> VmEntity:
    uuid = identity.instance_uuid(f"m-{number}")
    mark = VmMark("seed", "cluster", f"m-{number}", f"w-{number}", uuid)
    return VmEntity(
        MoRef(moref or f"VirtualMachine:vm-{number}"), f"w-{number}", FOLDER, instance_uuid=uuid,
        extra_config=mark.as_extra_config(), marks_read=True,
    )  # fmt: skip


def come(inventory: Inventory, *vms: VmEntity) -> list[Change]:
    return [*inventory.apply([(v.moref, v) for v in vms]), *inventory.settle()]


def doubt_of(inventory: Inventory) -> Doubt | None:
    return inventory.doubt


def certain(doubt: Doubt | None) -> Doubt:
    assert doubt is not None
    return doubt


def go(inventory: Inventory, *numbers: int) -> list[Change]:
    return [*inventory.apply([(vm(n).moref, None) for n in numbers]), *inventory.settle()]


@pytest.mark.parametrize(
    ("recorded", "missing", "doubtful"),
    [(0, 0, False), (5, 5, False), (6, 6, True), (50, 5, False), (50, 6, True), (100, 10, False), (100, 11, True),
     (1000, 100, False), (1000, 101, True)],
)  # fmt: skip
def test_a_few_or_a_small_part_may_be_gone(recorded: int, missing: int, doubtful: bool) -> None:
    assert judge(recorded, missing) is doubtful


def test_a_handful_that_goes_is_believed(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    assert [c.kind for c in go(inventory, *range(5))] == ["left"] * 5
    assert doubt_of(inventory) is None
    assert inventory.missing(vm(0).moref) is None


def test_many_at_once_are_in_doubt_and_unknown(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    changes = go(inventory, *range(8))
    assert [c.kind for c in changes] == ["left"] * 8 + ["state"]
    doubt = doubt_of(inventory)
    assert doubt is not None
    assert (doubt.missing, doubt.of) == (8, 20)
    assert doubt.id in doubt.why
    for reference in (vm(0).moref, identity.instance_uuid("m-0"), identity.instance_uuid("m-0").upper()):
        assert isinstance(inventory.missing(reference), Unknown)
    assert inventory.missing(vm(9).moref) is None
    assert isinstance(inventory.missing_in(FOLDER), Unknown)
    assert inventory.missing_in(MoRef("Folder:group-v9")) is None
    assert [v.moref for v in inventory.missing_vms] == [vm(n).moref for n in range(8)]


def test_losses_within_a_minute_count_together_and_older_ones_do_not(
    inventory: Inventory, clock: Time
) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, 0, 1, 2)
    clock.now += AT_ONCE + 1
    go(inventory, 3, 4, 5)
    assert doubt_of(inventory) is None
    clock.now += AT_ONCE - 1
    go(inventory, 6, 7, 8)
    assert doubt_of(inventory) is not None
    assert getattr(doubt_of(inventory), "missing", 0) == 6


def test_what_we_destroy_ourselves_is_no_loss(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(500)))
    for number in range(500):
        inventory.expect_gone(vm(number).moref)
    go(inventory, *range(500))
    assert doubt_of(inventory) is None


def test_a_destroy_explains_a_loss_that_was_seen_before_it_was_announced(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, *range(8))
    for number in range(4):
        inventory.expect_gone(vm(number).moref)
    assert [c.kind for c in inventory.settle()] == ["state", "left", "left", "left", "left"]
    assert doubt_of(inventory) is None


def test_a_failed_or_old_announcement_explains_nothing(inventory: Inventory, clock: Time) -> None:
    come(inventory, *map(vm, range(20)))
    for number in range(8):
        inventory.expect_gone(vm(number).moref)
    for number in range(4):
        inventory.expect_no_more(vm(number).moref)
    clock.now += EXPECTED_FOR + 1
    go(inventory, *range(8))
    assert certain(doubt_of(inventory)).missing == 8


def test_the_doubt_ends_when_most_are_back_and_the_rest_is_believed(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, *range(8))
    assert come(inventory, vm(0), vm(1))[2:] == [], "6 are missing still"
    changes = come(inventory, vm(2))
    assert doubt_of(inventory) is None
    assert [(c.kind, c.moref) for c in changes[1:]] == [
        ("state", None), *(("left", vm(n).moref) for n in range(3, 8))
    ]  # fmt: skip


def test_a_doubt_does_not_pass_with_time(inventory: Inventory, clock: Time) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, *range(8))
    clock.now += 10 * AT_ONCE
    assert inventory.settle() == []
    assert doubt_of(inventory) is not None


def test_vms_that_come_back_with_new_morefs_are_back(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, *range(8))
    come(inventory, *(vm(n, f"VirtualMachine:vm-10{n}") for n in range(8)))
    assert doubt_of(inventory) is None
    assert inventory.missing_vms == []


def test_new_morefs_that_came_before_the_old_ones_went_are_no_loss(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    inventory.apply(
        [(MoRef(f"VirtualMachine:vm-10{n}"), vm(n, f"VirtualMachine:vm-10{n}")) for n in range(8)]
    )
    go(inventory, *range(8))
    assert doubt_of(inventory) is None


def test_other_vms_under_old_morefs_are_a_loss(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    come(inventory, *(replace(vm(n), instance_uuid=f"other-{n}", extra_config={}) for n in range(8)))
    assert doubt_of(inventory) is not None


def test_vms_without_our_mark_may_go_in_any_number(inventory: Inventory) -> None:
    come(inventory, *(replace(vm(n), extra_config={}) for n in range(100)))
    go(inventory, *range(100))
    assert doubt_of(inventory) is None


def test_a_vm_whose_configuration_may_not_be_read_for_a_while_is_no_loss(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    come(inventory, *(replace(vm(n), instance_uuid=None, extra_config={}) for n in range(20)))
    assert doubt_of(inventory) is None


def test_only_the_loss_that_a_person_saw_can_be_confirmed(inventory: Inventory) -> None:
    come(inventory, *map(vm, range(20)))
    go(inventory, *range(8))
    shown = doubt_of(inventory)
    assert shown is not None
    go(inventory, 8)
    assert inventory.accept_losses(shown.id) == []
    grown = doubt_of(inventory)
    assert grown is not None
    assert grown.id != shown.id
    come(inventory, vm(0))
    left = certain(doubt_of(inventory))
    assert (left.id, left.missing) == (grown.id, 8), "less than was shown may be confirmed"
    changes = inventory.accept_losses(grown.id)
    assert [c.kind for c in changes] == ["state"] + ["left"] * 8
    assert doubt_of(inventory) is None
    assert inventory.accept_losses(grown.id) == []


def test_the_same_loss_has_the_same_name_for_everyone(clock: Time) -> None:
    names = set()
    for _ in range(2):
        seen = Inventory(clock)
        come(seen, *map(vm, range(20)))
        go(seen, *range(8))
        names.add(certain(doubt_of(seen)).id)
    assert len(names) == 1
