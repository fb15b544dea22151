"""Which keys share workers: those that wait for the same vCenter when it hangs, and nobody else with them. Pure."""

from __future__ import annotations

from collections.abc import Callable

from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.runtime.keys import Key

NO_VCENTER = ""
"""The lane of keys whose work does not leave Kubernetes."""


def lanes(objects: Objects) -> Callable[[Key], str]:
    """Tells a key's lane: the datacenter that a Cluster or a Machine is in, or a Seed's own.

    A Machine whose Cluster is not known, and whatever is gone itself, has no vCenter to talk to. A change of
    the Cluster enqueues its Machines, so that they change lanes with it.
    """

    def lane_of(key: Key) -> str:
        match key.kind:
            case "Seed":
                return f"seed/{key.name}"
            case "Cluster":
                cluster = objects.get("Cluster", key.namespace, key.name)
            case "Machine":
                machine = objects.get("Machine", key.namespace, key.name)
                cluster = objects.get("Cluster", key.namespace, _field(machine, "clusterName"))
            case _:
                return NO_VCENTER
        datacenter = _field(cluster, "datacenter")
        return f"datacenter/{datacenter}" if datacenter else NO_VCENTER

    return lane_of


def _field(obj: Object | None, name: str) -> str:
    spec = obj.get("spec") if obj is not None else None
    return str(spec.get(name) or "") if spec else ""
