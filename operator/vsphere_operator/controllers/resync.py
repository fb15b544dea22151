"""When an object is looked at again although nothing happened: what no event tells of is found within this."""

from __future__ import annotations

import random

from vsphere_operator.api.durations import parse_duration

_WITHOUT_DATACENTER = "10m"


def look_again(after: float | None, interval: str | None = None) -> float:
    """``after`` seconds where a step says so, else the datacenter's interval, spread so that not all come at once."""
    if after is not None:
        return after
    return parse_duration(interval or _WITHOUT_DATACENTER) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
