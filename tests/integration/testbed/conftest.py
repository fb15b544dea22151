"""Fixtures for tests of the test bed."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pyVim.connect import Disconnect
from pyVmomi import vim

from testbed import TestBed
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
