"""The command line: starts test bed and operator, tells a story, and takes everything down again."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from testbed.bed import Options
from testbed.builds import SOURCES, BuildError, ensure_binaries, show_progress
from testbed.demo import samples
from testbed.demo.comparison import known_morefs, read_state
from testbed.demo.errors import DemoError
from testbed.demo.kubernetes_client import Kubernetes, KubernetesError, kinds
from testbed.demo.kubernetes_view import KINDS
from testbed.demo.lines import PlainLines
from testbed.demo.operator_process import Operator, program
from testbed.demo.picture import Check
from testbed.demo.screen import LiveScreen, save_capture
from testbed.demo.signals import INTERRUPTED, StopRequested, ignore_signals, raise_on_signals
from testbed.demo.stage import Display, Sources, Stage
from testbed.demo.story import Cast, go_on_to_the_end, stay_up
from testbed.demo.vcenter_client import ERRORS, Reader
from testbed.demo.vcenter_view import CallCounter
from testbed.harness import TestBed, TestBedError
from testbed.processes import Janitor, ProcessError
from testbed.toolchain import ToolchainError

ROOT = SOURCES.parent
_FAILURES: tuple[type[Exception], ...] = (
    DemoError, TestBedError, BuildError, ToolchainError, ProcessError, KubernetesError, http.client.HTTPException,
    *ERRORS,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the process's exit status."""
    options = _parser().parse_args(arguments)
    raise_on_signals()
    outcome = _Outcome()
    try:
        return _run(options, outcome)
    except StopRequested:
        return INTERRUPTED if options.once else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout at exit
        return 1
    except _FAILURES as error:
        outcome.error = f"demo: {error}"
        return 1
    finally:
        ignore_signals()
        outcome.tell()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed.demo",
        description="Shows the operator at work on the test bed: a live view on a terminal, else a line for "
        "each change. Stays up for you to play with until Ctrl-C.",
    )
    add = parser.add_argument
    add("--once", action="store_true", help="go on to the end alone, check every step, exit 0 or 1")
    add("--plain", action="store_true", help="lines instead of the live view, on a terminal, too")
    add("--capture", type=Path, metavar="FILE", help="write the view as SVG when all is Ready")
    add(
        "--clone-ms",
        type=int,
        default=2500,
        metavar="N",
        help="how long a clone takes (default: %(default)s)",
    )
    add("--tools-ms", type=int, default=1500, metavar="N", help="power-on to address (default: %(default)s)")
    return parser


class _Outcome:
    """What is said at the very end, when the person's own screen is back and everything is down."""

    def __init__(self) -> None:
        self.checks: Sequence[Check] = ()
        self.error = ""
        self.failed = False
        self.log_words = ""
        self.started = False

    def tell(self) -> None:
        """Print it; a reader who has gone away does not matter any more."""
        with contextlib.suppress(OSError):
            for check in self.checks:
                print(check.line)
            sys.stdout.flush()
            for words in filter(None, (self.log_words, self.error)):
                print(words, file=sys.stderr, flush=True)
            if self.started:
                print(
                    "everything is down: operator and test bed are stopped, their files are removed",
                    flush=True,
                )


def _run(options: argparse.Namespace, outcome: _Outcome) -> int:
    started = time.monotonic()
    program()  # before anything is started: a missing operator is said at once
    with contextlib.ExitStack() as stack:
        manifests = samples.load(ROOT / "deploy" / "samples")
        passwords = {user: secrets.token_urlsafe(18) for user in samples.users(manifests)}
        ensure_binaries(show_progress)
        outcome.started = True
        _say(started, "starting the test bed: a vCenter double and two Kubernetes APIs")
        bed = _test_bed(stack, options, passwords)
        return _play(stack, options, bed, manifests, passwords, started, outcome)


def _test_bed(stack: contextlib.ExitStack, options: argparse.Namespace, passwords: dict[str, str]) -> TestBed:
    users = tuple(passwords.items())
    bed = TestBed(Options(clone_ms=options.clone_ms, tools_ms=options.tools_ms, users=users))
    stack.callback(_stop_bed, bed)
    return bed.start()


def _stop_bed(bed: TestBed) -> None:
    ignore_signals()
    with contextlib.suppress(RuntimeError, ProcessLookupError):
        os.kill(bed.pid, signal.SIGTERM)  # while it is still starting, it does not look at its stdin
    bed.stop()


def _check_bed(bed: TestBed) -> None:
    # Looks without reaping: the process is the test bed's own to wait for.
    if os.waitid(os.P_PID, bed.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        raise DemoError("the test bed has ended: one of its parts has died")


def _play(
    stack: contextlib.ExitStack,
    options: argparse.Namespace,
    bed: TestBed,
    manifests: Sequence[samples.Manifest],
    passwords: dict[str, str],
    started: float,
    outcome: _Outcome,
) -> int:
    vcenter = bed.info.vcenter
    endpoint = samples.Endpoint(vcenter.url, vcenter.ca_file.read_text())
    complete = samples.completed(manifests, endpoint=endpoint, passwords=passwords)
    reader = Reader(vcenter)
    stack.callback(reader.close)
    before = read_state(reader)
    kubernetes = _install(bed, started)
    stack.callback(kubernetes.close)
    operator = _operator(stack, bed, started, outcome)
    counter = CallCounter(samples.infrastructure_user(manifests))
    sources = Sources(kubernetes, reader, counter, known_morefs(before), operator, partial(_check_bed, bed))
    with _display(options) as display:
        stage = Stage(sources, display, started)
        cast = Cast(
            stage=stage,
            kubernetes=kubernetes,
            reader=reader,
            operator=operator,
            manifests=complete,
            before=before,
            operator_user=counter.user,
            capture=_capture(options.capture),
        )
        try:
            outcome.failed = not _tell(options, cast, bed.info.kubeconfig.admin)
            return 1 if outcome.failed else 0
        finally:
            ignore_signals()
            if isinstance(display, LiveScreen):
                outcome.checks = stage.caption.checks


def _tell(options: argparse.Namespace, cast: Cast, kubeconfig: Path) -> bool:
    if not options.once:
        stay_up(cast, kubeconfig, kubectl=shutil.which("kubectl") is not None)
    return go_on_to_the_end(cast)


def _install(bed: TestBed, started: float) -> Kubernetes:
    """Apply crds/ and wait until the API serves all of it."""
    files = sorted((ROOT / "crds").glob("*.yaml"))
    definitions = [yaml.safe_load(file.read_text()) for file in files]
    if not definitions:
        raise DemoError(f"no CustomResourceDefinitions in {ROOT / 'crds'}: run `make crds`")
    _say(started, f"applying {len(definitions)} CustomResourceDefinitions")
    kubernetes = Kubernetes(bed.info.kubeconfig.admin, kinds(definitions))
    for definition in definitions:
        kubernetes.apply(definition)
    for kind in KINDS:
        kubernetes.await_served(kind, seconds=20)
    return kubernetes


def _operator(stack: contextlib.ExitStack, bed: TestBed, started: float, outcome: _Outcome) -> Operator:
    directory = Path(tempfile.mkdtemp(prefix="vsphere-operator-demo-"))
    janitor = Janitor(directory)
    stack.callback(janitor.dismiss)
    operator = Operator(bed.info.kubeconfig.operator, directory)
    janitor.watch(operator.child)
    _say(started, f"starting the operator; its log: {operator.log}")
    stack.push(lambda kind, error, trace: _farewell(operator, error, outcome))
    return operator


def _farewell(operator: Operator, error: BaseException | None, outcome: _Outcome) -> None:
    """Stop the operator; after a failure keep its log and show the end of it."""
    ignore_signals()
    tail = operator.tail()
    operator.stop()
    if not outcome.failed and (not isinstance(error, Exception) or isinstance(error, BrokenPipeError)):
        return
    copy = Path(tempfile.mkstemp(prefix="vsphere-operator-demo-", suffix=".log")[1])
    shutil.copyfile(operator.log, copy)
    outcome.log_words = f"the operator's last words:\n{tail}\nits whole log is kept: {copy}"


@contextlib.contextmanager
def _display(options: argparse.Namespace) -> Iterator[Display]:
    console = Console()
    live = console.is_terminal and not console.is_dumb_terminal and not options.plain
    display: Display = LiveScreen(console) if live else PlainLines()
    try:
        yield display
    finally:
        display.close()


def _capture(file: Path | None) -> Callable[[Stage], None]:
    def capture(stage: Stage) -> None:
        if file:
            save_capture(file, stage.picture, stage.caption)

    return capture


def _say(started: float, words: str) -> None:
    print(f"[{time.monotonic() - started:6.1f} s] {words}", flush=True)
