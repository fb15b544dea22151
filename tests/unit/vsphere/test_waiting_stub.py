"""The wait for updates over HTTP: whole, in pieces, compressed; faults and other calls are pyVmomi's own."""

from __future__ import annotations

import gzip
import http.client
import io
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.vsphere.test_lazy_objects import envelope, sent
from vsphere_operator.vsphere.endpoint import Endpoint
from vsphere_operator.vsphere.session.lazy_objects import UnexpectedAnswerError
from vsphere_operator.vsphere.session.soap import WaitingStub
from vsphere_operator.vsphere.vmomi import vim, vmodl

FAULT = (
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
    b"<faultcode>ServerFaultCode</faultcode><faultstring>The session is not authenticated.</faultstring>"
    b'<detail><NotAuthenticatedFault xmlns="urn:vim25" xsi:type="NotAuthenticated">'
    b'<object type="Folder">group-d1</object><privilegeId>System.View</privilegeId></NotAuthenticatedFault>'
    b"</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)


class Connection:
    """A server at the other end of a socket that gives one answer."""

    def __init__(self, raw: bytes) -> None:
        self.sock: Any = None
        self.closed = False
        self.headers: dict[str, str] = {}
        self.asked = b""
        self._raw = raw

    def connect(self) -> None:
        raw = self._raw

        class Socket:
            def makefile(self, _mode: str) -> io.BytesIO:
                return io.BytesIO(raw)

            def settimeout(self, _seconds: float) -> None: ...

        self.sock = Socket()

    def request(self, _method: str, _path: str, body: bytes, headers: dict[str, str]) -> None:
        self.asked, self.headers = body, headers

    def getresponse(self) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        return response

    def close(self) -> None:
        self.closed = True


def http_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def in_chunks(body: bytes, *headers: str) -> bytes:
    pieces = (body[at : at + 700] for at in range(0, len(body), 700))
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""]
    return "\r\n".join(head).encode() + chunks + b"0\r\n\r\n"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[WaitingStub]:
    made = WaitingStub(Endpoint("https://vcenter.example.com"), user_agent="operator/1", read_timeout=5.0)
    made.cookie = "vmware_soap_session=abc"
    yield made
    made.DropConnections()


def wait(stub: WaitingStub, raw: bytes) -> tuple[Connection, Any]:
    connection = Connection(raw)
    stub.pool = [(connection, 2**40)]
    try:
        return connection, vmodl.query.PropertyCollector("pc-1", stub).WaitForUpdatesEx("1", None)
    except Exception as error:
        return connection, error


LONG = sent("ü" * 300_000)


@pytest.mark.parametrize(
    "raw",
    [
        http_answer(LONG),
        in_chunks(LONG),
        http_answer(gzip.compress(LONG), "Content-Encoding: gzip"),
        in_chunks(gzip.compress(LONG), "Content-Encoding: gzip"),
    ],
    ids=["whole", "in chunks", "compressed", "compressed, in chunks"],
)
def test_an_answer_is_read_however_it_is_sent(stub: WaitingStub, raw: bytes) -> None:
    connection, update = wait(stub, raw)
    assert update.filterSet[0].objectSet[0].changeSet[0].val == "ü" * 300_000
    assert not connection.closed
    assert stub.pool[0][0] is connection
    assert connection.headers["Cookie"] == "vmware_soap_session=abc"
    assert connection.headers["User-Agent"] == "operator/1"
    assert connection.headers["SOAPAction"] == '"urn:vim25/7.0.0.0"'
    assert b"WaitForUpdatesEx" in connection.asked


def test_nothing_new_is_none(stub: WaitingStub) -> None:
    _, update = wait(stub, http_answer(envelope("")))
    assert update is None


def test_a_fault_is_raised_and_the_connection_kept(stub: WaitingStub) -> None:
    connection, fault = wait(stub, http_answer(FAULT, status="500 Internal Server Error"))
    assert type(fault) is vim.fault.NotAuthenticated
    assert fault.msg == "The session is not authenticated."
    assert fault.privilegeId == "System.View"
    assert not connection.closed


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (http_answer(b"busy", status="503 Service Unavailable"), http.client.HTTPException),
        (http_answer(envelope(""), status="500 Internal Server Error"), http.client.HTTPException),
        (http_answer(b"<p>proxy</p>"), UnexpectedAnswerError),
        (http_answer(LONG)[:-200_000], UnexpectedAnswerError),
        (in_chunks(LONG)[:-200_000], http.client.IncompleteRead),
        (http_answer(gzip.compress(LONG)[:-30], "Content-Encoding: gzip"), UnexpectedAnswerError),
        (http_answer(b"no gzip at all", "Content-Encoding: gzip"), UnexpectedAnswerError),
        (b"", http.client.RemoteDisconnected),
    ],
    ids=["busy", "500 without a fault", "a page", "cut off", "cut off in chunks", "cut off when compressed",
         "not compressed", "no answer"],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_of_the_connection_and_closes_it(
    stub: WaitingStub, raw: bytes, error: type[Exception]
) -> None:
    connection, raised = wait(stub, raw)
    assert isinstance(raised, error), raised
    assert connection.closed
    assert stub.pool == []
    assert not isinstance(raised, zlib.error)
