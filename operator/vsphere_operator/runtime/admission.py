"""Who may start an operation next, where only so many may run at the same time.

A data structure of the event loop: it calls nobody outside, waits for nothing, and says by a callback whose
turn has come.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from functools import partial
from typing import Protocol

from .keys import Key
from .queue import Clock

PICK_UP = 60.0
"""Seconds in which a granted token has to be asked for; after that it is somebody else's turn."""

Wake = Callable[[Key], object]
Timer = Callable[[float, Callable[[], None]], object]
"""Calls a function in that many seconds, as an event loop's `call_later` does."""


class Precedence(IntEnum):
    """Which operations go first. A lower one waits for as long as higher ones want its tokens."""

    DELETE = 0
    POWER = 1
    CREATE = 2
    RESYNC = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Something inside a pool that bears only so much itself, such as a datastore."""

    name: str
    limit: int

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"a limit of {self.limit} for {self.name} would let nothing happen ever")


@dataclass(frozen=True, slots=True)
class Request:
    """`owner` wants one token of `pool`, while less than `limit` are in use there, and in its place too.

    `group` is between whom the tokens are shared out evenly. ValueError for limits below 1.
    """

    owner: Key
    pool: str
    limit: int
    priority: Precedence
    group: str
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"a limit of {self.limit} for {self.pool} would let nothing happen ever")


class AdmissionMetrics(Protocol):
    """What admission tells about itself; times in seconds."""

    def admission_in_use(self, scope: str, pool: str, tokens: int) -> None: ...

    def admission_waiting(self, scope: str, pool: str, requests: int) -> None: ...

    def admission_waited(self, scope: str, pool: str, priority: str, seconds: float) -> None:
        """A request got its token; `priority` is delete, power, create or resync."""


class _State(Enum):
    WAITING = auto()
    GRANTED = auto()
    HELD = auto()


@dataclass(slots=True)
class _Claim:
    """What one owner has: a place in the line, or a token. `number` is its age among all."""

    request: Request
    number: int
    since: float
    state: _State = _State.WAITING


_Line = tuple[Precedence, str, str | None]
_Rank = tuple[Precedence, int, int, int]


@dataclass(slots=True)
class _Pool:
    """The tokens of one pool and the lines before them: one for each priority, group and place."""

    tokens: int = 0
    in_place: Counter[str] = field(default_factory=Counter)
    of_group: Counter[str] = field(default_factory=Counter)
    served: dict[str, int] = field(default_factory=dict)
    lines: dict[_Line, list[_Claim]] = field(default_factory=dict)
    waiting: int = 0

    def join(self, claim: _Claim) -> None:
        """Stand in line, behind those of the same line that are older."""
        insort(self.lines.setdefault(_line(claim.request), []), claim, key=_age)
        self.waiting += 1

    def leave(self, claim: _Claim) -> None:
        """Leave the line."""
        name = _line(claim.request)
        line = self.lines[name]
        del line[bisect_left(line, claim.number, key=_age)]
        self.waiting -= 1
        if not line:
            del self.lines[name]

    def take(self, request: Request, number: int) -> None:
        """Count a token; `number` is when, for the round among groups."""
        self._count(request, 1)
        self.served[request.group] = number

    def give_back(self, request: Request) -> None:
        """Count a token less."""
        self._count(request, -1)

    def has_room(self, request: Request) -> bool:
        """Whether neither the pool nor the place has reached the request's limit."""
        return self.tokens < request.limit and self._place_has_room(request)

    def next(self) -> _Claim | None:
        """Whose turn it is; None when nobody may go on.

        The first in order at a place decides for this place, and the first of those whose place has room
        decides for the pool. So nobody can be passed for ever by requests that bring a higher limit.
        """
        heads: dict[str | None, tuple[_Rank, _Claim]] = {}
        for (priority, group, place), line in self.lines.items():
            head = line[0]
            turn = max(head.number, self.served.get(group, 0))
            rank = (priority, self.of_group[group], turn, head.number)
            if place not in heads or rank < heads[place][0]:
                heads[place] = rank, head
        able = [found for found in heads.values() if self._place_has_room(found[1].request)]
        if not able:
            return None
        _, first = min(able, key=_rank)
        return first if self.tokens < first.request.limit else None

    def _place_has_room(self, request: Request) -> bool:
        return request.place is None or self.in_place[request.place.name] < request.place.limit

    def _count(self, request: Request, tokens: int) -> None:
        self.tokens += tokens
        _add(self.of_group, request.group, tokens)
        if request.place:
            _add(self.in_place, request.place.name, tokens)
        if not self.waiting:
            # Only those who wait compare when they were served, and who comes now is younger than that.
            self.served.clear()


class Admission:
    """Tokens for one scope, such as a vCenter. Not thread-safe: it belongs to the event loop.

    An owner has one request at a time. It holds a token from a successful `ask` (or a `hold`) until it
    `settle`s without keeping it. A token that comes free goes at once to the request whose turn it is:
    by priority, then to the group with the fewest tokens of the pool, then to the group that has waited
    longest, and inside a group to the oldest. Who waits for a full place holds up nobody who does not.
    `wake` is called with each owner who was granted a token outside of its own `ask`; unless it asks within
    `PICK_UP` seconds the token goes on. `timer` sees to that also when nothing else happens.
    """

    def __init__(
        self,
        scope: str,
        wake: Wake,
        *,
        clock: Clock = time.monotonic,
        timer: Timer | None = None,
        metrics: AdmissionMetrics | None = None,
    ) -> None:
        self._scope = scope
        self._wake = wake
        self._clock = clock
        self._timer = timer
        self._metrics = metrics
        self._number = itertools.count(1)
        self._claims: dict[Key, _Claim] = {}
        self._granted: dict[Key, float] = {}
        self._pools: dict[str, _Pool] = {}

    def ask(self, request: Request) -> bool:
        """Whether the owner holds a token now; if not, it stands in line and is woken when it is its turn.

        To ask again is free. Another pool or place than before replaces the earlier request, whose token is
        given back; the age in the line is kept within a pool. New limits and priorities count from now on.
        """
        self.expire()
        if self._holds(request):
            return True
        claim = self._claims.get(request.owner)
        if claim is not None and claim.request == request:
            return False
        return self._join(request, claim)

    def hold(self, request: Request) -> None:
        """Count an operation that runs already, whatever the limits say."""
        self.expire()
        if self._holds(request):
            return
        freed = self._drop(request.owner)
        self._claims[request.owner] = _Claim(request, next(self._number), self._clock(), _State.HELD)
        self._pool(request.pool).take(request, next(self._number))
        self._hand_out((request.pool, *freed))

    def settle(self, owner: Key, keep: bool) -> None:
        """A reconciliation of `owner` ended: without `keep`, its token or place in the line is free.

        Keep it while an operation runs, and while waiting for one's turn.
        """
        self.expire()
        if not keep:
            self._hand_out(self._drop(owner))

    def expire(self) -> None:
        """Take back what was granted and not picked up; all other methods do this too."""
        deadline = self._clock() - PICK_UP
        freed: list[str] = []
        while self._granted:
            owner, since = next(iter(self._granted.items()))
            if since > deadline:
                break
            freed.extend(self._drop(owner))
        self._hand_out(freed)

    def in_use(self, pool: str) -> int:
        """The tokens of a pool that are held or granted."""
        return self._pools[pool].tokens if pool in self._pools else 0

    def in_place(self, pool: str, place: str) -> int:
        """The tokens of a pool that are held or granted in one place."""
        return self._pools[pool].in_place[place] if pool in self._pools else 0

    def waiting(self, pool: str) -> int:
        """How many requests wait for a token of this pool."""
        return self._pools[pool].waiting if pool in self._pools else 0

    def _holds(self, request: Request) -> bool:
        """Whether the owner has a token that serves this request; if so it is held from now on."""
        claim = self._claims.get(request.owner)
        if claim is None or claim.state is _State.WAITING or not _same(claim.request, request):
            return False
        self._granted.pop(request.owner, None)
        claim.state = _State.HELD
        if claim.request.group != request.group:
            pool = self._pool(request.pool)
            pool.give_back(claim.request)
            pool.take(request, next(self._number))
        claim.request = request
        return True

    def _join(self, request: Request, earlier: _Claim | None) -> bool:
        claim = _Claim(request, next(self._number), self._clock())
        if earlier is not None and earlier.state is not _State.HELD and earlier.request.pool == request.pool:
            claim.number, claim.since = earlier.number, earlier.since
        freed = self._drop(request.owner)
        self._claims[request.owner] = claim
        pool = self._pool(request.pool)
        pool.join(claim)
        # One more in the line lets nobody else go on: without room for this one there is nothing to hand out.
        if freed or pool.has_room(request):
            self._hand_out((request.pool, *freed), asking=request.owner)
        self._tell(request.pool)
        return claim.state is _State.HELD

    def _drop(self, owner: Key) -> tuple[str, ...]:
        """Forget what an owner has; the pool that may have something to hand out now."""
        claim = self._claims.pop(owner, None)
        if claim is None:
            return ()
        self._granted.pop(owner, None)
        pool = self._pool(claim.request.pool)
        if claim.state is _State.WAITING:
            pool.leave(claim)
        else:
            pool.give_back(claim.request)
        return (claim.request.pool,)

    def _hand_out(self, pools: Iterable[str], asking: Key | None = None) -> None:
        """Give free tokens to those whose turn it is, and wake them when all is in order again."""
        woken: list[Key] = []
        for name in dict.fromkeys(pools):
            pool = self._pool(name)
            while (claim := pool.next()) is not None:
                pool.leave(claim)
                pool.take(claim.request, next(self._number))
                self._grant(claim, woken, asking)
            self._tell(name)
        for owner in woken:
            if self._timer:
                # A little later than the moment itself, which timers may miss by their resolution.
                self._timer(PICK_UP + 1, self.expire)
            self._wake(owner)

    def _grant(self, claim: _Claim, woken: list[Key], asking: Key | None) -> None:
        owner, now = claim.request.owner, self._clock()
        if owner == asking:
            claim.state = _State.HELD
        else:
            claim.state = _State.GRANTED
            self._granted[owner] = now
            woken.append(owner)
        if self._metrics:
            priority = claim.request.priority.name.lower()
            self._metrics.admission_waited(self._scope, claim.request.pool, priority, now - claim.since)

    def _pool(self, name: str) -> _Pool:
        return self._pools.setdefault(name, _Pool())

    def _tell(self, pool: str) -> None:
        if self._metrics:
            self._metrics.admission_in_use(self._scope, pool, self.in_use(pool))
            self._metrics.admission_waiting(self._scope, pool, self.waiting(pool))


class Admissions:
    """One `Admission` for each scope, made when it is first asked for."""

    def __init__(
        self,
        wake: Wake,
        *,
        clock: Clock = time.monotonic,
        timer: Timer | None = None,
        metrics: AdmissionMetrics | None = None,
    ) -> None:
        self._make = partial(Admission, wake=wake, clock=clock, timer=timer, metrics=metrics)
        self._scopes: dict[str, Admission] = {}

    def of(self, scope: str) -> Admission:
        """The tokens of this scope."""
        if scope not in self._scopes:
            self._scopes[scope] = self._make(scope)
        return self._scopes[scope]

    def settle(self, owner: Key, keep_in: str | None = None) -> None:
        """A reconciliation ended: what the owner has is free, but for the scope where it keeps it.

        An object may have moved to another scope, or be gone and belong to none.
        """
        for scope, admission in self._scopes.items():
            admission.settle(owner, keep=scope == keep_in)


def _age(claim: _Claim) -> int:
    return claim.number


def _rank(found: tuple[_Rank, _Claim]) -> _Rank:
    return found[0]


def _place(request: Request) -> str | None:
    return request.place.name if request.place else None


def _line(request: Request) -> _Line:
    return request.priority, request.group, _place(request)


def _same(one: Request, other: Request) -> bool:
    """Whether one token serves both."""
    return one.pool == other.pool and _place(one) == _place(other)


def _add(counts: Counter[str], name: str, number: int) -> None:
    counts[name] += number
    if not counts[name]:
        del counts[name]
