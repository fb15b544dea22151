"""How a look at a Machine ends: the status that tells it, the event, and when to look again."""

from __future__ import annotations

from vsphere_operator.api.conditions import find
from vsphere_operator.api.machine import Machine
from vsphere_operator.controllers import conditions
from vsphere_operator.controllers import status as status_writing
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.drift import Drift
from vsphere_operator.controllers.lifecycle import is_deleting, release
from vsphere_operator.controllers.machine import gather, steps
from vsphere_operator.controllers.machine import status as machine_status
from vsphere_operator.controllers.machine.actions import Actions, Work
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.resync import look_again
from vsphere_operator.controllers.setbacks import Setbacks
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key


class Endings:
    """Writes down how each look ended."""

    def __init__(
        self, *, objects: Objects, events: Events, actions: Actions, setbacks: Setbacks, drift: Drift
    ) -> None:
        self._objects = objects
        self._events = events
        self._actions = actions
        self._setbacks = setbacks
        self._drift = drift

    async def end(self, key: Key, work: Work, end: machine_status.End, inputs: str) -> Result:
        """There is nothing to do now but wait, whatever for."""
        before = work.obj
        state = gather.seen_status(work)
        if isinstance(end, steps.Fail):
            state = state.model_copy(update={"failure_reason": end.reason, "failure_message": end.message})
        if isinstance(end, steps.Settle):
            self._setbacks.clear(key)
        await self._actions.save(work, state, end=end)
        status_writing.announce(self._events, before, work.obj)
        self._drift.announce(before, work.obj)
        remaining = self._setbacks.current(key, inputs=inputs)
        pauses = [_pause(end, remaining[1] if remaining else None), work.look_after]
        after = min((p for p in pauses if p is not None), default=None)
        return Result(requeue_after=look_again(after, work.access.offer.vsphere.resync_interval))

    async def without_vcenter(self, obj: Object, problem: Problem | None) -> Result:
        """Paused, or vCenter cannot be asked: say so, and leave all else in the status as it is."""
        machine = Machine.model_validate(obj)
        wanted = conditions.paused() if problem is None else _summary_without_vcenter(machine, problem)
        concern = [] if problem is None else [problem.as_condition()]
        kept = gather.kept_conditions(machine)
        fields = {
            k: v
            for k, v in (obj.get("status") or {}).items()
            if k not in ("conditions", "observedGeneration")
        }
        fields.setdefault("phase", "Deleting" if is_deleting(obj) else "Pending")
        if is_deleting(obj):
            fields["phase"] = "Deleting"
        new = status_writing.compose(obj, fields, [*wanted, *concern, *kept], at=status_writing.now())
        after = await status_writing.write(self._objects, obj, new)
        status_writing.announce(self._events, obj, after)
        return Result(requeue_after=look_again(problem.retry_after if problem else None))

    async def gone(self, work: Work, step: steps.Release) -> Result:
        """The VM is proven gone: the Machine may go."""
        self._events.normal(work.obj, "VMGone", f"Nothing is left of the VM: {step.proof}.")
        self._actions.unfollow(work)
        await release(self._objects, work.obj)
        return Result()

    async def let_go(self, obj: Object) -> Result:
        """A person's word lets the Machine go and its VM stay."""
        vm = (obj.get("status") or {}).get("vm") or {}
        left = f'the VM "{vm.get("name")}" ({vm.get("moRef")})' if vm.get("moRef") else "no recorded VM"
        self._events.warning(obj, "LeftBehind", f"Let go on a person's word; left behind: {left}.")
        await release(self._objects, obj)
        return Result()


def _summary_without_vcenter(machine: Machine, problem: Problem) -> list[conditions.Condition]:
    """A worker runs on while its vCenter is away: what was Ready and is asked for nothing new stays so."""
    ready = find(list(machine.status.conditions), conditions.READY)
    settled = machine.status.observed_generation == machine.metadata.generation
    living = machine.metadata.deletion_timestamp is None
    if ready is not None and ready.status.value == "True" and settled and living and not problem.stalled:
        return conditions.ready(ready.reason, ready.message)
    return conditions.summary(problem)


def _pause(end: machine_status.End, remaining: float | None) -> float | None:
    match end:
        case steps.Wait(after=after):
            return after
        case steps.Block(problem=problem):
            return remaining or problem.retry_after
        case _:
            return None
