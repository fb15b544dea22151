"""One good object of each kind, and a way to change one thing in it."""

import copy
from typing import Any

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.names import API_VERSION

from .api_server import Answer, ApiServer
from .conftest import NAMESPACE

Object = dict[str, Any]

REMOVED = object()
"""As a new value: the field is taken out."""

_DEFINITIONS = {kind.__name__: kind.definition for kind in KINDS}

_TEMPLATE_SPEC: Object = {
    "operatingSystem": "ubuntu",
    "bootstrap": {"dataSecretName": "shop-bootstrap"},
    "vsphere": {"cpus": 4, "memoryMB": 8192},
}
_WORKERS: Object = {
    "clusterName": "shop",
    "replicas": 3,
    "selector": {"matchLabels": {"pool": "workers"}},
    "template": {"metadata": {"labels": {"pool": "workers", "zone": "a"}}, "spec": _TEMPLATE_SPEC},
}
_SPECS: dict[str, Object] = {
    "Seed": {
        "datacenters": {
            "frankfurt": {
                "vsphere": {
                    "endpoint": "https://vcenter.example.com",
                    "datacenter": "DC0",
                    "cluster": "DC0_C0",
                }
            }
        }
    },
    "Preset": {"vsphere": {"datastore": "LocalDS_0"}},
    "Cluster": {"datacenter": "frankfurt", "cloud": {"vsphere": {}}},
    "MachineDeployment": _WORKERS,
    "MachineSet": _WORKERS,
    "Machine": _TEMPLATE_SPEC | {"clusterName": "shop"},
}


def good(kind: str, name: str = "good") -> Object:
    """An object that the API server accepts."""
    metadata = {"name": name}
    if _DEFINITIONS[kind].scope == "Namespaced":
        metadata["namespace"] = NAMESPACE
    spec = copy.deepcopy(_SPECS[kind])
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def changed(original: Object, path: str, value: Any) -> Object:
    """A copy with one field set: `spec.cloud.vsphere.folder`; parts on the way are made."""
    result = copy.deepcopy(original)
    *parents, last = path.split(".")
    part = result
    for parent in parents:
        part = part.setdefault(parent, {})
    if value is REMOVED:
        part.pop(last, None)
    else:
        part[last] = value
    return result


def collection(kind: str) -> str:
    """The path of a kind's objects."""
    definition = _DEFINITIONS[kind]
    scope = f"namespaces/{NAMESPACE}/" if definition.scope == "Namespaced" else ""
    return f"/apis/{API_VERSION}/{scope}{definition.plural}"


def try_to_create(api: ApiServer, document: Object) -> Answer:
    """What the API server says to a new object, without keeping it."""
    return api.call("POST", collection(document["kind"]), document, dryRun="All")


def create(api: ApiServer, document: Object) -> Object:
    """Make the object and keep it."""
    answer = api.call("POST", collection(document["kind"]), document)
    assert answer.status == 201, answer.message
    return answer.body


def remove(api: ApiServer, document: Object) -> None:
    """Take the object away, whatever finalizers it got meanwhile."""
    path = f"{collection(document['kind'])}/{document['metadata']['name']}"
    api.call("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    api.call("DELETE", path)
