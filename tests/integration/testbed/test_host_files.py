"""Files by way of a host: what a ticket allows, and to whom."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Iterator

import pytest
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from testbed import Options, TestBed
from tests.integration.testbed.clients import Seat

pytestmark = pytest.mark.testbed

FILE = "/folder/uploads/a.iso"
QUERY = "dcPath=ha-datacenter&dsName=LocalDS_0"


@pytest.fixture(scope="module")
def seat() -> Iterator[Seat]:
    with TestBed(Options(vms=1)) as bed:
        seat = Seat(bed.info.vcenter)
        home = seat.find(vim.Datacenter, "DC0")
        seat.content.fileManager.MakeDirectory("[LocalDS_0] uploads", home, False)
        yield seat
        Disconnect(seat.instance)


def acquire(
    seat: Seat, host: str = "DC0_H0", method: str = "httpPut"
) -> vim.SessionManager.GenericServiceTicket:
    spec = vim.SessionManager.HttpServiceRequestSpec(method=method, url=f"https://{host}{FILE}?{QUERY}")
    return seat.instance.content.sessionManager.AcquireGenericServiceTicket(spec)


def connect(ticket: vim.SessionManager.GenericServiceTicket) -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(str(ticket.hostName), context=context, timeout=10)
    connection.connect()
    return connection


def put(
    ticket: vim.SessionManager.GenericServiceTicket, path: str = FILE, query: str = QUERY, method: str = "PUT"
) -> int:
    connection = connect(ticket)
    headers = {"Cookie": f"vmware_cgi_ticket={ticket.id}"}
    connection.request(method, f"{path}?{query}", body=b"x", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_ticket_is_good_for_one_upload(seat: Seat) -> None:
    ticket = acquire(seat)
    assert put(ticket) in (200, 201)
    assert put(ticket) == 401


@pytest.mark.parametrize(
    ("path", "query", "method"),
    [
        ("/folder/uploads/b.iso", QUERY, "PUT"),
        (FILE, "dcPath=ha-datacenter&dsName=LocalDS_1", "PUT"),
        (FILE, QUERY, "GET"),
    ],
)
def test_a_ticket_is_good_for_its_request_only(seat: Seat, path: str, query: str, method: str) -> None:
    ticket = acquire(seat)
    assert put(ticket, path, query, method) == 401
    assert put(ticket) == 401, "it is spent"


def test_the_thumbprint_is_that_of_the_hosts_certificate(seat: Seat) -> None:
    ticket = acquire(seat)
    connection = connect(ticket)
    assert isinstance(connection.sock, ssl.SSLSocket)
    found = hashlib.sha1(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()  # noqa: S324
    connection.close()
    assert str(ticket.sslThumbprint).replace(":", "").lower() == found


def test_there_are_no_tickets_for_strangers(seat: Seat) -> None:
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        acquire(seat, host="elsewhere.example.com")
    assert caught.value.invalidProperty == "url"
