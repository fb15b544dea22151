"""Which datastore takes a VM: a table for each rule, and properties that hold for any datastores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vsphere import templates
from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.inventory import Datastore, Host
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.datastores import RESERVE, Ranking, needed_bytes, rank
from vsphere_operator.vsphere.vm_details import GIB

A, B = MoRef("HostSystem:a"), MoRef("HostSystem:b")
HOSTS = (Host(A, "a", connection_state="connected"), Host(B, "b", connection_state="connected"))


def datastore(
    name: str, free_gib: float = 100, *, hosts: tuple[MoRef, ...] = (A, B), **more: str
) -> Datastore:
    return Datastore(
        MoRef(f"Datastore:{name}"),
        name,
        accessible=not more.get("inaccessible"),
        maintenance_mode=more.get("mode", "normal"),
        capacity=1000 * GIB,
        free_space=int(free_gib * GIB),
        hosts=hosts,
    )


def ranked(
    *stores: Datastore,
    needed: int = 10 * GIB,
    hosts: tuple[Host, ...] = HOSTS,
    promised: Mapping[str, int] | None = None,
) -> Ranking:
    """`promised`: GiB by name."""
    return rank(
        stores,
        hosts,
        needed=needed,
        promised=lambda moref: (promised or {}).get(moref.partition(":")[2], 0) * GIB,
    )


def names(ranking: Ranking) -> list[str | None]:
    return [one.datastore.name for one in ranking.candidates]


@pytest.mark.parametrize(
    ("stores", "promised", "order"),
    [
        ([datastore("x", 50), datastore("y", 80)], {}, ["y", "x"]),
        ([datastore("x", 50), datastore("y", 80)], {"y": 40}, ["x", "y"]),
        ([datastore("y"), datastore("x")], {}, ["x", "y"]),
        ([datastore("x", 900, hosts=(A,)), datastore("y", 50)], {}, ["y", "x"]),
        ([datastore("x", 50), datastore("x", 50)], {}, ["x"]),
    ],
    ids=[
        "most free first",
        "less what is promised",
        "the name in a tie",
        "seen by all hosts first",
        "once each",
    ],
)
def test_the_best_datastore_comes_first(
    stores: list[Datastore], promised: dict[str, int], order: list[str]
) -> None:
    assert names(ranked(*stores, promised=promised)) == order


@pytest.mark.parametrize(
    ("store", "promised", "why"),
    [
        (datastore("x", inaccessible="yes"), 0, "is not accessible"),
        (datastore("x", mode="inMaintenance"), 0, "is in maintenance"),
        (datastore("x", mode="enteringMaintenance"), 0, "is on its way into maintenance"),
        (datastore("x", mode="somethingNew"), 0, "is in maintenance"),
        (datastore("x", hosts=()), 0, "is mounted by no usable host of the compute cluster"),
        (datastore("x", 10), 0, "lacks about 1 GiB, counting what is promised to clones in flight"),
        (datastore("x", 20), 15, "lacks about 6 GiB, counting what is promised to clones in flight"),
    ],
)
def test_what_cannot_take_the_vm_is_left_out_with_the_reason(
    store: Datastore, promised: int, why: str
) -> None:
    ranking = ranked(store, promised={"x": promised})
    assert ranking.best is None
    assert ranking.explain() == f'"x" {why}'


def test_an_empty_choice_is_explained_too() -> None:
    assert ranked().explain() == "there is no datastore to choose from"


def test_exactly_enough_space_is_enough() -> None:
    needed = 10 * GIB
    fits = replace(datastore("x"), free_space=needed + RESERVE)
    assert names(ranked(fits, needed=needed)) == ["x"]
    assert names(ranked(replace(fits, free_space=fits.free_space - 1), needed=needed)) == []


@pytest.mark.parametrize("change", [{"connection_state": "notResponding"}, {"in_maintenance": True}])
def test_hosts_that_run_nothing_do_not_count(change: dict[str, Any]) -> None:
    hosts = (HOSTS[0], replace(HOSTS[1], **change))
    only_a, only_b = datastore("x", 50, hosts=(A,)), datastore("y", 900, hosts=(B,))
    ranking = ranked(only_a, only_b, hosts=hosts)
    assert names(ranking) == ["x"]
    assert ranking.candidates[0].mounted_by_all
    nobody = ranked(only_a, hosts=tuple(replace(host, **change) for host in HOSTS))
    assert "is reached by no host" in nobody.explain()


datastores = st.lists(
    st.builds(
        datastore,
        st.sampled_from("abcdefgh"),
        st.floats(0, 1000),
        hosts=st.sampled_from([(), (A,), (B,), (A, B)]),
        mode=st.sampled_from(["normal", "enteringMaintenance", "inMaintenance"]),
        inaccessible=st.sampled_from(["", "yes"]),
    ),
    unique_by=lambda one: one.moref,
)
sizes = st.integers(0, 500 * GIB)
promises = st.dictionaries(st.sampled_from([f"Datastore:{name}" for name in "abcdefgh"]), sizes)


@given(datastores, sizes, promises)
def test_each_datastore_is_either_a_candidate_or_left_out_with_a_reason(
    stores: list[Datastore], needed: int, promised: dict[str, int]
) -> None:
    ranking = rank(stores, HOSTS, needed=needed, promised=lambda m: promised.get(m, 0))
    seen = [one.datastore for one in ranking.candidates] + [one.datastore for one in ranking.excluded]
    assert sorted(one.moref for one in seen) == sorted(one.moref for one in stores)
    assert all(one.why for one in ranking.excluded)


@given(datastores, sizes, promises)
def test_no_candidate_is_unusable_or_too_small(
    stores: list[Datastore], needed: int, promised: dict[str, int]
) -> None:
    for one in rank(stores, HOSTS, needed=needed, promised=lambda m: promised.get(m, 0)).candidates:
        store = one.datastore
        assert store.accessible
        assert store.maintenance_mode == "normal"
        assert store.hosts
        assert store.free_space - promised.get(store.moref, 0) >= needed + RESERVE
        assert one.free_after == store.free_space - promised.get(store.moref, 0) - needed


@given(datastores, sizes, promises, st.randoms())
def test_the_order_in_which_datastores_are_told_does_not_matter(
    stores: list[Datastore], needed: int, promised: dict[str, int], random: object
) -> None:
    shuffled = list(stores)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    rankings = [
        rank(some, HOSTS, needed=needed, promised=lambda m: promised.get(m, 0)) for some in (stores, shuffled)
    ]
    assert rankings[0] == rankings[1]


@given(datastores, sizes, promises)
def test_the_best_has_the_most_left_of_those_that_all_hosts_mount(
    stores: list[Datastore], needed: int, promised: dict[str, int]
) -> None:
    ranking = rank(stores, HOSTS, needed=needed, promised=lambda m: promised.get(m, 0))
    if ranking.best is None:
        return
    same = [one for one in ranking.candidates if one.mounted_by_all == ranking.best.mounted_by_all]
    assert ranking.best.free_after == max(one.free_after for one in same)
    assert ranking.best.mounted_by_all or not any(one.mounted_by_all for one in ranking.candidates)


@pytest.mark.parametrize(("disk_gib", "expected"), [(None, 15 + 4), (40, 45 + 4), (10, 15 + 4)])
def test_a_clone_needs_its_disks_in_full_and_its_memory(disk_gib: int | None, expected: int) -> None:
    details = templates.template(templates.disk(), templates.disk(2001, 5, unit=1))
    request = CloneRequest(
        template=MoRef("VirtualMachine:vm-1"),
        folder=MoRef("Folder:group-v1"),
        name="w",
        pool=MoRef("ResourcePool:resgroup-1"),
        datastore=None,
        cpus=2,
        memory_mib=4096,
        disk_gib=disk_gib,
        networks=None,
        instance_uuid="",
        template_details=details,
    )
    assert needed_bytes(request) == expected * GIB
