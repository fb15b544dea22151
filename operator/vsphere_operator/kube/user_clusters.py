"""The API servers of user clusters: one client for each Cluster and kubeconfig, made on demand and closed when unused.

What answers there belongs to a tenant: every call has a time limit, an answer has a size limit, no redirect is
followed, and nothing of the environment (proxies, .netrc) is used.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsphere_operator.runtime.queue import Clock

from . import tenant_kubeconfig
from .client import USER_AGENT, KubeApi
from .credentials import Credentials
from .errors import Gone, NotFound, Unavailable
from .kinds import Kind
from .tenant_kubeconfig import KubeconfigError, UserClusterLogin

if TYPE_CHECKING:
    import aiohttp

__all__ = ["KubeconfigError", "UserCluster", "UserClusters"]

REQUEST_TIMEOUT = 10.0
"""Seconds for a request in all."""
CONNECT_TIMEOUT = 4.0
"""Seconds for a connection and its TLS handshake."""
LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer; a page of 250 Nodes or Pods has a few million."""
CONNECTIONS = 4
"""At most so many to one user cluster at the same time."""
UNUSED_AFTER = 900.0
"""Seconds after which a client that nobody asked for is closed."""
MOST = 2000
"""Clients at the same time; beyond that the one that was not asked for the longest is closed."""


class UserCluster(KubeApi):
    """One user cluster's API. Calls raise KubeErrors as those of the seed's API do.

    `get`, `list`, `pages`, `create`, `apply`, `json_patch`, `merge_patch`, `delete` take the kinds of `kinds.py`;
    `request` takes any path, for example that of an eviction. `probe` tells whether it answers at all.
    """

    def __init__(
        self, login: UserClusterLogin, tls: ssl.SSLContext, *, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        super().__init__(_Unchanging(login.server), timeout=timeout)
        self._login = login
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """The address, for messages."""
        return self._login.server

    async def probe(self) -> None:
        """One small read that any login may make; a KubeError when there is no good answer."""
        await self.request("GET", "/version")

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it is now, None when it is proven absent."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def select(
        self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        """All objects of a kind that selectors choose, whole, in pages."""
        query = {"limit": "250"} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        for _ in range(3):
            try:
                return await self._all_pages(kind, namespace, dict(query))
            except Gone:
                continue
        raise Unavailable(410, "Expired", f"the list of {kind.plural} expires before it is read")

    async def apply_over(self, obj: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply over an object as it was found; Conflict when it is not that any more."""
        meta = found["metadata"]
        guarded = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        return await self.apply({**obj, "metadata": {**obj["metadata"], **guarded}})

    async def create_applied(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create and own its fields as server-side apply does; AlreadyExists when there is one of its name.

        Apply alone would write over an object that somebody made a moment ago.
        """
        bare = {k: v for k, v in obj.items() if k not in ("data", "stringData", "binaryData")}
        return await self.apply_over(obj, await self.create(bare))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _all_pages(self, kind: Kind, namespace: str, query: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = await self.request("GET", kind.path(namespace), query=query)
            for item in page.get("items") or []:
                found.append({**item, "apiVersion": kind.api_version, "kind": kind.kind})
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            query["continue"] = more

    async def _send(
        self, method: str, url: str, body: Any, content: str, accept: str, deadline: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp

        headers = {"Accept": accept, "Content-Type": content, "User-Agent": USER_AGENT}
        if self._login.authorization:
            headers["Authorization"] = self._login.authorization
        left = max(0.1, deadline - time.monotonic())
        limit = aiohttp.ClientTimeout(total=left, connect=min(CONNECT_TIMEOUT, left))
        data = None if body is None else json.dumps(body).encode()
        try:
            async with self._open().request(
                method,
                self._login.server + url,
                headers=headers,
                data=data,
                timeout=limit,
                allow_redirects=False,
                server_hostname=self._login.server_name,
            ) as response:
                if 300 <= response.status < 400:
                    words = f"{self.server} sends elsewhere (HTTP {response.status}), which is not followed"
                    raise Unavailable(response.status, "Redirected", words)
                return response.status, response.headers, await self._read(response)
        except TimeoutError:
            words = f"{self.server} gave no answer in {min(left, self._timeout):.0f} s"
            raise Unavailable(0, "Timeout", words) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = f"cannot reach {self.server}: {str(error) or type(error).__name__}"
            raise Unavailable(0, "Unreachable", words) from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            size += len(part)
            if size > LONGEST_ANSWER:
                words = f"{self.server} answered with more than {LONGEST_ANSWER >> 20} MiB"
                raise Unavailable(0, "AnswerTooLong", words)
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = aiohttp.TCPConnector(ssl=self._tls, limit=CONNECTIONS, keepalive_timeout=20.0)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session


class UserClusters:
    """Clients by Cluster. A client whose kubeconfig was changed, or that nobody asks for any more, is closed."""

    def __init__(self, *, timeout: float = REQUEST_TIMEOUT, clock: Clock = time.monotonic) -> None:
        self._timeout = timeout
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, cluster: str, kubeconfig: bytes) -> UserCluster:
        """The client of a Cluster (named by its UID or key) for this kubeconfig; no call is made.

        Raises KubeconfigError, the same for the same document without reading it anew.
        """
        digest = hashlib.sha256(kubeconfig).digest()
        client = self._clients.get(cluster)
        if client is None or client.digest != digest:
            # Reading YAML and keys takes milliseconds, which the event loop does not have.
            client = self._put(cluster, digest, await asyncio.to_thread(_read, kubeconfig))
        client.used_at = self._clock()
        self._clients.move_to_end(cluster)
        self.close_unused()
        if isinstance(client.outcome, KubeconfigError):
            raise KubeconfigError(str(client.outcome))
        return client.outcome

    def forget(self, cluster: str) -> None:
        """The Cluster is gone, or names no kubeconfig any more."""
        client = self._clients.pop(cluster, None)
        if client is not None:
            self._close(client)

    def close_unused(self) -> None:
        """Close what nobody asked for lately, and the longest unused beyond the limit."""
        now = self._clock()
        while self._clients:
            name, oldest = next(iter(self._clients.items()))
            if len(self._clients) <= MOST and now - oldest.used_at <= UNUSED_AFTER:
                return
            self.forget(name)

    async def close(self) -> None:
        """Close all connections."""
        for name in list(self._clients):
            self.forget(name)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _put(self, cluster: str, digest: bytes, found: _Found) -> _Client:
        known = self._clients.get(cluster)
        if known is not None and known.digest == digest:
            return known  # somebody else read the same document meanwhile
        self.forget(cluster)
        made = (
            found
            if isinstance(found, KubeconfigError)
            else UserCluster(found[0], found[1], timeout=self._timeout)
        )
        client = self._clients[cluster] = _Client(digest, made, self._clock())
        return client

    def _close(self, client: _Client) -> None:
        if isinstance(client.outcome, UserCluster):
            # A request under way then fails as one does whose connection breaks.
            task = asyncio.get_running_loop().create_task(client.outcome.close(), name="close a user cluster")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


@dataclass(slots=True)
class _Client:
    digest: bytes
    outcome: UserCluster | KubeconfigError
    used_at: float


class _Unchanging:
    """The user cluster's login never changes within a client's life: another kubeconfig is another client."""

    def __init__(self, server: str) -> None:
        self._credentials = Credentials(server)

    async def current(self, *, renew: bool = False) -> Credentials:
        return self._credentials


_Found = tuple[UserClusterLogin, ssl.SSLContext] | KubeconfigError


def _read(document: bytes) -> _Found:
    try:
        login = tenant_kubeconfig.read(document)
        return login, login.tls()
    except KubeconfigError as error:
        return error
