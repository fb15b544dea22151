"""Ignition configurations: what the operator adds wraps the user's configuration, which is never edited.

The wrapper has the user's own specification version, which the image must know anyway, and refers to the
user's data by a `data:` URL. What is referred to wins over the wrapper, so a user who sets the same file or
unit has the last word.
"""

import codecs
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from vsphere_operator.bootstrap import offload
from vsphere_operator.bootstrap.errors import InvalidIgnitionError

_HOSTNAME_PATH = "/etc/hostname"
_READABLE = 0o644
_VERSION = re.compile(r"([23])\.(\d+)\.\d+(?:-[0-9A-Za-z.-]+)?")


def config(
    user_data: bytes,
    *,
    hostname: str,
    disable_network_offload: bool,
    extra_files: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """The user's configuration, wrapped when there is something to add: `/etc/hostname`, files, the offload units.

    `extra_files`: path -> text. A configuration that writes `/etc/hostname` itself and wants no more is passed on as
    it is. Raises InvalidIgnitionError.
    """
    user = parse(user_data)
    files: dict[str, str] = dict(extra_files)
    if not _writes(user, _HOSTNAME_PATH):
        files[_HOSTNAME_PATH] = f"{hostname}\n"
    if disable_network_offload:
        files[offload.RULE_PATH] = offload.UDEV_RULE
    units = {offload.UNIT_NAME: offload.UNIT} if disable_network_offload else {}
    if not files and not units:
        return user_data
    return _wrapper(user["ignition"]["version"], user_data, files, units)


def parse(data: bytes) -> dict[str, Any]:
    """The configuration as JSON; raises InvalidIgnitionError unless it names a version 2.x or 3.x."""
    problem, parsed = _parsed(data)
    if problem:
        raise InvalidIgnitionError(f"the bootstrap data are not an Ignition configuration: {problem}")
    return parsed


def _parsed(data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        # Decoded here: given bytes, json also takes UTF-16 and a byte-order mark, which Ignition does not.
        parsed = json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        return f"no valid JSON at line {error.lineno}, column {error.colno}{_hint(data)}", {}
    except RecursionError:
        return "the JSON is nested too deeply", {}
    except ValueError:  # not UTF-8, or a number with thousands of digits
        return "no valid JSON; store it as plain UTF-8 text", {}
    ignition = parsed.get("ignition") if isinstance(parsed, dict) else None
    version = ignition.get("version") if isinstance(ignition, dict) else None
    if not isinstance(version, str):
        return 'it must be a JSON object with a version: {"ignition": {"version": "3.3.0"}, …}', {}
    if not _VERSION.fullmatch(version):
        return "its ignition.version is none of 2.x.y or 3.x.y; use for example 3.3.0", {}
    return "", parsed


def _hint(data: bytes) -> str:
    start = data.lstrip()
    if start.startswith(codecs.BOM_UTF8):
        return "; store it without a byte-order mark"
    if start.startswith((b"#cloud-config", b"#!")):
        return "; this operating system reads Ignition, not cloud-init's formats"
    if start.startswith(b"variant:"):
        return "; translate Butane's YAML with `butane` first"
    return ""


def _writes(config: Mapping[str, Any], path: str) -> bool:
    storage = config.get("storage")
    files = storage.get("files") if isinstance(storage, dict) else None
    return isinstance(files, list) and any(
        isinstance(file, dict) and file.get("path") == path for file in files
    )


def _wrapper(version: str, user_data: bytes, files: Mapping[str, str], units: Mapping[str, str]) -> bytes:
    v2 = version.startswith("2.")
    reference = {"source": _data_url(user_data)}
    wrapper: dict[str, Any] = {
        "ignition": {"version": version, "config": {"append" if v2 else "merge": [reference]}},
        "storage": {"files": [_file(path, text, v2=v2) for path, text in files.items()]},
    }
    if units:
        enable = "enable" if version.startswith("2.0.") else "enabled"
        wrapper["systemd"] = {
            "units": [{"name": name, enable: True, "contents": text} for name, text in units.items()]
        }
    return json.dumps(wrapper, separators=(",", ":")).encode("ascii")


def _file(path: str, text: str, *, v2: bool) -> dict[str, Any]:
    file: dict[str, Any] = {
        "path": path,
        "mode": _READABLE,
        "contents": {"source": _data_url(text.encode("utf-8"))},
    }
    # 2.x names the filesystem and overwrites by default; 3.x knows no filesystems and does not.
    return {"filesystem": "root", **file} if v2 else {**file, "overwrite": True}


def _data_url(content: bytes) -> str:
    # Escaped rather than base64: the whole is packed afterwards, and base64 inside would spoil that.
    return "data:," + quote(content, safe="")
