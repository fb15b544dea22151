from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vsphere_operator.kube import client as module
from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.credentials import KubeconfigFile
from vsphere_operator.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)
from vsphere_operator.kube.installation import installation_id

from .conftest import a_cluster, a_config_map, kubeconfig_with

pytestmark = pytest.mark.testbed

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Checked",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


async def test_a_status_planned_from_a_stale_object_is_a_conflict_and_not_written(
    api: KubeApi, namespace: str
) -> None:
    made = await api.create(a_cluster(namespace))
    version = made["metadata"]["resourceVersion"]
    await api.merge_patch("Cluster", namespace, "shop", {"metadata": {"labels": {"by": "another"}}})
    with pytest.raises(Conflict):
        await api.apply_status(
            "Cluster", namespace, "shop", {"conditions": [READY]}, resource_version=version
        )
    assert "status" not in await api.get("Cluster", namespace, "shop")


async def test_a_status_without_a_version_is_written_whatever_happened_since(
    api: KubeApi, namespace: str
) -> None:
    await api.create(a_cluster(namespace))
    await api.merge_patch("Cluster", namespace, "shop", {"metadata": {"labels": {"by": "another"}}})
    after = await api.apply_status("Cluster", namespace, "shop", {"conditions": [READY]})
    assert after["status"]["conditions"][0]["type"] == "Ready"


async def test_an_unchanged_status_does_not_change_the_version(api: KubeApi, namespace: str) -> None:
    await api.create(a_cluster(namespace))
    first = await api.apply_status("Cluster", namespace, "shop", {"conditions": [READY]})
    again = await api.apply_status("Cluster", namespace, "shop", {"conditions": [READY]})
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


async def test_the_status_of_what_is_not_there_is_not_found(api: KubeApi, namespace: str) -> None:
    with pytest.raises(NotFound):
        await api.apply_status("Cluster", namespace, "nobody", {"conditions": [READY]})


async def test_a_patch_whose_test_fails_is_a_conflict_and_not_applied(api: KubeApi, namespace: str) -> None:
    await api.create(a_config_map(namespace, x="1"))
    stale = {"op": "test", "path": "/metadata/resourceVersion", "value": "1"}
    change = {"op": "replace", "path": "/data/x", "value": "2"}
    with pytest.raises(Conflict):
        await api.json_patch("ConfigMap", namespace, "notes", [stale, change])
    assert (await api.get("ConfigMap", namespace, "notes"))["data"] == {"x": "1"}


async def test_a_patch_whose_test_holds_is_applied(api: KubeApi, namespace: str) -> None:
    made = await api.create(a_config_map(namespace, x="1"))
    version = made["metadata"]["resourceVersion"]
    fresh = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    change = {"op": "replace", "path": "/data/x", "value": "2"}
    after = await api.json_patch("ConfigMap", namespace, "notes", [fresh, change])
    assert after["data"] == {"x": "2"}


async def test_a_patch_that_breaks_the_schema_is_invalid_and_no_conflict(
    api: KubeApi, namespace: str
) -> None:
    made = await api.create(a_cluster(namespace))
    version = made["metadata"]["resourceVersion"]
    fresh = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    broken = {"op": "replace", "path": "/spec/datacenter", "value": 7}
    with pytest.raises(Invalid, match="datacenter"):
        await api.json_patch("Cluster", namespace, "shop", [fresh, broken])


async def test_what_exists_cannot_be_made_and_a_namesake_cannot_be_deleted(
    api: KubeApi, namespace: str
) -> None:
    await api.create(a_config_map(namespace))
    with pytest.raises(AlreadyExists):
        await api.create(a_config_map(namespace))
    with pytest.raises(Conflict):
        await api.delete("ConfigMap", namespace, "notes", uid="another")
    await api.delete("ConfigMap", namespace, "notes")
    with pytest.raises(NotFound):
        await api.get("ConfigMap", namespace, "notes")


async def test_a_long_list_comes_whole_in_pages_and_without_contents(
    api: KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    await asyncio.gather(*(api.create(a_config_map(namespace, f"n{i}", x="1")) for i in range(10)))
    objects, version = await api.list("ConfigMap")
    mine = [obj for obj in objects if obj["metadata"]["namespace"] == namespace]
    assert {obj["metadata"]["name"] for obj in mine} >= {f"n{i}" for i in range(10)}
    assert all(obj["kind"] == "ConfigMap" and "data" not in obj for obj in mine)
    assert int(version) >= max(int(obj["metadata"]["resourceVersion"]) for obj in mine)


async def test_a_list_of_one_namespace_has_nothing_of_others(api: KubeApi, namespace: str) -> None:
    await api.create(a_config_map(namespace, "here", x="1"))
    objects, _ = await api.list("ConfigMap", namespace)
    assert "here" in {obj["metadata"]["name"] for obj in objects}
    assert {obj["metadata"]["namespace"] for obj in objects} == {namespace}


async def test_a_token_that_nobody_knows_is_unauthorized_in_words(kubeconfig: Path, tmp_path: Path) -> None:
    stranger = KubeApi(KubeconfigFile(kubeconfig_with(kubeconfig, tmp_path, {"token": "nobody-knows-me"})))
    with pytest.raises(Unauthorized, match="does not know these credentials") as caught:
        await stranger.list("Secret")
    assert "nobody-knows-me" not in str(caught.value)
    await stranger.close()


async def test_a_rotated_token_is_found_in_the_file_by_the_very_call_that_was_refused(
    api: KubeApi, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    await api.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", body=account)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/reader/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await api.request("POST", path, body=asked))["status"]["token"]
    file = kubeconfig_with(kubeconfig, tmp_path, {"token": "an-old-one"})
    reader = KubeApi(KubeconfigFile(file))
    with pytest.raises(Unauthorized):
        await reader.get("ConfigMap", namespace, "notes")
    kubeconfig_with(kubeconfig, tmp_path, {"token": token})
    with pytest.raises(Forbidden, match=r"cannot get resource .configmaps."):
        await reader.get("ConfigMap", namespace, "notes")
    await reader.close()


async def test_a_server_that_is_not_there_is_unavailable_and_named(kubeconfig: Path, tmp_path: Path) -> None:
    path = kubeconfig_with(kubeconfig, tmp_path, {}, server="https://127.0.0.1:1")
    nowhere = KubeApi(KubeconfigFile(path))
    with pytest.raises(Unavailable, match=r"cannot reach https://127\.0\.0\.1:1"):
        await nowhere.get("ConfigMap", "default", "x")
    await nowhere.close()


async def test_two_replicas_that_start_at_once_agree_on_the_installation(
    api: KubeApi, namespace: str
) -> None:
    ids = await asyncio.gather(*(installation_id(api, namespace) for _ in range(5)))
    assert len(set(ids)) == 1
    assert await installation_id(api, namespace) == ids[0]
