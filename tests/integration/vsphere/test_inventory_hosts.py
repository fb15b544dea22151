"""Hosts that fail, go and come back: what is stale is marked so, and a VM keeps its identity under a new MoRef."""

from __future__ import annotations

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, ended, looked_closely
from tests.integration.vsphere.test_machines import USER_DATA, Site
from vsphere_operator.vsphere import identity
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.inventory import Change, Host
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.questions import ejecting_choice, is_cdrom_lock
from vsphere_operator.vsphere.tasks import Succeeded
from vsphere_operator.vsphere.vcenters import VCenter

UUID = identity.instance_uuid("own-1")


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


async def running(site: Site) -> MoRef:
    data = {"guestinfo.userdata": USER_DATA, "guestinfo.userdata.encoding": "base64"}
    made = await site.clone(await site.request("own-1", extra=data))
    on = await site.vcenter.vms.power_on(made, site.datacenter.moref, op_id="on")
    assert isinstance(await ended(site.vcenter, on), Succeeded)
    await becomes(lambda: state_of(site.vcenter, made) == ("poweredOn", "connected"))
    await becomes(lambda: looked_closely(site.vcenter.inventory))
    return made


def state_of(vcenter: VCenter, moref: MoRef) -> tuple[str, str]:
    vm = vcenter.inventory.vm(moref)
    return (vm.power_state, vm.connection_state) if vm is not None else ("", "")


def host_of(vcenter: VCenter, moref: MoRef) -> Host:
    vm = vcenter.inventory.vm(moref)
    assert vm is not None
    assert vm.host is not None
    host = vcenter.inventory.get(vm.host)
    assert isinstance(host, Host)
    return host


async def test_a_host_that_does_not_respond_makes_its_vms_power_state_stale(
    site: Site, vcenter: VCenter, double: Double, changes: list[Change]
) -> None:
    made = await running(site)
    host = host_of(vcenter, made)
    changes.clear()
    double.control("/hosts", {"host": host.name, "state": "notResponding"})
    await becomes(lambda: state_of(vcenter, made) == ("poweredOn", "disconnected"))
    assert host_of(vcenter, made).connection_state == "notResponding"
    assert made in {c.moref for c in changes}, "its owner is woken"
    double.control("/machines", {"vm": made, "powerState": "poweredOff"})
    double.control("/hosts", {"host": host.name, "state": "connected"})
    await becomes(lambda: state_of(vcenter, made) == ("poweredOff", "connected"))


async def test_a_host_that_is_added_again_brings_its_vms_under_new_morefs(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    made = await running(site)
    host = host_of(vcenter, made).name
    double.control("/hosts", {"host": host, "state": "removed"})
    await becomes(lambda: vcenter.inventory.get(made) is None)
    double.control("/hosts", {"host": host, "state": "added"})
    (back,) = await becomes(lambda: vcenter.inventory.vms_by_instance_uuid(UUID))
    assert back.moref != made
    assert await vcenter.vms.absence(made, UUID, site.folder, op_id="prove") == Present(back.moref)
    await becomes(lambda: vcenter.inventory.vm(back.moref).extra_config)  # type: ignore[union-attr]
    assert vcenter.inventory.doubt is None


async def test_a_question_of_our_vm_is_seen_and_answered_once(
    site: Site, vcenter: VCenter, double: Double
) -> None:
    made = await running(site)
    body = {"id": "17", "text": "Which way?", "choices": ["Left", "Right"]}
    double.control("/machines", {"vm": made, "question": body})
    asked = await becomes(lambda: vcenter.inventory.vm(made).question)  # type: ignore[union-attr]
    assert (asked.text, [c.label for c in asked.choices]) == ("Which way?", ["Left", "Right"])
    assert not is_cdrom_lock(asked)
    assert ejecting_choice(asked) is None
    await vcenter.vms.answer_question(made, asked.id, asked.choices[0].key, op_id="answer")
    await becomes(lambda: vcenter.inventory.vm(made).question is None)  # type: ignore[union-attr]
    assert len(double.calls(method="AnswerVM")) == 1
