"""Which hosts count as having a datastore."""

from __future__ import annotations

from typing import Any

import pytest

from vsphere_operator.vsphere.inventory.filters import field_changes
from vsphere_operator.vsphere.vmomi import vim


def _mount(**info: Any) -> Any:
    return vim.Datastore.HostMount(
        key=vim.HostSystem("host-1"), mountInfo=vim.host.MountInfo(**{"accessMode": "readWrite", **info})
    )


@pytest.mark.parametrize(
    ("info", "counts"),
    [
        ({}, True),
        ({"mounted": True, "accessible": True}, True),
        ({"mounted": False}, False),
        ({"accessible": False}, False),
        ({"accessMode": "readOnly"}, False),
    ],
)
def test_a_host_counts_that_mounts_a_datastore_reaches_it_and_may_write(
    info: dict[str, Any], counts: bool
) -> None:
    told = field_changes("Datastore", {"host": [_mount(**info)]})
    assert told == {"hosts": ("HostSystem:host-1",) if counts else ()}
