"""Starting, stopping, and leaving nothing behind."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from testbed import Options, TestBed
from testbed.builds import SOURCES
from tests.integration.testbed.clients import Kubernetes, Seat, eventually

pytestmark = pytest.mark.testbed


def _up(*flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "testbed", "up", *flags],
        cwd=SOURCES.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    return parents


def _children(pid: int) -> set[int]:
    return {child for child, parent in _parents().items() if parent == pid}


def _is_running(pid: int) -> bool:
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _state_directory(children: set[int]) -> Path:
    """Return the directory that the janitor among the children is told to remove."""
    for pid in children:
        for argument in (Path("/proc") / str(pid) / "cmdline").read_text().split("\0"):
            path = Path(argument)
            if path.parent == Path(tempfile.gettempdir()) and path.name.startswith(
                "vsphere-operator-testbed-"
            ):
                return path
    raise AssertionError("no janitor among the children")


def _assert_all_gone(pids: set[int], directory: Path) -> None:
    eventually(lambda: not any(_is_running(pid) for pid in pids))
    eventually(lambda: not directory.exists())


def _ready(process: subprocess.Popen[str]) -> tuple[dict[str, Any], Path, set[int]]:
    assert process.stdout is not None
    info = json.loads(process.stdout.readline())
    directory = Path(info["kubeconfig"]["admin"]).parent.parent
    return info, directory, _children(process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_process_and_no_file(number: signal.Signals) -> None:
    process = _up("--vms=1")
    info, directory, children = _ready(process)
    assert set(info) == {"kubeconfig", "vcenters"}
    assert len(children) >= 6  # etcd, two API servers, a controller manager, vCenter, the janitor
    process.send_signal(number)
    assert process.wait(30) == (0 if number != signal.SIGKILL else -number)
    _assert_all_gone(children, directory)


def test_a_killed_owner_takes_its_test_bed_along() -> None:
    program = (
        "import time\nfrom testbed import Options, TestBed\nbed = TestBed(Options(vms=0)).start()\n"
        "print(bed.pid, bed.info.kubeconfig.admin, flush=True)\ntime.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=SOURCES.parent, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid, kubeconfig = owner.stdout.readline().split()
    pids = {int(pid), *_children(int(pid))}
    owner.kill()
    owner.wait()
    owner.stdout.close()
    _assert_all_gone(pids, Path(kubeconfig).parent.parent)


def test_an_interrupted_start_leaves_nothing() -> None:
    process = _up()
    eventually(lambda: len(_children(process.pid)) >= 3)
    children = _children(process.pid)
    directory = _state_directory(children)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    _assert_all_gone(children, directory)


def test_a_part_that_dies_takes_the_rest_down_and_is_named() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed", "up"],
        cwd=SOURCES.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, directory, children = _ready(process)
    etcd = next(pid for pid in children if "/etcd" in (Path("/proc") / str(pid) / "cmdline").read_text())
    os.kill(etcd, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "etcd has died" in stderr
    _assert_all_gone(children, directory)


def test_several_test_beds_run_side_by_side_and_a_new_one_leaves_the_crds_to_its_user(
    test_bed: TestBed,
) -> None:
    with TestBed(Options(vms=1)) as other:
        assert Kubernetes(other.info.kubeconfig.admin)("GET", "/apis/userclusters.io")[0] == 404
        assert other.info.vcenter.url != test_bed.info.vcenter.url
        names = {"metadata": {"name": "only-here"}}
        status, _ = Kubernetes(other.info.kubeconfig.admin)("POST", "/api/v1/namespaces", names)
        assert status == 201
        status, _ = Kubernetes(test_bed.info.kubeconfig.admin)("GET", "/api/v1/namespaces/only-here")
        assert status == 404


def test_the_flags_size_the_double() -> None:
    options = Options(vms=3, hosts=2, datastores=3, pods=2, users=(("someone@vsphere.local", "s3cret"),))
    with TestBed(options) as bed:
        seat = Seat(bed.info.vcenter)
        content = seat.content
        names = {
            found.name for found in content.viewManager.CreateContainerView(content.rootFolder, [], True).view
        }
        assert {
            "DC0",
            "DC0_C0",
            "DC0_C0_H1",
            "LocalDS_2",
            "DC0_POD1",
            "DC0_C0_RP0_VM2",
            "VM Network",
        } <= names
        assert not {"DC0_C0_H2", "LocalDS_3", "DC0_POD2", "DC0_C0_RP0_VM3"} & names
        assert bed.info.vcenter.users == {"someone@vsphere.local": "s3cret"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["up", "--vms", "-1"], "whole number of 0 or more"),
        (["up", "--hosts", "0"], "whole number of 1 or more"),
        (["up", "--clone-ms", "soon"], "'soon' is not a whole number"),
        (["up", "--user", "nobody"], "NAME:PASSWORD"),
        (["rise"], "invalid choice"),
    ],
)
def test_bad_flags_are_refused_in_words(flags: list[str], message: str) -> None:
    command = [sys.executable, "-m", "testbed", *flags]
    answer = subprocess.run(command, cwd=SOURCES.parent, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert not answer.stdout
