"""Datastore paths as vCenter writes them: `[LocalDS_0] dir/file.iso`."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

from vsphere_operator.vsphere.faults import VSphereError, invalid

_DATASTORE_PATH = re.compile(r"\[(?P<datastore>[^\]]+)\] ?(?P<path>.+)")


def split(datastore_path: str) -> tuple[str, str]:
    """`[LocalDS_0] dir/file.iso` -> (`LocalDS_0`, `dir/file.iso`). Else a terminal `VSphereError`."""
    match = _DATASTORE_PATH.fullmatch(datastore_path)
    if match is None or ".." in match["path"].split("/"):
        raise invalid(
            "InvalidDatastorePath", f"{datastore_path!r} is no datastore path: expected [datastore] dir/file."
        )
    return match["datastore"], match["path"]


def target(datacenter: str, datastore: str, path: str) -> str:
    """The request target of a file. Hosts call their only datacenter `ha-datacenter`."""
    query = urlencode({"dcPath": datacenter, "dsName": datastore}, quote_via=quote)
    return f"/folder/{quote(path)}?{query}"


def not_a_file(datastore_path: str) -> VSphereError:
    """Directories are never deleted: others may have put something into them."""
    return invalid(
        "InvalidDatastorePath", f"{datastore_path!r} is a directory: expected [datastore] dir/file."
    )
