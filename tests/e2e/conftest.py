"""One test bed and one operator for each pytest worker; a tenant of its own for each test.

Tests of one worker run one after the other, so each may compare all of vCenter before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import Options
from tests.e2e.foreign_things import ELSEWHERE, ForeignThings
from tests.e2e.vcenter import differences
from tests.e2e.world import SECRET, Tenant, World, running_world

CLONE_MS = 300
"""Long enough to do something in the middle of a clone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.testbed)


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A test bed that nobody else uses, with an operator that leads."""
    options = Options(pods=1, datastores=3, clone_ms=CLONE_MS, tools_ms=200)
    with running_world(options, tmp_path_factory.mktemp("operator")) as world:
        yield world


@pytest.fixture
def newcomer(world: World) -> Iterator[Tenant]:
    """A tenant who has nothing yet. In the end everything is deleted, and vCenter must be as it was before."""
    before = world.administrator.state()
    log_before = len(world.operator.log)
    tenant = Tenant(world)
    yield tenant
    if not world.operator.is_running:
        world.restart_operator()
    public = tenant.public_text()
    tenant.leave()
    assert differences(before, world.administrator.state()) == []
    assert world.boots_without_data() == []
    written = world.operator.log[log_before:]
    assert "Traceback" not in written, world.tracebacks()
    assert SECRET not in written
    assert SECRET not in public


@pytest.fixture
def tenant(newcomer: Tenant) -> Tenant:
    """A tenant whose Seed is Ready and who has all Secrets."""
    newcomer.settle_in()
    newcomer.ready("Seed", newcomer.seed)
    return newcomer


@pytest.fixture
def foreign(tenant: Tenant) -> Iterator[ForeignThings]:
    """What somebody else has in vCenter: a folder `elsewhere`, and whatever the test makes with it."""
    things = ForeignThings(tenant.vcenter)
    things.folder(ELSEWHERE)
    yield things
    tenant.world.foreign_vms |= things.vms
    things.remove_all()
