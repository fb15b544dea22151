"""A MAC for a NIC whose boot data have to name it before vCenter would choose one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_PREFIX = "00:50:56"
_COUNT = 0x40_0000
"""00:50:56:00:00:00 to 00:50:56:3f:ff:ff are for people to assign; vCenter draws from 80 on (vSphere Networking,
"VMware OUI Allocation")."""


def choose(machine_id: str, is_taken: Callable[[str], bool]) -> str:
    """The same one for the same machine, unless it is taken: then the next that is free."""
    start = int.from_bytes(hashlib.sha256(machine_id.encode()).digest()[:4], "big")
    for step in range(_COUNT):
        mac = _written((start + step) % _COUNT)
        if not is_taken(mac):
            return mac
    raise RuntimeError("all four million MACs are taken")


def _written(number: int) -> str:
    return f"{_PREFIX}:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
