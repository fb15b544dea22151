"""The commands `python -m testbed build` and `python -m testbed up`."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from testbed.bed import Bed, Options
from testbed.builds import BuildError, binary_paths, ensure_binaries, show_progress
from testbed.kubernetes_api import KubernetesError
from testbed.ports import NoPortError
from testbed.processes import ProcessError
from testbed.toolchain import ToolchainError

_ERRORS = (BuildError, ToolchainError, ProcessError, KubernetesError, NoPortError, OSError)


class _StopRequested(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that no handler of those swallows it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _request_stop)
    try:
        return _build(options) if options.command == "build" else _up(options)
    except _StopRequested:
        return 0 if options.command == "up" else 130
    except _ERRORS as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


def _request_stop(number: int, frame: FrameType | None) -> None:
    raise _StopRequested


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed",
        description="A vCenter double and two Kubernetes APIs on this machine, for tests and demonstrations.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build what is missing, and nothing else")
    build.add_argument("--print-paths", action="store_true", help="print the binaries' paths as JSON")
    up = commands.add_parser(
        "up",
        help="start everything, print one line of JSON when it is ready, and stay up",
        description="Starts everything, prints one line of JSON, and stays up until SIGINT or SIGTERM.",
    )
    _add_size_flags(up)
    up.add_argument("--watch-stdin", action="store_true", help="stop, too, when stdin ends")
    return parser


def _add_size_flags(up: argparse.ArgumentParser) -> None:
    sizes = {
        "vms": (0, "VMs in the cluster's pool, and as many on the standalone host (default 2)"),
        "hosts": (1, "hosts in each compute cluster (default 3)"),
        "clusters": (1, "compute clusters DC0_C0, … (default 1)"),
        "datastores": (1, "datastores LocalDS_0, … (default 1, with --pods one more and two more for each)"),
        "datastore-gb": (1, "capacity of each datastore, in GB (default 4096)"),
        "pods": (0, "datastore clusters DC0_POD0, …, which share all datastores but the first (default 0)"),
        "clone-ms": (0, "how long a clone takes, in ms (default 200)"),
        "tools-ms": (0, "time from power-on until VMware Tools report, in ms (default 300)"),
        "latency-ms": (0, "delay added to every call to vCenter, in ms (default 0)"),
        "session-idle-s": (0, "end vCenter sessions that are idle for this long, in s (default 0: never)"),
    }
    for name, (least, text) in sizes.items():
        up.add_argument(f"--{name}", type=_number(least), metavar="N", help=text)
    up.add_argument(
        "--payload", action="store_true", help="give each of those VMs 100 extraConfig keys and 15 devices"
    )  # fmt: skip
    up.add_argument(
        "--user", type=_user, action="append", default=[], metavar="NAME:PASSWORD",
        help="a further vCenter user; may be repeated",
    )  # fmt: skip
    up.add_argument(
        "--roles", type=_roles, action="append", default=[], metavar="NAME:JSON",
        help="the roles of a further user: a list of entity, privileges, propagate; may be repeated",
    )  # fmt: skip
    up.add_argument(
        "--vcenters", type=int, choices=(1, 2), default=1,
        help="how many vCenter doubles (default 1); a second one has nothing in common with the first but its size",
    )  # fmt: skip
    up.add_argument(
        "--second-user", type=_user, action="append", default=[], metavar="NAME:PASSWORD",
        help="a further user of the second vCenter; may be repeated",
    )  # fmt: skip


class _number:  # noqa: N801 - argparse shows its name in messages
    """Parses a whole number that is not below a least one."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        if not text.isascii() or not text.lstrip("-").isdigit() or int(text) < self._least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {self._least} or more")
        return int(text)


def _user(text: str) -> tuple[str, str]:
    name, _, password = text.partition(":")
    if not name or not password:
        raise argparse.ArgumentTypeError("want NAME:PASSWORD")
    return name, password


def _roles(text: str) -> tuple[str, list[dict[str, Any]]]:
    name, _, document = text.partition(":")
    try:
        roles = json.loads(document)
    except ValueError:
        roles = None
    if not name or not isinstance(roles, list):
        raise argparse.ArgumentTypeError("want NAME:[{...}, ...]")
    return name, roles


def _build(options: argparse.Namespace) -> int:
    ensure_binaries()
    if options.print_paths:
        print(json.dumps({name: str(path) for name, path in binary_paths().items()}))
    return 0


def _up(options: argparse.Namespace) -> int:
    binaries = ensure_binaries()
    size = Options(
        vms=options.vms,
        hosts=options.hosts,
        datastores=options.datastores,
        datastore_gb=options.datastore_gb,
        clusters=options.clusters,
        pods=options.pods,
        clone_ms=options.clone_ms,
        tools_ms=options.tools_ms,
        latency_ms=options.latency_ms,
        payload=options.payload,
        session_idle_s=options.session_idle_s,
        users=tuple(options.user),
        roles=dict(options.roles),
        vcenters=options.vcenters,
        second_users=tuple(options.second_user),
    )
    bed = Bed(size, binaries, show_progress)
    try:
        print(json.dumps(bed.start()), flush=True)
        return _stay_up(bed, watch_stdin=options.watch_stdin)
    finally:
        _ignore_signals()
        show_progress("stopping")
        bed.stop()


def _stay_up(bed: Bed, *, watch_stdin: bool) -> int:
    """Return when stdin ends (0) or a part has died (1); signals raise."""
    watched = [sys.stdin.fileno()] if watch_stdin else []
    while True:
        if dead := bed.dead_child():
            show_progress(f"{dead.name} has died (status {dead.process.poll()}):\n{dead.last_words()}")
            return 1
        readable, _, _ = select.select(watched, [], [], 0.3)
        if readable and not os.read(watched[0], 4096):
            return 0
