"""Who shares workers with whom."""

from __future__ import annotations

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from tests.unit.controllers.fakes.kubernetes import ApiServer, FakeObjects
from tests.unit.controllers.fakes.samples import NAMESPACE
from vsphere_operator.controllers.lanes import lanes
from vsphere_operator.runtime.keys import Key

LANES = [
    (Key("Cluster", NAMESPACE, "shop"), "datacenter/frankfurt"),
    (Key("Machine", NAMESPACE, "one"), "datacenter/frankfurt"),
    (Key("Machine", NAMESPACE, "orphan"), ""),
    (Key("Machine", NAMESPACE, "gone"), ""),
    (Key("Machine", "elsewhere", "one"), ""),
    (Key("Cluster", NAMESPACE, "gone"), ""),
    (Key("Seed", "", "europe"), "seed/europe"),
    (Key("MachineSet", NAMESPACE, "set"), ""),
    (Key("MachineDeployment", NAMESPACE, "workers"), ""),
]


@pytest.mark.parametrize(("key", "lane"), LANES, ids=[str(key) for key, _ in LANES])
def test_keys_that_wait_for_one_datacenter_share_a_lane_and_who_asks_none_is_in_none(
    clock: Clock, key: Key, lane: str
) -> None:
    api = ApiServer(clock)
    api.put(samples.a_seed())
    api.put(samples.a_cluster())
    api.put(samples.a_machine("one", cluster="shop"))
    api.put(samples.a_machine("orphan", cluster="never made"))
    assert lanes(FakeObjects(api, Outgoing()))(key) == lane


def test_a_machine_changes_lanes_with_its_cluster(clock: Clock) -> None:
    api = ApiServer(clock)
    lane_of = lanes(FakeObjects(api, Outgoing()))
    machine = Key("Machine", NAMESPACE, "one")
    api.put(samples.a_machine("one", cluster="shop"))
    assert lane_of(machine) == ""
    cluster = samples.a_cluster()
    api.put(cluster)
    assert lane_of(machine) == "datacenter/frankfurt"
    api.put({**cluster, "spec": {**cluster["spec"], "datacenter": "paris"}})
    assert lane_of(machine) == "datacenter/paris"
