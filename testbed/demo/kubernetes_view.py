"""The operator's objects as rows: what `kubectl get userclusters -A` shows, in the order of who owns whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("Seed", "Cluster", "MachineDeployment", "MachineSet", "Machine")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One object. `ready` is its Ready condition's status; `state` the word to show for it."""

    kind: str
    namespace: str
    name: str
    ready: str
    state: str
    message: str = ""
    counts: str = ""
    owner: str = ""
    deleting: bool = False
    desired: int = 0
    settled: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether it is as its spec wants it, by the operator's word."""
        return self.ready == "True" and self.settled and not self.deleting

    @property
    def full_name(self) -> str:
        """Kind, namespace and name."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def word(self) -> str:
        """What goes on with it, in one or two words."""
        return " ".join(part for part in (self.counts, self.state) if part)


def rows(objects: Mapping[str, Iterable[Object]]) -> tuple[Row, ...]:
    """Return the rows of all objects by kind, owners right before what they own."""
    by_kind = {kind: sorted((row(o) for o in objects.get(kind, ())), key=_place) for kind in KINDS}
    found = [*by_kind["Seed"]]
    for cluster in by_kind["Cluster"]:
        found.append(cluster)
        for deployment in _owned(by_kind["MachineDeployment"], cluster):
            found.append(deployment)
            for machine_set in _owned(by_kind["MachineSet"], deployment):
                found += [machine_set, *_owned(by_kind["Machine"], machine_set)]
    orphans = [r for kind in KINDS for r in by_kind[kind] if r not in found]
    return tuple(found + orphans)


def row(item: Object) -> Row:
    """Return the row of one object."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    ready = _condition(status, "Ready")
    deleting = "deletionTimestamp" in metadata
    reason, phase = ready.get("reason", ""), status.get("phase", "")
    is_ready = ready.get("status") == "True"
    observed = status.get("observedGeneration", 0)
    settled = observed == metadata.get("generation", observed) and _has_all(item["kind"], spec, status)
    word = phase if is_ready and phase else reason or phase or "new"
    if is_ready and not settled:
        word = "Updating"  # its Ready is about the spec of before
    return Row(
        kind=item["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        ready=ready.get("status", "Unknown"),
        state="Deleting" if deleting and is_ready else word,
        message=ready.get("message", ""),
        counts=_counts(item["kind"], spec, status),
        owner=_owner(metadata, spec),
        deleting=deleting,
        desired=spec.get("replicas", 0),
        settled=settled,
    )


def conditions(item: Object) -> list[str]:
    """Return an object's conditions that are not as they should be, as lines for a message."""
    found = item.get("status", {}).get("conditions", [])
    bad = [c for c in found if (c["status"] == "True") == (c["type"] in {"Stalled", "Reconciling"})]
    if not found:
        return ["no conditions yet: the operator has not looked at it"]
    return [
        f"{c['type']}={c['status']} {c.get('reason', '')}: {c.get('message', '')}".rstrip(": ") for c in bad
    ]


def _has_all(kind: str, spec: Object, status: Object) -> bool:
    if kind not in {"MachineDeployment", "MachineSet"}:
        return True
    wanted = spec.get("replicas", 1)
    return (status.get("replicas", 0), status.get("availableReplicas", 0)) == (wanted, wanted)


def _counts(kind: str, spec: Object, status: Object) -> str:
    if kind not in {"MachineDeployment", "MachineSet"}:
        return ""
    return f"{status.get('availableReplicas', 0)}/{spec.get('replicas', 1)}"


def _condition(status: Object, kind: str) -> Object:
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def _owner(metadata: Object, spec: Object) -> str:
    owners = metadata.get("ownerReferences", [])
    return str(next((o["name"] for o in owners if o.get("controller")), spec.get("clusterName", "")))


def _owned(candidates: Iterable[Row], owner: Row) -> list[Row]:
    return [r for r in candidates if (r.namespace, r.owner) == (owner.namespace, owner.name)]


def _place(item: Row) -> tuple[str, str]:
    return item.namespace, item.name
