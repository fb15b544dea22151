"""The few calls that the operator makes to a Kubernetes API, on raw objects.

The transport, its TLS and its login are the official client's; its generated models are left out, since they
decode ten times slower than json and would drop the fields they do not know.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vsphere_operator import __version__

from .credentials import Credentials, CredentialsError, CredentialSource
from .errors import Conflict, Gone, Invalid, KubeError, NotFound, Unavailable, error_of
from .kinds import KINDS, Kind

if TYPE_CHECKING:
    from kubernetes.aio.client.rest import RESTClientObject

logger = logging.getLogger(__name__)

FIELD_MANAGER = "vsphere-operator"
USER_AGENT = f"vsphere-operator/{__version__}"
CONNECT_TIMEOUT = 5.0
"""Seconds for a connection and its TLS handshake."""
REQUEST_TIMEOUT = 30.0
"""Seconds for a request in all, waiting for an overloaded server included."""
CHUNK = 500
"""Objects a page of a list."""
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

UNPATCHABLE = "the server rejected our request due to an error in our request"

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Listed = tuple[list[dict[str, Any]], str]
"""Objects, and the resourceVersion at which they were all that there was."""


class KubeApi:
    """One API server. Each call has a time limit and raises a KubeError; none is repeated once it was sent,
    except where the server says that it has done nothing (401 with renewed credentials, 429).
    """

    def __init__(self, source: CredentialSource, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._source = source
        self._timeout = timeout
        self._used: Credentials | None = None
        self._transport: RESTClientObject | None = None

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """The object as it is in the API now; NotFound is proof of its absence."""
        return await self.request("GET", KINDS[kind].path(namespace, name))

    async def list(self, kind: str, namespace: str = "") -> Listed:
        """All objects of a kind, in one namespace or in all, and the resourceVersion at which this was the truth.

        Of Secrets and ConfigMaps only the metadata is sent. NotFound means that the kind does not exist (yet).
        """
        for _ in range(3):
            try:
                pages = [page async for page in self.pages(kind, namespace)]
            except Gone:
                continue
            return [obj for objects, _ in pages for obj in objects], pages[-1][1]
        raise Unavailable(410, "Expired", f"the list of {KINDS[kind].plural} expires before it is read")

    async def pages(self, kind: str, namespace: str = "") -> AsyncIterator[Listed]:
        """The same list page by page, each with the resourceVersion of the whole.

        Gone when reading took longer than the server keeps that version: begin again.
        """
        row, query = KINDS[kind], {"limit": str(CHUNK)}
        accept = METADATA_LIST if row.metadata_only else "application/json"
        while True:
            page = await self.request("GET", row.path(namespace), query=query, accept=accept)
            objects = page.get("items") or []
            for item in objects:
                item["apiVersion"], item["kind"] = row.api_version, row.kind  # items of lists may not say
            metadata = page["metadata"]
            yield objects, metadata["resourceVersion"]
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def create(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; AlreadyExists if there is one of its name."""
        kind, namespace, _ = _place(obj)
        return await self.request("POST", kind.path(namespace), body=obj, query=_managed())

    async def replace(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Write the whole object; Conflict unless its resourceVersion is still the latest."""
        kind, namespace, name = _place(obj)
        return await self.request("PUT", kind.path(namespace, name), body=obj, query=_managed())

    async def json_patch(
        self, kind: str, namespace: str, name: str, ops: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Apply JSON patch operations; Conflict when one of its `test` operations fails."""
        path = KINDS[kind].path(namespace, name)
        try:
            return await self.request("PATCH", path, body=list(ops), query=_managed(), content=JSON_PATCH)
        except Invalid as error:
            # The API server has one sentence for all operations that cannot be carried out, a failed `test`
            # among them; a result that breaks the schema is told in detail.
            if error.message == UNPATCHABLE and any(op["op"] == "test" for op in ops):
                words = f"{kind} {name} is not any more what the patch was made for"
                raise Conflict(409, "Conflict", words) from None
            raise

    async def merge_patch(
        self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Merge into the object; with a `metadata.resourceVersion` in the patch, Conflict if it is stale."""
        path = KINDS[kind].path(namespace, name)
        return await self.request("PATCH", path, body=patch, query=_managed(), content=MERGE_PATCH)

    async def apply(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply: what is given becomes ours, what we gave before and do not give now goes."""
        kind, namespace, name = _place(obj)
        return await self._apply(kind.path(namespace, name), obj)

    async def apply_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> dict[str, Any]:
        """Server-side apply of our own fields of the status.

        With a `resource_version` (that of the object which an intent was planned from) a change by anybody
        since then is a Conflict, and nothing is written.
        """
        row = KINDS[kind]
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        obj = {"apiVersion": row.api_version, "kind": kind, "metadata": metadata, "status": dict(status)}
        return await self._apply(row.path(namespace, name, "status"), obj)

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str | None = None, propagation: str | None = None
    ) -> dict[str, Any]:
        """Ask for the deletion of an object: the object if finalizers hold it, else a Status: it is gone.

        With a `uid`, Conflict if the object of this name is another one. `propagation` is Background,
        Foreground or Orphan.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        return await self.request("DELETE", KINDS[kind].path(namespace, name), body=options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """One call to the API; the decoded answer, or a KubeError."""
        url = path + ("?" + urlencode(query) if query else "")
        deadline = time.monotonic() + self._timeout
        renewed = False
        while True:
            status, headers, text = await self._send(method, url, body, content, accept, deadline)
            if status < 400:
                return _decode(text, status)
            if status == 401 and not renewed and await self._renew():
                renewed = True
                continue
            pause = _retry_after(headers)
            # 429 is said before a request is carried out, so that repeating even a create is safe.
            if status == 429 and pause is not None and time.monotonic() + pause < deadline:
                await asyncio.sleep(pause)
                continue
            raise _refusal(status, text, pause, method, path)

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def _apply(self, path: str, obj: Mapping[str, Any]) -> dict[str, Any]:
        query = _managed() | {"force": "true"}
        return await self.request("PATCH", path, body=obj, query=query, content=APPLY_PATCH)

    async def _send(
        self, method: str, url: str, body: Any, content: str, accept: str, deadline: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp

        try:
            credentials = await self._source.current()
            transport = await self._transport_for(credentials)
        except CredentialsError as error:  # a file that is being replaced, a login plug-in that is away
            raise Unavailable(0, "NoCredentials", str(error)) from None
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": USER_AGENT}
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        left = max(0.1, deadline - time.monotonic())
        try:
            response = await transport.request(  # type: ignore[no-untyped-call]
                method,
                credentials.server + url,
                headers=headers,
                body=body,
                _request_timeout=aiohttp.ClientTimeout(total=left, connect=min(CONNECT_TIMEOUT, left)),
            )
            return response.status, response.headers, await response.read()
        except TimeoutError:
            words = f"{credentials.server} gave no answer in {self._timeout:.0f} s"
            raise Unavailable(0, "Timeout", words) from None
        except (aiohttp.ClientError, OSError) as error:
            words = f"cannot reach {credentials.server}: {error}"
            raise Unavailable(0, "Unreachable", words) from None

    async def _transport_for(self, credentials: Credentials) -> RESTClientObject:
        """A transport for these credentials: a new one when more than the token is new."""
        if self._transport is not None and self._used is not None:
            if _same_connection(self._used, credentials):
                return self._transport
            await self.close()
        from kubernetes.aio.client.configuration import Configuration
        from kubernetes.aio.client.rest import RESTClientObject

        configuration = Configuration(
            host=credentials.server, tls_server_name=credentials.server_name, proxy=credentials.proxy
        )
        tls = credentials.tls()
        transport = RESTClientObject(configuration)
        transport.ssl_context = tls
        self._transport, self._used = transport, credentials
        return transport

    async def _renew(self) -> bool:
        try:
            before = await self._source.current()
            return await self._source.current(renew=True) != before
        except CredentialsError:
            return False


def _place(obj: Mapping[str, Any]) -> tuple[Kind, str, str]:
    metadata = obj["metadata"]
    return KINDS[obj["kind"]], metadata.get("namespace") or "", metadata.get("name") or ""


def _managed() -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER}


def _same_connection(one: Credentials, other: Credentials) -> bool:
    def connection(c: Credentials) -> tuple[object, ...]:
        return c.server, c.ca_file, c.certificate_file, c.key_file, c.verify, c.server_name, c.proxy

    return connection(one) == connection(other)


def _decode(text: bytes, status: int) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        words = "the server's answer is not an object: is this a Kubernetes API?"
        raise Unavailable(status, "BadAnswer", words)
    return answer


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _refusal(status: int, text: bytes, pause: float | None, method: str, path: str) -> KubeError:
    try:
        answer = json.loads(text)
        reason, message = str(answer.get("reason") or ""), str(answer.get("message") or "")
    except (ValueError, AttributeError):
        reason, message = "", ""
    if status == 401:
        message = "the API server does not know these credentials (401 Unauthorized)"
    message = message or f"{method} {path} was answered with HTTP {status}"
    if status == 404 and reason == "" and "page not found" in message + text[:100].decode(errors="replace"):
        return NotFound(404, "NotFound", f"the API server does not serve {path}")
    return error_of(status, reason, message, retry_after=pause)
