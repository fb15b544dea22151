"""The command line. What a command needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vsphere_operator import __version__

LEVELS = ("debug", "info", "warning", "error")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that the arguments name, and exit with its code."""
    options = _parser().parse_args(arguments)
    command = {"run": _run, "crds": _crds, "plan": _plan, "version": _version}[options.command]
    sys.exit(command(options))


def _run(options: argparse.Namespace) -> NoReturn:
    from vsphere_operator.cli.run import Options, run

    code = run(
        Options(
            kubeconfig=options.kubeconfig,
            namespace=options.namespace,
            workers=options.workers,
            log_level=options.log_level,
            log_format=options.log_format,
            health_port=options.health_port,
            leader_elect=options.leader_elect,
            lease_name=options.lease_name,
        )
    )
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: the interpreter would wait for threads that hang in a call to a vCenter, and after a
    # lost lease such a call must not outlive it.
    os._exit(code)


def _crds(options: argparse.Namespace) -> int:
    from vsphere_operator.cli import crds

    return crds.run(options.output, options.check)


def _plan(options: argparse.Namespace) -> int:
    from vsphere_operator.cli import plan

    return plan.run(
        plan.Options(
            name=options.name,
            namespace=options.namespace,
            delete=options.delete,
            output=options.output,
            kubeconfig=options.kubeconfig,
            operator_namespace=options.operator_namespace,
            timeout=options.timeout,
        )
    )


def _version(_: argparse.Namespace) -> int:
    print(f"vsphere-operator {__version__}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vsphere-operator",
        description="Makes, keeps and unmakes the vSphere side of Kubernetes user clusters.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run the operator", allow_abbrev=False))
    crds = commands.add_parser("crds", help="write or check the CustomResourceDefinitions")
    crds.add_argument(
        "--output", type=Path, metavar="DIR", help="write them into this directory, not to stdout"
    )
    crds.add_argument("--check", action="store_true", help="write nothing; exit 1 if DIR is not current")
    _add_plan(
        commands.add_parser("plan", help="print what would be done, and change nothing", allow_abbrev=False)
    )
    commands.add_parser("version", help="print the version")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="how to reach the API server (default: the Pod's account)",
    )
    add("--namespace", default=_own_namespace(), help="the operator's own namespace (default: %(default)s)")
    add(
        "--workers",
        type=_positive,
        default=16,
        help="objects worked on at once in each datacenter (default: %(default)s)",
    )
    add("--log-level", choices=LEVELS, default="info", help="(default: %(default)s)")
    add("--log-format", choices=("plain", "json"), default="plain", help="(default: %(default)s)")
    add(
        "--health-port",
        type=_port,
        default=8080,
        metavar="PORT",
        help="/healthz, /readyz, /metrics; 0: off (default: %(default)s)",
    )
    add(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="work only while holding the lease",
    )
    add("--lease-name", default="vsphere-operator", help="(default: %(default)s)")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints what the operator would do now, from what Kubernetes and vCenter say. Changes nothing."
    )
    parser.epilog = (
        "Exit codes: 0 nothing stands in the way; 1 there is no plan (no such object, no answer); "
        "2 wrong usage; 3 something would stop it."
    )
    add = parser.add_argument
    add("kind", choices=("cluster",), help="the kind of object")
    add("name", metavar="NAME", help="its name")
    add("-n", "--namespace", default="default", help="its namespace (default: %(default)s)")
    add("--delete", action="store_true", help="what its deletion would do")
    add("-o", "--output", choices=("text", "json"), default="text", help="(default: %(default)s)")
    add("--kubeconfig", type=Path, metavar="FILE", help="(default: as kubectl finds it)")
    add(
        "--operator-namespace",
        default=_own_namespace(),
        metavar="NAMESPACE",
        help="where the operator runs (default: %(default)s)",
    )
    add(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for vCenter (default: %(default)s)",
    )


def _own_namespace() -> str:
    return os.environ.get("POD_NAMESPACE") or "vsphere-operator"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return number
