"""Who carries which tags: one look a minute at all watched objects together, because no watch tells of tags.

A difference is told as a change of the inventory is. A look that failed leaves nothing known, never "no tags".
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from vsphere_operator.vsphere.answers import Answer, Present, Unknown
from vsphere_operator.vsphere.faults import VSphereError
from vsphere_operator.vsphere.inventory.entities import Change
from vsphere_operator.vsphere.morefs import MoRef

INTERVAL = 60.0
"""Seconds between two looks at all watched objects."""
_TOGETHER = 0.02
"""Seconds in which those who ask are gathered into one call."""
_OP_ID = "userclusters-tags"

Attached: TypeAlias = Answer[frozenset[str]]
"""The ids of the tags on an object. Without tags, or out of sight: an empty set."""
Read: TypeAlias = Callable[[Sequence[MoRef], str], Awaitable[Mapping[MoRef, Sequence[str]]]]
_Asked: TypeAlias = Mapping[MoRef, Sequence["asyncio.Future[Attached]"]]


class Timer(Protocol):
    def cancel(self) -> None: ...


class Later(Protocol):
    """`loop.call_later`, or a test's."""

    def __call__(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


_NOT_READ = float("-inf")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the last good look saw, and why the last one was none."""

    ids: frozenset[str] | None = None
    at: float = _NOT_READ
    failure: Unknown | None = None


_CLOSED = Unknown("The session with vCenter was closed.")
_NEVER = _Seen(failure=Unknown("The tags on this object have not been read yet."))


class TagPoll:
    """Belongs to one event loop. Makes no call while nothing is watched and nobody asks."""

    def __init__(
        self,
        read: Read,
        *,
        notify: Callable[[Sequence[Change]], None],
        later: Later,
        clock: Callable[[], float],
        jitter: Callable[[], float] = lambda: random.uniform(0.0, 0.1 * INTERVAL),  # noqa: S311 - no secret
    ) -> None:
        self._read = read
        self._notify = notify
        self._later = later
        self._clock = clock
        self._jitter = jitter
        self._watched: Counter[MoRef] = Counter()
        self._seen: dict[MoRef, _Seen] = {}
        self._touched: Counter[MoRef] = Counter()
        self._asked: dict[MoRef, list[asyncio.Future[Attached]]] = {}
        self._timer: Timer | None = None
        self._gathering: Timer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def watch(self, moref: MoRef, believed: Collection[str] | None = None) -> None:
        """Look at an object's tags from now on; as often as `unwatch` follows.

        `believed`: the ids that a record says are on it. Nothing is asked then until the next round, which tells
        when that shows others.
        """
        self._watched[moref] += 1
        seen = self._seen.get(moref, _Seen())
        if believed is not None and seen.at == _NOT_READ:
            self._seen[moref] = _Seen(frozenset(believed) | (seen.ids or frozenset()))
        if self._timer is None and not self._closed:
            self._timer = self._later(INTERVAL + self._jitter(), self._due)

    def unwatch(self, moref: MoRef) -> None:
        self._watched[moref] -= 1
        if self._watched[moref] > 0:
            return
        del self._watched[moref]
        self._seen.pop(moref, None)
        self._touched.pop(moref, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def last(self, moref: MoRef) -> Attached:
        """The ids of the tags on a watched object at the last look, if that was a good one. No call."""
        seen = self._seen.get(moref, _NEVER)
        return seen.failure or Present(seen.ids or frozenset())

    async def look(self, moref: MoRef, *, max_age: float) -> Attached:
        """What a good look within the last `max_age` seconds saw: else read now, together with all who ask."""
        seen = self._seen.get(moref, _NEVER)
        if seen.ids is not None and self._clock() - seen.at <= max_age:
            return Present(seen.ids)
        future: asyncio.Future[Attached] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(moref, []).append(future)
        if self._closed:
            self._answer_asked(_CLOSED)
        elif self._gathering is None:
            self._gathering = self._later(_TOGETHER, self._gathered)
        return await future

    def changed(self, moref: MoRef, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """We attached or detached: that is no news, and a look that is on its way may be older."""
        if moref not in self._watched:
            return
        self._touched[moref] += 1
        seen = self._seen.get(moref, _NEVER)
        if seen.ids is not None:
            self._seen[moref] = replace(seen, ids=(seen.ids | set(add)) - set(remove))

    def close(self) -> None:
        """End it: no more looks, and whoever waits for one learns nothing."""
        self._closed = True
        for timer in (self._timer, self._gathering):
            if timer is not None:
                timer.cancel()
        self._answer_asked(_CLOSED)

    # Looking

    def _due(self) -> None:
        self._timer = self._later(INTERVAL + self._jitter(), self._due)
        self._start([m for m, count in self._watched.items() if count > 0])

    def _gathered(self) -> None:
        self._gathering = None
        self._start(list(self._asked))

    def _start(self, morefs: Sequence[MoRef]) -> None:
        asked = {m: self._asked.pop(m) for m in list(self._asked)}
        # Who asks while a round is due rides in it.
        everything = list(dict.fromkeys([*morefs, *asked]))
        if not everything:
            return
        task = asyncio.ensure_future(self._round(everything, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _round(self, morefs: Sequence[MoRef], asked: _Asked) -> None:
        before = {m: self._touched[m] for m in morefs if m in self._touched}
        answers: dict[MoRef, Attached]
        try:
            found = await self._read(morefs, _OP_ID)
            answers = {m: Present(frozenset(found.get(m, ()))) for m in morefs}
        except VSphereError as error:
            answers = {m: Unknown(error.fault.message, error.fault) for m in morefs}
        except BaseException:
            self._resolve(asked, dict.fromkeys(asked, Unknown("The look at the tags was cut off.")))
            raise
        self._take_in(answers, before)
        self._resolve(asked, answers)

    def _take_in(self, answers: Mapping[MoRef, Attached], before: Mapping[MoRef, int]) -> None:
        changes = []
        for moref, answer in answers.items():
            if not self._watched.get(moref) or self._touched.get(moref, 0) != before.get(moref, 0):
                continue
            before_that = self._seen.get(moref, _NEVER)
            if isinstance(answer, Unknown):
                self._seen[moref] = replace(before_that, failure=answer)
                continue
            if not isinstance(answer, Present):
                continue
            self._seen[moref] = _Seen(answer.value, self._clock())
            # A first look is no news: who wants to know it has asked.
            if before_that.ids is not None and before_that.ids != answer.value:
                changes.append(Change("tags", moref))
        if changes and not self._closed:
            self._notify(changes)

    def _resolve(self, asked: _Asked, answers: Mapping[MoRef, Attached]) -> None:
        for moref, futures in asked.items():
            for future in futures:
                # Whoever asked may have been cancelled meanwhile.
                with contextlib.suppress(asyncio.InvalidStateError):
                    future.set_result(answers[moref])

    def _answer_asked(self, answer: Unknown) -> None:
        self._resolve(self._asked, dict.fromkeys(self._asked, answer))
        self._asked.clear()
