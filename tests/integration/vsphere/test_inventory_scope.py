"""Only the datacenters on offer are read; of the others nothing but their names is known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, looked_closely
from tests.integration.vsphere.outside import vim, wait_for_task
from tests.integration.vsphere.test_machines import Site
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.inventory import Change, Datacenter, Folder, Inventory
from vsphere_operator.vsphere.vcenters import VCenter, VCenters

FOLDERS = 40


@pytest.fixture
def others(outsider: Any) -> Any:
    """Somebody else's datacenter, /emea/DC1, with folders in it."""
    datacenter = outsider.content.rootFolder.CreateFolder("emea").CreateDatacenter("DC1")
    for number in range(FOLDERS):
        datacenter.vmFolder.CreateFolder(f"f{number}")
    return datacenter


async def connected(pool: VCenters, endpoint: Endpoint, credentials: Credentials) -> VCenter:
    made = pool.get(endpoint, credentials)
    await becomes(lambda: made.ready and looked_closely(made.inventory))
    return made


def names(inventory: Inventory, kind: type[Any]) -> set[str | None]:
    return {e.name for e in inventory.all(kind)}


async def test_only_the_datacenter_on_offer_is_read(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, others: Any, double: Double
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC0"}))
    inventory = (await connected(pool, endpoint, credentials)).inventory
    assert names(inventory, Datacenter) == {"DC0", "DC1"}
    assert {"emea", "kubernetes"} <= names(inventory, Folder)
    assert not {f"f{n}" for n in range(FOLDERS)} & names(inventory, Folder)
    assert isinstance(inventory.by_path("/emea/DC1"), Present)
    assert isinstance(inventory.by_path("/emea/DC1/vm/f1"), Unknown)
    assert isinstance(inventory.by_path("/DC0/vm/nix"), Absent)
    assert isinstance(inventory.datacenter("DC9"), Absent)
    assert len(double.calls(method="CreateContainerView", user=credentials.username)) == 1


async def test_what_somebody_does_in_an_unread_datacenter_wakes_nobody(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, others: Any, changes: list[Change]
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC0"}))
    inventory = (await connected(pool, endpoint, credentials)).inventory
    changes.clear()

    def meddle() -> None:
        others.vmFolder.CreateFolder("late")
        vim.Folder(
            inventory.find(Folder, "kubernetes")[0].moref.partition(":")[2], others._stub
        ).CreateFolder("seen")

    await asyncio.to_thread(meddle)
    await becomes(lambda: inventory.find(Folder, "seen"))
    assert {c.new.name for c in changes if c.new is not None} == {"seen"}


async def test_a_wider_scope_tells_only_what_is_new_and_stays_in_service(
    pool: VCenters,
    endpoint: Endpoint,
    credentials: Credentials,
    others: Any,
    changes: list[Change],
    double: Double,
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC0"}))
    vcenter = await connected(pool, endpoint, credentials)
    known = set(vcenter.inventory.morefs())
    changes.clear()
    pool.scope(endpoint.authority, frozenset({"DC0", "/emea/DC1"}))
    while isinstance(vcenter.inventory.by_path("/emea/DC1/vm/f1"), Unknown):
        assert vcenter.ready
        await asyncio.sleep(0.001)
    assert isinstance(vcenter.inventory.by_path("/emea/DC1/vm/f1"), Present)
    told = {c.moref for c in changes if c.moref is not None}
    assert told
    assert not told & known
    assert len(double.calls(method="Login", user=credentials.username)) == 1


async def test_a_narrower_scope_forgets_the_rest_and_takes_it_for_no_loss(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, others: Any
) -> None:
    vcenter = await connected(pool, endpoint, credentials)
    site = Site(vcenter)
    made = [await site.clone(await site.request(f"own-{n}")) for n in range(6)]
    await becomes(lambda: all(getattr(vcenter.inventory.vm(m), "extra_config", None) for m in made))
    vcenter.scope(frozenset({"DC1"}))
    await becomes(lambda: vcenter.inventory.get(made[0]) is None)
    assert names(vcenter.inventory, Datacenter) == {"DC0", "DC1"}
    assert isinstance(vcenter.inventory.by_path("/DC0/vm"), Unknown)
    assert isinstance(vcenter.inventory.by_path("/emea/DC1/vm/f1"), Present)
    assert vcenter.inventory.doubt is None


async def test_the_same_scope_again_costs_nothing_and_the_same_choice_no_second_read(
    pool: VCenters,
    endpoint: Endpoint,
    credentials: Credentials,
    others: Any,
    changes: list[Change],
    double: Double,
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC0"}))
    await connected(pool, endpoint, credentials)
    changes.clear()
    for _ in range(100):
        pool.scope(endpoint.authority, frozenset({"DC0"}))
    pool.scope(endpoint.authority, frozenset({"/DC0"}))
    await becomes(lambda: double.calls(method="DestroyPropertyFilter"))
    assert len(double.calls(method="CreatePropertyCollector")) == 1
    assert len(double.calls(method="CreateFilter")) == 6, "five at the start, and one to end the wait"
    assert changes == []


async def test_a_datacenter_that_appears_or_is_renamed_into_the_scope_joins(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, others: Any
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC2", "DC3"}))
    inventory = (await connected(pool, endpoint, credentials)).inventory
    assert isinstance(inventory.datacenter("DC2"), Absent)
    await asyncio.to_thread(lambda: wait_for_task(others.Rename_Task("DC2")))
    await becomes(lambda: isinstance(inventory.by_path("/emea/DC2/vm/f1"), Present))
    await asyncio.to_thread(lambda: others.parent.CreateDatacenter("DC3"))
    await becomes(lambda: isinstance(inventory.by_path("/emea/DC3/vm"), Present))
    await asyncio.to_thread(lambda: wait_for_task(others.Rename_Task("DC9")))
    await becomes(lambda: isinstance(inventory.by_path("/emea/DC9/vm/f1"), Unknown))
    await becomes(lambda: inventory.find(Folder, "f1") == [])


async def test_where_all_datacenters_are_on_offer_one_view_of_everything_is_used(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, outsider: Any, double: Double
) -> None:
    pool.scope(endpoint.authority, frozenset({"DC0"}))
    inventory = (await connected(pool, endpoint, credentials)).inventory
    assert len(double.calls(method="CreateContainerView", user=credentials.username)) == 1
    assert len(double.calls(method="CreateFilter", user=credentials.username)) == 5
    datacenter = await asyncio.to_thread(lambda: outsider.content.rootFolder.CreateDatacenter("DC1"))
    await becomes(lambda: isinstance(inventory.by_path("/DC1/vm"), Unknown))
    assert names(inventory, Datacenter) == {"DC0", "DC1"}
    assert datacenter.name == "DC1"
