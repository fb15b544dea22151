"""What proves that a VM is gone, and what looks like it only."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.absence import prove
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vmomi import managed_type, vim, vmodl

UUID = "8d6fbb3c-0d0f-5f0e-9c1c-6a54ed0c7b1e"
VM, OTHER, FOLDER = MoRef("VirtualMachine:vm-1"), MoRef("VirtualMachine:vm-2"), MoRef("Folder:group-v3")
READABLE = {"name": "shop", "effectiveRole": [-1]}


def objects(moref: MoRef) -> Any:
    return managed_type(morefs.kind_of(moref))(morefs.id_of(moref), None)


@dataclass
class Server:
    """As much of a vCenter as the proof asks: objects with properties or faults, and a search."""

    there: dict[MoRef, dict[str, Any]]
    found: list[MoRef] = field(default_factory=list)
    uuid: str = "vc-1"
    calls: list[str] = field(default_factory=list)

    @property
    def content(self) -> Any:
        return SimpleNamespace(
            about=SimpleNamespace(instanceUuid=self.uuid),
            propertyCollector=SimpleNamespace(RetrievePropertiesEx=self._retrieve),
            searchIndex=SimpleNamespace(FindAllByUuid=self._search),
        )

    def _retrieve(self, specs: list[Any], options: Any) -> Any:
        self.calls.append("RetrievePropertiesEx")
        wanted = [spec.obj for spec in specs[0].objectSet]
        for managed in wanted:
            if morefs.of(managed) not in self.there:
                raise vmodl.fault.ManagedObjectNotFound(obj=managed)
        return SimpleNamespace(objects=[self._properties(managed) for managed in wanted])

    def _properties(self, managed: Any) -> Any:
        values = self.there[morefs.of(managed)]
        faults = {n: v for n, v in values.items() if isinstance(v, vmodl.MethodFault)}
        return SimpleNamespace(
            obj=managed,
            propSet=[SimpleNamespace(name=n, val=v) for n, v in values.items() if n not in faults],
            missingSet=[SimpleNamespace(path=n, fault=v) for n, v in faults.items()],
        )

    def _search(self, *, datacenter: Any, uuid: str, vmSearch: bool, instanceUuid: bool) -> list[Any]:  # noqa: N803
        assert (datacenter, uuid, vmSearch, instanceUuid) == (None, UUID, True, True)
        self.calls.append("FindAllByUuid")
        return [objects(moref) for moref in self.found]


def ask(server: Server, moref: MoRef | None = VM) -> Any:
    return prove(server.content, objects, vcenter="vc-1", moref=moref, instance_uuid=UUID, folders=[FOLDER])


def test_not_known_by_moref_nor_uuid_where_we_may_read_is_absent_in_three_calls() -> None:
    server = Server({FOLDER: READABLE})
    answer = ask(server)
    assert answer == Absent(
        f"vCenter vc-1 knows no VirtualMachine vm-1 and no VM with the instance UUID {UUID}"
    )
    assert len(server.calls) == 3


def test_a_vm_that_was_never_recorded_is_absent_in_two_calls() -> None:
    server = Server({FOLDER: READABLE})
    assert isinstance(ask(server, None), Absent)
    assert len(server.calls) == 2


def test_a_vm_that_is_there_is_present_in_one_call() -> None:
    server = Server({FOLDER: READABLE, VM: {"name": "w-1", "config.instanceUuid": UUID.upper()}})
    assert ask(server) == Present(VM)
    assert len(server.calls) == 1


@pytest.mark.parametrize("moref", [VM, None])
def test_a_vm_that_came_back_with_its_host_is_present_under_its_new_moref(moref: MoRef | None) -> None:
    assert ask(Server({FOLDER: READABLE}, found=[OTHER]), moref) == Present(OTHER)


@pytest.mark.parametrize(
    "server",
    [
        Server({FOLDER: READABLE}, uuid="vc-2"),
        Server({}),
        Server({FOLDER: {}}),
        Server({FOLDER: {"name": "shop", "effectiveRole": [-4]}}),
        Server({FOLDER: {"name": vim.fault.NoPermission(privilegeId="System.View")}}),
        Server({FOLDER: READABLE, VM: {"name": "x", "config.instanceUuid": "someone-else"}}),
        Server({FOLDER: READABLE, VM: {"config.instanceUuid": vim.fault.NoPermission(privilegeId="System.Read")}}),
        Server({FOLDER: READABLE}, found=[OTHER, MoRef("VirtualMachine:vm-9")]),
        Server({FOLDER: READABLE}, found=[VM]),
    ],
    ids=["another vCenter", "the folder is gone", "the folder tells nothing", "the folder may be seen, not read",
         "the folder may not be read", "the MoRef is another VM's now", "the VM may not be read", "two with the UUID",
         "found and not there"],
)  # fmt: skip
def test_what_is_less_than_a_proof_is_unknown(server: Server) -> None:
    answer = ask(server)
    assert isinstance(answer, Unknown)
    assert answer.why


def test_a_lost_session_is_no_answer() -> None:
    with pytest.raises(vim.fault.NotAuthenticated):
        ask(Server({FOLDER: {"name": vim.fault.NotAuthenticated()}}), None)


def test_a_vm_whose_configuration_is_not_there_yet_is_present() -> None:
    assert ask(Server({FOLDER: READABLE, VM: {"name": "w-1"}})) == Present(VM)
