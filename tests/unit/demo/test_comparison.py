"""Whether vCenter is as it was: nothing that differs goes unseen."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from testbed.demo.comparison import differences, disturbed, flat_double, flat_inventory, known_morefs, summary
from testbed.demo.vcenter_client import Found

STATE: dict[str, Any] = {
    "folders": ["/", "/DC0/vm"],
    "virtualMachines": [
        {
            "object": "VirtualMachine:vm-1",
            "path": "/DC0/vm/a",
            "powerState": "poweredOn",
            "extraConfig": {"k": "v"},
        }
    ],
    "categories": [{"id": "c1", "name": "owner", "description": ""}],
    "tags": [{"id": "t1", "categoryId": "c1", "name": "shop", "description": "", "usedBy": []}],
    "attachments": {"t1": ["VirtualMachine:vm-1"]},
    "files": {"LocalDS_0": ["a/", "a/a.vmx"]},
    "sessions": {"soap": [], "rest": []},
}


def changed(change: Callable[[dict[str, Any]], None]) -> list[str]:
    after = copy.deepcopy(STATE)
    change(after)
    return differences(flat_double(STATE), flat_double(after))


def power_off(state: dict[str, Any]) -> None:
    state["virtualMachines"][0]["powerState"] = "poweredOff"


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda s: s["folders"].append("/DC0/vm/new"), "+ folder /DC0/vm/new"),
    (lambda s: s["folders"].remove("/DC0/vm"), "- folder /DC0/vm"),
    (lambda s: s["virtualMachines"].clear(), "- VM /DC0/vm/a (VirtualMachine:vm-1)"),
    (power_off, "~ VM /DC0/vm/a (VirtualMachine:vm-1)"),
    (lambda s: s["virtualMachines"][0]["extraConfig"].clear(), "~ VM /DC0/vm/a (VirtualMachine:vm-1)"),
    (lambda s: s["tags"][0].update(description="other"), "~ tag owner:shop"),
    (lambda s: s["attachments"].clear(), "- tag owner:shop on VirtualMachine:vm-1"),
    (lambda s: s["attachments"]["t1"].append("Folder:f"), "+ tag owner:shop on Folder:f"),
    (lambda s: s["categories"].append({"id": "c2", "name": "k8c"}), "+ tag category k8c"),
    (lambda s: s["files"]["LocalDS_0"].append("a/cloud-init.iso"), "+ file [LocalDS_0] a/cloud-init.iso"),
    (lambda s: s["files"]["LocalDS_0"].remove("a/a.vmx"), "- file [LocalDS_0] a/a.vmx"),
]


@pytest.mark.parametrize(("change", "line"), CHANGES)
def test_every_change_is_one_line(change: Callable[[dict[str, Any]], None], line: str) -> None:
    found = changed(change)
    assert [text.partition(": {")[0] for text in found] == [line]


def test_who_is_logged_in_does_not_count() -> None:
    assert changed(lambda s: s["sessions"]["soap"].append("somebody")) == []


def entity(moref: str, **values: Any) -> Found:
    return Found(moref, values)


def test_a_thing_of_the_same_name_but_another_moref_is_a_difference() -> None:
    before, after = (
        flat_inventory([entity("Folder:1", name="a")]),
        flat_inventory([entity("Folder:2", name="a")]),
    )
    assert differences(before, after) == ["- Folder /a (Folder:1)", "+ Folder /a (Folder:2)"]


def test_the_morefs_that_were_there_are_known() -> None:
    found = flat_inventory([entity("Folder:1", name="a (old)"), entity("VirtualMachine:vm-1", name="b")])
    assert known_morefs(found) == {"Folder:1", "VirtualMachine:vm-1"}


def test_what_is_new_disturbs_nobody_and_free_space_is_not_judged() -> None:
    before = {"folder /a": "", "Datastore /ds (Datastore:1)": "10"}
    after = {"folder /a": "", "Datastore /ds (Datastore:1)": "9", "folder /b": ""}
    assert disturbed(before, after) == []
    assert disturbed(before, {"Datastore /ds (Datastore:1)": "9"}) == ["- folder /a"]


def test_the_summary_counts_what_there_is_to_compare() -> None:
    state = flat_double(STATE) | flat_inventory([entity("Folder:1", name="a")])
    assert summary(state) == "1 inventory objects, 1 VMs, 3 tags and categories, 2 files"
