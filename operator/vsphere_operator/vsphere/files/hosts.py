"""Uploads through a host, with a ticket that vCenter makes for one request and the host takes once.

Some datastores vCenter does not write to itself (early vSAN releases answer 500, vmware/vic#5042). Nothing is said
to a host, the ticket least of all, before its certificate has been compared with what vCenter knows of it.
"""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError, from_http_status
from vsphere_operator.vsphere.files import paths
from vsphere_operator.vsphere.files.source import Source
from vsphere_operator.vsphere.files.transfer import Connection, Progress
from vsphere_operator.vsphere.inventory.entities import Datastore, Host
from vsphere_operator.vsphere.inventory.index import Inventory
from vsphere_operator.vsphere.session.soap import SoapSession
from vsphere_operator.vsphere.vmomi import vim

_PORT = 443
_TRIED = 2
"""Hosts tried for one upload: what a second one cannot do, a third one seldom can."""
_UNNAMED = ("", "localhost", "localhost.localdomain")
"""What a host that was given no name says it is called."""
_OF_THIS_HOST = frozenset(
    {FaultClass.UNREACHABLE, FaultClass.UNTRUSTED, FaultClass.PERMISSION, FaultClass.GONE}
)
"""Classes of faults that another host may not have."""

Shuffle = Callable[[list[Host]], None]


@dataclass(frozen=True, slots=True)
class Ticket:
    """`thumbprints`: SHA-256 or SHA-1 of the host's certificate, in hexadecimal digits; none: judge it by name."""

    id: str = field(repr=False)
    addresses: tuple[str, ...]
    thumbprints: tuple[str, ...]


class HostUploads:
    """Blocking; for a worker thread."""

    def __init__(
        self,
        session: SoapSession,
        inventory: Inventory,
        shuffle: Shuffle = random.shuffle,
    ) -> None:
        self._session = session
        self._inventory = inventory
        self._shuffle = shuffle

    def candidates(self, datastore: Datastore) -> list[Host]:
        """Connected hosts that mount the datastore, in any order, so that no host carries all uploads."""
        found = [h for h in self._inventory.all(Host) if isinstance(h, Host) and _can_write(h, datastore)]
        self._shuffle(found)
        return found

    def put(
        self, hosts: Sequence[Host], datastore: str, path: str, body: Source, op_id: str, progress: Progress
    ) -> None:
        """Upload through the first host that can. The last one's fault when none can."""
        for number, host in enumerate(hosts[:_TRIED], start=1):
            try:
                self._through(host, datastore, path, body, op_id, progress)
                return
            except VSphereError as error:
                if number == min(_TRIED, len(hosts)) or error.fault.fault_class not in _OF_THIS_HOST:
                    raise

    def _through(
        self, host: Host, datastore: str, path: str, body: Source, op_id: str, progress: Progress
    ) -> None:
        target = paths.target("ha-datacenter", datastore, path)
        ticket = self._ticket(host, target, op_id)
        with self._connect(ticket) as connection:
            # The ticket takes the session's place.
            headers = self._session.http_headers(op_id) | {
                "Cookie": f"vmware_cgi_ticket={ticket.id}",
                "Connection": "close",
            }
            reply = connection.request("PUT", target, headers, body, progress)
        if reply.status not in (200, 201, 204):
            what = f"the upload of [{datastore}] {path} through the host {host.name}"
            raise VSphereError(from_http_status(reply.status, what=what))

    def _ticket(self, host: Host, target: str, op_id: str) -> Ticket:
        name = host.name or ""
        address = f"[{name}]" if ":" in name else name

        def acquire(content: Any) -> Any:
            spec = vim.SessionManager.HttpServiceRequestSpec(
                method="httpPut", url=f"https://{address}{target}"
            )
            return content.sessionManager.AcquireGenericServiceTicket(spec)

        # A ticket changes nothing: a lost one is only never used.
        return _decode(self._session.call(acquire, op_id=op_id, mutating=False), name)

    def _connect(self, ticket: Ticket) -> Connection:
        for address in ticket.addresses[:-1]:
            try:
                return self._pinned(address, ticket)
            except VSphereError as error:
                # A host's own name is often in no DNS that we ask; vCenter's name for it is the next to try.
                if error.fault.fault_class is not FaultClass.UNREACHABLE:
                    raise
        return self._pinned(ticket.addresses[-1], ticket)

    def _pinned(self, address: str, ticket: Ticket) -> Connection:
        host, port = _host_and_port(address)
        if not ticket.thumbprints:
            return Connection(host, port, self._session.endpoint.tls_context())
        connection = Connection(host, port, _unjudged())
        if matches(connection.certificate(), ticket.thumbprints):
            return connection
        connection.close()
        words = (
            f"The certificate of the host {host} is not the one that vCenter knows: nothing was sent to it. Reconnect"
            " the host in vCenter if its certificate was replaced."
        )
        raise VSphereError(
            Fault(FaultClass.UNTRUSTED, "CertificateUntrusted", words, 300.0, "HostThumbprint")
        )


def matches(certificate: bytes, thumbprints: Iterable[str]) -> bool:
    """Whether a certificate (DER) is one of those; where SHA-256 is given, SHA-1 does not count."""
    wanted = set(thumbprints)
    strong = {t for t in wanted if len(t) == 2 * hashlib.sha256().digest_size}
    if strong:
        return hashlib.sha256(certificate).hexdigest() in strong
    return hashlib.sha1(certificate).hexdigest() in wanted  # noqa: S324 - all that older vCenters give


def _decode(ticket: Any, inventory_name: str) -> Ticket:
    given = [ticket.sslThumbprint, *(t.thumbprint for t in getattr(ticket, "certThumbprintList", None) or ())]
    own_name = ticket.hostName or ""
    names = [own_name] if own_name.lower() not in _UNNAMED else []
    return Ticket(
        id=ticket.id,
        addresses=tuple(dict.fromkeys([*names, inventory_name])),
        thumbprints=tuple(t.replace(":", "").lower() for t in given if t),
    )


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if colon and ":" not in host and port.isdigit():
        return host, int(port)
    return address, _PORT


def _can_write(host: Host, datastore: Datastore) -> bool:
    mounted = host.moref in datastore.hosts or datastore.moref in host.datastores
    return mounted and host.connection_state == "connected" and not host.in_maintenance


def _unjudged() -> ssl.SSLContext:
    """For a certificate that is compared with a thumbprint instead."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
