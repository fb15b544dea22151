"""A vCenter double of its own for each test, and somebody else's client that looks at it and meddles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from testbed.builds import ensure_binaries
from testbed.harness import VCenter as Double
from tests.integration.vsphere.outside import disconnect, smart_connect
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.identity import may_be_ours
from vsphere_operator.vsphere.inventory import Change, Inventory, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Running, TaskRef, TaskState
from vsphere_operator.vsphere.vcenters import VCenter, VCenters
from vsphere_operator.vsphere.vm_details import VmDetails

OUTSIDER = ("outsider@vsphere.local", "outsider-1!")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.testbed)


def eventually(ready: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """Poll until `ready()` is true and return what it gave; for code that may block."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return found


async def becomes(ready: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """Poll on the event loop until `ready()` is true and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.01)
    return found


@pytest.fixture(scope="session")
def binary() -> Path:
    return ensure_binaries()["vcenter"]


@pytest.fixture
def flags() -> Sequence[str]:
    """Flags of the double; a module overrides this for another size or speed."""
    return ("-clone-ms=100", "-tools-ms=50")


@contextlib.contextmanager
def running_double(
    binary: Path, directory: Path, flags: Sequence[str] = ()
) -> Iterator[tuple[Double, subprocess.Popen[str]]]:
    """A double and its process, until the block ends."""
    command = [
        str(binary),
        f"-state-dir={directory}",
        f"-user={OUTSIDER[0]}:{OUTSIDER[1]}",
        "-watch-stdin",
        *flags,
    ]
    with (directory / "double.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        made = Double(
            url=ready["url"],
            username=ready["username"],
            password=ready["password"],
            ca_file=Path(ready["caFile"]),
            control_url=ready["controlUrl"],
        )
        yield made, process
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture
def double(binary: Path, flags: Sequence[str], tmp_path: Path) -> Iterator[Double]:
    with running_double(binary, tmp_path, flags) as (made, _):
        yield made


@pytest.fixture
def endpoint(double: Double) -> Endpoint:
    return Endpoint(double.url, ca_bundle=double.ca_file.read_text())


@pytest.fixture
def credentials(double: Double) -> Credentials:
    return Credentials(double.username, double.password)


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest_asyncio.fixture
async def pool(changes: list[Change]) -> AsyncIterator[VCenters]:
    made = VCenters(
        on_change=lambda _, told: changes.extend(told), user_agent="vsphere-operator/test", retire_seconds=0.0
    )
    yield made
    await made.close()


@pytest_asyncio.fixture
async def vcenter(pool: VCenters, endpoint: Endpoint, credentials: Credentials) -> VCenter:
    made = pool.get(endpoint, credentials)
    await becomes(lambda: made.ready and looked_closely(made.inventory))
    return made


def looked_closely(inventory: Inventory) -> bool:
    """Whether all VMs that may be ours have had their close look."""
    vms = (e for e in inventory.all(VmEntity) if isinstance(e, VmEntity))
    return all(vm.marks_read for vm in vms if may_be_ours(vm.instance_uuid or ""))


@pytest.fixture
def outsider(double: Double) -> Iterator[Any]:
    """A service instance of somebody else, made with pyVmomi alone."""
    host, port = double.address
    context = ssl.create_default_context(cafile=str(double.ca_file))
    service = smart_connect(host=host, port=port, user=OUTSIDER[0], pwd=OUTSIDER[1], sslContext=context)
    yield service
    disconnect(service)


async def ended(vcenter: VCenter, ref: TaskRef) -> TaskState:
    """The end of a task, read from memory only."""
    state: TaskState = await becomes(
        lambda: None if isinstance(vcenter.tasks.state(ref), Running | None) else vcenter.tasks.state(ref)
    )
    return state


async def details(vcenter: VCenter, moref: MoRef) -> VmDetails:
    answer = await vcenter.vms.read(moref, op_id="test")
    assert isinstance(answer, Present)
    return answer.value


def sessions(double: Double) -> list[str]:
    """Who has a session now, SOAP and Automation API together, without the outsider."""
    found = double.control("/state")["sessions"]
    return [user for user in (*found["soap"], *found["rest"]) if user != OUTSIDER[0]]
