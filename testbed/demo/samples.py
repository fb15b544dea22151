"""deploy/samples/ as they are, with the three things of one's own put in: address, certificate, passwords."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.demo.errors import DemoError

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """What the samples must know of the vCenter: its URL and the PEM of the CA that signed its certificate."""

    url: str
    ca: str


def load(directory: Path) -> list[Manifest]:
    """Return all documents of a directory's YAML files, in the order of the files' names.

    Raises DemoError when there is none.
    """
    files = sorted(directory.glob("*.yaml"))
    found = [d for file in files for d in yaml.safe_load_all(file.read_text()) if d]
    if not found:
        raise DemoError(f"no YAML files in {directory}: this needs a whole checkout of the project")
    return found


def users(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the vCenter users that the samples' Secrets name, each once."""
    names = [
        secret["stringData"]["username"] for secret in _of_kind(manifests, "Secret") if _is_login(secret)
    ]
    return tuple(dict.fromkeys(names))


def infrastructure_user(manifests: Iterable[Manifest]) -> str:
    """Return the user whom the operator is with vCenter, from the Secret that the first datacenter names."""
    documents = list(manifests)
    for settings in _datacenters(documents):
        reference = settings["infraManagementUser"]["secretRef"]
        secret = _find(documents, "Secret", reference["namespace"], reference["name"])
        return str(secret["stringData"]["username"])
    raise DemoError("the samples hold no Seed with a datacenter")


def completed(
    manifests: Iterable[Manifest], *, endpoint: Endpoint, passwords: Mapping[str, str]
) -> list[Manifest]:
    """Return copies in which every datacenter is at `endpoint` and every login has its user's password.

    Raises DemoError when a Seed names a ConfigMap that the samples do not hold.
    """
    documents = copy.deepcopy(list(manifests))
    for settings in _datacenters(documents):
        settings["endpoint"] = endpoint.url
        reference = settings.get("caBundleRef")
        if reference:
            bundle = _find(documents, reference["kind"], reference["namespace"], reference["name"])
            bundle["data"][reference["key"]] = endpoint.ca
    for secret in _of_kind(documents, "Secret"):
        if _is_login(secret):
            secret["stringData"]["password"] = passwords[secret["stringData"]["username"]]
    return documents


def secrets_in(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return what must never be in a log: passwords, and the telling lines of bootstrap data."""
    found: list[str] = []
    for secret in _of_kind(manifests, "Secret"):
        for key, value in secret.get("stringData", {}).items():
            if key == "password":
                found.append(value)
            elif key == "value":
                found += [line.strip() for line in value.splitlines() if len(line.strip()) >= 20]
    return tuple(found)


def wanted_tags(cluster: Manifest, manifests: Iterable[Manifest]) -> frozenset[str]:
    """Return the tags that a Cluster asks for as `category:name`."""
    default = next((s["defaultTagCategory"] for s in _datacenters(list(manifests))), "")
    tags = cluster["spec"]["cloud"]["vsphere"].get("tags", [])
    return frozenset(f"{tag.get('category', default)}:{tag['name']}" for tag in tags)


def one(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """Return the first object of a kind. Raises DemoError when there is none."""
    for document in _of_kind(manifests, kind):
        return document
    raise DemoError(f"the samples hold no {kind}")


def of_system(manifests: Iterable[Manifest], operating_system: str) -> Manifest:
    """Return the first MachineDeployment with this operating system. Raises DemoError when there is none."""
    for document in _of_kind(manifests, "MachineDeployment"):
        if document["spec"]["template"]["spec"]["operatingSystem"] == operating_system:
            return document
    raise DemoError(f"the samples hold no MachineDeployment with operatingSystem {operating_system}")


def _datacenters(manifests: Iterable[Manifest]) -> Iterator[dict[str, Any]]:
    for seed in _of_kind(manifests, "Seed"):
        for datacenter in seed["spec"]["datacenters"].values():
            yield datacenter["vsphere"]


def _of_kind(manifests: Iterable[Manifest], kind: str) -> Iterator[Manifest]:
    return (document for document in manifests if document["kind"] == kind)


def _is_login(secret: Manifest) -> bool:
    return {"username", "password"} <= set(secret.get("stringData", {}))


def _find(manifests: Iterable[Manifest], kind: str, namespace: str, name: str) -> Manifest:
    for document in _of_kind(manifests, kind):
        metadata = document["metadata"]
        if (metadata.get("namespace"), metadata["name"]) == (namespace, name):
            return document
    raise DemoError(f"the samples name the {kind} {namespace}/{name}, which is not among them")
