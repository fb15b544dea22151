"""What the watch gets from the double, decoded by pyVmomi as well: the same in every property."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import pytest
from pyVmomi import SoapAdapter

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, looked_closely
from tests.integration.vsphere.outside import vim
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.inventory import VmEntity, watch
from vsphere_operator.vsphere.session import lazy_objects
from vsphere_operator.vsphere.vcenters import VCenters
from vsphere_operator.vsphere.vmomi import vmodl

VERSION = "vim.version.v7_0"
SYSTEM = ["System.Anonymous", "System.View", "System.Read"]


class Stub:
    version = VERSION

    def SupportServerGUIDs(self) -> bool:  # noqa: N802  # pyVmomi's name
        return False


@pytest.fixture
def flags() -> Sequence[str]:
    return ("-clone-ms=100", "-tools-ms=50", "-vms=8", "-payload")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every answer to the watch, as it came."""
    recorded: list[bytes] = []
    read = lazy_objects.read

    def recording(source: Any, method: str) -> Any:
        recorded.append(source.read())
        return read(io.BytesIO(recorded[-1]), method)

    monkeypatch.setattr(lazy_objects, "read", recording)
    return recorded


def decoded(answer: bytes) -> tuple[Any, Any]:
    kind = vmodl.query.PropertyCollector.UpdateSet
    deserializer: Any = SoapAdapter.SoapResponseDeserializer
    element = lazy_objects.read(io.BytesIO(answer), "WaitForUpdatesEx")
    lazy = None if element is None else lazy_objects.Decoder(VERSION, Stub()).decode(element, kind)
    return deserializer(Stub()).Deserialize(answer, kind), lazy


def act(outsider: Any, name: str) -> None:
    """A change, a task that fails, and one with a result."""
    root = outsider.content.rootFolder
    view = outsider.content.viewManager.CreateContainerView(root, [vim.VirtualMachine], True)
    vm = next(vm for vm in view.view if vm.name == name)
    vm.PowerOn()
    datastore = vm.datastore[0]
    datastore.browser.SearchDatastore_Task(
        f"[{datastore.name}] {name}", vim.host.DatastoreBrowser.SearchSpec()
    )
    vm.Rename(f"{name} <&> ü")


async def test_all_answers_to_the_watch_are_as_pyvmomi_has_them(
    answers: list[bytes],
    pool: VCenters,
    endpoint: Endpoint,
    credentials: Credentials,
    double: Double,
    outsider: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 7)
    dim = {"entity": "/DC0/vm/DC0_C0_RP0_VM0", "privileges": ["System.Anonymous", "System.View"]}
    roles = [{"entity": "/", "privileges": SYSTEM}, dim]
    double.control("/rights", {"user": double.username, "roles": roles})
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready and looked_closely(vcenter.inventory))

    (vm,) = vcenter.inventory.find(VmEntity, "DC0_C0_RP0_VM1")
    question = {"id": "17", "text": "Go on?", "choices": ["Yes", "No"]}
    double.control("/machines", {"vm": vm.moref, "question": question})
    await asyncio.to_thread(act, outsider, "DC0_C0_RP0_VM1")
    told = (b"Go on?", b"InvalidPowerState", b"HostDatastoreBrowserSearchResults", b"&lt;&amp;&gt;")
    await becomes(lambda: all(any(word in answer for answer in answers) for word in told))

    assert any(b"<truncated>true" in answer for answer in answers)
    assert any(b"<missingSet>" in answer for answer in answers)
    assert any(b"VirtualUSBXHCIController" in answer for answer in answers)
    for answer in tuple(answers):
        before, after = decoded(answer)
        assert repr(before) == repr(after)
