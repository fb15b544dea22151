"""A plain HTTP client for a Kubernetes API: what it says, warnings included, and nothing hidden."""

import base64
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
FIELD_MANAGER = "api-tests"


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    body: dict[str, Any]
    warning: str | None

    @property
    def message(self) -> str:
        """Why it refused."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class ApiServer:
    """An API server as its administrator sees it."""

    url: str
    session: requests.Session = field(repr=False)

    def call(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Answer:
        """One request; unknown fields in the body are errors."""
        writes = {} if method in ("GET", "DELETE") else {"fieldValidation": "Strict"}
        if method == "PATCH":
            writes["fieldManager"] = FIELD_MANAGER
        response = self.session.request(
            method,
            self.url + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            params=writes | query,
            timeout=30,
        )
        return Answer(response.status_code, response.json(), response.headers.get("Warning"))


def from_kubeconfig(path: Path, directory: Path) -> ApiServer:
    """The API server of a kubeconfig's only context; its certificates go into the directory."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    session = requests.Session()
    session.trust_env = False
    session.verify = _file(cluster, "certificate-authority", directory) or False
    certificate, key = (_file(user, f"client-{part}", directory) for part in ("certificate", "key"))
    if certificate and key:
        session.cert = (certificate, key)
    if "token" in user:
        session.headers["Authorization"] = f"Bearer {user['token']}"
    return ApiServer(cluster["server"], session)


def _file(section: dict[str, str], name: str, directory: Path) -> str | None:
    if name in section:
        return section[name]
    if f"{name}-data" not in section:
        return None
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(base64.b64decode(section[f"{name}-data"]))
    return file.name


def wait_until(probe: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Ask again and again until it is so; AssertionError after the time."""
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
