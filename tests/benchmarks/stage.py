"""A test bed with an operator for one scenario, and what is read from outside of both."""

from __future__ import annotations

import http.client
import json
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from testbed import Options
from tests.e2e.world import World, running_world

WRITES = {"APPLY", "PATCH", "POST", "PUT", "DELETE"}


@contextmanager
def stage(options: Options) -> Iterator[World]:
    """A world of the scenario's own."""
    with (
        tempfile.TemporaryDirectory(prefix="vsphere-operator-bench-") as directory,
        running_world(options, Path(directory)) as world,
    ):
        yield world


def operator_calls(world: World, user: str) -> list[dict[str, Any]]:
    """The user's calls at the double since the last time that anybody asked; the log is empty afterwards."""
    return [call for call in world.double.calls(reset="true") if call.get("user") == user]


def complaints(world: World) -> list[str]:
    """A note for each thing that should not be in the operator's log."""
    count = world.operator.log.count("Traceback (most recent call last)")
    return [f"The operator's log holds {count} tracebacks."] if count else []


class SeedHttp:
    """The seed's API over one connection that stays open: for metrics, and for many objects."""

    def __init__(self, kubeconfig: Path) -> None:
        document = json.loads(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> str:
        """The answer's text; RuntimeError for a status that is none of 2xx."""
        payload = None if body is None else json.dumps(body)
        self._connection.request(method, path, payload, {"Content-Type": content_type})
        response = self._connection.getresponse()
        text = response.read().decode()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:300]}")
        return text

    def writes(self) -> Counter[str]:
        """How often each of our kinds and events were written since the API server began: `verb resource`."""
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.request("GET", "/metrics")):
            if family.name == "apiserver_request":
                for sample in family.samples:
                    _add(found, sample.labels, sample.value)
        return found


def _add(found: Counter[str], labels: Mapping[str, str], value: float) -> None:
    ours = labels.get("group") == "userclusters.io" or labels.get("resource") == "events"
    if ours and labels.get("verb") in WRITES:
        below = f"/{labels['subresource']}" if labels.get("subresource") else ""
        found[f"{labels['verb']} {labels['resource']}{below}"] += int(value)
