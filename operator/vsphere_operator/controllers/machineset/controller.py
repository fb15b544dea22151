"""A MachineSet keeps a number of Machines alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from vsphere_operator.api.names import CLUSTER_NAME_LABEL
from vsphere_operator.controllers import conditions, indexes, status
from vsphere_operator.controllers.lifecycle import (
    adopt,
    is_deleting,
    is_held,
    is_paused,
    labels_of,
    metadata,
    outlive,
)
from vsphere_operator.controllers.machineset.machines import machine_for, machine_name, view
from vsphere_operator.controllers.machineset.plan import Changes, plan
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key


class MachineSetController:
    """Makes and deletes Machines so that as many live as ``spec.replicas`` says."""

    kind = "MachineSet"

    def __init__(self, *, objects: Objects, events: Events) -> None:
        self._objects = objects
        self._events = events

    async def reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, key.namespace, key.name)
        if obj is None:
            return Result()
        if is_deleting(obj):
            return await self._delete(obj)
        if is_paused(obj) or is_held(self._objects, obj):
            return await self._report(obj, paused=True)
        labels = {CLUSTER_NAME_LABEL: obj["spec"]["clusterName"]}
        obj = await adopt(self._objects, obj, extra_labels=labels, identified=False)
        await self._carry_out(obj, self._changes(obj))
        return await self._report(obj)

    def _machines(self, obj: Object) -> Sequence[Object]:
        return self._objects.by_index("Machine", indexes.OWNER, metadata(obj)["uid"])

    def _changes(self, obj: Object) -> Changes:
        spec = obj["spec"]
        return plan(
            replicas=int(spec.get("replicas", 1)),
            machines=[view(m) for m in self._machines(obj)],
            delete_policy=spec.get("deletePolicy"),
        )

    async def _carry_out(self, obj: Object, changes: Changes) -> None:
        namespace = metadata(obj)["namespace"]
        for victim in changes.delete:
            await self._objects.delete("Machine", namespace, victim.name, uid=victim.uid)
        for _ in range(changes.create):
            await self._objects.create(machine_for(obj, machine_name(metadata(obj)["name"])))

    async def _delete(self, obj: Object) -> Result:
        if not await outlive(self._objects, obj, self._machines(obj)):
            message = "Waits until its Machines are gone."
            await self._write(obj, conditions.reconciling("Deleting", message), status.now())
        return Result()

    async def _report(self, obj: Object, *, paused: bool = False) -> Result:
        at = status.now()
        await self._write(obj, self._conditions(obj, at, paused=paused), at)
        return Result(requeue_after=self._next_available(obj, at))

    async def _write(self, obj: Object, wanted: list[conditions.Condition], at: datetime) -> None:
        new = status.compose(obj, self._counts(obj, at), wanted, at=at)
        after = await status.write(self._objects, obj, new)
        status.announce(self._events, obj, after)

    def _conditions(self, obj: Object, at: datetime, *, paused: bool) -> list[conditions.Condition]:
        if paused:
            return conditions.paused()
        counts, wanted = self._counts(obj, at), int(obj["spec"].get("replicas", 1))
        if counts["replicas"] == counts["availableReplicas"] == wanted and not self._leaving(obj):
            return conditions.ready("AllAvailable")
        return conditions.reconciling("Scaling", "Waits until as many Machines are available as asked for.")

    def _leaving(self, obj: Object) -> bool:
        return any(is_deleting(m) for m in self._machines(obj))

    def _counts(self, obj: Object, at: datetime) -> dict[str, Any]:
        living = [m for m in self._machines(obj) if not is_deleting(m)]
        wanted = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
        seconds = int(obj["spec"].get("minReadySeconds") or 0)
        match = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
        return {
            "replicas": len(living),
            "fullyLabeledReplicas": sum(wanted.items() <= labels_of(m).items() for m in living),
            "readyReplicas": sum(view(m).ready for m in living),
            "availableReplicas": sum(seconds_until_available(m, seconds, at) == 0 for m in living),
            "selector": ",".join(f"{k}={v}" for k, v in sorted(match.items())),
        }

    def _next_available(self, obj: Object, at: datetime) -> float | None:
        seconds = int(obj["spec"].get("minReadySeconds") or 0)
        waits = [seconds_until_available(m, seconds, at) for m in self._machines(obj)]
        due = [w for w in waits if w is not None and w > 0]
        return min(due) if due else None


def seconds_until_available(machine: Object, min_ready_seconds: int, at: datetime) -> float | None:
    """0 when available; None when not ready, so that only an event can change it."""
    ready = conditions.find((machine.get("status") or {}).get("conditions") or [], conditions.READY)
    if ready is None or ready.get("status") != "True":
        return None
    since = datetime.fromisoformat(str(ready["lastTransitionTime"]).replace("Z", "+00:00"))
    return max(0.0, min_ready_seconds - (at - since).total_seconds())
