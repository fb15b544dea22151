"""Datastore files over HTTP, and through the datastore browser and the file manager."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import pytest
import requests
from pyVmomi import vim

from testbed import TestBed
from tests.integration.testbed.clients import Seat, http_session, result

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def directory(seat: Seat) -> str:
    """A VM's directory on LocalDS_0 that was there before."""
    return "ubuntu-22.04"


def test_a_file_is_written_read_and_deleted(seat: Seat, directory: str) -> None:
    path = f"{directory}/note 1.txt"
    assert seat.put("LocalDS_0", path, b"one").status_code == 201
    assert seat.put("LocalDS_0", path, b"two").status_code == 200
    assert seat.get("LocalDS_0", path).content == b"two"
    assert seat.delete("LocalDS_0", path).status_code == 204
    assert seat.get("LocalDS_0", path).status_code == 404
    assert seat.delete("LocalDS_0", path).status_code == 404


@pytest.mark.parametrize(
    ("datastore", "path"),
    [("LocalDS_0", "nowhere/file.iso"), ("Nowhere", "file.iso")],
)
def test_a_missing_place_is_not_found(seat: Seat, datastore: str, path: str) -> None:
    assert seat.put(datastore, path, b"x").status_code == 404


def test_nobody_gets_in_without_a_session(test_bed: TestBed, directory: str) -> None:
    session = http_session(test_bed.info.vcenter)
    url = f"{test_bed.info.vcenter.url}/folder/{directory}/x"
    place = {"dcPath": "DC0", "dsName": "LocalDS_0"}
    assert session.put(url, params=place, data=b"x", timeout=10).status_code == 401
    cookies = requests.cookies.cookiejar_from_dict({"vmware_soap_session": "made-up"})
    assert session.put(url, params=place, data=b"x", cookies=cookies, timeout=10).status_code == 401


def test_paths_do_not_leave_the_datastore(seat: Seat) -> None:
    assert seat.get("LocalDS_0", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/hostname").status_code == 404


def test_the_browser_finds_what_was_uploaded(seat: Seat, directory: str) -> None:
    seat.put("LocalDS_0", f"{directory}/found.iso", b"x")
    browser = seat.find(vim.Datastore, "LocalDS_0").browser
    spec = vim.host.DatastoreBrowser.SearchSpec(matchPattern=["found.*"])
    found = result(browser.SearchDatastore_Task(f"[LocalDS_0] {directory}", spec))
    assert [file.path for file in found.file] == ["found.iso"]
    (everything,) = result(browser.SearchDatastoreSubFolders_Task(f"[LocalDS_0] {directory}"))
    assert {"found.iso", "ubuntu-22.04.vmx"} <= {file.path for file in everything.file}
    seat.delete("LocalDS_0", f"{directory}/found.iso")


def test_the_file_manager_names_files_as_the_caller_does(seat: Seat, directory: str) -> None:
    path = f"[LocalDS_0] {directory}/gone.iso"
    seat.put("LocalDS_0", f"{directory}/gone.iso", b"x")
    result(seat.content.fileManager.DeleteDatastoreFile_Task(path, seat.datacenter))
    with pytest.raises(vim.fault.FileNotFound) as caught:
        result(seat.content.fileManager.DeleteDatastoreFile_Task(path, seat.datacenter))
    assert caught.value.file == path


def test_a_file_that_is_deleted_while_its_vm_is_destroyed_is_there_before_and_gone_after(
    seat: Seat, folder: vim.Folder
) -> None:
    for number in range(5):
        name = f"short-lived-{number}"
        vm = seat.clone(folder, name)
        vm = result(vm) if isinstance(vm, vim.Task) else vm
        assert seat.put("LocalDS_0", f"{name}/cloud-init.iso", b"x").status_code in (200, 201)
        destroyed = vm.Destroy_Task()
        deleted = seat.content.fileManager.DeleteDatastoreFile_Task(
            f"[LocalDS_0] {name}/cloud-init.iso", seat.datacenter
        )
        result(deleted)
        result(destroyed)
        assert seat.get("LocalDS_0", f"{name}/cloud-init.iso").status_code == 404
        result(seat.content.fileManager.DeleteDatastoreFile_Task(f"[LocalDS_0] {name}", seat.datacenter))
