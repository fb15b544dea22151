"""How a MachineDeployment moves from its old sets to the new one: pure arithmetic, as Deployment does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SetView:
    """A MachineSet as the rollout sees it. ``replicas`` is what it was told, the others what it reports."""

    name: str
    replicas: int
    current: int
    available: int
    created: str
    revision: int
    held: int = 0
    """Machines that exist, those that are being deleted included."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Absolute numbers of Machines above and below the asked-for count."""

    max_surge: int
    max_unavailable: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Tell a set how many Machines to have."""

    name: str
    replicas: int
    reason: str


def resolve(value: int | str, desired: int, *, up: bool) -> int:
    """An absolute number or a percentage of ``desired``; a surge rounds up, unavailability down."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * desired / 100
    return math.ceil(share) if up else math.floor(share)


def limits(desired: int, max_surge: int | str, max_unavailable: int | str) -> Limits:
    """Both limits resolved; two zeros would never move, so one Machine may then be missing."""
    surge = resolve(max_surge, desired, up=True)
    unavailable = resolve(max_unavailable, desired, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(max_surge=surge, max_unavailable=unavailable)


def rolling_update(*, desired: int, new: SetView, old: Sequence[SetView], limits: Limits) -> list[Scale]:
    """The next moves of a rolling update; empty when nothing may move now or all is done.

    The new set grows while the total stays within ``desired + max_surge``; old sets shrink while the available
    Machines stay at or above ``desired - max_unavailable``, broken ones first since they cost nothing.
    """
    if new.replicas > desired:
        return [Scale(new.name, desired, "more than asked for")]
    grown = _grow(desired=desired, new=new, old=old, max_surge=limits.max_surge)
    steps = [Scale(new.name, grown, "rolling update: new")] if grown > new.replicas else []
    return steps + _shrink(desired=desired, new=new, old=old, max_unavailable=limits.max_unavailable)


def on_delete(*, desired: int, new: SetView, old: Sequence[SetView]) -> list[Scale]:
    """The new set fills what the old ones no longer hold; nothing is deleted for the sake of the update.

    An old set is told what it has, so that a Machine that a person deletes is not made again there.
    """
    told = {s.name: min(s.current, s.replicas) for s in old}
    held = sum(told.values())
    wanted = max(0, desired - held)
    surplus = held - desired
    for s in sorted(old, key=lambda s: (s.revision, s.created)):
        take = min(told[s.name], max(0, surplus))
        told[s.name] -= take
        surplus -= take
    steps = [
        Scale(s.name, told[s.name], "deleted by hand, or fewer asked for")
        for s in old
        if told[s.name] != s.replicas
    ]
    if wanted != new.replicas:
        steps.append(Scale(new.name, wanted, "fills what old sets no longer hold"))
    return steps


def _grow(*, desired: int, new: SetView, old: Sequence[SetView], max_surge: int) -> int:
    if new.replicas >= desired:
        return new.replicas
    # Old Machines on their way out still hold hosts, addresses and disks: one by one means that they are gone.
    total = max(new.replicas, new.current) + sum(max(s.replicas, s.current, s.held) for s in old)
    room = desired + max_surge - total
    return min(desired, new.replicas + max(0, room))


def _shrink(*, desired: int, new: SetView, old: Sequence[SetView], max_unavailable: int) -> list[Scale]:
    minimum = desired - max_unavailable
    told = {s.name: s.replicas for s in old}
    new_unavailable = max(0, new.replicas - new.available)
    spare = sum(told.values()) + new.replicas - minimum - new_unavailable
    for s in sorted(old, key=lambda s: (s.revision, s.created)):
        broken = max(0, s.replicas - s.available)
        take = min(broken, max(0, spare))
        told[s.name] -= take
        spare -= take
    available = new.available + sum(min(s.available, told[s.name]) for s in old)
    surplus = min(available - minimum, spare)
    for s in sorted(old, key=lambda s: (s.revision, s.created)):
        take = min(told[s.name], max(0, surplus))
        told[s.name] -= take
        surplus -= take
    return [Scale(s.name, told[s.name], "rolling update: old") for s in old if told[s.name] != s.replicas]
