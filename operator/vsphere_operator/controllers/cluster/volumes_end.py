"""Which claims, pods and volumes of a user cluster have to go when its volumes do, and what is waited for. Pure.

Only the vSphere CSI driver's. A volume is deleted by its driver once its claim is gone: taking the PersistentVolume
itself away before that would leave the disk behind, so that only volumes which the driver guards by its finalizer are
asked to go. `Retain` on a volume is a person's word, and is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DRIVER = "csi.vsphere.vmware.com"
GUARD = "external-provisioner.volume.kubernetes.io/finalizer"
"""Kept on a volume by its provisioner until the disk is deleted (Kubernetes' KEP 2644)."""
_PROVISIONERS = (
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask to go, what is left, and what stays for good.

    ``delete`` is in groups, one after the other: claims before the Pods that use them, so that a Pod that comes back
    finds a claim that it may not use.
    """

    delete: tuple[tuple[Object, ...], ...]
    waits_for: tuple[str, ...]
    kept: tuple[str, ...]


def claims_of(volumes: Sequence[Object], claims: Sequence[Object]) -> list[Object]:
    """The claims that are bound to a volume of the driver, or for which it is making one."""
    ours = {v["metadata"]["name"] for v in volumes if is_ours(v)}
    return [c for c in claims if _is_claim_of(c, ours)]


def is_ours(volume: Object) -> bool:
    """Whether the volume is the vSphere CSI driver's."""
    return (volume["spec"].get("csi") or {}).get("driver") == DRIVER


def plan(volumes: Sequence[Object], claims: Sequence[Object], pods: Sequence[Object]) -> Plan:
    """One look. ``claims`` are those of `claims_of`, ``pods`` those of their namespaces that run on a Node."""
    wanted = {(c["metadata"]["namespace"], c["metadata"]["name"]) for c in claims}
    users = [p for p in pods if wanted & set(_claimed_by(p))]
    ours = [v for v in volumes if is_ours(v)]
    kept = [v for v in ours if _stays(v)]
    going = [v for v in ours if not _stays(v)]
    unclaimed = [v for v in going if _phase(v) == "Available"]
    return Plan(
        delete=tuple(_not_going(group) for group in (claims, users, unclaimed)),
        waits_for=(*(_claim(c, users) for c in claims), *(_volume(v) for v in going)),
        kept=tuple(f"PersistentVolume {v['metadata']['name']} ({_why_kept(v)})" for v in kept),
    )


def _not_going(group: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(o for o in group if not o["metadata"].get("deletionTimestamp"))


def _is_claim_of(claim: Object, ours: set[str]) -> bool:
    bound = claim["spec"].get("volumeName")
    if bound:
        return bound in ours
    annotations = claim["metadata"].get("annotations") or {}
    return any(annotations.get(name) == DRIVER for name in _PROVISIONERS)


def _stays(volume: Object) -> bool:
    return _why_kept(volume) is not None


def _why_kept(volume: Object) -> str | None:
    policy = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
    if policy != "Delete":
        return f"its reclaim policy is {policy}"
    if _phase(volume) == "Available" and GUARD not in (volume["metadata"].get("finalizers") or []):
        return "never claimed, and its driver does not guard it"
    return None


def _phase(volume: Object) -> str:
    return str((volume.get("status") or {}).get("phase") or "Pending")


def _claim(claim: Object, users: Iterable[Object]) -> str:
    meta = claim["metadata"]
    name = f"PersistentVolumeClaim {meta['namespace']}/{meta['name']}"
    using = sorted(
        p["metadata"]["name"] for p in users if (meta["namespace"], meta["name"]) in set(_claimed_by(p))
    )
    held = ", ".join(meta.get("finalizers") or [])
    about = [f"finalizer {held}"] if held else []
    about += [f"used by the Pod {using[0]}"] if using else []
    return f"{name} ({'; '.join(about)})" if about else name


def _volume(volume: Object) -> str:
    return f"PersistentVolume {volume['metadata']['name']} ({_phase(volume)})"


def _claimed_by(pod: Object) -> Iterator[tuple[str, str]]:
    meta = pod["metadata"]
    for volume in pod["spec"].get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            yield meta["namespace"], volume["persistentVolumeClaim"]["claimName"]
        if volume.get("ephemeral"):
            yield meta["namespace"], f"{meta['name']}-{volume['name']}"
