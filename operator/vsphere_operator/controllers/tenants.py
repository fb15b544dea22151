"""Which namespaces may use a datacenter or a preset, by their labels."""

from __future__ import annotations

from vsphere_operator.api.references import LabelSelector
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.ports import Objects


def refused_namespace(
    objects: Objects, namespace: str, allowed: LabelSelector | None, *, what: str, field: str, condition: str
) -> Problem | None:
    """The Problem of a namespace that lacks the labels asked for; ``what`` names the thing, ``field`` its rule."""
    if allowed is None:
        return None
    found = objects.get("Namespace", "", namespace)
    labels = (found or {}).get("metadata", {}).get("labels") or {}
    if allowed.matches(labels):
        return None
    words = f"the namespace {namespace} may not use the {what}; its labels must match {field} ({allowed.to_query()})"
    return Problem(condition, "NamespaceNotAllowed", words)
