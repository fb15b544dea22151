"""Datastore files: through vCenter, through a host, into a VM's real directory, and when it goes wrong."""

from __future__ import annotations

import asyncio
import io
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import OUTSIDER, becomes, details, ended
from tests.integration.vsphere.outside import vim, wait_for_task
from vsphere_operator.vsphere.answers import Absent, Present
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.files import Source
from vsphere_operator.vsphere.inventory import Datacenter, Datastore, VmEntity
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tasks import Failed, FileEntry, Succeeded
from vsphere_operator.vsphere.vcenters import VCenter

MIB = 1 << 20
STORE = "LocalDS_0"


@pytest.fixture
def rules(double: Double) -> Iterator[Callable[..., None]]:
    """Let calls go wrong, until the end of the test."""
    yield lambda **rule: double.control("/faults", rule)
    double.control("/faults", method="DELETE")


@pytest.fixture
def directory(outsider: Any) -> str:
    return make_directory(outsider, "uploads")


def make_directory(outsider: Any, name: str) -> str:
    home = outsider.content.rootFolder.childEntity[0]
    outsider.content.fileManager.MakeDirectory(f"[{STORE}] {name}", home)
    return name


def a_vm(vcenter: VCenter) -> MoRef:
    return next(
        e.moref for e in vcenter.inventory.all(VmEntity) if (e.name or "").startswith("DC0_C0_RP0_VM")
    )


def free_space(vcenter: VCenter) -> int:
    found = [d for d in vcenter.inventory.all(Datastore) if d.name == STORE]
    assert isinstance(found[0], Datastore)
    return found[0].free_space


async def put(vcenter: VCenter, path: str, data: bytes | Path | Source, **options: Any) -> None:
    await vcenter.files.upload("DC0", STORE, path, data, op_id="up", **options)


async def size(vcenter: VCenter, path: str) -> Any:
    return await vcenter.files.size_fresh(f"[{STORE}] {path}", datacenter="DC0", op_id="look")


def puts(double: Double) -> list[tuple[str, int]]:
    return [(c["protocol"], int(c["status"])) for c in double.calls(method="PUT")]


class Counted:
    """A source that tells how often it was opened, and makes its bytes while they are read."""

    def __init__(self, length: int) -> None:
        self.length, self.opened = length, 0

    @property
    def source(self) -> Source:
        return Source(self.length, self._open)

    def _open(self) -> BinaryIO:
        self.opened += 1
        return Zeros(self.length)


class Zeros(io.RawIOBase, BinaryIO):
    def __init__(self, length: int) -> None:
        self.left = length

    def read(self, size: int = -1) -> bytes:
        given = self.left if size < 0 else min(size, self.left)
        self.left -= given
        return bytes(given)


async def test_a_large_file_is_sent_in_constant_memory(vcenter: VCenter, directory: str) -> None:
    told: list[int] = []
    tracemalloc.start()
    try:
        await put(vcenter, f"{directory}/big.iso", Counted(64 * MIB).source, progress=told.append)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert await size(vcenter, f"{directory}/big.iso") == Present(64 * MIB)
    assert told == sorted(told)
    assert told[-1] == 64 * MIB


async def test_a_file_of_this_machine_is_sent_as_it_is(
    vcenter: VCenter, directory: str, tmp_path: Path
) -> None:
    (tmp_path / "a.iso").write_bytes(b"I" * 700_000)
    await put(vcenter, f"{directory}/a.iso", tmp_path / "a.iso")
    assert await size(vcenter, f"{directory}/a.iso") == Present(700_000)
    await put(vcenter, f"{directory}/empty", b"")
    assert await size(vcenter, f"{directory}/empty") == Present(0)


async def test_a_source_that_is_shorter_than_it_says_leaves_no_file(vcenter: VCenter, directory: str) -> None:
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", Source(10, lambda: io.BytesIO(b"short")))
    assert caught.value.fault.reason == "SourceTooShort"
    assert isinstance(await size(vcenter, f"{directory}/a.iso"), Absent)


async def test_a_lost_session_is_renewed_and_the_source_read_again(
    vcenter: VCenter, double: Double, directory: str, outsider: Any
) -> None:
    manager = outsider.content.sessionManager
    ours = [s.key for s in manager.sessionList if s.userName != OUTSIDER[0]]
    await asyncio.to_thread(manager.TerminateSession, ours)
    body = Counted(MIB)
    await put(vcenter, f"{directory}/a.iso", body.source)
    assert body.opened == 2
    assert puts(double) == [("http", 401), ("http", 201)]


WRONG: list[tuple[str, dict[str, Any], FaultClass, str]] = [
    ("denied although there is a session", {"fault": "401"}, FaultClass.PERMISSION, "NoPermission"),
    ("forbidden", {"fault": "403"}, FaultClass.PERMISSION, "NoPermission"),
    ("no such directory", {"fault": "404"}, FaultClass.GONE, "FileNotFound"),
    ("full", {"fault": "507", "afterBytes": 1000}, FaultClass.CAPACITY, "NoDiskSpace"),
    ("overloaded", {"fault": "503"}, FaultClass.TRANSIENT, "FileTransferFailed"),
    ("cut at first", {"cut": True}, FaultClass.UNREACHABLE, "ConnectionFailed"),
    ("cut in the middle", {"cut": True, "afterBytes": 100_000}, FaultClass.UNREACHABLE, "ConnectionFailed"),
    ("cut at the end", {"cut": True, "when": "after"}, FaultClass.UNREACHABLE, "ConnectionFailed"),
]


@pytest.mark.parametrize(("rule", "fault_class", "reason"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
async def test_an_upload_that_fails_is_a_fault_of_its_class_and_never_repeated(
    vcenter: VCenter,
    double: Double,
    directory: str,
    rules: Callable[..., None],
    rule: dict[str, Any],
    fault_class: FaultClass,
    reason: str,
) -> None:
    rules(method="PUT /folder", **rule)
    body = Counted(4 * MIB)
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", body.source)
    assert (caught.value.fault.fault_class, caught.value.fault.reason) == (fault_class, reason)
    assert len(puts(double)) == rule.get("count", 1)
    await put(vcenter, f"{directory}/a.iso", body.source)
    assert await size(vcenter, f"{directory}/a.iso") == Present(4 * MIB)


async def test_a_directory_that_is_missing_is_not_made(vcenter: VCenter) -> None:
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, "nowhere/a.iso", b"x")
    assert caught.value.fault.fault_class is FaultClass.GONE


async def test_a_slow_upload_has_no_limit_as_long_as_it_goes_on(
    vcenter: VCenter, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsphere_operator.vsphere.files.transfer.READ_TIMEOUT", 0.5)

    class Slow(Zeros):
        def read(self, size: int = -1) -> bytes:
            time.sleep(0.15)  # eight times: in all, longer than the limit of a step
            return super().read(size)

    await put(vcenter, f"{directory}/a.iso", Source(2 * MIB, lambda: Slow(2 * MIB)))
    assert await size(vcenter, f"{directory}/a.iso") == Present(2 * MIB)


async def test_a_server_that_says_nothing_is_given_up(
    vcenter: VCenter, directory: str, rules: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsphere_operator.vsphere.files.transfer.READ_TIMEOUT", 0.5)
    rules(method="PUT /folder", hang=True)
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", b"x")
    assert (caught.value.fault.fault_class, caught.value.fault.reason) == (FaultClass.UNREACHABLE, "TimedOut")


async def test_where_vcenter_cannot_write_a_host_does(
    vcenter: VCenter, double: Double, directory: str, rules: Callable[..., None]
) -> None:
    rules(method="PUT /folder", protocol="http", fault="500", count=-1)
    body = Counted(4 * MIB)
    await put(vcenter, f"{directory}/a.iso", body.source)
    assert await size(vcenter, f"{directory}/a.iso") == Present(4 * MIB)
    assert puts(double) == [("http", 500), ("host", 201)]
    assert body.opened == 2
    # For a while the next ones go there at once, each with a ticket of its own.
    await put(vcenter, f"{directory}/b.iso", b"x")
    assert puts(double)[2:] == [("host", 201)]
    assert len(double.calls(method="AcquireGenericServiceTicket")) == 2


async def test_what_no_host_can_do_either_is_told_and_tried_on_two(
    vcenter: VCenter, double: Double, directory: str, rules: Callable[..., None]
) -> None:
    rules(method="PUT /folder", protocol="http", fault="500")
    rules(method="PUT /folder", protocol="host", fault="403", count=-1)
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", b"x")
    assert caught.value.fault.fault_class is FaultClass.PERMISSION
    assert "through the host DC0_" in caught.value.fault.message
    assert puts(double) == [("http", 500), ("host", 403), ("host", 403)]


async def test_a_host_with_another_certificate_is_told_nothing(
    vcenter: VCenter,
    double: Double,
    directory: str,
    rules: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vsphere_operator.vsphere.files.hosts.matches", lambda *_: False)
    rules(method="PUT /folder", protocol="http", fault="500")
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", b"x")
    assert caught.value.fault.fault_class is FaultClass.UNTRUSTED
    assert puts(double) == [("http", 500)]


async def test_a_full_datastore_is_not_tried_through_a_host(
    vcenter: VCenter, double: Double, directory: str, rules: Callable[..., None]
) -> None:
    double.control("/datastores", {"name": STORE, "freeGB": 0})
    await becomes(lambda: free_space(vcenter) < MIB)
    rules(method="PUT /folder", fault="500", afterBytes=1000, partial=True)
    with pytest.raises(VSphereError) as caught:
        await put(vcenter, f"{directory}/a.iso", Counted(4 * MIB).source)
    assert caught.value.fault.fault_class is FaultClass.CAPACITY
    assert puts(double) == [("http", 500)]


async def test_a_directory_is_listed_by_a_task(vcenter: VCenter, directory: str) -> None:
    await put(vcenter, f"{directory}/a.iso", b"x" * 10)
    await put(vcenter, f"{directory}/b.txt", b"y")
    store = next(d.moref for d in vcenter.inventory.all(Datastore) if d.name == STORE)
    where = f"[{STORE}] {directory}"
    found = await ended(vcenter, await vcenter.files.list(where, store, pattern="*.iso", op_id="x"))
    assert isinstance(found, Succeeded)
    assert found.listing is not None
    assert found.listing.entries == (FileEntry("a.iso", 10),)
    assert found.listing.complete
    whole = await ended(vcenter, await vcenter.files.list(f"[{STORE}] /", store, op_id="x"))
    assert isinstance(whole, Succeeded)
    assert whole.listing is not None
    assert FileEntry(directory, directory=True).name in {e.name for e in whole.listing.entries if e.directory}
    gone = await ended(vcenter, await vcenter.files.list(f"[{STORE}] nowhere", store, op_id="x"))
    assert isinstance(gone, Failed)
    assert gone.fault.fault_class is FaultClass.GONE


async def test_a_renamed_vms_directory_keeps_its_old_name_and_gets_the_upload(
    vcenter: VCenter, outsider: Any
) -> None:
    moref = a_vm(vcenter)
    before = await details(vcenter, moref)
    vm = vim.VirtualMachine(moref.partition(":")[2], outsider._stub)
    await asyncio.to_thread(wait_for_task, vm.Rename_Task("renamed"))
    now = await details(vcenter, moref)
    assert now.name == "renamed"
    assert now.directory == before.directory == f"[{STORE}] {before.name}"
    await put(vcenter, f"{str(now.directory).partition('] ')[2]}/cidata.iso", b"x")
    assert await size(vcenter, f"{before.name}/cidata.iso") == Present(1)


async def test_a_vm_beside_a_directory_of_its_name_has_another_and_gets_the_upload_there(
    vcenter: VCenter, outsider: Any
) -> None:
    make_directory(outsider, "worker-1")
    source = vim.VirtualMachine(a_vm(vcenter).partition(":")[2], outsider._stub)
    home = next(d for d in vcenter.inventory.all(Datacenter))
    assert isinstance(home, Datacenter)
    folder = vim.Folder(str(home.vm_folder).partition(":")[2], outsider._stub)
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    task = source.CloneVM_Task(folder, "worker-1", spec)
    await asyncio.to_thread(wait_for_task, task)
    made = await details(vcenter, MoRef(f"VirtualMachine:{task.info.result._moId}"))
    directory = str(made.directory).partition("] ")[2]
    assert directory != "worker-1"
    assert directory.startswith("worker-1")
    await put(vcenter, f"{directory}/cidata.iso", b"x")
    assert await size(vcenter, f"{directory}/cidata.iso") == Present(1)
    assert isinstance(await size(vcenter, "worker-1/cidata.iso"), Absent)


@pytest.mark.parametrize("path", ["no brackets", f"[{STORE}] a/../b", f"[{STORE}] dir/"])
async def test_only_a_file_is_ever_deleted(vcenter: VCenter, path: str) -> None:
    home = next(d for d in vcenter.inventory.all(Datacenter))
    with pytest.raises(VSphereError) as caught:
        await vcenter.files.delete(path, home.moref, op_id="x")
    assert caught.value.fault.fault_class is FaultClass.TERMINAL
