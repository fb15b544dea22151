"""The operator's own process, started as its Deployment starts it, and its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("vsphere-operator")
NAMESPACE = "vsphere-operator"
LEASE = "vsphere-operator"


class OperatorProcess:
    """One `vsphere-operator run`; its log goes to a file that later processes append to.

    With a lease of its own it leads beside another one, as nobody should let it.
    """

    def __init__(self, kubeconfig: Path, log: Path, lease: str = LEASE) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._lease = lease
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_by_us = False

    @property
    def has_died(self) -> bool:
        """Whether it ended although nobody here ended it."""
        return self._process is not None and not self.is_running and not self._ended_by_us

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; fails before the first start."""
        assert self._process is not None, "the operator has not been started"
        return self._process.pid

    def start(self) -> None:
        command = [
            *(COMMAND, "run", "--kubeconfig", self._kubeconfig, "--namespace", NAMESPACE),
            *("--health-port", "0", "--lease-name", self._lease),
        ]
        environment = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, env=environment
            )

    def kill(self) -> None:
        """As the kernel does when memory runs out: no farewell."""
        assert self._process is not None, "the operator has not been started"
        self._ended_by_us = True
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, seconds: float = 45.0) -> int:
        """As the kubelet does; the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._ended_by_us = True
            self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(
                f"the operator did not stop within {seconds:.0f} s:\n{self.tail()}"
            ) from None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def tail(self, lines: int = 60) -> str:
        """The log's last lines."""
        return "\n".join(self.log.splitlines()[-lines:])
