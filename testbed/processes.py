"""Child processes that never outlive the test bed.

Three nets: `stop` ends them in order; the kernel kills each when its parent dies (PR_SET_PDEATHSIG); and
a janitor process, which waits at the other end of a pipe, kills what is left and removes the state directory
when even that was not enough.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class ProcessError(Exception):
    """A part of the test bed did not start or has died; the text ends with the last lines of its log."""


@dataclass
class Child:
    """A running part of the test bed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def last_words(self, lines: int = 8) -> str:
        """Return the end of its log, for an error message."""
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  | {line[:300]}" for line in text[-lines:])

    def stop(self, grace: float = 5.0) -> None:
        """Ask it to end, and kill it when it does not within `grace` seconds."""
        if self.is_running:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return prepare


def start(name: str, command: Sequence[str | Path], directory: Path, *, stdout: int | None = None) -> Child:
    """Start a part of the test bed; its output goes to `<directory>/<name>.log`.

    Call this from the main thread: the kernel takes the death of the starting thread for that of the parent.
    """
    log = directory / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else output,
            stderr=output,
            cwd=directory,
            start_new_session=True,  # a Ctrl-C is for the test bed, which stops its parts in order
            preexec_fn=_die_with(os.getpid()),
        )
    return Child(name=name, process=process, log=log)


def wait_until(ready: Callable[[], bool], child: Child, seconds: float) -> None:
    """Poll until a child is ready.

    Raises ProcessError when it dies or takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.is_running:
            raise ProcessError(f"{child.name} ended with {child.process.returncode}:\n{child.last_words()}")
        if time.monotonic() > deadline:
            raise ProcessError(f"{child.name} is not ready after {seconds:.0f} s:\n{child.last_words()}")
        time.sleep(0.05)


_JANITOR = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = set()
for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    if word == "done":
        sys.exit()
    (pids.add if word == "add" else pids.discard)(int(value))
for pid in pids:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
for _ in range(50):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    import time; time.sleep(0.1)
"""


class Janitor:
    """A process that cleans up when this one cannot: it wakes up when the pipe to it breaks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _JANITOR, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # somebody killed it; the other two nets remain

    def watch(self, child: Child) -> None:
        """Kill this child, too, when cleaning up."""
        self._tell(f"add {child.process.pid}")

    def forget(self, child: Child) -> None:
        """Leave this child's id alone from now on, as it may be somebody else's soon."""
        self._tell(f"drop {child.process.pid}")

    def dismiss(self) -> None:
        """Remove the directory here and let the janitor go."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._tell("done")
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
