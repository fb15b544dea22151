"""A MachineDeployment keeps one MachineSet a template and moves its Machines from the old ones to the current one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vsphere_operator.api.names import REVISION_ANNOTATION
from vsphere_operator.controllers import conditions, indexes, status, unsupported
from vsphere_operator.controllers.lifecycle import (
    adopt,
    annotations_of,
    is_deleting,
    is_held,
    is_paused,
    metadata,
    outlive,
)
from vsphere_operator.controllers.machinedeployment.rollout import (
    Scale,
    limits,
    on_delete,
    rolling_update,
)
from vsphere_operator.controllers.machinedeployment.sets import (
    carried_changes,
    current_set,
    free_hash,
    history_to_drop,
    new_set,
    own_labels,
    revision,
    set_view,
)
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key

_HISTORY = 10


class MachineDeploymentController:
    """Scales MachineSets; never touches a Machine itself."""

    kind = "MachineDeployment"

    def __init__(self, *, objects: Objects, events: Events) -> None:
        self._objects = objects
        self._events = events

    async def reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, key.namespace, key.name)
        if obj is None:
            return Result()
        if is_deleting(obj):
            return await self._delete(obj)
        obj = await adopt(self._objects, obj, extra_labels=own_labels(obj), identified=False)
        if is_paused(obj) and not is_held(self._objects, obj):
            await self._scale_only(obj)
        elif not is_held(self._objects, obj):
            obj = await self._roll_out(obj)
        await self._report(obj)
        return Result()

    def _sets(self, obj: Object) -> list[Object]:
        owned = self._objects.by_index("MachineSet", indexes.OWNER, metadata(obj)["uid"])
        return [s for s in owned if not is_deleting(s)]

    async def _roll_out(self, obj: Object) -> Object:
        current = await self._current(obj)
        old = [s for s in self._sets(obj) if metadata(s)["name"] != metadata(current)["name"]]
        for step in _steps(obj, current, old, self._held(old)):
            await self._scale(obj, step)
        for one in (current, *old):
            await self._carry(obj, one)
        if _settled(obj, self._sets(obj), current):
            await self._drop_history(obj, old)
        return await self._record_revision(obj, revision(current))

    def _held(self, sets: Sequence[Object]) -> dict[str, int]:
        """By set: how many Machines it has, those on their way out included."""
        return {
            metadata(s)["name"]: len(self._objects.by_index("Machine", indexes.OWNER, metadata(s)["uid"]))
            for s in sets
        }

    async def _current(self, obj: Object) -> Object:
        namespace, sets = metadata(obj)["namespace"], self._sets(obj)
        current = current_set(obj, sets)
        newest = max((revision(s) for s in sets), default=0)
        if current is None:
            # The first set is made whole: one that begins with none would say for a moment that all are available.
            first = 0 if sets else int(obj["spec"].get("replicas", 1))
            digest = free_hash(obj, lambda name: self._objects.get("MachineSet", namespace, name) is not None)
            made = new_set(obj, digest=digest, replicas=first, revision=newest + 1)
            return await self._objects.create(made)
        if revision(current) < newest:
            # A rollback: the old template is the newest again.
            return await self._annotate_set(current, newest + 1)
        return current

    async def _annotate_set(self, machine_set: Object, number: int) -> Object:
        meta = metadata(machine_set)
        patch = {"metadata": {"annotations": {REVISION_ANNOTATION: str(number)}}}
        return await self._objects.merge_patch("MachineSet", meta["namespace"], meta["name"], patch)

    async def _scale(self, obj: Object, step: Scale) -> None:
        patch = {"spec": {"replicas": step.replicas}}
        await self._objects.merge_patch("MachineSet", metadata(obj)["namespace"], step.name, patch)

    async def _scale_only(self, obj: Object) -> None:
        """While paused a person may still scale; the set in use follows, no template moves."""
        sets = [s for s in self._sets(obj) if set_view(s).replicas > 0]
        wanted = int(obj["spec"].get("replicas", 1))
        if len(sets) == 1 and set_view(sets[0]).replicas != wanted:
            await self._scale(obj, Scale(metadata(sets[0])["name"], wanted, "scaled while paused"))

    async def _carry(self, obj: Object, machine_set: Object) -> None:
        changes = carried_changes(obj, machine_set)
        if changes:
            meta = metadata(machine_set)
            await self._objects.merge_patch("MachineSet", meta["namespace"], meta["name"], {"spec": changes})

    async def _drop_history(self, obj: Object, old: Sequence[Object]) -> None:
        kept = obj["spec"].get("revisionHistoryLimit")
        for one in history_to_drop(old, _HISTORY if kept is None else int(kept)):
            meta = metadata(one)
            await self._objects.delete("MachineSet", meta["namespace"], meta["name"], uid=meta["uid"])

    async def _record_revision(self, obj: Object, number: int) -> Object:
        if annotations_of(obj).get(REVISION_ANNOTATION) == str(number):
            return obj
        meta = metadata(obj)
        patch = {"metadata": {"annotations": {REVISION_ANNOTATION: str(number)}}}
        return await self._objects.merge_patch(self.kind, meta["namespace"], meta["name"], patch)

    async def _delete(self, obj: Object) -> Result:
        sets = self._objects.by_index("MachineSet", indexes.OWNER, metadata(obj)["uid"])
        if not await outlive(self._objects, obj, sets):
            message = "Waits until its MachineSets and their Machines are gone."
            await self._write(obj, conditions.reconciling("Deleting", message), status.now())
        return Result()

    async def _report(self, obj: Object) -> None:
        sets = self._sets(obj)
        held = is_paused(obj) or is_held(self._objects, obj)
        wanted = _summary(obj, sets, current_set(obj, sets), paused=held)
        await self._write(obj, wanted, status.now())

    async def _write(self, obj: Object, wanted: list[conditions.Condition], at: datetime) -> None:
        sets = self._sets(obj)
        after = await status.write(
            self._objects, obj, status.compose(obj, _counts(obj, sets, current_set(obj, sets)), wanted, at=at)
        )
        status.announce(self._events, obj, after)


def _steps(obj: Object, current: Object, old: Sequence[Object], held: Mapping[str, int]) -> list[Scale]:
    spec = obj["spec"]
    desired = int(spec.get("replicas", 1))
    strategy = spec.get("strategy") or {}
    new, views = set_view(current), [set_view(s, held=held[metadata(s)["name"]]) for s in old]
    if strategy.get("type") == "OnDelete":
        return on_delete(desired=desired, new=new, old=views)
    rolling = strategy.get("rollingUpdate") or {}
    bounds = limits(desired, rolling.get("maxSurge", 1), rolling.get("maxUnavailable", 0))
    return rolling_update(desired=desired, new=new, old=views, limits=bounds)


def _settled(obj: Object, sets: Sequence[Object], current: Object | None) -> bool:
    counts = _counts(obj, sets, current)
    wanted = int(obj["spec"].get("replicas", 1))
    return bool(counts["replicas"] == counts["updatedReplicas"] == counts["availableReplicas"] == wanted)


def _counts(obj: Object, sets: Sequence[Object], current: Object | None) -> dict[str, Any]:
    def total(field: str) -> int:
        return sum(int((s.get("status") or {}).get(field, 0)) for s in sets)

    wanted = int(obj["spec"].get("replicas", 1))
    available = total("availableReplicas")
    match = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "replicas": total("replicas"),
        "updatedReplicas": set_view(current).current if current else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
        "selector": ",".join(f"{k}={v}" for k, v in sorted(match.items())),
        "phase": _phase(obj, sets, current),
    }


def _phase(obj: Object, sets: Sequence[Object], current: Object | None) -> str:
    """In the words that Cluster API's clients know."""
    if is_deleting(obj):
        return "ScalingDown"
    wanted = int(obj["spec"].get("replicas", 1))
    have = sum(set_view(s).current for s in sets)
    outdated = any(set_view(s).current for s in sets if s is not current)
    if have < wanted or (have == wanted and outdated):
        return "ScalingUp"
    return "ScalingDown" if have > wanted else "Running"


def _summary(
    obj: Object, sets: Sequence[Object], current: Object | None, *, paused: bool
) -> list[conditions.Condition]:
    available = sum(set_view(s).available for s in sets) >= int(obj["spec"].get("replicas", 1))
    concern = (
        conditions.Condition("Available", "True", "EnoughAvailable")
        if available
        else conditions.Condition(
            "Available", "False", "TooFewAvailable", "Fewer Machines are available than asked for."
        )
    )
    notes = [concern, *unsupported.told_of_deployment(obj["spec"])]
    if paused:
        return [*conditions.paused(), *notes]
    if _settled(obj, sets, current):
        return [*conditions.ready("AllUpdatedAndAvailable"), *notes]
    message = "Waits until all Machines are made from the current template and available."
    reason = "RollingOut" if current is None or _outdated(sets, current) else "Scaling"
    return [*conditions.reconciling(reason, message), *notes]


def _outdated(sets: Sequence[Object], current: Object) -> bool:
    name = metadata(current)["name"]
    return any(set_view(s).current or set_view(s).replicas for s in sets if metadata(s)["name"] != name)
