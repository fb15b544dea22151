"""Durations as people write them in Kubernetes: `90s`, `5m`, `1h30m`, `0s`."""

import re
from typing import Final

PATTERN: Final = r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$"
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds in a Go-style duration made of h, m, s and ms.

    Raises ValueError for anything else; signs and the smaller Go units are not accepted.
    """
    if re.fullmatch(PATTERN, text) is None:
        raise ValueError(f"{text!r} is not a duration: write for example 90s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
