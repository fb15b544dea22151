"""An object's first and last acts: its identity and finalizer, and the finalizer off when all that was made is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsphere_operator.api.names import (
    FINALIZER,
    ID_ANNOTATION,
    ORPHAN_ANNOTATION,
    ORPHAN_WORDS,
    PAUSED_ANNOTATION,
)
from vsphere_operator.controllers.ports import Object, Objects

ORPHAN_FINALIZER = "orphan"
"""Kubernetes' own: `kubectl delete --cascade=orphan` puts it on, and dependents are then to stay."""


def metadata(obj: Object) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = obj["metadata"]
    return meta


def annotations_of(obj: Object) -> Mapping[str, str]:
    return metadata(obj).get("annotations") or {}


def labels_of(obj: Object) -> Mapping[str, str]:
    return metadata(obj).get("labels") or {}


def is_deleting(obj: Object) -> bool:
    return bool(metadata(obj).get("deletionTimestamp"))


def has_finalizer(obj: Object, name: str = FINALIZER) -> bool:
    return name in (metadata(obj).get("finalizers") or [])


def identity(obj: Object) -> str:
    """The portable id: the first UID that this object had, also after a backup was restored elsewhere."""
    return annotations_of(obj).get(ID_ANNOTATION) or str(metadata(obj)["uid"])


def is_paused(obj: Object) -> bool:
    return bool((obj.get("spec") or {}).get("paused")) or PAUSED_ANNOTATION in annotations_of(obj)


def is_held(objects: Objects, worker: Object) -> bool:
    """Whether the Cluster that a worker belongs to is paused, and all its workers with it."""
    cluster = objects.get("Cluster", metadata(worker)["namespace"], worker["spec"]["clusterName"])
    return cluster is not None and bool(cluster["spec"].get("paused"))


def orphaned(obj: Object) -> frozenset[str]:
    """The kinds of things that a person has said may be left behind, as ORPHAN_WORDS spells them."""
    known = {word.lower(): word for word in ORPHAN_WORDS}
    return frozenset(known[word.lower()] for word in _orphan_words(obj) if word.lower() in known)


def misspelt_orphans(obj: Object) -> list[str]:
    """What is in the annotation and means nothing: nobody lets go of anything by it."""
    known = {word.lower() for word in ORPHAN_WORDS}
    return [word for word in _orphan_words(obj) if word.lower() not in known]


def lets_go(obj: Object, thing: str) -> bool:
    """Whether a person has said that this kind of thing may be left behind."""
    return bool(orphaned(obj) & {thing, "all"})


def _orphan_words(obj: Object) -> list[str]:
    words = (word.strip() for word in annotations_of(obj).get(ORPHAN_ANNOTATION, "").split(","))
    return [word for word in words if word]


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The owner reference that controls this object."""
    for reference in metadata(obj).get("ownerReferences") or []:
        if reference.get("controller"):
            owner: Mapping[str, Any] = reference
            return owner
    return None


def owner_reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata(owner)["name"],
        "uid": metadata(owner)["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


async def adopt(
    objects: Objects,
    obj: Object,
    *,
    extra_labels: Mapping[str, str] | None = None,
    identified: bool = True,
) -> Object:
    """The object with the finalizer, the labels and (``identified``) the identity annotation; one patch at most.

    Raises the client's Conflict when the object has changed since it was read.
    """
    ops = _adoption_ops(obj, extra_labels or {}, {ID_ANNOTATION: identity(obj)} if identified else {})
    if not ops:
        return obj
    return await _patch(objects, obj, ops)


async def release(objects: Objects, obj: Object) -> None:
    """Take the finalizer off; only for what is proven gone or was never made."""
    finalizers = list(metadata(obj).get("finalizers") or [])
    if FINALIZER not in finalizers:
        return
    await _patch(
        objects, obj, [{"op": "remove", "path": f"/metadata/finalizers/{finalizers.index(FINALIZER)}"}]
    )


async def outlive(objects: Objects, owner: Object, owned: Sequence[Object]) -> bool:
    """Delete what a deleted owner owns, and let the owner go when all of it is gone; whether it went.

    With ``kubectl delete --cascade=orphan`` the owner goes at once and what it owned stays.
    """
    if ORPHAN_FINALIZER in (metadata(owner).get("finalizers") or []) or not owned:
        await release(objects, owner)
        return True
    for one in owned:
        if not is_deleting(one):
            meta = metadata(one)
            await objects.delete(one["kind"], meta["namespace"], meta["name"], uid=meta["uid"])
    return False


def _adoption_ops(
    obj: Object, extra_labels: Mapping[str, str], extra_annotations: Mapping[str, str]
) -> list[Object]:
    ops: list[Object] = []
    meta = metadata(obj)
    if not has_finalizer(obj):
        ops.append(
            {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}
            if meta.get("finalizers")
            else {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}
        )
    missing = {k: v for k, v in extra_annotations.items() if annotations_of(obj).get(k) != v}
    ops += _map_ops("annotations", meta.get("annotations"), missing)
    missing = {k: v for k, v in extra_labels.items() if labels_of(obj).get(k) != v}
    return ops + _map_ops("labels", meta.get("labels"), missing)


def _map_ops(field: str, present: Mapping[str, str] | None, missing: Mapping[str, str]) -> list[Object]:
    if not missing:
        return []
    if not present:
        return [{"op": "add", "path": f"/metadata/{field}", "value": dict(missing)}]
    return [
        {"op": "add", "path": f"/metadata/{field}/{k.replace('~', '~0').replace('/', '~1')}", "value": v}
        for k, v in missing.items()
    ]


async def _patch(objects: Objects, obj: Object, ops: list[Object]) -> Object:
    meta = metadata(obj)
    guard = {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}
    return await objects.json_patch(obj["kind"], meta.get("namespace", ""), meta["name"], [guard, *ops])
