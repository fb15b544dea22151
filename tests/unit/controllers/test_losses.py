"""Many VMs gone at once are unknown until they are back or a person confirms it; a few are believed at once."""

from __future__ import annotations

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import Vm
from vsphere_operator.api.names import ACCEPT_LOSSES_ANNOTATION
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import VmMark

COUNT = 12


async def _with_workers(site: Site) -> list[str]:
    await site.with_cluster()
    names = [f"worker-{number}" for number in range(COUNT)]
    for name in names:
        site.api.put(samples.a_machine(name))
    await site.run()
    assert all(site.is_ready("Machine", name) for name in names)
    return names


def _lose(site: Site, names: list[str]) -> dict[MoRef, Vm]:
    """vCenter is restored to a time before these were made."""
    lost = {vm.moref: vm for name in names for vm in site.world.named(name)}
    for moref in lost:
        del site.world.vms[moref]
    site.world.publish()
    return lost


def _phases(site: Site, names: list[str]) -> set[str]:
    return {site.object("Machine", name)["status"]["phase"] for name in names}


def _told_id(site: Site) -> str:
    (datacenter,) = site.object("Seed", "europe", "")["status"]["datacenters"]
    (told,) = [c for c in datacenter["conditions"] if c["type"] == "VMsComplete"]
    assert told["reason"] == "ManyVMsGone"
    assert f"{COUNT} of {COUNT}" in told["message"]
    return str(told["message"].partition("the loss ")[2].partition(" ")[0])


async def test_vms_that_are_gone_all_at_once_are_not_replaced_and_may_come_back(site: Site) -> None:
    names = await _with_workers(site)
    lost = _lose(site, names)
    await site.run()
    assert "Failed" not in _phases(site, names)
    assert {site.reason("Machine", name) for name in names} == {"VMUnknown"}
    assert not site.is_ready("Seed", "europe", "")
    assert _told_id(site)
    site.world.vms.update(lost)
    site.world.publish()
    await site.run()
    assert all(site.is_ready("Machine", name) for name in names)
    assert site.is_ready("Seed", "europe", "")


async def test_a_folder_that_is_gone_with_its_vms_is_not_made_again_and_may_come_back(site: Site) -> None:
    names = await _with_workers(site)
    folder = site.world.folder("team-shop-shop")
    entity = site.world.entities.pop(folder)
    lost = _lose(site, names)
    await site.run()
    assert site.reason("Cluster", "shop", "FolderReady") == "FolderUnknown"
    site.restart()
    await site.run()
    assert site.reason("Cluster", "shop", "FolderReady") == "FolderUnknown"
    site.world.vms.update(lost)
    site.world.entities[folder] = entity
    site.world.publish()
    await site.run()
    assert site.is_ready("Cluster", "shop")
    assert site.object("Cluster", "shop")["status"]["folder"]["moRef"] == folder
    assert site.world.folders().count("team-shop-shop") == 1


async def test_a_deleted_machine_keeps_its_finalizer_while_its_vms_loss_is_in_doubt(site: Site) -> None:
    names = await _with_workers(site)
    _lose(site, names)
    await site.run()
    site.delete("Machine", names[0])
    await site.run()
    assert site.exists("Machine", names[0])
    site.api.edit("Seed", "", "europe", metadata={"annotations": {ACCEPT_LOSSES_ANNOTATION: _told_id(site)}})
    await site.run()
    assert not site.exists("Machine", names[0])


async def test_a_person_confirms_the_loss(site: Site) -> None:
    names = await _with_workers(site)
    _lose(site, names)
    await site.run()
    site.api.edit("Seed", "", "europe", metadata={"annotations": {ACCEPT_LOSSES_ANNOTATION: "another"}})
    await site.run()
    assert "Failed" not in _phases(site, names)
    site.api.edit("Seed", "", "europe", metadata={"annotations": {ACCEPT_LOSSES_ANNOTATION: _told_id(site)}})
    await site.run()
    assert _phases(site, names) == {"Failed"}


async def test_what_was_lost_while_the_operator_was_away_is_in_doubt_as_well(site: Site) -> None:
    names = await _with_workers(site)
    _lose(site, names)
    site.restart()
    await site.run()
    assert "Failed" not in _phases(site, names)
    site.api.edit("Seed", "", "europe", metadata={"annotations": {ACCEPT_LOSSES_ANNOTATION: _told_id(site)}})
    await site.run()
    assert _phases(site, names) == {"Failed"}


async def test_a_few_are_believed_at_once(site: Site) -> None:
    names = await _with_workers(site)
    _lose(site, names[:5])
    await site.run()
    assert _phases(site, names[:5]) == {"Failed"}
    assert _phases(site, names[5:]) == {"Running"}
    assert site.is_ready("Seed", "europe", "")


async def test_deleting_all_on_purpose_raises_no_doubt(site: Site) -> None:
    names = await _with_workers(site)
    for name in names:
        site.delete("Machine", name)
    await site.run()
    assert not any(site.exists("Machine", name) for name in names)
    assert site.is_ready("Seed", "europe", "")


async def test_a_folder_whose_vms_are_out_of_sight_is_not_taken_for_empty(site: Site) -> None:
    await site.with_cluster()
    folder = site.world.folder("team-shop-shop")
    uuids = [f"8d6fbb3c-0d0f-5f0e-9c1c-{n:012d}" for n in range(9)]
    made = [
        site.world.add_vm(
            f"left-{n}",
            folder,
            instance_uuid=uuid,
            extra_config=VmMark("i", "c", f"m{n}", "n", uuid).as_extra_config(),
        )
        for n, uuid in enumerate(uuids)
    ]
    site.world.hidden |= {vm.moref for vm in made}
    site.world.publish()
    assert site.process.vcenter.inventory.doubt is not None
    site.delete("Cluster", "shop")
    await site.run()
    assert site.reason("Cluster", "shop", "FolderReady") == "FolderUnknown"
    assert folder in site.world.entities
