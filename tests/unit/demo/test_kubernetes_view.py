"""Objects become rows that say how things are."""

from typing import Any

import pytest

from testbed.demo.kubernetes_client import Kind, kinds
from testbed.demo.kubernetes_view import conditions, row, rows

from .pictures import an_object, objects


def test_owners_stand_right_before_what_they_own() -> None:
    found = objects()
    found["MachineDeployment"].insert(0, an_object("MachineDeployment", "flatcar", replicas=0))
    found["MachineSet"].insert(0, an_object("MachineSet", "flatcar-1", owner="flatcar", replicas=0))
    assert [r.name for r in rows(found)] == [
        "europe",
        "shop",
        "flatcar",
        "flatcar-1",
        "workers",
        "workers-0d7222ea",
        "workers-0d7222ea-00000",
        "workers-0d7222ea-00001",
    ]


def test_an_object_whose_owner_is_gone_is_still_shown() -> None:
    found = objects()
    del found["MachineSet"]
    assert {r.name for r in rows(found)} > {"workers-0d7222ea-00000", "workers-0d7222ea-00001"}


@pytest.mark.parametrize(
    ("item", "ready"),
    [
        (an_object("Machine", "a"), True),
        (an_object("Machine", "a", ready="False"), False),
        (an_object("Machine", "a", ready="Unknown"), False),
        (an_object("Machine", "a", deleting=True), False),
        (an_object("Machine", "a", generation=2), False),
        (an_object("MachineDeployment", "a", replicas=2), True),
        (an_object("MachineDeployment", "a", replicas=2, have=1), False),
        (an_object("MachineDeployment", "a", replicas=2, have=3), False),
    ],
)
def test_only_what_its_spec_of_now_asks_for_is_ready(item: dict[str, Any], ready: bool) -> None:
    assert row(item).is_ready is ready


def test_machines_that_are_there_but_not_available_do_not_count() -> None:
    item = an_object("MachineSet", "a", replicas=2)
    item["status"]["availableReplicas"] = 1
    assert not row(item).is_ready


def test_an_object_that_nobody_has_looked_at_is_new() -> None:
    item = {"kind": "Cluster", "metadata": {"name": "shop", "namespace": "a", "generation": 1}, "spec": {}}
    assert (row(item).state, row(item).is_ready) == ("new", False)


def test_ready_about_an_older_spec_is_shown_as_updating() -> None:
    assert row(an_object("MachineDeployment", "a", replicas=3, have=2)).word == "2/3 Updating"


def test_the_reason_is_shown_until_it_is_ready_then_the_phase() -> None:
    assert (
        row(an_object("Machine", "a", ready="False", reason="Cloning", phase="Provisioning")).word
        == "Cloning"
    )
    assert row(an_object("Machine", "a", reason="Whatever", phase="Running")).word == "Running"


def test_the_conditions_that_are_told_are_those_that_are_not_as_they_should_be() -> None:
    item = an_object("Machine", "a", ready="False", reason="NoTemplate", message="name another one")
    item["status"]["conditions"] += [
        {"type": "VMCloned", "status": "True", "reason": "Cloned"},
        {"type": "Stalled", "status": "True", "reason": "NoTemplate"},
    ]
    assert conditions(item) == ["Ready=False NoTemplate: name another one", "Stalled=True NoTemplate"]


def test_paths_follow_from_the_definitions() -> None:
    names = {"kind": "Cluster", "plural": "clusters"}
    spec = {
        "group": "g.io",
        "names": names,
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True}],
    }
    found = kinds([{"spec": spec}])
    assert found["Cluster"].path("a", "b") == "/apis/g.io/v1/namespaces/a/clusters/b"
    assert found["Cluster"].path() == "/apis/g.io/v1/clusters"
    assert Kind("/api/v1", "namespaces", False).path("", "a") == "/api/v1/namespaces/a"
