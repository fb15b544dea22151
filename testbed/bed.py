"""The test bed itself: what is started, in which order, and what a user needs to know to reach it."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.builds import SOURCES, Progress
from testbed.kubernetes_api import (
    KubernetesApi,
    api_server_command,
    applicable,
    controller_manager_command,
    etcd_command,
    self_contained,
)
from testbed.ports import PortLease, lease_port
from testbed.processes import Child, Janitor, ProcessError, start, wait_until

BASE_MANIFESTS = SOURCES.parent / "deploy" / "base"
OPERATOR = "vsphere-operator"  # the namespace, and the ServiceAccount in it
_PORT_TAKEN = "address already in use"
_NUMBERS = (
    "vms", "hosts", "datastores", "datastore_gb", "clusters", "pods", "clone_ms", "tools_ms", "latency_ms",
    "session_idle_s",
)  # fmt: skip
_START_SECONDS = 120.0  # on an idle machine it takes 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """The size and speed of the vCenter double; times in ms, but for `…_s`. `None` leaves it to the double."""

    vms: int | None = None
    hosts: int | None = None
    datastores: int | None = None
    datastore_gb: int | None = None
    clusters: int | None = None
    pods: int | None = None
    clone_ms: int | None = None
    tools_ms: int | None = None
    latency_ms: int | None = None
    payload: bool = False
    """Give each of the `vms` 100 extraConfig keys and 15 devices."""
    session_idle_s: int | None = None
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    roles: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Roles of `users` by name, as POST /rights takes them; who has none may do everything."""
    vcenters: int = 1
    """1 or 2; a second one is as large as the first, and has users and everything else of its own."""
    second_users: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def flags(self) -> list[str]:
        """Return these options as command line flags of `up`."""
        flags = self.double_flags(self.users) + self.role_flags()
        if self.vcenters != 1:
            flags.append(f"--vcenters={self.vcenters}")
        return flags + [f"--second-user={name}:{password}" for name, password in self.second_users]

    def role_flags(self) -> list[str]:
        """Return the flags for the roles of the first vCenter's users."""
        return [f"--roles={name}:{json.dumps(roles)}" for name, roles in self.roles.items()]

    def double_flags(self, users: Sequence[tuple[str, str]]) -> list[str]:
        """Return the flags that a double shares with `up`."""
        flags: list[str] = []
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None:
                flags.append(f"--{name.replace('_', '-')}={value}")
        if self.payload:
            flags.append("--payload")
        return flags + [f"--user={name}:{password}" for name, password in users]


class Bed:
    """Starts and stops every part; use it from the main thread."""

    def __init__(self, options: Options, binaries: dict[str, Path], progress: Progress) -> None:
        self._options = options
        self._binaries = binaries
        self._progress = progress
        self._directory = Path(tempfile.mkdtemp(prefix="vsphere-operator-testbed-"))
        self._janitor = Janitor(self._directory)
        self._children: list[Child] = []
        self._ports: list[PortLease] = []

    def start(self, attempts: int = 4) -> dict[str, Any]:
        """Start everything and return what `up` prints.

        Raises ProcessError when a part does not come up. When somebody else took a port, it is tried again
        with others.
        """
        for attempt in range(1, attempts + 1):
            try:
                return self._start(self._directory / str(attempt))
            except ProcessError as error:
                if _PORT_TAKEN not in str(error) or attempt == attempts:
                    raise
                self._progress("a port was taken by somebody else: starting again")
                self._stop_children()
        raise AssertionError("unreachable")

    def dead_child(self) -> Child | None:
        """Return a part that has died, if any."""
        return next((child for child in self._children if not child.is_running), None)

    def stop(self) -> None:
        """Stop everything and remove the state directory."""
        self._stop_children()
        self._janitor.dismiss()

    def _stop_children(self) -> None:
        for child in reversed(self._children):
            if child.is_running and child.name.startswith("kube-"):
                child.process.terminate()  # they take a moment each: all at once
        while self._children:
            child = self._children.pop()
            # Nothing of an API server or etcd is worth a slow farewell: their data goes away with them.
            child.stop(grace=0.3 if not child.name.startswith("vcenter") else 5.0)
            self._janitor.forget(child)
        while self._ports:
            self._ports.pop().release()

    def _port(self) -> int:
        lease = lease_port()
        self._ports.append(lease)
        return lease.port

    def _run(self, name: str, command: Sequence[str | Path], directory: Path, **options: Any) -> Child:
        child = start(name, command, directory, **options)
        self._children.append(child)
        self._janitor.watch(child)
        return child

    def _start(self, directory: Path) -> dict[str, Any]:
        directory.mkdir(mode=0o700)
        started = time.monotonic()
        vcenters = [self._start_vcenter(directory, number) for number in range(1, self._options.vcenters + 1)]
        seed_pki, user_pki = self._make_pki(directory, "seed"), self._make_pki(directory, "user-cluster")
        etcd_port = self._start_etcd(directory, seed_pki)
        seed, seed_child = self._start_api(directory, "seed", seed_pki, seed_pki, etcd_port, "10.0.0.0/24")
        user, user_child = self._start_api(
            directory, "user-cluster", user_pki, seed_pki, etcd_port, "10.0.1.0/24"
        )
        wait_until(seed.is_ready, seed_child, _START_SECONDS)
        admin = _write(directory, "admin", seed.kubeconfig(seed.client_certificate("admin")))
        self._run(
            "kube-controller-manager",
            controller_manager_command(
                self._binaries["kube-controller-manager"], pki=seed_pki, kubeconfig=admin
            ),
            directory,
        )
        operator = self._operator_kubeconfig(directory, seed)
        wait_until(user.is_ready, user_child, _START_SECONDS)
        user_cluster = _write(
            directory, "user-cluster", self_contained(user.kubeconfig(user.client_certificate("admin")))
        )
        ready = [self._await_vcenter(vcenter) for vcenter in vcenters]
        self._progress(f"ready after {time.monotonic() - started:.1f} s")
        kubeconfig = {"admin": str(admin), "operator": str(operator), "userCluster": str(user_cluster)}
        return {"kubeconfig": kubeconfig, "vcenters": ready}

    def _make_pki(self, directory: Path, name: str) -> Path:
        pki = directory / f"{name}-pki"
        command = [self._binaries["pki"], pki, name]
        subprocess.run([str(part) for part in command], check=True)
        return pki

    def _start_vcenter(self, directory: Path, number: int) -> Child:
        name = "vcenter" if number == 1 else f"vcenter-{number}"
        self._progress(f"starting the vCenter double {name}")
        state = directory / f"{name}-state"
        state.mkdir()
        command: list[str | Path] = [self._binaries["vcenter"], "-state-dir", state]
        if number == 1:
            command += self._options.double_flags(self._options.users) + self._options.role_flags()
        else:
            command += self._options.double_flags(self._options.second_users)
            command.append(f"--password=testbed-Administrator-{number}!")
        return self._run(name, command, directory, stdout=subprocess.PIPE)

    def _await_vcenter(self, child: Child) -> Any:
        assert child.process.stdout is not None
        line = child.process.stdout.readline()
        if not line:
            child.process.wait()
            raise ProcessError(f"the vCenter double did not start:\n{child.last_words()}")
        return json.loads(line)

    def _start_etcd(self, directory: Path, pki: Path) -> int:
        self._progress("starting etcd")
        port = self._port()
        command = etcd_command(
            self._binaries["etcd"], pki=pki, data=directory / "etcd-data", port=port, peer_port=self._port()
        )
        child = self._run("etcd", command, directory)
        wait_until(lambda: _listens(port), child, _START_SECONDS)
        return port

    def _start_api(
        self, directory: Path, name: str, pki: Path, etcd_pki: Path, etcd_port: int, services: str
    ) -> tuple[KubernetesApi, Child]:
        self._progress(f"starting the {name} API")
        port = self._port()
        command = api_server_command(
            self._binaries["kube-apiserver"],
            pki=pki,
            etcd_pki=etcd_pki,
            port=port,
            etcd_port=etcd_port,
            prefix=f"/{name}",
            services=services,
        )
        child = self._run(f"kube-apiserver-{name}", command, directory)
        return KubernetesApi(name=name, port=port, pki=pki), child

    def _operator_kubeconfig(self, directory: Path, seed: KubernetesApi) -> Path:
        """Give the operator its identity and exactly the rights that it ships with."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR}}
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": OPERATOR, "namespace": OPERATOR},
        }
        manifests = applicable(BASE_MANIFESTS)
        if not any(m["kind"] == "ClusterRoleBinding" for m in manifests):
            self._progress(f"no RBAC in {BASE_MANIFESTS}: the operator's account has no rights")
        for manifest in (namespace, account, *manifests):
            seed.apply(manifest)
        return _write(
            directory, "operator", seed.kubeconfig({"token": seed.token(OPERATOR, OPERATOR)}, OPERATOR)
        )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write(directory: Path, name: str, kubeconfig: dict[str, Any]) -> Path:
    """Write a kubeconfig; JSON is YAML."""
    path = directory / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig, indent=1))
    return path
