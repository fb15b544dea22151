from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from vsphere_operator.runtime.leadership import Elector, LeaseConflict, LeaseRecord

from .virtual_time import now, run_virtually


class Leases:
    """A lease's store with the manners of an API: it can be slow, away, or lose an answer."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.version = 0
        self.away_from = float("inf")
        self.hangs = False
        self.loses_answers = 0

    async def get(self) -> LeaseRecord | None:
        await self._reach()
        return self.record

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        await self._reach()
        if self.record is not None:
            raise LeaseConflict
        return self._write(record)

    async def update(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        await self._reach()
        if self.record is None or self.record.version != record.version:
            raise LeaseConflict
        return self._write(record)

    async def _reach(self) -> None:
        await asyncio.sleep(0.01)
        if now() < self.away_from:
            return
        if self.hangs:
            await asyncio.sleep(1e6)
        raise ConnectionError("no route")

    def _write(self, record: LeaseRecord) -> LeaseRecord:
        self.version += 1
        self.record = replace(record, version=str(self.version))
        if self.loses_answers:
            self.loses_answers -= 1
            raise ConnectionError("the answer got lost")
        return self.record


class Candidate:
    """An elector, and what became of it."""

    def __init__(self, leases: Leases, name: str) -> None:
        self.name = name
        self.led: list[tuple[float, float]] = []
        self.started_at: float | None = None
        self.begun = asyncio.Event()
        self.elector = Elector(leases, name, on_started=self._start, on_stopped=self._stop, clock=now)

    @property
    def leads(self) -> bool:
        return self.started_at is not None

    async def _start(self) -> None:
        self.started_at = now()
        self.begun.set()
        await asyncio.Event().wait()

    def _stop(self) -> None:
        if self.started_at is not None:
            self.led.append((self.started_at, now()))
        self.started_at = None


def test_the_first_one_leads_and_the_second_stands_by() -> None:
    async def scenario() -> None:
        leases = Leases()
        one, two = Candidate(leases, "one"), Candidate(leases, "two")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(0.5)
        second = asyncio.create_task(two.elector.run())
        for _ in range(100):
            await asyncio.sleep(3)
            assert one.leads
            assert one.elector.leading
            assert not two.leads
        first.cancel()
        second.cancel()

    run_virtually(scenario())


def test_a_clean_stop_hands_over_within_a_look_at_the_lease() -> None:
    async def scenario() -> None:
        leases = Leases()
        one, two = Candidate(leases, "one"), Candidate(leases, "two")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(0.5)
        second = asyncio.create_task(two.elector.run())
        await asyncio.sleep(30)
        one.elector.stop()
        assert await first is True
        stopped = now()
        await two.begun.wait()
        assert now() - stopped < 3
        assert leases.record is not None
        assert leases.record.transitions == 1
        second.cancel()

    run_virtually(scenario())


def test_a_dead_leader_is_followed_when_its_lease_has_run_out_and_not_before() -> None:
    async def scenario() -> None:
        leases = Leases()
        one, two = Candidate(leases, "one"), Candidate(leases, "two")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(0.5)
        second = asyncio.create_task(two.elector.run())
        await asyncio.sleep(30)
        first.cancel()  # a killed process gives nothing back
        died = now()
        await two.begun.wait()
        assert 13 <= now() - died <= 18
        second.cancel()

    run_virtually(scenario())


@pytest.mark.parametrize("hangs", [False, True])
def test_a_leader_that_cannot_renew_stops_before_anyone_else_may_begin(hangs: bool) -> None:
    async def scenario() -> None:
        leases = Leases()
        leases.hangs = hangs
        one = Candidate(leases, "one")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(20.5)
        leases.away_from = now()
        renewed_before = now()
        assert await first is False
        assert now() - renewed_before <= 10.1
        assert not one.leads
        assert not one.elector.leading

    run_virtually(scenario())


def test_leadership_ends_by_the_clock_even_when_the_loop_was_blocked() -> None:
    async def scenario() -> None:
        leases, clock = Leases(), [0.0]
        elector = Elector(
            leases,
            "one",
            on_started=asyncio.Event().wait,  # type: ignore[arg-type]
            on_stopped=lambda: None,
            clock=lambda: clock[0],
        )
        task = asyncio.create_task(elector.run())
        await asyncio.sleep(0.5)
        before = elector.leading
        clock[0] = 10.0  # the loop slept through its renewals
        assert (before, elector.leading) == (True, False)
        assert await task is False

    run_virtually(scenario())


def test_a_lease_that_somebody_took_is_lost_at_once() -> None:
    async def scenario() -> None:
        leases = Leases()
        one = Candidate(leases, "one")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(5)
        leases._write(LeaseRecord("thief", 15.0))
        taken = now()
        assert await first is False
        assert now() - taken < 3
        assert leases.record is not None
        assert leases.record.holder == "thief", "a lost lease must not be given back"

    run_virtually(scenario())


def test_a_renewal_whose_answer_got_lost_does_not_end_leadership() -> None:
    async def scenario() -> None:
        leases = Leases()
        one = Candidate(leases, "one")
        first = asyncio.create_task(one.elector.run())
        await asyncio.sleep(5)
        leases.loses_answers = 1
        await asyncio.sleep(60)
        assert one.leads
        assert one.led == []
        first.cancel()

    run_virtually(scenario())


def test_an_error_of_the_work_ends_leadership_and_is_raised() -> None:
    async def scenario() -> None:
        stopped: list[float] = []

        async def fail() -> None:
            await asyncio.sleep(3)
            raise ValueError("broken")

        elector = Elector(
            Leases(), "one", on_started=fail, on_stopped=lambda: stopped.append(now()), clock=now
        )
        with pytest.raises(ValueError, match="broken"):
            await elector.run()
        assert len(stopped) == 1
        assert now() < 4

    run_virtually(scenario())


def test_stopping_a_standby_ends_it_cleanly() -> None:
    async def scenario() -> None:
        leases = Leases()
        leases._write(LeaseRecord("another", 15.0))
        one = Candidate(leases, "one")
        task = asyncio.create_task(one.elector.run())
        await asyncio.sleep(4)
        one.elector.stop()
        assert await task is True
        assert one.led == []

    run_virtually(scenario())


@pytest.mark.parametrize("times", [(2, 15, 10), (10, 10, 15), (2, 10, 10)])
def test_times_that_would_let_two_lead_are_refused(times: tuple[float, float, float]) -> None:
    async def scenario() -> None:
        retry, deadline, duration = times
        with pytest.raises(ValueError, match="retry period < renew deadline < lease duration"):
            Elector(
                Leases(),
                "one",
                on_started=asyncio.Event().wait,  # type: ignore[arg-type]
                on_stopped=lambda: None,
                retry_period=retry,
                renew_deadline=deadline,
                lease_duration=duration,
            )

    run_virtually(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_cut_off_when_two_never_lead_at_once(seed: int) -> None:
    """Candidates lose their way to the store at odd moments and come back as new processes."""
    import random

    async def scenario() -> None:
        chance = random.Random(seed)  # noqa: S311
        shared = Leases()
        candidates: list[Candidate] = []
        tasks: list[asyncio.Task[bool]] = []

        class Way(Leases):
            """One process' way to the shared store."""

            async def get(self) -> LeaseRecord | None:
                await self._reach()
                return await shared.get()

            async def create(self, record: LeaseRecord) -> LeaseRecord:
                await self._reach()
                return await shared.create(record)

            async def update(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
                await self._reach()
                return await shared.update(record, acquired=acquired)

        for number in range(6):
            way = Way()
            way.hangs = chance.random() < 0.5
            if number < 5:
                way.away_from = now() + chance.uniform(1, 120)
            candidates.append(Candidate(way, f"c{number}"))
            tasks.append(asyncio.create_task(candidates[-1].elector.run()))
            await asyncio.sleep(chance.uniform(0, 30))
        for _ in range(3000):
            await asyncio.sleep(0.1)
            assert sum(candidate.leads for candidate in candidates) <= 1
        assert candidates[-1].leads, "the one that always reaches the store leads in the end"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtually(scenario())
