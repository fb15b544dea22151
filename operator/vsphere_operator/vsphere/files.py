"""Datastore files, through vCenter's `/folder` address with the SOAP session's cookie."""

from __future__ import annotations

import http.client
import re
import ssl
from typing import Any
from urllib.parse import quote, urlencode

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Answer, Present, Unknown
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.faults import VSphereError, from_http_status, from_transport, invalid
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.soap import CONNECT_TIMEOUT, READ_TIMEOUT, TRANSPORT_ERRORS
from vsphere_operator.vsphere.tasks import TaskRef, Tasks

_DATASTORE_PATH = re.compile(r"\[(?P<datastore>[^\]]+)\] ?(?P<path>.+)")


def split(datastore_path: str) -> tuple[str, str]:
    """`[LocalDS_0] dir/file.iso` -> (`LocalDS_0`, `dir/file.iso`). Else a terminal `VSphereError`."""
    match = _DATASTORE_PATH.fullmatch(datastore_path)
    if match is None or ".." in match["path"].split("/"):
        raise invalid(
            "InvalidDatastorePath", f"{datastore_path!r} is no datastore path: expected [datastore] dir/file."
        )
    return match["datastore"], match["path"]


class Files:
    def __init__(self, calls: Calls, tasks: Tasks) -> None:
        self._calls = calls
        self._tasks = tasks
        self._tls: ssl.SSLContext | None = None

    async def upload(self, datacenter: str, datastore: str, path: str, data: bytes, *, op_id: str) -> None:
        """Write a file. `datacenter` is the datacenter's inventory path without the first slash.

        The directory has to exist. Repeating an upload harms nothing, so it is tried anew after a lost
        session.
        """
        await self._request("PUT", datacenter, datastore, path, op_id, data)

    async def size_fresh(self, datastore_path: str, *, datacenter: str, op_id: str) -> Answer[int]:
        """The size in bytes of `[datastore] dir/file` now. Never raises `VSphereError`."""
        datastore, path = split(datastore_path)
        try:
            return Present(await self._request("HEAD", datacenter, datastore, path, op_id))
        except VSphereError as error:
            if error.fault.kind == "HTTP404":
                return Absent(f"the datastore has no file {datastore_path}")
            return Unknown(error.fault.message, error.fault)

    async def delete(self, datastore_path: str, datacenter: MoRef, *, op_id: str) -> TaskRef:
        """Delete one file. The task fails with `GONE` when it does not exist."""
        split(datastore_path)

        def start(content: Any) -> MoRef:
            home = self._calls.session.object(datacenter)
            task = content.fileManager.DeleteDatastoreFile_Task(name=datastore_path, datacenter=home)
            return morefs.of(task)

        ref = await self._calls.soap(start, op_id=op_id, mutating=True)
        self._tasks.follow(ref)
        return ref

    async def _request(
        self, method: str, datacenter: str, datastore: str, path: str, op_id: str, data: bytes | None = None
    ) -> int:
        query = urlencode({"dcPath": datacenter, "dsName": datastore}, quote_via=quote)
        target = f"/folder/{quote(path)}?{query}"
        what = f"{'the upload' if method == 'PUT' else 'the look at'} [{datastore}] {path}"
        return await self._calls.files(lambda: self._transfer(method, target, data, op_id, what))

    def _transfer(self, method: str, target: str, data: bytes | None, op_id: str, what: str) -> int:
        session = self._calls.session
        session.open()
        generation = session.generation
        status, length = self._once(method, target, data, op_id)
        if status == 401:
            session.renew(generation)
            status, length = self._once(method, target, data, op_id)
        if status not in (200, 201, 204):
            raise VSphereError(from_http_status(status, what=what))
        return length

    def _once(self, method: str, target: str, data: bytes | None, op_id: str) -> tuple[int, int]:
        session = self._calls.session
        endpoint = session.endpoint
        headers = {"Cookie": session.cookie.partition(";")[0], "operationID": op_id}
        if data is not None:
            headers["Content-Type"] = "application/octet-stream"
        try:
            # Reading the system's authorities takes longer than a small upload: once is enough.
            self._tls = self._tls or endpoint.tls_context()
            connection = http.client.HTTPSConnection(
                endpoint.host, endpoint.port, timeout=CONNECT_TIMEOUT, context=self._tls
            )
            try:
                connection.connect()
                connection.sock.settimeout(READ_TIMEOUT)
                connection.request(method, target, body=data, headers=headers)
                response = connection.getresponse()
                response.read()
                return response.status, int(response.headers.get("Content-Length") or 0)
            finally:
                connection.close()
        except TRANSPORT_ERRORS as error:
            raise VSphereError(from_transport(error, where=session.where)) from error
