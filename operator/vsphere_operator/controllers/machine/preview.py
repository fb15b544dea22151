"""What the deletion of a Machine would do: its own plan, followed up to the first step that would change something."""

from __future__ import annotations

import dataclasses

from vsphere_operator.controllers.lifecycle import identity
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.machine import gather, plan_delete, steps
from vsphere_operator.controllers.machine.actions import Work
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.planned import Action, Planned
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import proves
from vsphere_operator.vsphere.vm_details import VmDetails

_MOST_LOOKS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """``vm`` is the VM that would be destroyed, None where none would."""

    planned: Planned
    vm: MoRef | None = None


async def ending(work: Work, losses: Losses, *, step: str) -> Ending:
    """The fate of a Machine's VM, from fresh reads; ``step`` is what the line is listed under."""
    looks = gather.Looks()
    name = f"Machine {work.machine.metadata.name}"
    for _ in range(_MOST_LOOKS):
        seen = _observed(work, looks)
        decided = plan_delete.plan(seen)
        match decided:
            case steps.Inspect(moref=moref):
                looks.details = await work.access.vcenter.vms.read(moref, op_id=work.op_id)
            case steps.ProveAbsence(moref=moref):
                doubt = losses.doubt(work.access, *([moref] if moref else []), work.instance_uuid)
                vms = work.access.vcenter.vms
                looks.absence = doubt or await vms.absence(
                    moref, work.instance_uuid, work.folder, op_id=work.op_id
                )
            case _:
                return _ending(seen, decided, name, step)
    return Ending(Planned(step, Action.STOP, name, "what becomes of its VM is not clear; look again"))


def _observed(work: Work, looks: gather.Looks) -> Observed:
    seen = gather.observe(work, looks)
    work.vm = seen.vm
    if not isinstance(seen.details, Present):
        return seen
    verdict = proves(
        seen.details.value,
        installation=work.installation,
        machine_id=identity(work.obj),
        instance_uuid=work.instance_uuid,
    )
    return gather.with_ownership(seen, verdict)


def _ending(seen: Observed, decided: steps.Step, name: str, step: str) -> Ending:
    match decided:
        case steps.PowerOff(details=d) | steps.DetachDisks(details=d) | steps.Destroy(details=d):
            return Ending(Planned(step, Action.DELETE, name, _destruction(seen, d)), d.moref)
        case steps.DeleteIso(path=path) if isinstance(seen.details, Present):
            return Ending(
                Planned(
                    step,
                    Action.DELETE,
                    name,
                    f"{_destruction(seen, seen.details.value)}, after its ISO {path}",
                ),
                seen.details.value.moref,
            )
        case steps.DeleteIso(path=path):
            return Ending(Planned(step, Action.DELETE, name, f"no VM is left, only its ISO {path}"))
        case steps.Release(proof=proof):
            return Ending(Planned(step, Action.DELETE, name, f"no VM is left: {proof}"))
        case steps.Block(problem=problem):
            return Ending(Planned(step, Action.STOP, name, problem.message))
        case steps.Wait(message=message):
            return Ending(Planned(step, Action.STOP, name, message))
    words = "a change of its VM is under way, after which it goes on"
    return Ending(Planned(step, Action.DELETE, name, words), seen.recorded)


def _destruction(seen: Observed, details: VmDetails) -> str:
    what = f'its VM "{details.name}" ({details.moref}) is '
    acts = ["powered off"] if details.power_state != "poweredOff" else []
    foreign = plan_delete.foreign_disks(seen, details)
    if foreign:
        acts.append(f"relieved of disks that are not its own ({', '.join(sorted(d.file for d in foreign))})")
    return what + " and ".join([", ".join(acts), "destroyed"] if acts else ["destroyed"])
