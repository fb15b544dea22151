"""The SOAP session: one login, shared by the calls of all threads and by the watch.

Logs in again only on `NotAuthenticated`, which says that nothing was executed. A connection error never
repeats a call that changes something: whoever asked has to look first.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import ConnectFailedError, VSphereError, from_transport, from_vim
from vsphere_operator.vsphere.metrics import NoMetrics, VCenterMetrics
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session import lazy_objects, naming
from vsphere_operator.vsphere.session.breaker import Breaker, not_sent
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.session.naming import operation_id
from vsphere_operator.vsphere.vmomi import (
    GzipReader,
    SoapResponseDeserializer,
    SoapStubAdapter,
    managed_type,
    vim,
    vmodl,
)

R = TypeVar("R")

# Every vCenter from 7.0 on speaks this version, so no probe is needed, and answers hold only types known
# here.
_API_VERSION = "vim.version.v7_0"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
POLICY_TIMEOUT = 20.0
"""Seconds for an answer of the policy service, for which nobody should wait long."""
# The older versions of this API know no types of vCenter's own: NoPermission would become an `object`.
_POLICY_API = ("/pbm/sdk", "pbm.version.v7_0")
GOODBYE_TIMEOUT = 5.0
"""Seconds for each call while a session ends: nothing depends on the answers."""
PROBE_TIMEOUT = 10.0
_READ_BYTES = 16 * 1024
"""Of a compressed answer, inflated at once."""
_IDLE_SECONDS = 50
"""Idle connections are closed before the proxies of a vCenter do it."""

CLOSED = not_sent(
    "SessionClosed",
    "The session with vCenter was closed because its credentials changed; the new one is used next time.",
    retry_after=1.0,
)

TRANSPORT_ERRORS = (OSError, http.client.HTTPException, ExpatError)


class TimedStub(SoapStubAdapter):  # type: ignore[misc]  # pyVmomi's base is untyped
    """A connection pool with limits for connecting and reading; another thread can cut it off."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        user_agent: str,
        read_timeout: float,
        pool_size: int,
        api: tuple[str, str] = ("/sdk", _API_VERSION),
    ) -> None:
        """`api`: the path and the version of the service that is talked to."""
        path, version = api
        super().__init__(
            url=f"{endpoint.base_url}{path}",
            version=version,
            sslContext=endpoint.tls_context(),
            httpConnectionTimeout=CONNECT_TIMEOUT,
            connectionPoolTimeout=_IDLE_SECONDS,
            poolSize=pool_size,
            customHeaders={"User-Agent": user_agent},
        )
        self.read_timeout = read_timeout
        self._busy_lock = threading.Lock()
        self._busy: set[Any] = set()
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()

    def GetConnection(self) -> Any:  # noqa: N802  # pyVmomi's name
        try:
            connection = self._living_connection()
        except OSError as error:
            raise ConnectFailedError from error
        connection.sock.settimeout(self.read_timeout)
        with self._busy_lock:
            # pyVmomi closes a connection with a bad answer and says no more of it.
            self._busy = {c for c in self._busy if c.sock is not None} | {connection}
        return connection

    def _living_connection(self) -> Any:
        """One that was kept and is still alive, else a new one. pyVmomi connects those at once."""
        connection = super().GetConnection()
        # A new connection is not judged: with TLS 1.3 it has session tickets to read from the start.
        while connection in self._used and _was_dropped(connection):
            self._used.discard(connection)
            connection.close()
            connection = super().GetConnection()
        if connection.sock is None:
            connection.connect()
        connection.response_class = _SoapAnswer
        return connection

    def ReturnConnection(self, conn: Any) -> None:  # noqa: N802
        with self._busy_lock:
            self._busy.discard(conn)
        self._used.add(conn)
        super().ReturnConnection(conn)

    def DropConnections(self) -> None:  # noqa: N802
        with self._busy_lock:
            self._busy = {c for c in self._busy if c.sock is not None}
        super().DropConnections()

    def abort(self) -> None:
        """Cut the calls that are waiting for an answer."""
        with self._busy_lock:
            sockets = [connection.sock for connection in self._busy if connection.sock is not None]
        for waiting in sockets:
            with contextlib.suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)


class _SoapAnswer(http.client.HTTPResponse):
    """An answer that must be SOAP: pyVmomi reads any other page as "nothing found", and would believe it."""

    def begin(self) -> None:
        super().begin()
        kind = self.headers.get_content_type() if "Content-Type" in self.headers else "text/xml"
        if self.status in (200, 500) and (not kind.endswith("xml") or kind.endswith("xhtml+xml")):
            raise http.client.HTTPException(
                f"{self.status} and a page of {kind}, which is no answer of a vCenter"
            )


class WaitingStub(TimedStub):
    """For one thread that waits for updates: the answers decode what is asked for, and nothing else."""

    def __init__(self, endpoint: Endpoint, *, user_agent: str, read_timeout: float) -> None:
        super().__init__(endpoint, user_agent=user_agent, read_timeout=read_timeout, pool_size=1)
        self._user_agent = user_agent
        self._decoder = lazy_objects.Decoder(self.version, self)

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: N802, N803
        if info.wsdlName != "WaitForUpdatesEx":
            return super().InvokeMethod(mo, info, args, outerStub)
        request = self.SerializeRequest(mo, info, args)
        connection = self.GetConnection()
        try:
            status, answer = self._exchange(connection, request, info)
        except BaseException:
            connection.close()
            self.DropConnections()
            raise
        self.ReturnConnection(connection)
        if status != http.client.OK:
            raise answer
        return None if answer is None else self._decoder.decode(answer, info.result)

    def _exchange(self, connection: Any, request: Any, info: Any) -> tuple[int, Any]:
        """The status, and what was returned, unparsed, or the fault."""
        headers = {
            "Cookie": self.cookie,
            "SOAPAction": self.versionId,
            "Content-Type": "text/xml; charset=UTF-8",
            "User-Agent": self._user_agent,
            "Accept-Encoding": "gzip",
        }
        connection.request("POST", self.path, request, headers)
        response = connection.getresponse()
        compressed = response.getheader("Content-Encoding", "identity").lower() == "gzip"
        body = GzipReader(response, readChunkSize=_READ_BYTES) if compressed else response
        ok = response.status == http.client.OK
        answer = lazy_objects.read(body, info.wsdlName) if ok else self._fault(response, body)
        response.read()
        return response.status, answer

    def _fault(self, response: Any, body: Any) -> Exception:
        if response.status == http.client.INTERNAL_SERVER_ERROR:
            fault = SoapResponseDeserializer(self).Deserialize(body, object)
            if isinstance(fault, Exception):
                return fault
        raise http.client.HTTPException(f"{response.status} {response.reason}")


def _was_dropped(connection: Any) -> bool:
    """Whether the server closed an idle connection: then its end can be read before we asked."""
    if connection.sock is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        readable, _, _ = select.select([connection.sock], [], [], 0)
        return bool(readable)
    return True


class SoapSession:
    """One login of one user at one vCenter. Safe for threads; methods block within their limits."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        user_agent: str,
        gate: LoginGate,
        breaker: Breaker | None = None,
        metrics: VCenterMetrics | None = None,
        pool_size: int = 4,
    ) -> None:
        self.endpoint = endpoint
        self._breaker = breaker or Breaker(endpoint.authority)
        self._metrics = metrics or NoMetrics()
        self._credentials = credentials
        self._user_agent = user_agent
        self._gate = gate
        self._pool_size = pool_size
        self._lock = threading.Lock()
        self._generation = 0
        self._stub: TimedStub | None = None
        self._stubs: weakref.WeakSet[TimedStub] = weakref.WeakSet()
        self._hurried = False
        self._content: Any = None
        self._counted = False
        self._closed = False

    @property
    def where(self) -> str:
        return self.endpoint.authority

    def open(self) -> Any:
        """The service content, after a login if there was none. `VSphereError` if that fails."""
        return self._opened()[0]

    def _opened(self) -> tuple[Any, int]:
        with self._lock:
            if self._closed:
                raise VSphereError(CLOSED)
            self._breaker.check()
            if self._content is None:
                self._login()
            return self._content, self._generation

    def renew(self, stale: int) -> None:
        """Log in again, unless another thread has done so since generation `stale`."""
        with self._lock:
            if self._generation == stale and not self._closed:
                self._breaker.check()
                self._content = None
                self._count(open_now=False)
                self._login()

    def renew_if_lost(self, stale: int, *, op_id: str) -> bool:
        """Log in again if vCenter confirms that there is no session; whether the caller has a new one.

        For answers that may mean either a lost session or a missing privilege, such as HTTP 401 for a file.
        """
        # Without a session the property is unset, and no fault.
        lost = self.call(
            lambda content: content.sessionManager.currentSession is None, op_id=op_id, mutating=False
        )
        if lost:
            with operation_id(op_id):
                self.renew(stale)
        return self._generation != stale

    @property
    def generation(self) -> int:
        """Counts the logins: what belongs to a session (views, collectors) dies with its generation."""
        return self._generation

    def _login(self) -> None:
        """A stub for each login: answers to calls of the lost session may still come, with cookies of their own."""

        def login() -> tuple[TimedStub, Any]:
            with operation_id(naming.current()), self._faults(mutating=False):
                limit = GOODBYE_TIMEOUT if self._hurried else READ_TIMEOUT
                stub = self._new_stub(limit, self._pool_size)
                self._stubs.add(stub)
                content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
                content.sessionManager.Login(self._credentials.username, self._credentials.password, "en")
                return stub, content

        before = self._stub
        self._stub, self._content = self._gate.attempt(self.endpoint, self._credentials, login)
        self._generation += 1
        self._count(open_now=True)
        if before is not None:
            before.DropConnections()

    def _count(self, *, open_now: bool) -> None:
        if open_now == self._counted:
            return
        self._counted = open_now
        tell = self._metrics.session_opened if open_now else self._metrics.session_ended
        tell(vcenter=self.endpoint.host, api="soap")

    def _new_stub(self, read_timeout: float, pool_size: int) -> TimedStub:
        return TimedStub(
            self.endpoint, user_agent=self._user_agent, read_timeout=read_timeout, pool_size=pool_size
        )

    def waiting_stub(self, read_timeout: float) -> WaitingStub:
        """A stub on this session with a connection and a read limit of its own, for one waiting thread."""
        self.open()
        stub = WaitingStub(self.endpoint, user_agent=self._user_agent, read_timeout=read_timeout)
        stub.cookie = self.cookie
        return stub

    @contextlib.contextmanager
    def policy_service(self) -> Iterator[Any]:
        """The content of the storage policy service, on this session; to be used inside of `call`.

        It looks for the session in the SOAP header `vcSessionCookie`, and not in the HTTP cookie (pyVmomi's samples).
        """
        stub = TimedStub(
            self.endpoint,
            user_agent=self._user_agent,
            read_timeout=POLICY_TIMEOUT,
            pool_size=1,
            api=_POLICY_API,
        )
        self._stubs.add(stub)
        stub.cookie = self.cookie
        with naming.header("vcSessionCookie", self._session_key):
            try:
                service = managed_type("PbmServiceInstance", "urn:pbm")("ServiceInstance", stub)
                yield service.RetrieveContent()
            finally:
                stub.DropConnections()

    @property
    def _session_key(self) -> str:
        return self.cookie.partition(";")[0].partition("=")[2].strip('"')

    def http_headers(self, op_id: str) -> dict[str, str]:
        """What a plain HTTP request needs to belong to this session and to be told apart in vCenter's log."""
        name = naming.named(op_id)
        return {
            "Cookie": self.cookie.partition(";")[0],
            "User-Agent": self._user_agent,
            "X-Request-ID": name,
            "operationID": name,
        }

    @property
    def cookie(self) -> str:
        """The session's Cookie header."""
        return self._stub.cookie if self._stub is not None else ""

    def object(self, moref: MoRef, stub: Any = None) -> Any:
        """The managed object of a reference, to call methods on. Costs no call."""
        kind = managed_type(morefs.kind_of(moref))
        return kind(morefs.id_of(moref), stub or self._stub)

    def call(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(content)`; its calls carry the opID, their faults come as `VSphereError`."""
        with operation_id(op_id):
            content, generation = self._opened()
            try:
                return self._once(function, content, mutating)
            except vim.fault.NotAuthenticated:
                self.renew(generation)
            with self._faults(mutating):
                return function(self.open())

    def _once(self, function: Callable[[Any], R], content: Any, mutating: bool) -> R:
        try:
            with self._faults(mutating, let_through=vim.fault.NotAuthenticated):
                return function(content)
        except VSphereError as error:
            if mutating or not _died_in_use(error.__cause__):
                raise
        with self._faults(mutating, let_through=vim.fault.NotAuthenticated):
            return function(content)

    @contextlib.contextmanager
    def _faults(self, mutating: bool, let_through: Any = ()) -> Iterator[None]:
        try:
            yield
        except VSphereError:
            raise
        except vmodl.MethodFault as error:
            self._breaker.record(None)
            if let_through and isinstance(error, let_through):
                raise
            raise VSphereError(from_vim(error)) from _without_details(error)
        except TRANSPORT_ERRORS as error:
            self._breaker.record(from_transport(error, where=self.where))
            raise VSphereError(from_transport(error, where=self.where, mutating=mutating)) from error
        self._breaker.record(None)

    def abort(self) -> None:
        """Cut the calls that still wait for an answer; for the end of the process only."""
        for stub in list(self._stubs):
            stub.abort()

    def hurry(self) -> None:
        """From now on each new call has seconds only: the session is about to end."""
        self._hurried = True
        for stub in list(self._stubs):
            stub.read_timeout = GOODBYE_TIMEOUT

    def close(self, *, op_id: str) -> None:
        """Log out. Never raises: a session that cannot be closed ends by itself."""
        with self._lock:
            self._closed = True
            content, stub = self._content, self._stub
            self._content = None
            self._count(open_now=False)
        if stub is None:
            return
        if content is not None and self._breaker.cause is None:
            stub.read_timeout = GOODBYE_TIMEOUT
            with operation_id(op_id), contextlib.suppress(vmodl.MethodFault, *TRANSPORT_ERRORS):
                content.sessionManager.Logout()
        stub.DropConnections()


def probe(endpoint: Endpoint, *, user_agent: str) -> None:
    """One question that needs no login; `VSphereError` if vCenter does not answer it."""
    try:
        stub = TimedStub(endpoint, user_agent=user_agent, read_timeout=PROBE_TIMEOUT, pool_size=1)
        with operation_id(naming.SESSION):
            vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        stub.DropConnections()
    except vmodl.MethodFault as error:
        raise VSphereError(from_vim(error)) from _without_details(error)
    except TRANSPORT_ERRORS as error:
        raise VSphereError(from_transport(error, where=endpoint.authority)) from error


def _died_in_use(cause: BaseException | None) -> bool:
    """Whether a kept-alive connection died under the call: reading twice harms nobody.

    A vCenter that is slow, that refuses connections or says 503 is not asked twice.
    """
    if isinstance(cause, ConnectFailedError) or type(cause) is http.client.HTTPException:
        return False
    return isinstance(cause, ConnectionError | http.client.HTTPException)


def _without_details(error: Any) -> Exception:
    """The fault's type only: its text form prints whole specifications, and they may hold bootstrap data."""
    return RuntimeError(type(error).__name__)
