"""Raw objects for tests."""

from __future__ import annotations

from typing import Any


def an_object(
    name: str = "one", version: int = 1, *, kind: str = "Machine", namespace: str = "team", **more: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "resourceVersion": str(version), "uid": f"uid-{name}"}
    metadata |= more.pop("metadata", {})
    return {"apiVersion": "userclusters.io/v1alpha1", "kind": kind, "metadata": metadata, **more}
