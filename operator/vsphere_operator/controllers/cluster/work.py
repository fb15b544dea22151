"""A Cluster while it is reconciled, and the one way in which its status is written."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from vsphere_operator.api.cluster import Cluster, ClusterStatus, DeletionStep
from vsphere_operator.api.names import ORPHAN_ANNOTATION, ORPHAN_WORDS
from vsphere_operator.api.operations import Operation
from vsphere_operator.controllers import conditions, drift, status, unsupported
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.datacenters import Access
from vsphere_operator.controllers.lifecycle import identity, is_deleting, misspelt_orphans
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.vsphere.morefs import MoRef

ORPHANS_KNOWN = "OrphansKnown"
SUMMARY = {conditions.READY, conditions.RECONCILING, conditions.STALLED}


class Turns:
    """A lock for each name, for as long as somebody holds or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


@dataclass
class Work:
    """The object as last written, what has been found out on the way, and where it lives."""

    obj: Object
    objects: Objects
    installation: str
    losses: Losses
    access: Access | None = None
    ledgers: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), repr=False
    )
    """By vCenter: held while the ledgers of all its Clusters are read and one of them is changed."""
    turns: Turns = field(default_factory=Turns, repr=False)
    """Of those who would make the same tag or category of a vCenter at the same time."""
    differences: list[drift.Difference] = field(default_factory=list)
    """What others changed and a person wants only to be told of."""
    findings: dict[str, Condition] = field(default_factory=dict)
    remarks: dict[str, Condition] = field(default_factory=dict)
    """What is told and does not keep the Cluster from being Ready."""
    next_look: float | None = None
    """Seconds until something is to be looked at again, where no event will tell."""
    concern: str | None = None
    """The condition that a fault of vCenter now belongs to, where it is not the folder's."""
    step: DeletionStep | None = None
    """What is being removed, while the Cluster goes."""
    over: set[str] = field(default_factory=set)
    """Conditions about what is not there any more."""

    @property
    def cluster(self) -> Cluster:
        return Cluster.model_validate(self.obj)

    @property
    def status(self) -> ClusterStatus:
        return self.cluster.status

    @property
    def id(self) -> str:
        return identity(self.obj)

    @property
    def op_id(self) -> str:
        """What vCenter's own log shows for calls on this Cluster's behalf."""
        meta = self.obj["metadata"]
        return f"{meta['namespace']}-{meta['name']}"[:100]

    @property
    def there(self) -> Access:
        if self.access is None:
            raise AssertionError("vCenter is needed before it was looked for")
        return self.access

    @property
    def only_tells(self) -> bool:
        """Whether what others changed is told of and left as it is."""
        return drift.only_told(self.cluster)

    def found(self, type_: str, reason: str, message: str = "") -> None:
        """A concern is as it should be."""
        self.findings[type_] = Condition(type_, "True", reason, message)

    def remark(self, problem: Problem) -> None:
        """A concern that is not as asked for, and that the Cluster is Ready without."""
        self.remarks[problem.condition] = problem.as_condition()

    def keep_remark(self, type_: str) -> None:
        """As `keep`, of what keeps nothing from being Ready."""
        self.remarks |= {c.type: c for c in self._kept() if c.type == type_}

    def look_again_in(self, seconds: float | None) -> None:
        if seconds is not None:
            self.next_look = seconds if self.next_look is None else min(self.next_look, seconds)

    def keep(self, type_: str) -> None:
        """A concern that was not looked at again: what was found the last time holds."""
        for condition in self._kept():
            if condition.type == type_:
                self.findings[type_] = condition

    def hindered(self, problem: Problem) -> None:
        """A concern is not."""
        self.findings[problem.condition] = problem.as_condition()

    async def save(self, new: ClusterStatus, *, guarded: bool = False) -> None:
        """Write what has changed in the middle of the work; conditions stay as they were."""
        await self._write(new, self._kept(), guarded=guarded)

    async def finish(self, summary: Sequence[Condition], *, complete: bool, **fields: Any) -> None:
        """Write the end of this look: Ready in front, then each concern.

        A ``complete`` look has seen all concerns: what it did not find again is over.
        """
        told = [*unsupported.told_of_cluster(self.obj["spec"]), *_told_of_annotations(self.obj)]
        drifted = drift.condition(self.differences)
        if drifted is not None:
            self.remarks[drift.DRIFTED] = drifted
        wanted = {c.type: c for c in (*summary, *self.findings.values(), *self.remarks.values(), *told)}
        before = [] if complete else self._kept()
        kept = [c for c in before if c.type not in wanted and c.type not in SUMMARY | _TOLD | self.over]
        await self._write(self.status.model_copy(update=fields), [*wanted.values(), *kept])

    async def intend(self, operation: Operation) -> None:
        """Before a call: what is about to be done. A conflict means that another operator acts."""
        others = [o for o in self.status.intents if o.type != operation.type]
        await self.save(self.status.model_copy(update={"intents": [*others, operation]}), guarded=True)

    async def strike(self, type_: str, **fields: Any) -> None:
        """The operation is over; ``fields`` is what it left in the status."""
        over = self.operation(type_)
        if over is not None and over.task_ref and self.access is not None:
            self.access.vcenter.tasks.unfollow(MoRef(over.task_ref))
        others = [o for o in self.status.intents if o.type != type_]
        await self.save(self.status.model_copy(update={"intents": others, **fields}))

    def operation(self, type_: str) -> Operation | None:
        return next((o for o in self.status.intents if o.type == type_), None)

    def started(self, type_: str, target: str, *, task: str | None = None, **details: str) -> Operation:
        """An operation that starts now; ``details`` is what it takes to find out later whether it happened."""
        return Operation(
            type=type_,
            target=target,
            task_ref=task,
            vcenter=self.there.instance_uuid,
            started_at=status.now().replace(microsecond=0),
            resource_version=self.obj["metadata"]["resourceVersion"],
            details=details,
        )

    def _kept(self) -> list[Condition]:
        return [Condition(c.type, c.status.value, c.reason, c.message) for c in self.status.conditions]

    async def _write(self, new: ClusterStatus, wanted: Iterable[Condition], *, guarded: bool = False) -> None:
        text = new.to_json()
        fields = {k: v for k, v in text.items() if v not in ([], {}) and k not in _COMPOSED}
        composed = status.compose(self.obj, fields, wanted, at=status.now())
        self.obj = await status.write(self.objects, self.obj, composed, guarded=guarded)

    @property
    def deleting(self) -> bool:
        return is_deleting(self.obj)


_COMPOSED = ("conditions", "observedGeneration")


_TOLD = {unsupported.SUPPORTED, ORPHANS_KNOWN}
"""What is told anew at each look: of a field or a word that is gone nothing is told any more."""


def _told_of_annotations(obj: Object) -> list[Condition]:
    wrong = misspelt_orphans(obj)
    if not wrong:
        return []
    words = f"{ORPHAN_ANNOTATION} cannot let go of {', '.join(wrong)}; it knows {', '.join(ORPHAN_WORDS)}"
    return [Condition(ORPHANS_KNOWN, "False", "UnknownWord", words)]
