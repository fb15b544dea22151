"""A VM that asks something stands still: the one question that may be answered, and words about all others. Pure."""

from __future__ import annotations

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.machine.observed import Observed
from vsphere_operator.controllers.machine.steps import AnswerQuestion, Block, Inspect, Step
from vsphere_operator.vsphere.answers import Present
from vsphere_operator.vsphere.ownership import Proof
from vsphere_operator.vsphere.questions import ejecting_choice


def answer(seen: Observed) -> Step | None:
    """Lets an eject go on that the guest's lock holds up, on a VM that is proven ours; None: nothing to answer."""
    vm = seen.vm
    question = vm.question if vm is not None and vm.moref == seen.recorded else None
    choice = ejecting_choice(question) if question is not None else None
    if vm is None or question is None or choice is None:
        return None
    if seen.details is None:
        return Inspect(vm.moref)
    if isinstance(seen.details, Present) and isinstance(seen.ownership, Proof):
        return AnswerQuestion(vm.moref, question.id, choice)
    return None


def unanswered(seen: Observed) -> Block | None:
    """A question that only a person can answer."""
    question = seen.vm.question if seen.vm is not None else None
    if question is None or ejecting_choice(question) is not None:
        return None
    words = f'the VM stands still until its question is answered in vCenter: "{_first_line(question.text)}"'
    return Block(Problem("VMReady", "QuestionPending", words))


def _first_line(text: str) -> str:
    line = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return line if len(line) <= 200 else f"{line[:199]}…"
