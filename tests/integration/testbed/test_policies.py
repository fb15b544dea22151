"""Storage policies in the double: who may ask, what fits, and which policy a VM and its disks were given."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return, attr-defined"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.connect import Disconnect
from pyVmomi import SoapStubAdapter, VmomiSupport, pbm, vim, vmodl

from testbed import Options, TestBed
from tests.integration.testbed.clients import Seat, result

pytestmark = pytest.mark.testbed

TENANT = ("tenant@vsphere.local", "tenant-1!")
NAME = "VVol No Requirements Policy"


@pytest.fixture(scope="module")
def seat() -> Iterator[Seat]:
    with TestBed(Options(vms=1, datastores=2, users=(TENANT,))) as bed:
        seat = Seat(bed.info.vcenter)
        yield seat
        Disconnect(seat.instance)


@contextlib.contextmanager
def service(seat: Seat, *, session: bool = True, path: str = "/pbm/sdk") -> Iterator[Any]:
    """The service as pyVmomi's samples reach it; the header is kept by thread."""
    host, port = seat.vcenter.address
    trust = ssl.create_default_context(cafile=str(seat.vcenter.ca_file))
    stub = SoapStubAdapter(host=host, port=port, path=path, version="pbm.version.v7_0", sslContext=trust)
    stub.cookie = seat.instance._stub.cookie
    context = VmomiSupport.GetRequestContext()
    if session:
        context["vcSessionCookie"] = stub.cookie.partition(";")[0].partition("=")[2].strip('"')
    try:
        yield pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    finally:
        context.pop("vcSessionCookie", None)


def policies(content: Any) -> dict[str, str]:
    storage = pbm.profile.ResourceType(resourceType="STORAGE")
    ids = content.profileManager.QueryProfile(resourceType=storage, profileCategory="REQUIREMENT")
    return {p.name: p.profileId.uniqueId for p in content.profileManager.RetrieveContent(profileIds=ids)}


def clone(seat: Seat, name: str, home: str | None, disk: str | None) -> Any:
    source = seat.find(vim.VirtualMachine, "ubuntu-22.04")
    datastore = seat.find(vim.Datastore, "LocalDS_0")
    key = next(d.key for d in source.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    locator = vim.vm.RelocateSpec.DiskLocator(diskId=key, datastore=datastore, profile=_defined(disk))
    location = vim.vm.RelocateSpec(
        datastore=datastore,
        pool=seat.find(vim.ClusterComputeResource, "DC0_C0").resourcePool,
        profile=_defined(home),
        disk=[locator],
    )
    spec = vim.vm.CloneSpec(location=location, powerOn=False, template=False)
    return source.CloneVM_Task(folder=seat.find(vim.Folder, "kubernetes"), name=name, spec=spec)


def _defined(profile: str | None) -> list[Any]:
    return [vim.vm.DefinedProfileSpec(profileId=profile)] if profile else []


@pytest.mark.parametrize("path", ["/pbm", "/pbm/sdk"])
def test_policies_are_served_at_both_paths(seat: Seat, path: str) -> None:
    with service(seat, path=path) as content:
        assert NAME in policies(content)


def test_the_cookie_without_the_header_is_no_session(seat: Seat) -> None:
    with service(seat, session=False) as content, pytest.raises(vim.fault.NotAuthenticated):
        policies(content)


def test_questions_about_policies_need_the_privilege_on_the_root(seat: Seat) -> None:
    tenant = Seat(seat.vcenter, *TENANT)
    role: dict[str, Any] = {"entity": "/", "privileges": ["StorageProfile.Update"], "propagate": True}
    try:
        seat.vcenter.control("/rights", {"user": TENANT[0], "roles": [role]})
        with service(tenant) as content, pytest.raises(vim.fault.NoPermission) as refused:
            policies(content)
        assert refused.value.privilegeId == "StorageProfile.View"
        assert refused.value.object == tenant.content.rootFolder
        role["privileges"] = ["StorageProfile.View"]
        seat.vcenter.control("/rights", {"user": TENANT[0], "roles": [role]})
        with service(tenant) as content:
            assert NAME in policies(content)
    finally:
        Disconnect(tenant.instance)


def test_only_the_hubs_that_are_asked_for_are_judged(seat: Seat) -> None:
    stores = {name: seat.find(vim.Datastore, name)._moId for name in ("LocalDS_0", "LocalDS_1")}
    seat.vcenter.control("/policies", {"policy": NAME, "unfit": ["LocalDS_1"]})
    with service(seat) as content:
        profile = pbm.profile.ProfileId(uniqueId=policies(content)[NAME])
        hubs = [pbm.placement.PlacementHub(hubType="Datastore", hubId=moid) for moid in stores.values()]
        for asked in (hubs[:1], hubs):
            found = content.placementSolver.CheckCompatibility(hubsToSearch=asked, profile=profile)
            verdicts = {r.hub.hubId: bool(r.error) for r in found}
            assert verdicts == {h.hubId: h.hubId == stores["LocalDS_1"] for h in asked}
    seat.vcenter.control("/policies", {"policy": NAME, "unfit": []})


def test_home_and_disk_have_the_policies_that_the_clone_was_asked_for(seat: Seat) -> None:
    with service(seat) as content:
        known = policies(content)
        home, disk = known[NAME], known["VM Encryption Policy"]
        vm = result(clone(seat, "two-policies", home, disk))
        disk_key = next(d.key for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
        keys = [("virtualMachine", vm._moId), ("virtualDiskId", f"{vm._moId}:{disk_key}")]
        references = [pbm.ServerObjectRef(objectType=kind, key=key) for kind, key in keys]
        found = content.profileManager.QueryAssociatedProfiles(entities=references)
        assert [[p.uniqueId for p in one.profileId] for one in found] == [[home], [disk]]


@pytest.mark.parametrize("where", ["home", "disk"])
def test_a_clone_with_a_policy_that_does_not_exist_fails(seat: Seat, where: str) -> None:
    wrong = {"home": None, "disk": None} | {where: "no-such-id"}
    with pytest.raises(vmodl.fault.InvalidArgument):
        result(clone(seat, f"wrong-{where}", **wrong))
