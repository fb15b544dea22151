"""`TestBed`: a test bed for the time of a `with` block, in a process of its own.

That process watches its stdin, so it also cleans up when this one is killed. Any number may run at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.bed import Options
from testbed.builds import SOURCES

_STOP_SECONDS = 30.0


class TestBedError(Exception):
    """The test bed did not start; the text is what it wrote to stderr."""


@dataclass(frozen=True)
class Kubeconfigs:
    """Kubeconfig files: the seed's administrator, the operator's own account there, the user cluster's administrator."""  # noqa: E501

    admin: Path
    operator: Path
    user_cluster: Path


@dataclass(frozen=True)
class VCenter:
    """How to reach a vCenter double."""

    url: str
    username: str
    password: str = field(repr=False)
    ca_file: Path
    control_url: str
    users: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("https://").partition(":")
        return host, int(port)

    def control(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Ask the control API: GET, or POST when there is a body; return the decoded answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control_url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    def calls(self, **query: str | int) -> list[dict[str, Any]]:
        """Return the logged calls; filters: since, method, object, user, protocol, opID."""
        found = self.control(f"/calls?{urllib.parse.urlencode(query)}")
        assert isinstance(found, list)
        return found


@dataclass(frozen=True)
class Info:
    """What `python -m testbed up` prints, typed."""

    kubeconfig: Kubeconfigs
    vcenters: tuple[VCenter, ...]

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Info:
        """Read the JSON document."""
        files = {key: Path(value) for key, value in document["kubeconfig"].items()}
        return cls(
            kubeconfig=Kubeconfigs(files["admin"], files["operator"], files["userCluster"]),
            vcenters=tuple(
                VCenter(
                    url=vcenter["url"],
                    username=vcenter["username"],
                    password=vcenter["password"],
                    ca_file=Path(vcenter["caFile"]),
                    control_url=vcenter["controlUrl"],
                    users={user["username"]: user["password"] for user in vcenter.get("users") or ()},
                )
                for vcenter in document["vcenters"]
            ),
        )

    @property
    def vcenter(self) -> VCenter:
        """The first vCenter."""
        return self.vcenters[0]


class TestBed:
    """A running test bed: `with TestBed(Options(vms=5)) as bed: bed.info.vcenter.url`."""

    __test__ = False  # for pytest, which would take it for a class of tests

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._process: subprocess.Popen[str] | None = None
        self._info: Info | None = None
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process

    @property
    def info(self) -> Info:
        """How to reach everything. Raises RuntimeError before `start`."""
        if self._info is None:
            raise RuntimeError("the test bed has not been started")
        return self._info

    @property
    def pid(self) -> int:
        """The process id of the test bed. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("the test bed is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start and wait until everything is ready, building what is missing.

        Raises TestBedError when something does not start.
        """
        command = [sys.executable, "-m", "testbed", "up", "--watch-stdin", *self._options.flags()]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCES.parent), *_inherited_path()])}
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            self._stderr.seek(0)
            raise TestBedError(self._stderr.read())
        self._info = Info.parse(json.loads(line))
        return self

    def stop(self) -> None:
        """Stop everything; harmless when it is stopped already."""
        process, self._process, self._info = self._process, None, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # its janitor does the rest
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stderr.close()


def _inherited_path() -> list[str]:
    inherited = os.environ.get("PYTHONPATH")
    return [inherited] if inherited else []
