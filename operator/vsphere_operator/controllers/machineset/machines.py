"""The Machine that a MachineSet makes, and a set's Machines as its plan sees them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from vsphere_operator.api.names import (
    API_VERSION,
    CLUSTER_NAME_LABEL,
    DELETE_MACHINE_ANNOTATION,
    DEPLOYMENT_NAME_LABEL,
    ID_ANNOTATION,
)
from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.lifecycle import (
    annotations_of,
    is_deleting,
    labels_of,
    metadata,
    owner_reference,
)
from vsphere_operator.controllers.machineset.plan import MachineView
from vsphere_operator.controllers.ports import Object

# No vowels and nothing that looks like something else: a name is never a word and can be read out.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 5
_MAX_NAME = 63  # a Machine's name becomes a host name (RFC 1123 label)


def machine_name(set_name: str) -> str:
    """A fresh name below the set's."""
    stem = set_name[: _MAX_NAME - _SUFFIX - 1].rstrip("-.")
    return f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX))}"


def machine_for(machine_set: Object, name: str) -> Object:
    """A Machine made from the set's template, owned by the set."""
    meta, spec = metadata(machine_set), machine_set["spec"]
    template = spec.get("template") or {}
    template_meta = template.get("metadata") or {}
    return {
        "apiVersion": API_VERSION,
        "kind": "Machine",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**(template_meta.get("labels") or {}), **_ownership_labels(machine_set)},
            "annotations": _without_identity(template_meta.get("annotations") or {}),
            "ownerReferences": [owner_reference(machine_set)],
        },
        "spec": {**(template.get("spec") or {}), "clusterName": spec["clusterName"]},
    }


def _without_identity(annotations: Mapping[str, str]) -> dict[str, str]:
    """An id copied into a template would make all its Machines one."""
    return {k: v for k, v in annotations.items() if k != ID_ANNOTATION}


def view(machine: Object) -> MachineView:
    """What the plan needs to know of a Machine."""
    status = machine.get("status") or {}
    meta = metadata(machine)
    return MachineView(
        name=meta["name"],
        uid=meta["uid"],
        created=meta.get("creationTimestamp", ""),
        deleting=is_deleting(machine),
        marked=DELETE_MACHINE_ANNOTATION in annotations_of(machine),
        failed=status.get("phase") == "Failed",
        ready=conditions.is_true(status.get("conditions") or [], conditions.READY),
    )


def _ownership_labels(machine_set: Object) -> Mapping[str, str]:
    result = {CLUSTER_NAME_LABEL: machine_set["spec"]["clusterName"]}
    deployment = labels_of(machine_set).get(DEPLOYMENT_NAME_LABEL)
    return result | ({DEPLOYMENT_NAME_LABEL: deployment} if deployment else {})
