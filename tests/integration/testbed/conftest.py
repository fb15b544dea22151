"""Fixtures for tests of the test bed."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVim.connect import Disconnect
from pyVmomi import vim

from testbed import TestBed, VCenter
from testbed.builds import ensure_binaries
from tests.integration.testbed.clients import Seat, result


@pytest.fixture(scope="module")
def seat(test_bed: TestBed) -> Iterator[Seat]:
    """A pyVmomi session for the module."""
    seat = Seat(test_bed.info.vcenter)
    yield seat
    Disconnect(seat.instance)


@pytest.fixture
def folder(seat: Seat) -> Iterator[vim.Folder]:
    """A VM folder of the test's own, emptied and removed afterwards."""
    made = seat.find(vim.Folder, "kubernetes").CreateFolder(f"test-{uuid.uuid4()}")
    yield made
    for vm in made.childEntity:
        if isinstance(vm, vim.VirtualMachine) and vm.runtime.powerState == "poweredOn":
            result(vm.PowerOffVM_Task())
    result(made.Destroy_Task())


@pytest.fixture
def lone_vcenter(tmp_path: Path) -> Iterator[VCenter]:
    """A double of the test's own, without the rest of a test bed: for what cannot be undone."""
    command = [str(ensure_binaries()["vcenter"]), f"-state-dir={tmp_path}", "-watch-stdin", "-clone-ms=50"]
    process = subprocess.Popen(
        [*command, "-tools-ms=50", "-pods=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        ready = json.loads(process.stdout.readline())
        yield VCenter(
            url=ready["url"],
            username=ready["username"],
            password=ready["password"],
            ca_file=Path(ready["caFile"]),
            control_url=ready["controlUrl"],
        )
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
