"""Building what the test bed runs: Go programs from pinned modules, cached outside the checkout.

A build's directory is named by a hash of its sources and flags, so a change builds anew and an old checkout
still finds its own. A lock file per build lets two runs share the work instead of fighting.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.toolchain import go_environment, go_program

SOURCES = Path(__file__).parent
CACHE_VARIABLE = "VSPHERE_OPERATOR_TESTBED_CACHE"
KUBERNETES_VERSION = "1.37.2"
_KUBERNETES_MINOR = KUBERNETES_VERSION.split(".")[1]
_VERSION_PACKAGE = "k8s.io/component-base/version"


class BuildError(Exception):
    """A binary could not be built; the text says which one and what Go said."""


@dataclass(frozen=True)
class Build:
    """One Go module of the test bed, and the binaries that come out of it."""

    name: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    ldflags: str = "-s -w"
    duration: str = "seconds"


KUBERNETES = Build(
    name="kubernetes",
    packages=("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    binaries=("kube-apiserver", "kube-controller-manager"),
    # Without these the server calls itself v0.0.0, and clients take it for an old one.
    ldflags=(
        f"-s -w -X {_VERSION_PACKAGE}.gitVersion=v{KUBERNETES_VERSION}"
        f" -X {_VERSION_PACKAGE}.gitMajor=1 -X {_VERSION_PACKAGE}.gitMinor={_KUBERNETES_MINOR}"
    ),
    duration="about 10 minutes on two cores",
)
ETCD = Build(name="etcd", packages=(".",), binaries=("etcd",), duration="about a minute")
VCENTER = Build(name="vcenter", packages=(".",), binaries=("vcenter",), duration="a few minutes")
PKI = Build(name="pki", packages=(".",), binaries=("pki",))
BUILDS = (PKI, VCENTER, ETCD, KUBERNETES)

Progress = Callable[[str], None]


def show_progress(text: str) -> None:
    """Write a line about what goes on to stderr, as stdout is for the JSON."""
    print(f"testbed: {text}", file=sys.stderr, flush=True)


def cache_root() -> Path:
    """Return the directory that holds all builds; VSPHERE_OPERATOR_TESTBED_CACHE names another one."""
    if override := os.environ.get(CACHE_VARIABLE):
        return Path(override).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "vsphere-operator" / "testbed"


def variable(binary: str) -> str:
    """Return the environment variable that names a ready-made binary: KUBE_APISERVER for kube-apiserver."""
    return f"TESTBED_{binary.upper().replace('-', '_')}"


def source_hash(build: Build, sources: Path = SOURCES) -> str:
    """Return the key of a build: sources, package names and flags; not the machine's Go, nor its paths."""
    digest = hashlib.sha256(repr((build.packages, build.ldflags)).encode())
    directory = sources / build.name
    files = sorted(p for p in directory.rglob("*") if p.suffix in {".go", ".mod", ".sum"})
    for file in files:
        if file.name.endswith("_test.go"):
            continue
        digest.update(f"\0{file.relative_to(directory)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def build_directory(build: Build) -> Path:
    """Return where a build's binaries are, or will be."""
    return cache_root() / f"{build.name}-{source_hash(build)}"


def _override(binary: str) -> Path | None:
    """Return the user's own binary: from its variable, else from KUBEBUILDER_ASSETS."""
    if named := os.environ.get(variable(binary)):
        path = Path(named)
        if not os.access(path, os.X_OK):
            raise BuildError(f"{variable(binary)} names {path}, which is not an executable file")
        return path
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidate = Path(assets) / binary if assets else None
    return candidate if candidate and os.access(candidate, os.X_OK) else None


def binary_paths() -> dict[str, Path]:
    """Return where each binary is expected, whether it has been built or not."""
    return {
        binary: _override(binary) or build_directory(build) / binary
        for build in BUILDS
        for binary in build.binaries
    }


def ensure_binaries(progress: Progress = show_progress) -> dict[str, Path]:
    """Build what is missing and return the path of every binary.

    Raises BuildError when Go is missing and cannot be had, or when it fails.
    """
    for build in BUILDS:
        if any(_override(binary) is None for binary in build.binaries):
            _ensure(build, progress)
    return binary_paths()


def _is_complete(directory: Path, build: Build) -> bool:
    return all((directory / binary).is_file() for binary in build.binaries)


def _ensure(build: Build, progress: Progress) -> None:
    directory = build_directory(build)
    if _is_complete(directory, build):
        return
    with lock(directory.with_suffix(".lock"), lambda: progress(f"waiting for another build of {build.name}")):
        if not _is_complete(directory, build):
            _compile(build, directory, progress)


@contextmanager
def lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock between processes; the kernel drops it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(build: Build, directory: Path, progress: Progress) -> None:
    """Build into a directory beside the final one and rename it: a killed build leaves no half of itself."""
    progress(f"building {', '.join(build.binaries)} (once; {build.duration})")
    started = time.monotonic()
    staging = Path(tempfile.mkdtemp(prefix=f".{build.name}-", dir=directory.parent))
    try:
        _run_go(build, staging, progress)
        shutil.rmtree(directory, ignore_errors=True)
        staging.rename(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    progress(f"built {', '.join(build.binaries)} in {time.monotonic() - started:.0f} s")


def _run_go(build: Build, output: Path, progress: Progress) -> None:
    go = go_program(cache_root(), progress)
    command = [str(go), "build", "-v", "-trimpath", "-mod=readonly", "-buildvcs=false"]
    command += ["-ldflags", build.ldflags, "-o", f"{output}{os.sep}", *build.packages]
    process = subprocess.Popen(
        command,
        cwd=SOURCES / build.name,
        env=go_environment(cache_root()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        problems = _follow(process.stderr, build, progress)
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    if status:
        text = "\n".join(problems[-20:]) or f"go ended with status {status}"
        raise BuildError(f"building {build.name} failed:\n{text}")
    for built in output.iterdir():  # a module's own main is named after the module
        built.chmod(0o755)


_PACKAGE = re.compile(r"^[\w.\-/]+$")


def _follow(lines: Iterable[str], build: Build, progress: Progress) -> list[str]:
    """Count the packages that `go build -v` names, tell about every tenth second, keep what else it says."""
    compiled, told, problems = 0, time.monotonic(), []
    for line in lines:
        text = line.strip()
        if _PACKAGE.match(text):
            compiled += 1
        elif not text.startswith("go: downloading"):
            problems.append(text)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            progress(f"  {build.name}: {compiled} packages compiled")
    return problems
