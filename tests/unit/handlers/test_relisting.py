"""Which of Kopf's requests mean that a kind is listed anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from yarl import URL

from vsphere_operator.handlers.relisting import Relisting
from vsphere_operator.kube.kinds import KINDS

CLUSTERS = "https://seed.example.com/apis/userclusters.io/v1alpha1/clusters"


@pytest.mark.parametrize(
    ("url", "status", "told"),
    [
        (f"{CLUSTERS}?limit=500", 200, ["Cluster"]),
        ("https://proxy.example.com/k8s/apis/userclusters.io/v1alpha1/clusters?limit=500", 200, ["Cluster"]),
        ("https://seed.example.com/api/v1/secrets", 200, ["Secret"]),
        (f"{CLUSTERS}?limit=500&continue=abc", 200, []),
        (f"{CLUSTERS}?watch=true&resourceVersion=7", 200, []),
        (f"{CLUSTERS}?limit=500", 404, []),
        ("https://seed.example.com/apis/userclusters.io/v1alpha1", 200, []),
    ],
)
async def test_a_list_that_was_answered_is_told_once(url: str, status: int, told: list[str]) -> None:
    kinds: list[str] = []
    lists = Relisting([KINDS["Cluster"], KINDS["Secret"]], lambda kind: kinds.append(kind.kind))
    request: Any = SimpleNamespace(url=URL(url), response=SimpleNamespace(status=status))
    nobody: Any = None
    for hear in lists.trace().on_request_end:
        await hear(nobody, nobody, request)
    assert kinds == told
