"""Whether all of a vCenter may be read, asked of the AuthorizationManager."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes
from vsphere_operator.vsphere.answers import Unknown
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.vcenters import VCenters

SYSTEM = ["System.Anonymous", "System.View", "System.Read"]
VIEW = SYSTEM[:2]


async def test_who_may_do_everything_may_read_everything(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)
    assert await vcenter.rights.unreadable(op_id="x") is None


ROLES: list[tuple[str, list[dict[str, Any]], str | None]] = [
    ("reads all", [{"entity": "/", "privileges": SYSTEM}], None),
    ("only sees the root", [{"entity": "/", "privileges": VIEW}, {"entity": "/DC0", "privileges": SYSTEM}],
     '"Datacenters"'),
    ("root without what is below", [{"entity": "/", "privileges": SYSTEM, "propagate": False},
                                    {"entity": "/DC0", "privileges": SYSTEM}],
     "may not reach what is below"),
    ("a folder is taken away", [{"entity": "/", "privileges": SYSTEM}, {"entity": "/DC0/vm", "privileges": VIEW}],
     '"vm"'),
]  # fmt: skip


@pytest.mark.parametrize(("roles", "lacking"), [r[1:] for r in ROLES], ids=[r[0] for r in ROLES])
async def test_what_may_not_be_read_is_named(
    pool: VCenters,
    endpoint: Endpoint,
    credentials: Credentials,
    double: Double,
    roles: list[dict[str, Any]],
    lacking: str | None,
) -> None:
    double.control("/rights", {"user": double.username, "roles": roles})
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)
    found = await vcenter.rights.unreadable(op_id="x")
    if lacking is None:
        assert found is None
    else:
        assert isinstance(found, Unknown)
        assert lacking in found.why
