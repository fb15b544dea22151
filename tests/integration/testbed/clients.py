"""Clients for the test bed that share nothing with the operator: pyVmomi, the Automation SDK, and plain HTTPS."""

# mypy: disable-error-code="no-untyped-call, union-attr, no-any-return"
# pyVmomi's stubs type no constructor, and every property as optional.

from __future__ import annotations

import base64
import io
import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycdlib
import requests
from pyVim.connect import SmartConnect
from pyVmomi import vim
from vmware.vapi.vsphere.client import VsphereClient, create_vsphere_client

from testbed import VCenter


def eventually(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Poll until `what` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def connect(vcenter: VCenter, username: str = "", password: str = "") -> vim.ServiceInstance:
    """Log in to SOAP; TLS is verified with the vCenter's own CA."""
    host, port = vcenter.address
    return SmartConnect(
        host=host,
        port=port,
        user=username or vcenter.username,
        pwd=password or vcenter.password,
        sslContext=ssl.create_default_context(cafile=str(vcenter.ca_file)),
    )


def http_session(vcenter: VCenter) -> requests.Session:
    """Return a session that trusts the vCenter's CA and nothing from the environment."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(vcenter.ca_file)
    return session


def automation(vcenter: VCenter, password: str = "") -> VsphereClient:
    """Log in to the Automation API with the official SDK's default connector."""
    host = vcenter.url.removeprefix("https://")
    return create_vsphere_client(
        host, vcenter.username, password or vcenter.password, session=http_session(vcenter)
    )


class Seat:
    """A pyVmomi session, and short ways to do everyday things with it."""

    def __init__(self, vcenter: VCenter, username: str = "", password: str = "") -> None:
        self.vcenter = vcenter
        self.instance = connect(vcenter, username, password)
        self.content = self.instance.RetrieveContent()

    def find(self, kind: type[Any], name: str) -> Any:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
        try:
            return next(found for found in view.view if found.name == name)
        finally:
            view.Destroy()

    @property
    def pool(self) -> vim.ResourcePool:
        return self.find(vim.ClusterComputeResource, "DC0_C0").resourcePool

    @property
    def datacenter(self) -> vim.Datacenter:
        return self.find(vim.Datacenter, "DC0")

    def clone(self, folder: vim.Folder, name: str, template: str = "ubuntu-22.04", **config: Any) -> Any:
        """Start a clone, powered off, and return its task."""
        spec = vim.vm.CloneSpec(
            location=vim.vm.RelocateSpec(pool=self.pool), powerOn=False, config=vim.vm.ConfigSpec(**config)
        )
        return self.find(vim.VirtualMachine, template).CloneVM_Task(folder, name, spec)

    def put(self, datastore: str, path: str, data: bytes) -> requests.Response:
        """Upload a file with the SOAP session's cookie."""
        return self._file("PUT", datastore, path, data)

    def get(self, datastore: str, path: str) -> requests.Response:
        return self._file("GET", datastore, path, None)

    def delete(self, datastore: str, path: str) -> requests.Response:
        return self._file("DELETE", datastore, path, None)

    def _file(self, method: str, datastore: str, path: str, data: bytes | None) -> requests.Response:
        session = http_session(self.vcenter)
        name, _, value = self.instance._stub.cookie.split(";")[0].partition("=")
        session.cookies.set(name, value.strip('"'))
        place = {"dcPath": "DC0", "dsName": datastore}
        return session.request(
            method, f"{self.vcenter.url}/folder/{path}", params=place, data=data, timeout=30
        )


def result(task: Any) -> Any:
    """Wait for a task and return its result, or raise its fault."""
    eventually(lambda: task.info.state in ("success", "error"), 30)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


def cloud_init_iso(volume: str = "cidata", hostname: str = "node-7", network: str = "") -> bytes:
    """Return an image as cloud-init's NoCloud source wants it; ``network`` is the text of its network-config."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=volume)
    files = {"user-data": "#cloud-config\n", "meta-data": f"instance-id: 1\nlocal-hostname: {hostname}\n"}
    if network:
        files["network-config"] = network
    for name, text in files.items():
        data = text.encode()
        iso_path = f"/{name.upper().replace('-', '_')}.;1"
        image.add_fp(io.BytesIO(data), len(data), iso_path, rr_name=name, joliet_path=f"/{name}")
    output = io.BytesIO()
    image.write_fp(output)
    return output.getvalue()


def insert(vm: vim.VirtualMachine, path: str) -> Any:
    """Connect an ISO image to the VM's CD-ROM; return the task."""
    cdrom = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom))
    cdrom.backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=path)
    cdrom.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, connected=True, allowGuestControl=True
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=cdrom)
    return vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))


def _credential(part: dict[str, str], key: str, directory: Path) -> str:
    """Return the file that a kubeconfig names, or one with the data that it holds."""
    if file := part.get(key):
        return file
    path = directory / key
    path.write_bytes(base64.b64decode(part[f"{key}-data"]))
    return str(path)


class Kubernetes:
    """A kubeconfig's API over plain HTTPS."""

    def __init__(self, kubeconfig: Path) -> None:
        document = json.loads(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._server = cluster["server"]
        self._headers = {"Content-Type": "application/json"}
        with tempfile.TemporaryDirectory() as directory:
            ca = _credential(cluster, "certificate-authority", Path(directory))
            self._context = ssl.create_default_context(cafile=ca)
            if token := user.get("token"):
                self._headers["Authorization"] = f"Bearer {token}"
            else:
                files = [
                    _credential(user, key, Path(directory)) for key in ("client-certificate", "client-key")
                ]
                self._context.load_cert_chain(*files)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and decoded answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._server}{path}", data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else text
