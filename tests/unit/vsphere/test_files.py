"""Datastore files without a vCenter: paths, sources, hosts and their certificates."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.files import Source, hosts, paths, split
from vsphere_operator.vsphere.files.source import CHUNK
from vsphere_operator.vsphere.inventory.entities import Datastore, Entity, Host
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.morefs import MoRef

STORE = Datastore(MoRef("Datastore:1"), "vsan", hosts=(MoRef("HostSystem:1"), MoRef("HostSystem:2")))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[ds] dir/a.iso", ("ds", "dir/a.iso")),
        ("[my ds] a b/c.iso", ("my ds", "a b/c.iso")),
        ("[ds] 6b1f-0c/a.iso", ("ds", "6b1f-0c/a.iso")),
        ("[ds]a", ("ds", "a")),
    ],
)
def test_a_datastore_path_has_two_parts(text: str, parts: tuple[str, str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["", "ds/a", "[ds]", "[] a", "[ds] ../a", "[ds] a/../../b"])
def test_what_is_no_datastore_path_is_refused(text: str) -> None:
    with pytest.raises(VSphereError) as caught:
        split(text)
    assert caught.value.fault.fault_class is FaultClass.TERMINAL


def test_names_of_any_kind_fit_into_a_url() -> None:
    target = paths.target("a b/DC&0", "my ds#1", "dir ü/a?b.iso")
    assert target == "/folder/dir%20%C3%BC/a%3Fb.iso?dcPath=a%20b%2FDC%260&dsName=my%20ds%231"


def test_a_source_is_read_again_from_its_beginning(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3000
    (tmp_path / "f").write_bytes(data)
    for source in (Source.of(data), Source.of(tmp_path / "f")):
        for _ in range(2):
            chunks = list(source.chunks())
            assert b"".join(chunks) == data
            assert max(map(len, chunks)) <= CHUNK


def test_no_more_than_the_size_is_read() -> None:
    assert b"".join(Source(3, lambda: io.BytesIO(b"abcdef")).chunks()) == b"abc"


def test_bytes_show_in_no_repr() -> None:
    assert "secret" not in repr(Source.of(b"secret"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VSphereError) as caught:
        Source.of(tmp_path / "nothing")
    assert caught.value.fault.reason == "SourceUnreadable"


SHA1, SHA256 = hashlib.sha1(b"der").hexdigest(), hashlib.sha256(b"der").hexdigest()  # noqa: S324
PINS: list[tuple[str, tuple[str, ...], bool]] = [
    ("SHA-1 alone", (SHA1,), True),
    ("SHA-256 alone", (SHA256,), True),
    ("both", (SHA1, SHA256), True),
    ("another SHA-1", (SHA1[::-1],), False),
    ("another SHA-256 beside the right SHA-1", (SHA1, SHA256[::-1]), False),
    ("none", (), False),
]


@pytest.mark.parametrize(("pins", "same"), [p[1:] for p in PINS], ids=[p[0] for p in PINS])
def test_a_hosts_certificate_is_compared_with_the_strongest_thumbprint(
    pins: tuple[str, ...], same: bool
) -> None:
    assert hosts.matches(b"der", pins) is same


TICKETS: list[tuple[str | None, tuple[str, ...]]] = [
    ("esx1.example.com", ("esx1.example.com", "10.0.0.1")),
    ("10.0.0.1", ("10.0.0.1",)),
    ("localhost.localdomain", ("10.0.0.1",)),
    (None, ("10.0.0.1",)),
]


@pytest.mark.parametrize(("own", "addresses"), TICKETS)
def test_a_ticket_names_the_host_and_vcenters_name_for_it_is_the_next_best(
    own: str | None, addresses: tuple[str, ...]
) -> None:
    given = SimpleNamespace(id="secret-ticket", hostName=own, sslThumbprint="AB:CD", certThumbprintList=None)
    ticket = hosts._decode(given, "10.0.0.1")
    assert (ticket.addresses, ticket.thumbprints) == (addresses, ("abcd",))
    assert "secret-ticket" not in repr(ticket)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("esx1", ("esx1", 443)), ("esx1:8443", ("esx1", 8443)), ("fe80::1:2", ("fe80::1:2", 443))],
)
def test_an_address_may_have_a_port(address: str, parts: tuple[str, int]) -> None:
    assert hosts._host_and_port(address) == parts


class FakeInventory:
    def __init__(self, *entities: Entity) -> None:
        self._entities = entities

    def all(self, kind: type[Entity]) -> list[Entity]:
        return [e for e in self._entities if isinstance(e, kind)]


def a_host(number: int, **fields: Any) -> Host:
    given = {"connection_state": "connected"} | fields
    return Host(MoRef(f"HostSystem:{number}"), f"h{number}", **given)


def test_only_connected_hosts_that_mount_the_datastore_are_asked() -> None:
    inventory = FakeInventory(
        a_host(1),
        a_host(2, connection_state="disconnected"),
        a_host(3),
        a_host(4, datastores=(STORE.moref,)),
        a_host(5, datastores=(STORE.moref,), in_maintenance=True),
    )
    uploads = hosts.HostUploads(
        cast("Any", None), cast("Inventory", inventory), lambda found: found.reverse()
    )
    assert [h.name for h in uploads.candidates(STORE)] == ["h4", "h1"]
