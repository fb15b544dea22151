"""What others changed of what we made: set right and counted, or only told, as the Cluster's `driftPolicy` says.

Looking is the same for both. Whoever finds a difference asks `only_told` before it acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from vsphere_operator.api.cluster import Cluster, DriftPolicy
from vsphere_operator.controllers.conditions import Condition, find
from vsphere_operator.controllers.ports import Events, Object

DRIFTED = "Drifted"

FOLDER_REMOVED = "FolderRemoved"
FOLDER_MOVED = "FolderMoved"
FOLDER_TAGS = "FolderTagsChanged"
VM_TAGS = "VMTagsChanged"
POWER_STATE = "PowerStateChanged"
CLOUD_CONFIG = "CloudConfigChanged"


class DriftMetrics(Protocol):
    """Counts, by the object's kind and by what was changed."""

    def drift_repaired(self, kind: str, what: str) -> None: ...

    def drift_reported(self, kind: str, what: str) -> None: ...


class NoDriftMetrics:
    def drift_repaired(self, kind: str, what: str) -> None:
        pass

    def drift_reported(self, kind: str, what: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was left. ``what`` is CamelCase, ``message`` names the thing."""

    what: str
    message: str


class Drift:
    """Events and numbers, one for each difference."""

    def __init__(self, events: Events, metrics: DriftMetrics | None = None) -> None:
        self._events = events
        self._metrics = metrics or NoDriftMetrics()

    def repaired(self, obj: Object, difference: Difference) -> None:
        """It is as it should be again, or is being made so."""
        self._events.normal(obj, "DriftRepaired", difference.message)
        self._metrics.drift_repaired(obj["kind"], difference.what)

    def announce(self, before: Object, after: Object) -> None:
        """Tell of a difference that stays when its condition has come or says something else by now."""
        old, new = _condition(before), _condition(after)
        if new is None or (old is not None and old["message"] == new["message"]):
            return
        self._events.warning(after, DRIFTED, new["message"])
        self._metrics.drift_reported(after["kind"], new["reason"])


def only_told(cluster: Cluster) -> bool:
    """Whether a person wants to hear of differences and set them right without the operator."""
    return cluster.spec.drift_policy is DriftPolicy.REPORT


def condition(differences: Iterable[Difference]) -> Condition | None:
    """All differences in one condition; none, no condition."""
    found = list(differences)
    if not found:
        return None
    reasons = list(dict.fromkeys(d.what for d in found))
    reason = reasons[0] if len(reasons) == 1 else "SeveralThingsChanged"
    words = "; ".join(d.message for d in found)
    return Condition(DRIFTED, "True", reason, words)


def _condition(obj: Object) -> Object | None:
    found = find((obj.get("status") or {}).get("conditions") or [], DRIFTED)
    return found if found is not None and found["status"] == "True" else None
