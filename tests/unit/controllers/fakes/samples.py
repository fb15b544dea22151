"""Objects as people write them."""

from __future__ import annotations

from typing import Any

from vsphere_operator.api.names import API_VERSION

Json = dict[str, Any]
NAMESPACE = "team-shop"
PASSWORD = "s3ntinel-passw0rd"
BOOTSTRAP = "s3ntinel-bootstrap-token"


def a_seed(name: str = "europe", datacenter: str = "frankfurt", **vsphere: Any) -> Json:
    settings: Json = {
        "endpoint": "https://vcenter.example.com",
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "rootPath": "/DC0/vm/kubernetes",
        "datastore": "LocalDS_0",
        "networks": [{"name": "VM Network"}],
        "templates": {"ubuntu": "ubuntu-22.04", "flatcar": "flatcar-stable"},
        "defaultTagCategory": "k8c",
        "createTagCategory": True,
        "infraManagementUser": {"secretRef": {"namespace": "vsphere-operator", "name": "infra"}},
    } | vsphere
    spec = {"datacenters": {datacenter: {"vsphere": {k: v for k, v in settings.items() if v is not None}}}}
    return {"apiVersion": API_VERSION, "kind": "Seed", "metadata": {"name": name}, "spec": spec}


def a_cluster(
    name: str = "shop", namespace: str = NAMESPACE, *, meta: Json | None = None, **vsphere: Any
) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": namespace, **(meta or {})},
        "spec": {"datacenter": "frankfurt", "cloud": {"vsphere": vsphere}},
    }


def machine_template(operating_system: str = "ubuntu", **vsphere: Any) -> Json:
    secret = "boot-flatcar" if operating_system == "flatcar" else "boot"
    return {
        "operatingSystem": operating_system,
        "bootstrap": {"dataSecretName": secret},
        "vsphere": {"cpus": 2, "memoryMB": 2048, **vsphere},
    }


def a_machine(
    name: str = "worker-1",
    *,
    cluster: str = "shop",
    namespace: str = NAMESPACE,
    operating_system: str = "ubuntu",
    meta: Json | None = None,
    **vsphere: Any,
) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "Machine",
        "metadata": {"name": name, "namespace": namespace, **(meta or {})},
        "spec": {"clusterName": cluster, **machine_template(operating_system, **vsphere)},
    }


def a_deployment(name: str = "workers", *, replicas: int = 2, cluster: str = "shop", **spec: Any) -> Json:
    labels = {"pool": name}
    return {
        "apiVersion": API_VERSION,
        "kind": "MachineDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "clusterName": cluster,
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": machine_template()},
            **spec,
        },
    }


def a_namespace(name: str = NAMESPACE, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
