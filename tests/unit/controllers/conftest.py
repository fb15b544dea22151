"""Virtual time for the controllers."""

from __future__ import annotations

import pytest

from tests.unit.controllers.fakes.interruptions import Clock
from tests.unit.controllers.fakes.site import Site
from vsphere_operator.controllers import status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status, "now", clock.now)
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    return clock


@pytest.fixture
async def site(clock: Clock) -> Site:
    return Site(clock)
