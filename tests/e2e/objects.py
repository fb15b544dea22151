"""What users write: manifests as small as they can be, each field of which a test may replace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

API_VERSION = "userclusters.io/v1alpha1"

Object = dict[str, Any]

USER_DATA = """#cloud-config
hostname: <MACHINE_NAME>
write_files:
  - path: /etc/worker
    content: {sentinel} <MACHINE_NAME>
"""
IGNITION = (
    '{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": ['
    '{{"path": "/etc/hostname", "mode": 420, "overwrite": true, "contents": {{"source": "data:,<MACHINE_NAME>"}}}},'
    '{{"path": "/etc/worker", "mode": 420, "contents": {{"source": "data:,{sentinel}"}}}}]}}}}'
)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Object:
    """A JSON merge patch: None removes, maps merge, all else replaces."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def _object(kind: str, name: str, namespace: str | None, spec: Mapping[str, Any]) -> Object:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def seed(
    name: str, *, endpoint: str, secret_namespace: str, changes: Mapping[str, Any] | None = None
) -> Object:
    """A Seed that offers one datacenter of its own name; `changes` go into its `vsphere`."""
    vsphere = {
        "endpoint": endpoint,
        "caBundleRef": {
            "kind": "ConfigMap",
            "namespace": secret_namespace,
            "name": "vcenter-ca",
            "key": "ca.crt",
        },
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "rootPath": "/DC0/vm/kubernetes",
        "datastore": "LocalDS_0",
        "networks": [{"name": "VM Network"}],
        "templates": {"ubuntu": "ubuntu-22.04", "flatcar": "flatcar-stable"},
        "defaultTagCategory": f"category-{name}",
        "createTagCategory": True,
        "infraManagementUser": {"secretRef": {"namespace": secret_namespace, "name": "infra"}},
    }
    return _object("Seed", name, None, {"datacenters": {name: {"vsphere": merged(vsphere, changes or {})}}})


def preset(name: str, spec: Mapping[str, Any]) -> Object:
    """A Preset; it is cluster-scoped, so its name must be the tenant's own."""
    return _object("Preset", name, None, spec)


def cluster(
    name: str, namespace: str, *, datacenter: str, changes: Mapping[str, Any] | None = None
) -> Object:
    """A Cluster with two tags, one of them in a category of its own choice."""
    vsphere = {
        "credentialsSecretRef": {"name": "ccm"},
        "tags": [{"name": f"env-{namespace}"}, {"name": "team", "category": f"owner-{namespace}"}],
    }
    spec = {"datacenter": datacenter, "cloud": {"vsphere": vsphere}}
    return _object("Cluster", name, namespace, merged(spec, changes or {}))


def worker(operating_system: str = "ubuntu", changes: Mapping[str, Any] | None = None) -> Object:
    """The part of the spec that says what a Machine is made from."""
    spec = {
        "operatingSystem": operating_system,
        "bootstrap": {"dataSecretName": f"bootstrap-{operating_system}"},
        "vsphere": {"cpus": 2, "memoryMB": 2048, "diskSizeGB": 20},
    }
    return merged(spec, changes or {})


def deployment(
    name: str,
    namespace: str,
    *,
    cluster: str = "shop",
    replicas: int = 1,
    template: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Object:
    """A MachineDeployment whose Machines carry the label `pool: <name>`."""
    spec = {
        "clusterName": cluster,
        "replicas": replicas,
        "selector": {"matchLabels": {"pool": name}},
        "template": {"metadata": {"labels": {"pool": name}}, "spec": dict(template or worker())},
    }
    return _object("MachineDeployment", name, namespace, merged(spec, changes or {}))


def machine(
    name: str, namespace: str, *, cluster: str = "shop", template: Mapping[str, Any] | None = None
) -> Object:
    """A Machine that a person writes alone."""
    return _object("Machine", name, namespace, {"clusterName": cluster, **(template or worker())})
