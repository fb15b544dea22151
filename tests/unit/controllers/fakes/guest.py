"""What a guest makes of its boot data: the addresses that cloud-init or Ignition would give its first card."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import yaml

from tests.unit.bootstrap.iso9660 import files_of

DHCP = ("10.0.0.7", "fe80::1")


def of_iso(image: bytes, mac: str) -> tuple[str, ...]:
    """As `network-config` says for the card of that MAC; DHCP without one."""
    files = files_of(image)
    if "network-config" not in files:
        return DHCP
    cards = yaml.safe_load(files["network-config"])["ethernets"].values()
    card: Mapping[str, Any] = next((c for c in cards if c["match"]["macaddress"] == mac), {})
    return DHCP if card.get("dhcp4") else _bare(card.get("addresses", []))


def of_ignition(extra_config: Mapping[str, str], macs: Sequence[str]) -> tuple[str, ...]:
    """As a networkd unit among the files says; one that tells several cards by name gives all of them the address."""
    key = "guestinfo.ignition.config.data"
    raw = base64.b64decode(extra_config[key])
    if extra_config[f"{key}.encoding"] == "gzip+base64":
        raw = gzip.decompress(raw)
    for file in json.loads(raw).get("storage", {}).get("files", []):
        if file["path"].endswith(".network"):
            unit = unquote(file["contents"]["source"][6:])
            mac = re.search(r"^MACAddress=(.*)$", unit, re.MULTILINE)
            cards = [m for m in macs if mac is None or m == mac[1]]
            return _bare(re.findall(r"^Address=(.*)$", unit, re.MULTILINE)) * len(cards)
    return DHCP


def _bare(addresses: list[str]) -> tuple[str, ...]:
    return tuple(a.partition("/")[0] for a in addresses)
