"""Too many of our VMs gone at once are *unknown*, not absent: a restored vCenter, a lost permission. Pure.

A person who deletes a handful of VMs is believed; a vCenter that seems to have lost a tenth of them is not, until most
are back or a person confirms the loss. What we destroy ourselves is announced before and does not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from vsphere_operator.vsphere import ownership
from vsphere_operator.vsphere.inventory.entities import VmEntity
from vsphere_operator.vsphere.morefs import MoRef

FEW = 5
"""VMs that may be gone at once without a doubt, however few there are."""
SMALL_PART = 0.10
"""The part of our VMs that may be gone at once without a doubt."""
AT_ONCE = 60.0
"""Seconds within which losses count together."""
EXPECTED_FOR = 900.0
"""Seconds for which an announced Destroy explains that its VM is gone."""


def judge(recorded: int, missing: int) -> bool:
    """Whether so many missing of so many recorded VMs are too many to be believed."""
    return missing > max(FEW, recorded * SMALL_PART)


@dataclass(frozen=True, slots=True)
class Doubt:
    """`missing` of `of` VMs with our marks are gone from sight, without our doing."""

    id: str
    """Names this very loss, for a person who confirms it; another one when more is lost."""
    missing: int
    of: int
    since: datetime

    @property
    def why(self) -> str:
        return (
            f"{self.missing} of {self.of} virtual machines of this operator are gone from vCenter's inventory at once:"
            " it may have been restored, or the user lost a permission. Nothing is concluded from that until most are"
            f" back, or the loss {self.id} is confirmed"
        )


@dataclass(frozen=True, slots=True)
class _Loss:
    vm: VmEntity
    at: float


class Brake:
    """Counts what is there and what went. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self.doubt: Doubt | None = None
        self._marked: set[MoRef] = set()
        self._lost: dict[str, _Loss] = {}
        self._expected: dict[MoRef, float] = {}
        self._named: frozenset[str] = frozenset()

    @property
    def lost(self) -> list[VmEntity]:
        """The VMs in doubt as they were last seen; none without a doubt."""
        return [loss.vm for loss in self._lost.values()] if self.doubt is not None else []

    def expect_gone(self, moref: MoRef, now: float) -> None:
        """We destroy this VM: its going counts for nothing, nor does it if it has gone already."""
        self._expected = {m: until for m, until in self._expected.items() if until > now}
        self._expected[moref] = now + EXPECTED_FOR
        self._lost = {uuid: loss for uuid, loss in self._lost.items() if loss.vm.moref != moref}

    def expect_no_more(self, moref: MoRef) -> None:
        """The Destroy failed."""
        self._expected.pop(moref, None)

    def update(self, moref: MoRef, old: VmEntity | None, new: VmEntity | None, now: float) -> None:
        """One VM changed, came (`old` is None) or went (`new` is None)."""
        watched = moref in self._marked
        self._marked.discard(moref)
        if new is not None and ownership.parse_mark(new.extra_config) is not None:
            self._marked.add(moref)
        if not watched or old is None or old.instance_uuid is None:
            return
        # A VM whose configuration cannot be read now is there; under an old MoRef another one may be.
        if new is not None and new.instance_uuid in (None, old.instance_uuid):
            return
        if self._expected.pop(moref, 0.0) <= now:
            self._lost[old.instance_uuid.lower()] = _Loss(old, now)

    @property
    def watched(self) -> list[MoRef]:
        """The VMs with a mark, and those in doubt."""
        return [*self._marked, *(loss.vm.moref for loss in self._lost.values())]

    def forget(self, morefs: Iterable[MoRef]) -> None:
        """These are not watched any more: their going says nothing."""
        unwatched = set(morefs)
        self._marked -= unwatched
        self._lost = {uuid: loss for uuid, loss in self._lost.items() if loss.vm.moref not in unwatched}

    def settle(self, now: float, today: datetime, present: Callable[[str], bool]) -> list[VmEntity]:
        """Judge after some updates; `present` tells whether a VM of an instanceUuid is there, wherever.

        Returns the VMs whose loss is to be believed now that the doubt has ended.
        """
        before = self._lost
        fresh = now - AT_ONCE
        self._lost = {
            uuid: loss
            for uuid, loss in before.items()
            if not present(uuid) and (self.doubt is not None or loss.at > fresh)
        }
        of = len(self._marked) + len(self._lost)
        if judge(of, len(self._lost)):
            self._doubt(of, today)
            return []
        if self.doubt is None:
            return []
        return self._believe()

    def accept(self, doubt_id: str) -> list[VmEntity]:
        """A person confirms: returns the VMs whose loss is believed now; none if the id names another loss."""
        if self.doubt is None or self.doubt.id != doubt_id:
            return []
        return self._believe()

    def _believe(self) -> list[VmEntity]:
        lost, self.doubt, self._lost = self.lost, None, {}
        return lost

    def _doubt(self, of: int, today: datetime) -> None:
        lost = frozenset(self._lost)
        if self.doubt is None or not lost <= self._named:
            self._named = lost
            since = today if self.doubt is None else self.doubt.since
            self.doubt = Doubt(name_of(lost), len(lost), of, since)
        elif len(lost) != self.doubt.missing:
            # Fewer than a person was asked about: the same name will do.
            self.doubt = replace(self.doubt, missing=len(lost))


def name_of(uuids: Iterable[str]) -> str:
    """The id of a loss: the same for the same VMs, whoever misses them, before and after a restart."""
    return hashlib.sha256("\n".join(sorted(uuid.lower() for uuid in uuids)).encode()).hexdigest()[:12]
