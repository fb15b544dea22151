from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vsphere_operator.observability.metrics import Metrics
from vsphere_operator.runtime import admission as module
from vsphere_operator.runtime.admission import PICK_UP, Admission, Admissions, Place, Precedence, Request
from vsphere_operator.runtime.keys import Key

CLONES, POWER = "provisioning", "power"


def an_owner(name: str) -> Key:
    return Key("Machine", "team", name)


def a_request(
    name: str,
    *,
    pool: str = CLONES,
    limit: int = 1,
    priority: Precedence = Precedence.CREATE,
    group: str = "shop",
    place: Place | None = None,
) -> Request:
    return Request(an_owner(name), pool, limit, priority, group, place)


class World:
    """An admission with a clock that the test moves, and what it was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.woken: list[Key] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.told: list[tuple[Any, ...]] = []
        self.admission = Admission(
            "vc.example.com", self.woken.append, clock=lambda: self.now, timer=self.later, metrics=self
        )

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, call))

    def move(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, call in due:
            call()

    def admission_in_use(self, *told: Any) -> None:
        self.told.append(("in use", *told))

    def admission_waiting(self, *told: Any) -> None:
        self.told.append(("waiting", *told))

    def admission_waited(self, *told: Any) -> None:
        self.told.append(("waited", *told))

    def asks(self, *requests: Request) -> list[bool]:
        return [self.admission.ask(request) for request in requests]

    def ends(self, *names: str) -> list[str]:
        """These operations end; who is woken by that."""
        before = len(self.woken)
        for name in names:
            self.admission.settle(an_owner(name), keep=False)
        return [key.name for key in self.woken[before:]]

    def turns(self, requests: dict[str, Request], first: str, count: int) -> list[str]:
        """The next owners when each works for a moment."""
        order = [first]
        for _ in range(count):
            (woken,) = self.ends(order[-1])
            assert self.admission.ask(requests[woken])
            order.append(woken)
        return order[1:]


def test_as_many_go_on_as_the_limit_says() -> None:
    world = World()
    assert world.asks(*(a_request(str(n), limit=3) for n in range(5))) == [True] * 3 + [False] * 2
    assert world.admission.in_use(CLONES) == 3
    assert world.admission.waiting(CLONES) == 2
    assert world.admission.in_use(POWER) == world.admission.waiting(POWER) == 0


def test_who_holds_a_token_or_waits_may_ask_again_and_again() -> None:
    world = World()
    for _ in range(3):
        assert world.asks(a_request("a"), a_request("b")) == [True, False]
    assert world.admission.in_use(CLONES) == 1
    assert world.admission.waiting(CLONES) == 1


def test_a_token_that_comes_free_wakes_the_next_who_then_holds_it() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"), a_request("c"))
    assert world.ends("a") == ["b"]
    assert world.admission.in_use(CLONES) == 1  # granted is as good as used
    assert world.asks(a_request("c"), a_request("b")) == [False, True]


def test_pools_do_not_know_each_other() -> None:
    world = World()
    assert world.asks(a_request("a"), a_request("b", pool=POWER)) == [True, True]


def test_who_keeps_goes_on_holding_or_waiting() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"))
    world.admission.settle(an_owner("a"), keep=True)
    world.admission.settle(an_owner("b"), keep=True)
    assert world.admission.in_use(CLONES) == world.admission.waiting(CLONES) == 1


def test_who_does_not_want_to_wait_any_more_leaves_the_line() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"), a_request("c"))
    assert world.ends("b") == []
    assert world.ends("a") == ["c"]


def test_settling_what_has_nothing_is_nothing() -> None:
    world = World()
    assert world.ends("a", "a") == []


def test_a_delete_goes_before_five_hundred_creates_of_its_cluster() -> None:
    world = World()
    world.asks(*(a_request(str(n)) for n in range(501)))
    assert not world.admission.ask(a_request("doomed", priority=Precedence.DELETE))
    assert world.ends("0") == ["doomed"]
    assert world.ends("doomed") == ["1"]


def test_priorities_go_delete_power_create_resync() -> None:
    world = World()
    world.asks(a_request("now"))
    world.asks(*(a_request(p.name, priority=p, group=p.name) for p in reversed(Precedence)))
    order = [*world.ends("now")]
    while woken := world.ends(order[-1]):
        order += woken
    assert order == ["DELETE", "POWER", "CREATE", "RESYNC"]


def test_two_clusters_take_turns_however_many_each_has_waiting() -> None:
    world = World()
    requests = {f"{g}{n}": a_request(f"{g}{n}", group=g) for g in "ab" for n in range(100)}
    assert world.asks(*requests.values()).count(True) == 1
    assert world.turns(requests, "a0", 9) == ["a1", "b0", "a2", "b1", "a3", "b2", "a4", "b3", "a5"]


def test_who_holds_fewest_tokens_goes_first() -> None:
    world = World()
    world.asks(*(a_request(f"a{n}", limit=4, group="a") for n in range(10)))
    world.asks(*(a_request(f"b{n}", limit=4, group="b") for n in range(10)))
    assert world.ends("a0", "a1", "a2") == ["b0", "b1", "a4"]


def test_clusters_that_come_and_go_do_not_keep_an_old_one_waiting() -> None:
    world = World()
    requests = {f"{g}{n}": a_request(f"{g}{n}", group=g) for g in "abc" for n in range(50)}
    world.asks(*(requests[f"a{n}"] for n in range(50)))
    world.asks(requests["b0"])
    holder, order = "a0", ""
    for n in range(1, 20):
        (holder_next,) = world.ends(holder)
        world.asks(requests[holder_next])
        order += holder_next[0]
        # whoever of b and c does not work now has just come anew
        world.asks(requests[f"{'c' if holder_next[0] == 'b' else 'b'}{n}"])
        holder = holder_next
    assert order.count("a") >= 6


def test_a_full_place_lets_others_go_by() -> None:
    world = World()
    full, free = Place("full", 1), Place("free", 1)
    assert world.asks(
        a_request("a", limit=9, place=full),
        a_request("b", limit=9, place=full, priority=Precedence.DELETE),
        a_request("c", limit=9, place=free),
        a_request("d", limit=9),
    ) == [True, False, True, True]
    assert world.ends("c") == []
    assert world.ends("a") == ["b"]


def test_inside_a_cluster_the_oldest_goes_first_whatever_its_place() -> None:
    world = World()
    names = [("a", "one"), ("b", "two"), ("c", "one"), ("d", "three"), ("e", "two")]
    requests = {name: a_request(name, place=Place(place, 8)) for name, place in names}
    world.asks(*requests.values())
    assert world.turns(requests, "a", 4) == ["b", "c", "d", "e"]


def test_what_runs_already_counts_even_beyond_the_limit() -> None:
    world = World()
    disk = Place("disk", 1)
    for name in "abc":
        world.admission.hold(a_request(name, limit=2, place=disk))
    assert world.admission.in_use(CLONES) == 3
    assert not world.admission.ask(a_request("d", limit=2, place=disk))
    assert world.ends("a", "b") == []
    assert world.ends("c") == ["d"]


def test_one_that_waits_and_turns_out_to_run_leaves_the_line() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"), a_request("c"))
    world.admission.hold(a_request("b"))
    world.admission.hold(a_request("b"))
    assert world.admission.in_use(CLONES) == 2
    assert world.admission.waiting(CLONES) == 1
    assert world.ends("a", "b") == ["c"]


def test_another_request_replaces_the_one_before() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"))
    assert world.admission.ask(a_request("a", pool=POWER))
    assert world.woken == [an_owner("b")]
    assert (world.admission.in_use(CLONES), world.admission.in_use(POWER)) == (1, 1)
    assert world.admission.ask(a_request("b", pool=POWER, limit=2))
    assert (world.admission.in_use(CLONES), world.admission.in_use(POWER)) == (0, 2)


def test_who_wants_something_else_gives_back_also_where_it_has_to_wait_for_that() -> None:
    world = World()
    world.asks(a_request("x", pool=POWER), a_request("a"), a_request("b"))
    assert not world.admission.ask(a_request("a", pool=POWER))
    assert world.woken == [an_owner("b")]


def test_who_waits_for_another_place_now_keeps_its_age() -> None:
    world = World()
    one, two = Place("one", 1), Place("two", 1)
    world.admission.hold(a_request("x", limit=9, place=one))
    world.admission.hold(a_request("y", limit=9, place=two))
    world.asks(a_request("a", limit=9, place=one), a_request("b", limit=9, place=two))
    assert not world.admission.ask(a_request("a", limit=9, place=two))
    assert world.ends("y") == ["a"]


def test_a_wait_that_became_a_deletion_goes_first_from_then_on() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"), a_request("c"))
    world.asks(a_request("c", priority=Precedence.DELETE))
    assert world.ends("a") == ["c"]


def test_a_raised_limit_lets_the_next_in_line_go_on() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"))
    assert world.admission.ask(a_request("b", limit=2))


def test_the_lower_of_two_limits_is_not_passed_for_ever() -> None:
    world = World()
    world.asks(*(a_request(f"many{n}", limit=3) for n in range(3)))
    world.asks(a_request("careful", limit=1, group="other"))
    world.asks(*(a_request(f"more{n}", limit=3) for n in range(3)))
    assert world.ends("many0", "many1") == []
    assert world.ends("many2") == ["careful", "more0", "more1"]


def test_the_lower_of_two_limits_of_a_place_is_not_passed_for_ever() -> None:
    world = World()
    world.asks(*(a_request(f"many{n}", limit=9, place=Place("disk", 3)) for n in range(3)))
    world.asks(a_request("careful", limit=9, group="other", place=Place("disk", 1)))
    world.asks(a_request("more", limit=9, place=Place("disk", 3)))
    assert world.ends("many0", "many1") == []
    assert world.ends("many2") == ["careful", "more"]


@pytest.mark.parametrize("make", [lambda: a_request("a", limit=0), lambda: Place("disk", 0)])
def test_a_limit_that_lets_nothing_happen_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        make()


def test_a_grant_that_nobody_picks_up_goes_on_by_itself() -> None:
    world = World()
    world.asks(a_request("a"), a_request("lost"), a_request("b"))
    assert world.ends("a") == ["lost"]
    world.move(PICK_UP - 1)
    assert world.woken == [an_owner("lost")]
    world.move(2)
    assert world.woken == [an_owner("lost"), an_owner("b")]
    assert world.admission.ask(a_request("b"))
    world.move(10 * PICK_UP)
    assert world.admission.in_use(CLONES) == 1  # what was picked up stays


def test_without_a_timer_a_lost_grant_goes_on_with_the_next_question() -> None:
    now, woken = 0.0, list[Key]()
    admission = Admission("vc", woken.append, clock=lambda: now)
    for name in ("a", "lost"):
        admission.ask(a_request(name))
    admission.settle(an_owner("a"), keep=False)
    now = PICK_UP
    assert admission.ask(a_request("b"))


def test_a_late_owner_asks_anew() -> None:
    world = World()
    world.asks(a_request("a"), a_request("late"), a_request("b"))
    world.ends("a")
    world.move(PICK_UP + 1)
    assert not world.admission.ask(a_request("late"))
    assert world.ends("b") == ["late"]


def test_a_grant_that_came_during_a_reconciliation_outlives_its_end() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"))
    world.ends("a")
    world.admission.settle(an_owner("b"), keep=True)
    assert world.admission.ask(a_request("b"))


def test_numbers_tell_who_holds_who_waits_and_for_how_long() -> None:
    world = World()
    world.asks(a_request("a"), a_request("b"))
    world.move(7)
    world.ends("a")
    assert world.told == [
        ("waited", "vc.example.com", CLONES, "create", 0.0),
        ("in use", "vc.example.com", CLONES, 1),
        ("waiting", "vc.example.com", CLONES, 0),
        ("in use", "vc.example.com", CLONES, 1),
        ("waiting", "vc.example.com", CLONES, 0),
        ("in use", "vc.example.com", CLONES, 1),
        ("waiting", "vc.example.com", CLONES, 1),
        ("waited", "vc.example.com", CLONES, "create", 7.0),
        ("in use", "vc.example.com", CLONES, 1),
        ("waiting", "vc.example.com", CLONES, 0),
    ]


def test_each_scope_has_tokens_of_its_own() -> None:
    woken: list[Key] = []
    admissions = Admissions(woken.append, clock=lambda: 0.0, metrics=Metrics())
    assert admissions.of("one") is admissions.of("one")
    assert admissions.of("one").ask(a_request("a"))
    assert admissions.of("two").ask(a_request("b"))


def test_an_owner_that_moved_or_is_gone_keeps_nothing_in_other_scopes() -> None:
    admissions = Admissions(lambda key: None, clock=lambda: 0.0)
    one, two = admissions.of("one"), admissions.of("two")
    one.ask(a_request("a"))
    two.ask(a_request("a"))
    admissions.settle(an_owner("a"), keep_in="two")
    assert (one.in_use(CLONES), two.in_use(CLONES)) == (0, 1)
    admissions.settle(an_owner("a"))
    assert two.in_use(CLONES) == 0


def steps_of(work: Callable[[], object]) -> int:
    """How many lines of the module run: the same on every machine."""
    file, steps = inspect.getsourcefile(module), 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != file:
            return None
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize("groups", [1, 100])
def test_ten_thousand_that_wait_cost_no_more_than_a_few(groups: int) -> None:
    def cost(waiting: int) -> list[int]:
        world = World()
        world.asks(a_request("now"))
        requests = [a_request(str(n), group=f"group {n % groups}") for n in range(waiting)]
        world.asks(*requests)
        new, doomed = a_request("new"), a_request("doomed", priority=Precedence.DELETE)
        middle = requests[waiting // 2]
        return [
            steps_of(lambda: world.admission.ask(new)),
            steps_of(lambda: world.admission.ask(middle)),
            steps_of(lambda: world.admission.ask(replace(middle, priority=Precedence.POWER))),
            steps_of(lambda: world.admission.ask(doomed)),
            steps_of(lambda: world.ends("now")),
            steps_of(lambda: world.ends("doomed")),
            steps_of(lambda: world.ends(str(waiting // 3))),
        ]

    few, many = cost(200), cost(10_000)
    assert max(many) < 300 + 20 * groups
    # a binary search in the line is what may grow
    assert all(there - here < 60 for here, there in zip(few, many, strict=True))


OWNERS = [str(n) for n in range(12)]
LIMITS = {CLONES: 3, POWER: 2}
DISKS = {"one": 1, "two": 2}


class Claim:
    """What the model knows of an owner."""

    def __init__(self, request: Request, number: int) -> None:
        self.request, self.number = request, number
        self.granted: float | None = None


class AdmissionMachine(RuleBasedStateMachine):
    """Any interleaving of questions, operations and losses, against a model that only checks what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.admission = Admission(
            "vc", self.wake, clock=lambda: self.world.now, timer=self.world.later
        )
        self.waiting: dict[str, Claim] = {}
        self.using: dict[str, Claim] = {}
        self.beyond: set[str] = set()
        self.lost: set[str] = set()
        self.numbers = 0
        self.asking = ""

    def used(self, request: Request) -> tuple[int, int]:
        there = [c.request for c in self.using.values() if c.request.pool == request.pool]
        return len(there), sum(r.place == request.place for r in there)

    def fits(self, request: Request) -> bool:
        pool, place = self.used(request)
        return pool < request.limit and (request.place is None or place < request.place.limit)

    def objection(self, claim: Claim) -> str | None:
        """Why it is not this owner's turn; None if it is."""
        mine = claim.request
        if not self.fits(mine):
            return "a limit was passed"
        held = Counter(c.request.group for c in self.using.values() if c.request.pool == mine.pool)
        for other in self.waiting.values():
            rival = other.request
            if rival.pool != mine.pool or other is claim or not self.fits(rival):
                continue
            if rival.priority < mine.priority:
                return "one of higher priority was passed"
            if rival.priority == mine.priority:
                if held[mine.group] > held[rival.group]:
                    return "the group had more tokens already"
                if rival.group == mine.group and claim.number > other.number:
                    return "an older one was passed"
        return None

    def admit(self, name: str) -> Claim:
        """The real one let this owner go on: was it its turn?"""
        claim = self.waiting[name]
        assert (objection := self.objection(claim)) is None, objection
        del self.waiting[name]
        self.using[name] = claim
        return claim

    def wake(self, key: Key) -> None:
        self.forget_expired()
        # Who asks gets its token in the same round as those who are woken, and hears of it last.
        if self.asking in self.waiting and self.objection(self.waiting[key.name]):
            self.admit(self.asking)
        self.admit(key.name).granted = self.world.now

    def forget_expired(self) -> None:
        for name, claim in list(self.using.items()):
            if claim.granted is not None and claim.granted + PICK_UP <= self.world.now:
                del self.using[name]

    def forget(self, name: str) -> None:
        self.waiting.pop(name, None)
        self.using.pop(name, None)
        self.beyond.discard(name)

    @rule(
        name=st.sampled_from(OWNERS),
        pool=st.sampled_from([CLONES, CLONES, POWER]),
        priority=st.sampled_from(Precedence),
        group=st.sampled_from("abc"),
        place=st.sampled_from(["one", "two", None]),
    )
    def ask(self, name: str, pool: str, priority: Precedence, group: str, place: str | None) -> None:
        self.forget_expired()
        earlier = self.waiting.get(name) or self.using.get(name)
        if earlier is not None:
            group = earlier.request.group  # a machine does not change its cluster
        disk = Place(place, DISKS[place]) if place else None
        request = a_request(name, pool=pool, limit=LIMITS[pool], priority=priority, group=group, place=disk)
        if name in self.using and self.same(self.using[name].request, request):
            self.using[name].granted, self.using[name].request = None, request
            assert self.world.admission.ask(request), "a token was lost"
            return
        number = self.number_for(name, request)
        self.forget(name)
        self.waiting[name] = Claim(request, number)
        self.asking = name
        if self.world.admission.ask(request) and name in self.waiting:
            self.admit(name)
        self.asking = ""
        assert (name in self.using) == self.world.admission.ask(request)

    def number_for(self, name: str, request: Request) -> int:
        self.numbers += 1
        unused = self.waiting.get(name) or self.using.get(name)
        if unused is None or unused.request.pool != request.pool:
            return self.numbers
        return unused.number if name in self.waiting or unused.granted is not None else self.numbers

    @staticmethod
    def same(one: Request, other: Request) -> bool:
        return (one.pool, one.place) == (other.pool, other.place)

    @rule(name=st.sampled_from(OWNERS), pool=st.sampled_from(list(LIMITS)))
    def hold(self, name: str, pool: str) -> None:
        self.forget_expired()
        earlier = self.waiting.get(name) or self.using.get(name)
        group = earlier.request.group if earlier else "a"
        request = a_request(name, pool=pool, limit=LIMITS[pool], group=group)
        self.forget(name)
        self.numbers += 1
        self.using[name] = Claim(request, self.numbers)
        self.beyond.add(name)
        self.world.admission.hold(request)

    @rule(name=st.sampled_from(OWNERS), keep=st.booleans())
    def settle(self, name: str, keep: bool) -> None:
        if not keep:
            self.forget(name)
        self.world.admission.settle(an_owner(name), keep)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        self.world.now += seconds
        self.forget_expired()
        self.world.move(0)

    @precondition(lambda self: any(c.granted is not None for c in self.using.values()))
    @rule(data=st.data())
    def pick_up(self, data: st.DataObject) -> None:
        self.forget_expired()
        granted = [name for name, claim in self.using.items() if claim.granted is not None]
        if granted:
            claim = self.using[data.draw(st.sampled_from(granted))]
            claim.granted = None
            assert self.world.admission.ask(claim.request), "a grant was lost"

    @invariant()
    def limits_are_kept_but_for_what_ran_already(self) -> None:
        self.forget_expired()
        self.world.admission.expire()
        for pool, limit in LIMITS.items():
            using = [n for n, c in self.using.items() if c.request.pool == pool]
            assert self.world.admission.in_use(pool) == len(using)
            assert len(using) <= limit + len(self.beyond & set(using))
            waiting = [c for c in self.waiting.values() if c.request.pool == pool]
            assert self.world.admission.waiting(pool) == len(waiting)

    @invariant()
    def no_free_token_is_left_lying_while_somebody_waits(self) -> None:
        # All limits of a pool are the same here, so whoever fits is not kept back by another's lower one.
        assert not any(self.fits(claim.request) for claim in self.waiting.values())

    def teardown(self) -> None:
        while self.waiting:
            assert self.using, "somebody waits, and nothing is left that could come free"
            name = min(self.using)
            self.forget(name)
            self.world.admission.settle(an_owner(name), keep=False)


AdmissionMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestAnyInterleaving = AdmissionMachine.TestCase
