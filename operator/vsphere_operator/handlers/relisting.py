"""Noticing that Kopf lists a kind anew, by its requests: it tells what such a list shows, not what is missing in it.

What was deleted between the end of the old watch and that list is told by nobody. Only a list that is read after
it can show that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from vsphere_operator.kube.kinds import Kind

OK = 200


class Relisting:
    """Calls `told` with the kind for each list that was answered; in the thread and loop of the request."""

    def __init__(self, kinds: Sequence[Kind], told: Callable[[Kind], None]) -> None:
        self._kinds = kinds
        self._told = told

    def trace(self) -> aiohttp.TraceConfig:
        """What an HTTP session needs for that; one for each session."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._request_end)
        return config

    async def _request_end(self, _: Any, __: Any, request: aiohttp.TraceRequestEndParams) -> None:
        # Later pages are of the same moment as the first; a watch that goes on has lost nothing.
        if request.response.status != OK or {"watch", "continue"} & request.url.query.keys():
            return
        for kind in self._kinds:
            # At the end: the server's address may have a path of its own.
            if request.url.path.endswith(kind.path()):
                self._told(kind)
