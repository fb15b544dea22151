"""Which host a VM is powered on at when no DRS chooses."""

from __future__ import annotations

from collections import Counter

import pytest

from vsphere_operator.vsphere.inventory import Host, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement.hosts import choose_host

DS = MoRef("Datastore:datastore-1")
VM = VmEntity(MoRef("VirtualMachine:vm-1"), "w", host=MoRef("HostSystem:b"), datastores=(DS,))


def host(
    name: str,
    *,
    connection: str = "connected",
    maintenance: bool = False,
    datastores: tuple[MoRef, ...] = (DS,),
) -> Host:
    return Host(
        MoRef(f"HostSystem:{name}"),
        name,
        connection_state=connection,
        in_maintenance=maintenance,
        datastores=datastores,
    )


@pytest.mark.parametrize(
    ("hosts", "load", "chosen"),
    [
        ([host("a"), host("b"), host("c")], {"a": 2, "b": 2, "c": 1}, "c"),
        ([host("a"), host("b"), host("c")], {}, "b"),
        ([host("a", connection="notResponding"), host("c")], {"c": 9}, "c"),
        ([host("a", maintenance=True), host("c")], {"c": 9}, "c"),
        ([host("a", datastores=()), host("c")], {"c": 9}, "c"),
        ([host("a", maintenance=True)], {}, None),
        ([], {}, None),
    ],
)
def test_the_least_loaded_usable_host_is_chosen(
    hosts: list[Host], load: dict[str, int], chosen: str | None
) -> None:
    running: Counter[MoRef] = Counter({MoRef(f"HostSystem:{name}"): n for name, n in load.items()})
    assert choose_host(VM, hosts, running) == (None if chosen is None else f"HostSystem:{chosen}")
