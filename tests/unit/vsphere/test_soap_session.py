"""One login after another on one session: whose cookie counts, whose MoRefs do, and what is no answer at all."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from vsphere_operator.vsphere import vmomi
from vsphere_operator.vsphere.calls import Calls
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Executed, FaultClass, VSphereError
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session import soap
from vsphere_operator.vsphere.session.breaker import NOT_SENT
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.session.soap import SoapSession, TimedStub

ENDPOINT = Endpoint("https://vc")
FOLDER = MoRef("Folder:group-d1")
NOT_AUTHENTICATED = (
    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no session</faultstring><detail>"
    '<NotAuthenticatedFault xmlns="urn:vim25" xsi:type="NotAuthenticated"><object type="Folder">group-d1</object>'
    "<privilegeId>System.View</privilegeId></NotAuthenticatedFault></detail></soapenv:Fault>"
)
CONTENT = (
    '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval><rootFolder type="Folder">group-d1</rootFolder>'
    '<propertyCollector type="PropertyCollector">pc</propertyCollector><about><instanceUuid>{}</instanceUuid></about>'
    '<sessionManager type="SessionManager">SessionManager</sessionManager></returnval>'
    "</RetrieveServiceContentResponse>"
)
LOGGED_IN = '<LoginResponse xmlns="urn:vim25"><returnval><key>k</key><userName>u</userName></returnval></LoginResponse>'
CREATED = '<CreateFolderResponse xmlns="urn:vim25"><returnval type="Folder">group-v9</returnval></CreateFolderResponse>'


class Server:
    """As much of a vCenter as sessions need. Who brings no cookie is given one."""

    def __init__(self) -> None:
        self.instance_uuid = "vc-1"
        self.calls: list[str] = []
        self.logged_in: set[str] = set()
        self.before_answer: Callable[[str], None] = lambda _: None
        self._cookies = 0

    def answer(self, body: str, cookie: str) -> tuple[int, str, str | None]:
        match = re.search(r"<soapenv:Body>\s*<(\w+)", body)
        assert match is not None
        method = match[1]
        self.calls.append(method)
        given = None
        if not cookie:
            self._cookies += 1
            cookie = given = f'vmware_soap_session="{self._cookies}"'
        status, text = self._reply(method, cookie)
        self.before_answer(method)
        return status, text, given

    def _reply(self, method: str, cookie: str) -> tuple[int, str]:
        if method == "RetrieveServiceContent":
            return 200, CONTENT.format(self.instance_uuid)
        if method == "Login":
            self.logged_in.add(cookie)
            return 200, LOGGED_IN
        return (200, CREATED) if cookie in self.logged_in else (500, NOT_AUTHENTICATED)


class Connection:
    def __init__(self, server: Server) -> None:
        self._server = server
        self.sock: Any = socket.socketpair()[0]

    def request(self, _method: str, _path: str, body: bytes, headers: dict[str, str]) -> None:
        self._answer = self._server.answer(body.decode(), headers["Cookie"])

    def getresponse(self) -> Any:
        status, text, cookie = self._answer
        envelope = (
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
            f"{text}</soapenv:Body></soapenv:Envelope>"
        )
        body = [envelope.encode(), b""]
        return SimpleNamespace(
            status=status,
            getheader=lambda name, default=None: cookie if name.lower() == "set-cookie" else default,
            read=lambda *_: body.pop(0) if body else b"",
        )

    def close(self) -> None:
        self.sock = None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    def connect(stub: Any) -> Any:
        return stub.pool.pop(0)[0] if stub.pool else Connection(made)

    monkeypatch.setattr(vmomi.SoapStubAdapter, "GetConnection", connect)
    return made


@pytest.fixture
def session(server: Server) -> SoapSession:
    return SoapSession(ENDPOINT, Credentials("u", "p"), user_agent="test/1", gate=LoginGate())


def create(session: SoapSession) -> Callable[[Any], Any]:
    return lambda _: session.object(FOLDER).CreateFolder("x")


def test_a_late_answer_of_the_lost_session_does_not_spoil_the_new_one(
    server: Server, session: SoapSession
) -> None:
    session.call(create(session), op_id="test", mutating=True)
    server.logged_in.clear()
    begun, renewing, sent, renewed = (threading.Event() for _ in range(4))

    def hold(method: str) -> None:
        if method == "RetrieveServiceContent":
            renewing.set()
            assert sent.wait(10)
        elif method == "CreateFolder" and not renewed.is_set():
            sent.set()
            assert renewed.wait(10)

    def begun_before(_: Any) -> Any:
        begun.set()
        assert renewing.wait(10)
        return session.object(FOLDER).CreateFolder("late")

    server.before_answer = hold
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(session.call, begun_before, op_id="late", mutating=True)
        assert begun.wait(10)
        session.renew(session.generation)
        renewed.set()
        late.result(10)
    session.call(create(session), op_id="test", mutating=True)
    assert server.calls.count("Login") == 2
    assert len(server.logged_in) == 1


async def test_nothing_is_asked_of_another_vcenter_that_answers_at_the_address(
    server: Server, session: SoapSession
) -> None:
    automation: Any = None
    known = ["vc-1"]
    calls = Calls(session, automation, instance_uuid=lambda: known[0])
    await calls.soap(create(session), op_id="test", mutating=True)
    server.logged_in.clear()
    server.instance_uuid = "vc-2"
    before = server.calls.count("CreateFolder")
    with pytest.raises(VSphereError) as caught:
        await calls.soap(create(session), op_id="test", mutating=True)
    fault = caught.value.fault
    assert (fault.kind, fault.reason, fault.executed) == (NOT_SENT, "OtherVCenter", Executed.NO)
    # The first try was refused for its session; it is not made again on the other vCenter.
    assert server.calls.count("CreateFolder") == before + 1
    known[0] = "vc-2"
    await calls.soap(create(session), op_id="test", mutating=True)
    await calls.close()


@contextlib.contextmanager
def answering(text: str) -> Iterator[http.client.HTTPConnection]:
    """A connection on which that has been answered already."""
    ours, theirs = socket.socketpair()
    connection = http.client.HTTPConnection("vc")
    connection.sock = ours
    theirs.sendall(text.encode())
    with ours, theirs:
        yield connection


@pytest.mark.parametrize(
    ("status", "kind"),
    [("200 OK", "text/html"), ("500 Internal", "text/html"), ("200 OK", "application/xhtml+xml")],
)
def test_a_page_that_is_not_soap_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, status: str, kind: str
) -> None:
    page = "<html><body><h1>It works!</h1></body></html>"
    text = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(page)}\r\n\r\n{page}"
    with answering(text) as connection:
        monkeypatch.setattr(vmomi.SoapStubAdapter, "GetConnection", lambda _: connection)
        with pytest.raises(VSphereError) as caught:
            soap.probe(ENDPOINT, user_agent="test/1")
    assert caught.value.fault.fault_class is FaultClass.UNREACHABLE
    assert kind in caught.value.fault.message


def test_connections_that_ended_with_a_bad_answer_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = TimedStub(ENDPOINT, user_agent="test/1", read_timeout=1.0, pool_size=1)
    made: list[Any] = []

    def connect(_: Any) -> Any:
        made.append(Connection(Server()))
        return made[-1]

    monkeypatch.setattr(vmomi.SoapStubAdapter, "GetConnection", connect)
    for _ in range(3):
        stub.GetConnection().close()
    assert len(stub._busy) == 1
