"""One HTTP request for a datastore file, its body sent in chunks; each step has a time limit, the whole has none."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from vsphere_operator.vsphere.faults import VSphereError, from_transport
from vsphere_operator.vsphere.files.source import Source
from vsphere_operator.vsphere.session.soap import CONNECT_TIMEOUT, READ_TIMEOUT

TRANSPORT_ERRORS = (OSError, http.client.HTTPException)
_REFUSED = 400
_ANSWER_TIMEOUT = 5.0
"""Seconds for the answer of a server that has stopped listening: it is there already, or will not come."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    length: int


Progress = Callable[[int], None]
"""Told the number of bytes sent so far, in the thread that sends."""


class Connection:
    """A connection to one server. Connects at once, so that a certificate can be judged before anything is said."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self.where = f"{host}:{port}"
        self._http = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=context)
        with self._faults(mutating=False):
            self._http.connect()
        # Of each chunk, and of the answer: a large file over a slow line takes as long as it takes.
        self._http.sock.settimeout(READ_TIMEOUT)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def certificate(self) -> bytes:
        """The server's certificate, DER."""
        sock = self._http.sock
        found = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        return found or b""

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: Source | None, progress: Progress
    ) -> Reply:
        """`VSphereError` when the connection broke: then nobody knows how much of a body arrived."""
        with self._faults(mutating=body is not None):
            self._http.putrequest(method, target)
            for name, value in headers.items():
                self._http.putheader(name, value)
            if body is not None:
                self._http.putheader("Content-Type", "application/octet-stream")
                self._http.putheader("Content-Length", str(body.size))
            self._http.endheaders()
            return self._send(body, progress) if body is not None else self._answer()

    def _send(self, body: Source, progress: Progress) -> Reply:
        sent = 0
        try:
            for chunk in body.chunks():
                self._http.send(chunk)
                sent += len(chunk)
                progress(sent)
        except TimeoutError:
            raise
        except OSError:
            # A server that refuses may say so and hang up in the middle of the body.
            with contextlib.suppress(*TRANSPORT_ERRORS):
                if isinstance(self._http.sock, socket.socket):
                    self._http.sock.settimeout(_ANSWER_TIMEOUT)
                reply = self._answer()
                if reply.status >= _REFUSED:
                    return reply
            raise
        return self._answer()

    def _answer(self) -> Reply:
        response = self._http.getresponse()
        while response.read(65536):
            pass
        return Reply(response.status, int(response.headers.get("Content-Length") or 0))

    def _faults(self, *, mutating: bool) -> contextlib.AbstractContextManager[None]:
        return _transport_faults(self.where, mutating)


@contextlib.contextmanager
def _transport_faults(where: str, mutating: bool) -> Iterator[None]:
    try:
        yield
    except TRANSPORT_ERRORS as error:
        raise VSphereError(from_transport(error, where=where, mutating=mutating)) from error
