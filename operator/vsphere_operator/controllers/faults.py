"""From a vCenter fault to the words of a condition."""

from __future__ import annotations

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.vsphere.faults import Executed, Fault, FaultClass
from vsphere_operator.vsphere.session.breaker import NOT_SENT

_PASSING = frozenset({FaultClass.TRANSIENT, FaultClass.UNREACHABLE, FaultClass.CONFLICT, FaultClass.GONE})


def problem_of(fault: Fault, condition: str) -> Problem:
    """What stands in the way, shown in that condition; classes that pass by themselves do not stall."""
    return Problem(
        condition,
        fault.reason,
        fault.message,
        stalled=fault.fault_class not in _PASSING,
        retry_after=fault.retry_after,
    )


def was_asked(fault: Fault) -> bool:
    """Whether the call left this process: what an open circuit or a full queue refuses says nothing about vCenter."""
    return fault.kind != NOT_SENT


def may_have_happened(fault: Fault) -> bool:
    """Whether the call may have been carried out although no answer came: then only looking tells."""
    return fault.executed is Executed.UNKNOWN
