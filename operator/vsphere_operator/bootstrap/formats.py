"""User data as they come from a Secret: unpacked, filled in, and recognised in the way that cloud-init does
it.

The rules for recognising are cloud-init's (`cloudinit/handlers/__init__.py`, `cloudinit/user_data.py`).
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterable
from typing import Any

import yaml

from vsphere_operator.bootstrap.errors import (
    DataTooLargeError,
    EmptyDataError,
    InvalidCloudConfigError,
    UndecodableDataError,
    UnknownFormatError,
)

# Far above what a Kubernetes Secret can hold (1 MiB); a bound for gzip that unpacks to much more than it was.
USER_DATA_LIMIT = 16 * 1024 * 1024

MIME = "multipart/mixed"
CLOUD_CONFIG = "text/cloud-config"

# Far from what people write, and below where cloud-init's own loader ends in Python's recursion limit.
_DEPTH_LIMIT = 100
_GZIP_MAGIC = b"\x1f\x8b"
# Cloud-init takes data for a MIME message when this stands anywhere in their first 4,096 bytes.
_MIME_SIGN = b"mime-version:"
_MIME_SIGN_WITHIN = 4096
# Longest first, because some are the beginning of others.
_CONTENT_TYPES = (
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("## template: jinja", "text/jinja2"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#include-once", "text/x-include-once-url"),
    ("#part-handler", "text/part-handler"),
    ("#cloud-config", CLOUD_CONFIG),
    ("#include", "text/x-include-url"),
    ("#!", "text/x-shellscript"),
)
# Plain, URL-escaped (inside an Ignition data: URL), and as Go's JSON encoder writes angle brackets.
_MACHINE_NAME = re.compile(rb"<MACHINE_NAME>|(?i:%3c)MACHINE_NAME(?i:%3e)|\\u003[cC]MACHINE_NAME\\u003[eE]")


def unpack(data: bytes) -> bytes:
    """UTF-8 text out of what a Secret holds, which may be gzip.

    Raises EmptyDataError, UndecodableDataError, and DataTooLargeError from 16 MiB on, packed or unpacked.
    """
    _check_size(data)
    if data.startswith(_GZIP_MAGIC):
        data = _gunzip(data)
        _check_size(data)
    if not data.strip():
        raise EmptyDataError("the bootstrap data are empty; put the user data into the Secret's key")
    if not _is_utf8(data):
        raise UndecodableDataError(
            "the bootstrap data are not UTF-8 text (nor gzip); store the text itself in the Secret, "
            "in `stringData`, or encoded with base64 exactly once in `data`"
        )
    return data


def fill_in(data: bytes, *, machine_name: str) -> bytes:
    """The data with each `<MACHINE_NAME>` replaced, also where it is escaped for a URL or for JSON.

    What stands inside base64 in the data is not looked at.
    """
    name = machine_name.encode("ascii")
    return _MACHINE_NAME.sub(lambda _: name, data)


def content_type_of(data: bytes) -> str:
    """The MIME type that cloud-init gives the data; MIME for what is a message already.

    Raises UnknownFormatError where cloud-init would log a warning and boot without the data.
    """
    if _MIME_SIGN in data[:_MIME_SIGN_WITHIN].lower():
        return MIME
    start = data.lstrip()[:64].decode("utf-8", "ignore").lstrip().lower()
    for prefix, content_type in _CONTENT_TYPES:
        if start.startswith(prefix):
            return content_type
    if start.startswith("{"):
        raise UnknownFormatError(
            "the bootstrap data look like Ignition's JSON, and this operating system reads cloud-init's "
            "formats; change operatingSystem, or begin the data with #cloud-config or #!"
        )
    raise UnknownFormatError(
        "cloud-init does not recognise the bootstrap data and would boot without them; let the first line "
        "begin with #cloud-config or #! (or another of its formats), without a byte-order mark before it"
    )


def check_cloud_config(data: bytes) -> None:
    """Raises InvalidCloudConfigError unless the data are one YAML document with a mapping (or nothing) in it.

    Looks at the syntax alone: which keys cloud-init knows differs with its version.
    """
    problem = _yaml_problem(data)
    if problem is None:
        return
    raise InvalidCloudConfigError(f"the bootstrap data begin with #cloud-config, but {problem}")


def _yaml_problem(data: bytes) -> str | None:
    # libyaml's parser where PyYAML has it: the pure one is slow on large data. Events and not nodes:
    # composing recurses in C without a limit, so that a few thousand brackets would end the process.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _structure_problem(yaml.parse(data, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return f"they are not valid YAML{_place(mark)}; correct it there (`cloud-init schema` shows more)"
    except yaml.YAMLError:
        return "they hold a character that YAML does not allow; remove control characters"


def _structure_problem(events: Iterable[Any]) -> str | None:
    depth = documents = 0
    anchors: set[str] = set()
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                return f"they hold a second YAML document{_place(event.start_mark)}; keep one"
        if isinstance(event, yaml.NodeEvent) and depth == 0 and not _may_be_root(event):
            return "they are not a YAML mapping; write `key: value` lines below the first line"
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                return f"they refer to an anchor that is not set{_place(event.start_mark)}; set it before"
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            anchors.add(event.anchor)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_LIMIT:
            return f"they are nested more than {_DEPTH_LIMIT} levels deep; flatten them"
    return None


def _may_be_root(event: Any) -> bool:
    if isinstance(event, yaml.ScalarEvent):
        return event.value in ("", "~", "null")
    return isinstance(event, yaml.MappingStartEvent)


def _place(mark: Any) -> str:
    return f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _gunzip(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(USER_DATA_LIMIT)
    except (OSError, EOFError, zlib.error):
        pass
    raise UndecodableDataError("the bootstrap data begin like gzip but cannot be unpacked; pack them again")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _check_size(data: bytes) -> None:
    if len(data) >= USER_DATA_LIMIT:
        raise DataTooLargeError(
            "the bootstrap data have 16 MiB or more; keep them small and let them fetch the rest by URL"
        )
