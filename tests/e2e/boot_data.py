"""Reads what a VM boots with as cloud-init and Ignition do."""

from __future__ import annotations

import base64
import email
import gzip
import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pycdlib


def read_iso(image: bytes) -> tuple[str, dict[str, str]]:
    """A NoCloud image's volume name, and its files' text by their Rock Ridge names."""
    iso: Any = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    try:
        names = [
            child.rock_ridge.name().decode() for child in iso.list_children(rr_path="/") if child.is_file()
        ]
        return iso.pvd.volume_identifier.decode().strip(), {name: _text(iso, name) for name in names}
    finally:
        iso.close()


def _text(iso: Any, name: str) -> str:
    content = io.BytesIO()
    iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
    return content.getvalue().decode()


def user_data_parts(text: str) -> list[str]:
    """The parts of user data in the order in which cloud-init takes them; plain user data is one part."""
    message = email.message_from_string(text)
    if not message.is_multipart():
        return [text]
    payloads = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [payload.decode() for payload in payloads if isinstance(payload, bytes)]


def ignition_files(extra_config: Mapping[str, str]) -> dict[str, str]:
    """The files that Ignition writes, path to text, from a VM's guestinfo and what it merges."""
    key = "guestinfo.ignition.config.data"
    return _files(json.loads(_unpacked(extra_config[key], extra_config.get(f"{key}.encoding", ""))))


def _files(config: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for reference in config["ignition"].get("config", {}).get("merge", []):
        found |= _files(json.loads(_from_data_url(reference["source"])))
    files = config.get("storage", {}).get("files", [])
    return {**found, **{f["path"]: _from_data_url(f["contents"]["source"]) for f in files}}


def _from_data_url(url: str) -> str:
    kind, _, data = url.partition(",")
    return base64.b64decode(data).decode() if kind.endswith(";base64") else unquote(data)


def _unpacked(text: str, encoding: str) -> str:
    if encoding in ("base64", "b64"):
        return base64.b64decode(text).decode()
    if encoding in ("gzip+base64", "gz+b64"):
        return gzip.decompress(base64.b64decode(text)).decode()
    return text
