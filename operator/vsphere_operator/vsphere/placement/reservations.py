"""What is promised to clones in flight: free space as vCenter tells it lags behind what has been started.

In memory only. After a restart the controllers reserve again what their status speaks of; until then a placement
may crowd, never overwrite anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vsphere_operator.vsphere.morefs import MoRef

SETTLE = 30.0
"""Seconds until a finished clone surely shows in a datastore's free space."""
LONGEST = 6 * 3600.0
"""Seconds after which a promise lapses that nobody has made again: whoever asked for it is gone. Clones are promised
anew whenever their Machine is looked at."""


@dataclass(frozen=True, slots=True)
class Reservation:
    datastore: MoRef
    size: int
    """Bytes."""
    ends: float | None = None
    """When it lapses, in the clock's seconds; `None`: a while after it was last made."""
    made: float = field(default=0.0, compare=False)


class Reservations:
    """Promised space in one vCenter, a reservation a key (a Machine's portable id, say).

    For one event loop. To rank and reserve without an `await` in between is atomic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, Reservation] = {}

    def reserve(self, key: str, datastore: MoRef, size: int) -> None:
        """Promise `size` bytes to a key. The same key again replaces its promise: nothing adds up."""
        self._held[key] = Reservation(datastore, size, made=self._clock())

    def release(self, key: str, *, after: float = 0.0) -> None:
        """The promise is fulfilled or void. `SETTLE` as `after` keeps counting a clone that ended well until
        free space shows it. Unknown keys are ignored, and one that lapses already is not prolonged.
        """
        held = self.get(key)
        if held is None:
            return
        if after <= 0.0:
            del self._held[key]
        elif held.ends is None:
            self._held[key] = Reservation(held.datastore, held.size, self._clock() + after)

    def get(self, key: str) -> Reservation | None:
        held = self._held.get(key)
        if held is None:
            return None
        ends = held.made + LONGEST if held.ends is None else held.ends
        if ends <= self._clock():
            del self._held[key]
            return None
        return held

    def promised(self, datastore: MoRef, *, besides: str | None = None) -> int:
        """Bytes promised on a datastore to other keys than `besides`."""
        held = ((key, self.get(key)) for key in list(self._held))
        return sum(
            one.size for key, one in held if one is not None and one.datastore == datastore and key != besides
        )

    def __len__(self) -> int:
        return sum(self.get(key) is not None for key in list(self._held))


class ReservationBook:
    """The reservations of each vCenter: one for all users of it, as MoRefs mean something there only."""

    def __init__(self) -> None:
        self._by_vcenter: dict[str, Reservations] = {}

    def of(self, instance_uuid: str) -> Reservations:
        return self._by_vcenter.setdefault(instance_uuid, Reservations())
