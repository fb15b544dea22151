"""Free loopback ports for servers that cannot choose one themselves.

A port that is free now may be taken a moment later. So ports come from below the range that the kernel gives
to outgoing connections, and each is held by a lock file for as long as its user lives: two test beds never
choose the same one. Whoever else takes it meanwhile is met by trying again with another port.
"""

from __future__ import annotations

import fcntl
import random
import socket
from pathlib import Path
from typing import IO

from testbed.builds import cache_root

# Linux hands out 32768-60999 by default (net.ipv4.ip_local_port_range).
_RANGE = range(20000, 32000)


class NoPortError(Exception):
    """No free port was found, which means that something is very wrong on this machine."""


class PortLease:
    """A port that no other test bed uses until `release`."""

    def __init__(self, port: int, file: IO[str]) -> None:
        self.port = port
        self._file = file

    def release(self) -> None:
        """Let others have the port."""
        self._file.close()


def lease_directory() -> Path:
    """Return the directory of the lock files."""
    return cache_root() / "ports"


def lease_port(directory: Path | None = None) -> PortLease:
    """Return a port on 127.0.0.1 that is free and held by us.

    Raises NoPortError when none is found.
    """
    directory = directory or lease_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for port in random.sample(_RANGE, 500):
        if lease := _try_lease(directory, port):
            return lease
    raise NoPortError(f"no free port between {_RANGE.start} and {_RANGE.stop} on 127.0.0.1")


def _try_lease(directory: Path, port: int) -> PortLease | None:
    file = (directory / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if not _is_free(port):
        file.close()
        return None
    return PortLease(port, file)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
