"""Storage policies: asked of the policy service on vCenter's session, and given to a clone's home and disks."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import details
from tests.integration.vsphere.outside import pbm, request_context, soap_stub
from tests.integration.vsphere.test_machines import Site
from vsphere_operator.vsphere import policies
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory import Datastore
from vsphere_operator.vsphere.policies import Policy
from vsphere_operator.vsphere.vcenters import VCenter

NAME = "VVol No Requirements Policy"
ASKED = ["PbmRetrieveServiceContent", "PbmQueryProfile", "PbmRetrieveContent"]


@pytest.fixture
def site(vcenter: VCenter) -> Site:
    return Site(vcenter)


def asked(double: Double) -> list[str]:
    return [c["method"] for c in double.calls() if c["method"].startswith("Pbm")]


async def policy(vcenter: VCenter) -> Policy:
    found = await vcenter.policies.find(NAME, op_id="x")
    assert isinstance(found, Present)
    return found.value


async def test_a_policy_is_found_by_name_and_by_id(vcenter: VCenter, double: Double) -> None:
    found = await policy(vcenter)
    assert found.name == NAME
    assert await vcenter.policies.find(found.id, op_id="x") == Present(found)
    assert isinstance(await vcenter.policies.find("no such policy", op_id="x"), Absent)
    assert asked(double) == ASKED


async def test_a_hundred_questions_at_once_are_asked_once(vcenter: VCenter, double: Double) -> None:
    await asyncio.gather(*(vcenter.policies.find(f"policy {n}", op_id="x") for n in range(100)))
    assert asked(double) == ASKED


async def test_a_user_who_may_not_read_policies_is_told_apart_from_a_missing_policy(
    vcenter: VCenter, double: Double
) -> None:
    role = {"entity": "/", "privileges": ["System.View", "System.Read"], "propagate": True}
    double.control("/rights", {"user": vcenter.id.username, "roles": [role]})
    found = await vcenter.policies.find(NAME, op_id="x")
    assert isinstance(found, Unknown)
    assert found.fault is not None
    assert found.fault.fault_class is FaultClass.PERMISSION
    assert "StorageProfile.View" in found.why


async def test_a_policy_service_that_is_down_does_not_count_against_vcenter(
    vcenter: VCenter, double: Double
) -> None:
    double.control("/faults", {"method": "PbmRetrieveServiceContent", "cut": True, "count": 10})
    for name in ("a", "b", "c"):
        found = await vcenter.policies.find(name, op_id="x")
        assert isinstance(found, Unknown)
        vcenter.policies._kept.clear()
    assert vcenter.ready


async def test_a_lost_session_is_opened_again(vcenter: VCenter, double: Double) -> None:
    double.control("/faults", {"method": "PbmQueryProfile", "fault": "NotAuthenticated", "count": 1})
    assert isinstance(await vcenter.policies.find(NAME, op_id="x"), Present)


async def test_datastores_that_cannot_serve_a_policy_are_told(
    vcenter: VCenter, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "FRESH", 0.0)
    wanted, stores = await policy(vcenter), vcenter.inventory.all(Datastore)
    morefs = [s.moref for s in stores]
    assert await vcenter.policies.unfit(wanted, morefs, op_id="x") == {}
    double.control("/policies", {"policy": NAME, "unfit": [stores[0].name]})
    unfit = await vcenter.policies.unfit(wanted, morefs, op_id="x")
    assert not isinstance(unfit, Unknown)
    assert list(unfit) == [stores[0].moref]
    assert "does not match" in unfit[stores[0].moref]


async def test_a_clone_gets_the_policy_for_its_home_and_for_each_disk(
    site: Site, vcenter: VCenter, double: Double, outsider: Any
) -> None:
    wanted = await policy(vcenter)
    made = await site.clone(await site.request("with-policy", storage_policy=wanted.id))
    plain = await site.clone(await site.request("without"))
    vm, other = (m.partition(":")[2] for m in (made, plain))
    disk = (await details(vcenter, made)).disks[0].key
    found = await asyncio.to_thread(policies_of, double, outsider, vm, f"{vm}:{disk}", other)
    assert found == [[wanted.id], [wanted.id], []]


@contextlib.contextmanager
def policy_service(double: Double, outsider: Any) -> Iterator[Any]:
    """As pyVmomi's community samples connect to it: the session's key in a header, which is the thread's."""
    host, port = double.address
    stub = soap_stub(
        host=host,
        port=port,
        path="/pbm/sdk",
        version="pbm.version.version2",
        sslContext=ssl.create_default_context(cafile=str(double.ca_file)),
    )
    key = outsider._stub.cookie.partition(";")[0].partition("=")[2].strip('"')
    context = request_context()
    context["vcSessionCookie"] = key
    try:
        yield pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    finally:
        context.pop("vcSessionCookie", None)


def policies_of(double: Double, outsider: Any, *keys: str) -> list[list[str]]:
    """Which policies VMs (`vm-7`) and disks (`vm-7:2000`) have, as the policy service tells."""
    with policy_service(double, outsider) as service:
        kinds = ("virtualDiskId" if ":" in key else "virtualMachine" for key in keys)
        references = [pbm.ServerObjectRef(objectType=t, key=k) for t, k in zip(kinds, keys, strict=True)]
        found = service.profileManager.QueryAssociatedProfiles(entities=references)
        return [[p.uniqueId for p in one.profileId] for one in found]
