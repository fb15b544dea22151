"""A full read comes in pages; its end is what vCenter says it is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from vsphere_operator.vsphere.inventory.watch import Watch


class Sink:
    def __init__(self) -> None:
        self.completed = 0

    def recent_tasks(self, _: object) -> None: ...
    def followed_tasks(self, _: object) -> None: ...
    def complete(self) -> None:
        self.completed += 1


def page(version: str, *, truncated: bool) -> Any:
    return SimpleNamespace(version=version, truncated=truncated, filterSet=[])


async def test_a_silence_in_the_middle_of_a_read_is_not_its_end() -> None:
    told = [None, page("1", truncated=True), None, page("2", truncated=False), None]
    sink: Any = Sink()
    session: Any = SimpleNamespace(where="vc:443")
    watch = Watch(session, sink, asyncio.get_running_loop())
    collector = SimpleNamespace(WaitForUpdatesEx=lambda _version, _options: told.pop(0))
    current: Any = SimpleNamespace(collector=collector, roles={}, narrow=None)
    version, complete, ends = "", False, []
    while told:
        version, complete = watch._next(current, version, complete)
        await asyncio.sleep(0)
        ends.append((version, complete, sink.completed))
    assert ends == [("", False, 0), ("1", False, 0), ("1", False, 0), ("2", True, 1), ("2", True, 2)]
