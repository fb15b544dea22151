"""When, with what and on what kind of machine something was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

from vsphere_operator import __version__

_PACKAGES = ("pyvmomi", "vmware-vcenter", "kopf", "kubernetes", "pydantic")


@dataclass(frozen=True)
class Circumstances:
    """`load` is the one-minute load average before the measurement: others may have been at work."""

    date: str
    commit: str
    form: str
    machine: str
    versions: str
    load: float

    @classmethod
    def now(cls, *, long: bool) -> Circumstances:
        return cls(
            date=datetime.now(UTC).date().isoformat(),
            commit=_commit(),
            form="long" if long else "short",
            machine=_machine(),
            versions=_versions(),
            load=round(os.getloadavg()[0], 1),
        )


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "operator", "testbed", "tests")
    return (git("rev-parse", "--short=9", "HEAD") or "unknown") + (" with changes" if changed else "")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} CPUs ({platform.machine()}), {memory:.0f} GiB, {platform.system()}"
    )


def _versions() -> str:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return f"vsphere-operator {__version__}, Python {platform.python_version()}, {packages}"
