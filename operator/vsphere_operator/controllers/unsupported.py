"""Fields that are in the API already and whose effect is not built yet.

What would make a wrong VM or reach further than asked is refused; what would only be missed is told and not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vsphere_operator.controllers.conditions import Condition, Problem

SUPPORTED = "SettingsSupported"

_MACHINE_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "vsphere.cloneMode": ("Full",),
    "vsphere.diskProvisioning": (),
    "vsphere.extraDisks": ([],),
    "vsphere.reservations": ({},),
    "vsphere.coresPerSocket": (),
    "vsphere.antiAffinity": (False,),
    "vsphere.vmGroup": (),
    "vsphere.customAttributes": ({},),
    "failureDomain": (),
    "updatePolicy": ("Replace",),
}
_MACHINE_TOLD: Mapping[str, tuple[Any, ...]] = {
    "taints": ([],),
    "nodeMetadata": ({}, {"labels": {}}, {"annotations": {}}, {"labels": {}, "annotations": {}}),
    "nodeDrainTimeout": (),
    "nodeVolumeDetachTimeout": (),
    "powerOffTimeout": (),
}
_CLUSTER_TOLD: Mapping[str, tuple[Any, ...]] = {
    "orphanPolicy": ("Report",),
}
_DATACENTER_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "failureDomains": ([],),
}
_DEPLOYMENT_TOLD: Mapping[str, tuple[Any, ...]] = {"healthCheck": ({},), "progressDeadlineSeconds": ()}


def refused_in_machine(spec: Mapping[str, Any]) -> Problem | None:
    return _refusal(_used(spec, _MACHINE_REFUSED))


def refused_in_datacenter(name: str, vsphere: Mapping[str, Any]) -> Problem | None:
    used = _used(vsphere, _DATACENTER_REFUSED, prefix=f"datacenters.{name}.vsphere.")
    return _refusal(used)


def told_of_machine(spec: Mapping[str, Any]) -> list[Condition]:
    return _telling(_used(spec, _MACHINE_TOLD))


def told_of_deployment(spec: Mapping[str, Any]) -> list[Condition]:
    return _telling(_used(spec, _DEPLOYMENT_TOLD))


def told_of_cluster(spec: Mapping[str, Any]) -> list[Condition]:
    return _telling(_used(spec, _CLUSTER_TOLD))


def _refusal(paths: list[str]) -> Problem | None:
    if not paths:
        return None
    words = f"this version does not act on {', '.join(paths)}; remove it"
    return Problem(SUPPORTED, "NotSupportedYet", words)


def _telling(paths: list[str]) -> list[Condition]:
    if not paths:
        return []
    words = f"this version does not act on {', '.join(paths)} yet"
    return [Condition(SUPPORTED, "False", "NotSupportedYet", words)]


def _used(spec: Mapping[str, Any], table: Mapping[str, tuple[Any, ...]], prefix: str = "") -> list[str]:
    return [f"spec.{prefix}{path}" for path in table if _is_used(_at(spec, path.split(".")), table[path])]


def _is_used(value: Any, harmless: Iterable[Any]) -> bool:
    return value is not None and value not in harmless


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
