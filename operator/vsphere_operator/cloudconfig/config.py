"""What a user cluster's CCM and CSI driver are told of vCenter, whichever form it is written in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

DIRECTORY = "/etc/cloud"
"""Where the manifests of CCM and CSI mount their configuration."""
CA_KEY = "ca.crt"
CA_FILE = f"{DIRECTORY}/{CA_KEY}"
"""The CA bundle lies beside the configuration, in the same Secret or ConfigMap."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
"""Control characters but the tab, and whatever some parser takes for the end of a line."""


class UnwritableError(Exception):
    """A value that no parser would read back; the text names the setting and never its content."""


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """One vCenter as one user cluster uses it.

    ``host`` is without brackets, also for IPv6. ``ca_file`` is a path in the Pods of CCM and CSI. ``folder`` and
    ``default_datastore`` are inventory names; a datastore cluster has no place here.
    """

    host: str
    port: int
    datacenter: str
    username: str
    password: str = field(repr=False)
    cluster_id: str
    insecure: bool = False
    ca_file: str | None = None
    folder: str | None = None
    default_datastore: str | None = None
    resource_pool: str | None = None
    topology_categories: Sequence[str] = ()


def cluster_id(identity: str) -> str:
    """CSI's `cluster-id`: a digest of the Cluster's portable id, the same for ever, 40 of at most 64 characters."""
    return hashlib.sha256(identity.encode()).hexdigest()[:40]


def writable(what: str, value: str) -> str:
    """The value, if every form can carry it; ``what`` names it for a person."""
    if _CONTROL.search(value):
        raise UnwritableError(f"{what} holds a line break or another control character; write it without")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnwritableError(f"{what} is not valid Unicode text; write it anew") from None
    return value


def listed(what: str, value: str) -> str:
    """A value that goes into a list with commas between."""
    if "," in value:
        raise UnwritableError(
            f"{what} has a comma in its name, which CCM and CSI take for two names; rename it"
        )
    return writable(what, value)
