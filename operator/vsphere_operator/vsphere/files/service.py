"""Uploading, looking at, listing and deleting datastore files."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass, VSphereError, from_http_status
from vsphere_operator.vsphere.files import paths
from vsphere_operator.vsphere.files.hosts import HostUploads
from vsphere_operator.vsphere.files.source import Source
from vsphere_operator.vsphere.files.transfer import Connection, Progress, Reply
from vsphere_operator.vsphere.inventory.entities import Datastore
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.naming import operation_id
from vsphere_operator.vsphere.tasks import TaskRef, Tasks
from vsphere_operator.vsphere.vmomi import vim

_GOOD = (200, 201, 204)
_VCENTER_CANNOT = (500, 501, 502)
"""What vCenter answers when it cannot write to a datastore itself; a host may."""
_THROUGH_HOSTS_SECONDS = 3600.0
"""How long the next uploads to such a datastore go through a host at once."""


class Files:
    def __init__(
        self,
        calls: Calls,
        tasks: Tasks,
        inventory: Inventory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._tasks = tasks
        self._inventory = inventory
        self._clock = clock
        self._hosts = HostUploads(calls.session, inventory)
        self._through_hosts: dict[MoRef, float] = {}
        self._tls: ssl.SSLContext | None = None
        self._stopping = threading.Event()

    def close(self) -> None:
        """Cut the uploads that still run: a large one would hold the end of the process up."""
        self._stopping.set()

    async def upload(
        self,
        datacenter: str,
        datastore: str,
        path: str,
        data: bytes | Path | Source,
        *,
        op_id: str,
        progress: Progress | None = None,
    ) -> None:
        """Write a file. `datacenter` is the datacenter's inventory path without the first slash.

        The directory has to exist: a VM's is `VmDetails.directory`, not one of its name. Goes through vCenter,
        and where vCenter cannot write, through a host that mounts the datastore. Tried anew after a lost session
        only. After a broken connection (`UNREACHABLE`) a part of the file may be there; a whole upload again
        puts that right. `progress` hears on the event loop how many bytes have been sent.
        """
        body = await asyncio.to_thread(Source.of, data)
        told = self._unless_stopping(_on_loop(progress), f"[{datastore}] {path}")
        store = self._datastore(datacenter, datastore)
        if store is not None and self._through_hosts.get(store.moref, 0.0) > self._clock():
            await self._upload_through_hosts(store, path, body, op_id, told)
            return
        try:
            await self._request("PUT", datacenter, datastore, path, op_id, body, told)
        except VSphereError as error:
            if store is None or error.fault.kind not in {f"HTTP{status}" for status in _VCENTER_CANNOT}:
                raise
            await self._without_vcenter(store, path, body, op_id, told, error.fault)

    async def _without_vcenter(
        self, store: Datastore, path: str, body: Source, op_id: str, progress: Progress, refusal: Fault
    ) -> None:
        if store.free_space < body.size:
            # vCenter answers 500 to that, too, and a host could do no better.
            raise VSphereError(from_http_status(507, what=f"the upload of [{store.name}] {path}"))
        if not self._hosts.candidates(store):
            raise VSphereError(refusal)
        await self._upload_through_hosts(store, path, body, op_id, progress)
        self._through_hosts[store.moref] = self._clock() + _THROUGH_HOSTS_SECONDS

    async def _upload_through_hosts(
        self, store: Datastore, path: str, body: Source, op_id: str, progress: Progress
    ) -> None:
        # The next upload asks vCenter again, unless this one shows that hosts can.
        until = self._through_hosts.pop(store.moref, 0.0)
        hosts = self._hosts.candidates(store)
        if not hosts:
            words = f"No connected host mounts the datastore {store.name}, and vCenter could not write to it."
            raise VSphereError(Fault(FaultClass.TRANSIENT, "NoHost", words, 30.0, "NoHost"))
        name = store.name or ""
        await self._calls.files(lambda: self._hosts.put(hosts, name, path, body, op_id, progress))
        if until:
            self._through_hosts[store.moref] = until

    def _unless_stopping(self, progress: Progress, file: str) -> Progress:
        def told(sent: int) -> None:
            if self._stopping.is_set():
                words = f"The upload of {file} was cut off, because its session ends."
                raise VSphereError(
                    Fault(
                        FaultClass.UNREACHABLE,
                        "SessionClosed",
                        words,
                        1.0,
                        "SessionClosed",
                        executed=Executed.UNKNOWN,
                    )
                )
            progress(sent)

        return told

    def _datastore(self, datacenter: str, name: str) -> Datastore | None:
        home = f"/{datacenter.strip('/')}/"
        found = [d for d in self._inventory.all(Datastore) if isinstance(d, Datastore) and d.name == name]
        inside = [d for d in found if (self._inventory.path(d.moref) or "").startswith(home)]
        return inside[0] if len(inside) == 1 else None

    async def size_fresh(self, datastore_path: str, *, datacenter: str, op_id: str) -> Answer[int]:
        """The size in bytes of `[datastore] dir/file` now. Never raises `VSphereError`."""
        datastore, path = paths.split(datastore_path)
        try:
            return Present((await self._request("HEAD", datacenter, datastore, path, op_id)).length)
        except VSphereError as error:
            if error.fault.kind == "HTTP404":
                return Absent(f"the datastore has no file {datastore_path}")
            return Unknown(error.fault.message, error.fault)

    async def list(self, directory: str, datastore: MoRef, *, pattern: str = "*", op_id: str) -> TaskRef:
        """Look into `[datastore] dir`: the task's `Succeeded.listing` names the files that match the pattern.

        `pattern` has `*` and `?`. The task fails with `GONE` when there is no such directory.
        """
        paths.split(directory)

        def start(content: Any) -> MoRef:
            browser = self._calls.session.object(datastore).browser
            spec = vim.host.DatastoreBrowser.SearchSpec(
                matchPattern=[pattern],
                details=vim.host.DatastoreBrowser.FileInfo.Details(
                    fileSize=True, fileType=True, modification=False, fileOwner=False
                ),
            )
            return morefs.of(browser.SearchDatastore_Task(datastorePath=directory, searchSpec=spec))

        ref = await self._calls.soap(start, op_id=op_id, mutating=False)
        self._tasks.begun(ref)
        return ref

    async def delete(self, datastore_path: str, datacenter: MoRef, *, op_id: str) -> TaskRef:
        """Delete one file. The task fails with `GONE` when it does not exist."""
        _, path = paths.split(datastore_path)
        if path.endswith("/"):
            raise paths.not_a_file(datastore_path)

        def start(content: Any) -> MoRef:
            home = self._calls.session.object(datacenter)
            task = content.fileManager.DeleteDatastoreFile_Task(name=datastore_path, datacenter=home)
            return morefs.of(task)

        ref = await self._calls.soap(start, op_id=op_id, mutating=True)
        self._tasks.begun(ref)
        return ref

    async def _request(
        self,
        method: str,
        datacenter: str,
        datastore: str,
        path: str,
        op_id: str,
        body: Source | None = None,
        progress: Progress = lambda _: None,
    ) -> Reply:
        target = paths.target(datacenter, datastore, path)
        what = f"{'the upload' if method == 'PUT' else 'the look at'} [{datastore}] {path}"

        def run() -> Reply:
            reply = self._with_session(lambda: self._once(method, target, op_id, body, progress), op_id)
            if reply.status not in _GOOD:
                raise VSphereError(from_http_status(reply.status, what=what))
            return reply

        return await self._calls.files(run)

    def _with_session(self, once: Callable[[], Reply], op_id: str) -> Reply:
        session = self._calls.session
        with operation_id(op_id):
            session.open()
        generation = session.generation
        reply = once()
        # A missing privilege may be a 401 as well: then a new login would change nothing.
        if reply.status != 401 or not session.renew_if_lost(generation, op_id=op_id):
            return reply
        return once()

    def _once(self, method: str, target: str, op_id: str, body: Source | None, progress: Progress) -> Reply:
        session = self._calls.session
        # Reading the system's authorities takes longer than a small upload: once is enough.
        self._tls = self._tls or session.endpoint.tls_context()
        headers = session.http_headers(op_id)
        with Connection(session.endpoint.host, session.endpoint.port, self._tls) as connection:
            return connection.request(method, target, headers, body, progress)


def _on_loop(progress: Progress | None) -> Progress:
    """Bytes are sent in a thread, and told of on the event loop."""
    if progress is None:
        return lambda _: None
    loop, tell = asyncio.get_running_loop(), progress

    def on_loop(sent: int) -> None:
        loop.call_soon_threadsafe(tell, sent)

    return on_loop
