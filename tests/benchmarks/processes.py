"""What the kernel says about a process."""

from __future__ import annotations

import os
from pathlib import Path


def memory(pid: int | str) -> dict[str, float]:
    """A process's memory in MiB: `rss` now, `peak` ever."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: int(fields[key].split()[0]) / 1024 for name, key in (("rss", "VmRSS"), ("peak", "VmHWM"))}


def cpu_seconds(pid: int | str) -> float:
    """The CPU time that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
