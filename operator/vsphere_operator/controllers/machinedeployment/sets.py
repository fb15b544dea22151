"""The MachineSets of a MachineDeployment: which is the current one, how a new one is made, which are history."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from vsphere_operator.api.names import (
    API_VERSION,
    CLUSTER_NAME_LABEL,
    DEPLOYMENT_NAME_LABEL,
    FINALIZER,
    REVISION_ANNOTATION,
    TEMPLATE_HASH_LABEL,
)
from vsphere_operator.controllers.lifecycle import annotations_of, labels_of, metadata, owner_reference
from vsphere_operator.controllers.machinedeployment.rollout import SetView
from vsphere_operator.controllers.ports import Object

_HASH_LENGTH = 8
_MAX_NAME = 57  # leaves room for "-xxxxx" in a Machine's name, which is a host name
_PROPAGATED = ("minReadySeconds", "deletePolicy")


def template_hash(template: Object, collisions: int = 0) -> str:
    """A short name for a template's content; the same for the same content whatever its order."""
    canonical = json.dumps(_pruned(template), sort_keys=True, separators=(",", ":")) + "~" * collisions
    return hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_LENGTH]


def current_set(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The oldest set made from the deployment's template as it is now.

    Compared by content, not by the hash in its name: a default that a later release adds to the schema appears on
    both sides and so starts no rollout.
    """
    wanted = _pruned(deployment["spec"]["template"])
    matching = [s for s in sets if _pruned(_own_template(s)) == wanted]
    return min(
        matching, key=lambda s: (metadata(s).get("creationTimestamp", ""), metadata(s)["name"]), default=None
    )


def free_hash(deployment: Object, taken: Callable[[str], bool]) -> str:
    """The template's hash whose set name is free: somebody else's set, or one on its way out, may have it."""
    hashes = (template_hash(deployment["spec"]["template"], n) for n in itertools.count())
    return next(h for h in hashes if not taken(_set_name(deployment, h)))


def new_set(deployment: Object, *, digest: str, replicas: int, revision: int) -> Object:
    """A set for the deployment's template as it is now, named after its hash."""
    meta, spec = metadata(deployment), deployment["spec"]
    template_meta = spec["template"].get("metadata") or {}
    carried = {k: spec[k] for k in _PROPAGATED if spec.get(k) is not None}
    template_labels = {**(template_meta.get("labels") or {}), TEMPLATE_HASH_LABEL: digest}
    return {
        "apiVersion": API_VERSION,
        "kind": "MachineSet",
        "metadata": {
            "name": _set_name(deployment, digest),
            "namespace": meta["namespace"],
            "labels": {
                **template_labels,
                CLUSTER_NAME_LABEL: spec["clusterName"],
                DEPLOYMENT_NAME_LABEL: meta["name"],
            },
            "annotations": {REVISION_ANNOTATION: str(revision)},
            "finalizers": [FINALIZER],
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            **carried,
            "clusterName": spec["clusterName"],
            "replicas": replicas,
            "selector": {"matchLabels": {**_match_labels(spec), TEMPLATE_HASH_LABEL: digest}},
            "template": {**spec["template"], "metadata": {**template_meta, "labels": template_labels}},
        },
    }


def carried_changes(deployment: Object, machine_set: Object) -> Object:
    """What of the deployment's spec a set must follow without being replaced."""
    wanted = {k: deployment["spec"].get(k) for k in _PROPAGATED}
    return {k: v for k, v in wanted.items() if v != machine_set["spec"].get(k)}


def revision(machine_set: Object) -> int:
    text = annotations_of(machine_set).get(REVISION_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0


def set_view(machine_set: Object, *, held: int = 0) -> SetView:
    state = machine_set.get("status") or {}
    return SetView(
        name=metadata(machine_set)["name"],
        replicas=int(machine_set["spec"].get("replicas", 1)),
        current=int(state.get("replicas", 0)),
        available=int(state.get("availableReplicas", 0)),
        created=metadata(machine_set).get("creationTimestamp", ""),
        revision=revision(machine_set),
        held=held,
    )


def history_to_drop(old: Sequence[Object], keep: int) -> list[Object]:
    """Old sets without Machines beyond the ``keep`` newest ones."""
    empty = [s for s in old if set_view(s).replicas == 0 and set_view(s).current == 0]
    empty.sort(key=revision, reverse=True)
    return empty[keep:]


def _set_name(deployment: Object, digest: str) -> str:
    stem = metadata(deployment)["name"][: _MAX_NAME - _HASH_LENGTH - 1].rstrip("-.")
    return f"{stem}-{digest}"


def _own_template(machine_set: Object) -> Object:
    template = machine_set["spec"]["template"]
    meta = template.get("metadata") or {}
    without = {k: v for k, v in (meta.get("labels") or {}).items() if k != TEMPLATE_HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": without}}


def _match_labels(spec: Object) -> dict[str, str]:
    result: dict[str, str] = dict((spec.get("selector") or {}).get("matchLabels") or {})
    return result


def _pruned(value: Any) -> Any:
    """Without nulls and empty objects: `{}` and absent mean the same, an empty list does not."""
    if isinstance(value, dict):
        kept = {k: _pruned(v) for k, v in value.items() if v is not None}
        return {k: v for k, v in kept.items() if v != {}}
    if isinstance(value, list):
        return [_pruned(v) for v in value]
    return value


def own_labels(deployment: Object) -> dict[str, str]:
    """What Cluster API's clients expect on a MachineDeployment."""
    wanted = {CLUSTER_NAME_LABEL: deployment["spec"]["clusterName"]}
    return {k: v for k, v in wanted.items() if labels_of(deployment).get(k) != v}
