"""The operator as a process of its own, with the rights it ships with and a log in a file."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from testbed.demo.errors import DemoError
from testbed.processes import Child, start

NAME = "vsphere-operator"
_STOP_SECONDS = 40.0  # longer than the operator's own limit for work in flight


def program() -> Path:
    """Return the installed `vsphere-operator`. Raises DemoError when it is not installed."""
    beside = Path(sys.executable).parent / NAME
    found = beside if os.access(beside, os.X_OK) else shutil.which(NAME)
    if not found:
        raise DemoError(f"{NAME} is not installed beside {sys.executable}: run `make venv`")
    return Path(found)


class Operator:
    """A running operator."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        command: list[str | Path] = [program(), "run", "--kubeconfig", kubeconfig]
        command += ["--namespace", NAME, "--health-port", "0"]
        self.child: Child = start(NAME, command, directory)

    @property
    def log(self) -> Path:
        """The file that it writes to."""
        return self.child.log

    def check(self) -> None:
        """Raise DemoError, with the end of the log, when it has died."""
        if not self.child.is_running:
            raise DemoError(f"the operator has ended ({_status(self.child.process.returncode)})")

    def stop(self) -> int:
        """Ask it to end and wait; return its exit status."""
        self.child.stop(_STOP_SECONDS)
        return int(self.child.process.returncode)

    def tail(self, lines: int = 12) -> str:
        """Return the end of its log."""
        return self.child.last_words(lines)


def _status(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"
