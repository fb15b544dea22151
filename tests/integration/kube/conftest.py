"""The seed's API of the test bed with our kinds, a namespace for each test, and who asks."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vsphere_operator.api.crds import render_crds
from vsphere_operator.kube.client import APPLY_PATCH, KubeApi
from vsphere_operator.kube.credentials import KubeconfigFile
from vsphere_operator.kube.errors import NotFound
from vsphere_operator.kube.kinds import KINDS, OURS

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def until(attempt: Callable[[], Awaitable[Any]], what: str, seconds: float = 30) -> Any:
    """Ask again until the answer is true; the answer."""
    try:
        async with asyncio.timeout(seconds):
            while not (answer := await attempt()):  # noqa: ASYNC110 - the API has no event to wait for
                await asyncio.sleep(0.05)
            return answer
    except TimeoutError:
        raise AssertionError(f"not seen in {seconds:.0f} s: {what}") from None


async def install_crds(api: KubeApi) -> None:
    """Make the API serve our kinds."""
    for text in render_crds().values():
        document = yaml.safe_load(text)
        path = f"{DEFINITIONS}/{document['metadata']['name']}"
        query = {"fieldManager": "kube-tests", "force": "true"}
        await api.request("PATCH", path, body=document, query=query, content=APPLY_PATCH)

    async def served() -> bool:
        try:
            for kind in OURS:
                await api.list(kind)
        except NotFound:
            return False
        return True

    await until(served, "our kinds")


async def remove_crds(api: KubeApi) -> None:
    """Make the API forget our kinds."""
    names = [f"{KINDS[kind].plural}.{KINDS[kind].group}" for kind in OURS]
    for name in names:
        try:
            await api.request("DELETE", f"{DEFINITIONS}/{name}")
        except NotFound:
            continue

    async def gone() -> bool:
        left = await api.request("GET", DEFINITIONS)
        return not {item["metadata"]["name"] for item in left["items"]} & set(names)

    await until(gone, "the end of our kinds")


@pytest.fixture(scope="session")
def kubeconfig(test_bed: Any) -> Path:
    """The administrator's way to the seed's API."""
    return Path(test_bed.info.kubeconfig.admin)


@pytest.fixture(scope="session")
def operator_kubeconfig(test_bed: Any) -> Path:
    """The operator's own account, with exactly the rights that it ships with."""
    return Path(test_bed.info.kubeconfig.operator)


@pytest.fixture(scope="session")
def bare_kubeconfig(test_bed: Any) -> Path:
    """The administrator's way to an API that does not have our kinds."""
    return Path(test_bed.info.kubeconfig.user_cluster)


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[KubeApi]:
    api = KubeApi(KubeconfigFile(kubeconfig))
    await install_crds(api)
    yield api
    await api.close()


@pytest.fixture
async def namespace(api: KubeApi) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"kube-{uuid.uuid4().hex[:8]}"
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    for kind in ("Cluster", "Machine"):
        for obj in (await api.list(kind))[0]:
            if obj["metadata"]["namespace"] == name:
                patch: dict[str, Any] = {"metadata": {"finalizers": []}}
                await api.merge_patch(kind, name, obj["metadata"]["name"], patch)
    await api.delete("Namespace", "", name)


def a_cluster(namespace: str, name: str = "shop", **metadata: Any) -> dict[str, Any]:
    spec = {
        "datacenter": "frankfurt",
        "cloud": {"vsphere": {"credentialsSecretRef": {"name": "shop-vsphere"}}},
    }
    return {
        "apiVersion": "userclusters.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def a_config_map(namespace: str, name: str = "notes", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def kubeconfig_with(
    kubeconfig: Path, directory: Path, user: dict[str, Any], server: str | None = None
) -> Path:
    """A copy of a kubeconfig for somebody else, or for another server."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = user
    if server is not None:
        config["clusters"][0]["cluster"]["server"] = server
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return path
