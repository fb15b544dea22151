"""Each call in turn gets no answer, carried out or not, and the process lives on: all comes to its end once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.test_crashes import PHASES, nothing_is_left

Act = Callable[[Site], Awaitable[None]]
TAGGED = [{"name": "env"}, {"name": "shop", "category": "owner"}]


async def _make_cluster(site: Site) -> None:
    site.api.put(samples.a_cluster(tags=TAGGED))
    await site.run(patience=300)


async def _make_machine(site: Site) -> None:
    site.api.put(samples.a_machine())
    await site.run(patience=300)


async def _make_flatcar(site: Site) -> None:
    site.api.put(samples.a_machine(operating_system="flatcar"))
    await site.run(patience=300)


async def _end_machine(site: Site) -> None:
    site.delete("Machine", "worker-1")
    await site.run(patience=300)


async def _end_cluster(site: Site) -> None:
    site.delete("Cluster", "shop")
    await site.run(patience=300)


LIVES: list[tuple[list[Act], Act, list[Act]]] = [
    ([], _make_cluster, [_make_machine, _end_machine, _end_cluster]),
    ([_make_cluster], _make_machine, [_end_machine, _end_cluster]),
    ([_make_cluster], _make_flatcar, [_end_machine, _end_cluster]),
    ([_make_cluster, _make_machine], _end_machine, [_end_cluster]),
    ([_make_cluster], _end_cluster, []),
]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("before", "act", "after"), LIVES, ids=[a.__name__ for _, a, _ in LIVES])
async def test_a_call_without_an_answer_costs_time_and_nothing_else(
    clock: Clock, before: list[Act], act: Act, after: list[Act], phase: Phase
) -> None:
    for at in range(1, 60):
        site = Site(clock)
        for earlier in before:
            await earlier(site)
        first = len(site.outgoing.names)
        site.outgoing.lose_at, site.outgoing.phase = first + at, phase
        await act(site)
        if len(site.outgoing.names) < first + at:
            assert at > 5
            return
        where = f"{phase} {site.outgoing.names[first + at - 1]}: {site.outgoing.names[first:]}"
        if act is not _end_cluster and act is not _end_machine:
            kind, name = ("Cluster", "shop") if act is _make_cluster else ("Machine", "worker-1")
            assert site.is_ready(kind, name), (where, site.object(kind, name).get("status"))
        for later in after:
            await later(site)
        assert not site.exists("Machine", "worker-1"), where
        assert not site.exists("Cluster", "shop"), (where, site.object("Cluster", "shop"))
        assert len(site.world.boots) <= 1, where
        nothing_is_left(site)
    raise AssertionError("more calls than a life has")
