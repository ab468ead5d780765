"""Stories of agents, people, tools, clocks and crashes, made up at random: the invariants hold after everything that happens in them."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.model.run import Mode
from tests.support import invariants, invariants_world
from tests.support.invariants_points import CALLS, CONTROL, POINTS, RECOVERY
from tests.support.invariants_story import SCOPES, Story
from tests.support.invariants_tool import Fate

STORIES = int(os.environ.get("N", "32"))
"""Stories of one seed, of fifty events each: some ten seconds on one core."""
SEEDS = range(4)
Event = tuple[str, dict[str, Any]]

FATES = st.sampled_from([*[Fate.GOOD] * 8, *Fate])
BAD = [Fate.REFUSED, Fate.UNREACHED, Fate.LOST_BEFORE, Fate.LOST_AFTER, Fate.FAILED_AFTER, Fate.LATE, Fate.RACED, Fate.RACED, Fate.RACED]
UNDOING = st.sampled_from([*[Fate.GOOD] * 6, *BAD])
TENANTS = st.sampled_from(["acme", "acme", "bolt"])
STEPS = st.sampled_from([0, 1, *range(100, 300)])
NUMBERS = st.sampled_from([0, 0, 0, 1, 2, 3])
WRITES = ["change"] * 4 + ["put"] * 3 + ["delete", "adjust", "adjust", "stamp", "make", "make", "remove", "tally", "read", "read", "list"]
MODES = st.sampled_from([Mode.READ_ONLY, Mode.PAUSED, Mode.QUARANTINED, Mode.QUARANTINED, Mode.REVOKED])
HOURS = st.sampled_from([0, 0, 0, 0, 0, 1, 1, -1])


def event(name: str, **how: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.tuples(st.just(name), st.fixed_dictionaries(how))


def of(name: str, **how: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return event(name, tenant=TENANTS, **how)


def among(*weighted: tuple[int, st.SearchStrategy[Event]]) -> st.SearchStrategy[Event]:
    return st.sampled_from([one for weight, one in weighted for _ in range(weight)]).flatmap(lambda one: one)


AGENTS = among(
    (14, of("call", run=NUMBERS, what=st.sampled_from(WRITES), doc=NUMBERS,
            key=st.sampled_from(["own", "step", "step", "none"]), fate=FATES, step=STEPS)),
    (4, of("again", which=NUMBERS, lease=st.sampled_from(["same", "newest", "newest", "other"]), fate=FATES)),
    (2, of("let_go")),
    (2, of("renew", run=NUMBERS)),
    (3, of("open", parent=st.none() | NUMBERS, same_workflow=st.booleans())),
    (1, of("checkpoint", run=NUMBERS)),
)  # fmt: skip
OPERATORS = among(
    (3, of("contain", run=NUMBERS, scope=st.sampled_from([*["run"] * 10, *SCOPES]), mode=MODES, no_fanout=st.booleans())),
    (2, of("release", which=NUMBERS)),
    (3, of("find", run=NUMBERS, severity=st.sampled_from(["high", "critical"]))),
    (5, of("undo", run=NUMBERS, subtree=st.booleans(), fate=UNDOING)),
    (2, of("start_and_stop", run=NUMBERS)),
    (3, of("change_rollback", which=NUMBERS, change=st.sampled_from(["stop", "continue", "continue"]), fate=UNDOING)),
    (4, of("resume", run=NUMBERS, to=st.sampled_from(["chosen", "start"]), gated=st.booleans())),
    (2, of("recover", which=NUMBERS)),
    (4, of("resolve", which=NUMBERS)),
    (4, of("decide", which=NUMBERS, grant=st.sampled_from([True, True, False]))),
    (1, of("shut", run=NUMBERS)),
)
WORLD = among(
    (3, of("edit", doc=NUMBERS, removed=st.sampled_from([False, False, True]))),
    (3, of("imitate", which=NUMBERS)),
    (4, event("turn", fate=UNDOING)),
    (3, event("wait", seconds=st.sampled_from([*[1.0, 10.0] * 5, 60.0, 1000.0, 4000.0]))),
    (1, event("policy", active=st.sampled_from(["usual", "usual", "stricter"]))),
    (1, event("sign")),
    (2, event("crash", hours=HOURS)),
    (1, event("restart", hours=HOURS)),
)


def acme(name: str, **how: object) -> Event:
    return name, {"tenant": "acme", **how}


def call(what: str, step: int, fate: Fate = Fate.GOOD) -> Event:
    return acme("call", run=0, what=what, doc=0, key="own", fate=fate, step=step)


TOUR: list[Event] = [
    acme("edit", doc=0, removed=False),
    acme("open", parent=None, same_workflow=True),
    acme("renew", run=0),
    call("change", 1),
    acme("checkpoint", run=0),
    call("adjust", 2),
    ("policy", {"active": "stricter"}),
    call("make", 3),
    acme("decide", which=0, grant=True),
    acme("again", which=0, lease="newest", fate=Fate.GOOD),
    ("policy", {"active": "usual"}),
    call("stamp", 4, Fate.LOST_BEFORE),
    ("wait", {"seconds": 60.0}),
    ("turn", {"fate": Fate.GOOD}),
    acme("resolve", which=0),
    acme("contain", run=0, scope="run", mode=Mode.PAUSED, no_fanout=False),
    acme("release", which=0),
    acme("find", run=0, severity="high"),
    acme("start_and_stop", run=0),
    acme("change_rollback", which=0, change="continue", fate=Fate.GOOD),
    ("crash", {"hours": 0}),
    acme("decide", which=0, grant=True),
    ("turn", {"fate": Fate.GOOD}),
    acme("recover", which=0),
    ("turn", {"fate": Fate.GOOD}),
    acme("resume", run=0, to="start", gated=False),
    acme("shut", run=0),
    ("restart", {"hours": 0}),
]


def points(names: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    """Where the process will be gone in what happens, if anywhere."""
    return st.sampled_from([None] * (3 * len(names)) + list(names))


class Stories(RuleBasedStateMachine):
    """Few rules, each of many events: hypothesis leaves rules out of whole stories, and without agents there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()

    def teardown(self) -> None:
        self.story.end()

    @initialize(armed=st.sets(st.sampled_from(POINTS), max_size=8))
    def begin(self, armed: set[str]) -> None:
        for point in sorted(armed):
            self.story.tell("arm", point=point)
        for tenant in ("acme", "bolt"):
            self.story.tell("edit", tenant=tenant, doc=0, removed=False)
            self.story.tell("open", tenant=tenant, parent=None, same_workflow=True)

    @rule(event=AGENTS, point=points(CALLS))
    def agents(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    @rule(event=AGENTS, point=points((*CALLS, *CONTROL)))
    def more_agents(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    @rule(event=AGENTS, point=points(CALLS))
    def even_more_agents(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    @rule(event=OPERATORS, point=points((*CONTROL, *RECOVERY)))
    def operators(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    @rule(event=AGENTS | OPERATORS, point=points(RECOVERY))
    def all_of_them(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    @rule(event=WORLD, point=points(POINTS))
    def world(self, event: Event, point: str | None) -> None:
        self.happens(event, point)

    def happens(self, event: Event, point: str | None) -> None:
        if point is not None:
            self.story.tell("arm", point=point)
        name, how = event
        self.story.tell(name, **how)

    @invariant()
    def hold(self) -> None:
        invariants.hold(self.story)


@pytest.mark.parametrize("number", SEEDS)
def test_the_invariants_hold_in_every_story(number: int) -> None:
    _told(seed(number)(type("Seeded", (Stories,), {})), STORIES)


@pytest.mark.soak
def test_the_invariants_hold_in_thousands_of_stories() -> None:
    _told(Stories, 5_000)


def _told(stories: type[Stories], count: int) -> None:
    how = settings(
        max_examples=count,
        stateful_step_count=50,
        suppress_health_check=list(HealthCheck),
        database=None,
        report_multiple_bugs=False,
    )
    with invariants_world.stories():
        run_state_machine_as_test(stories, settings=how)


def test_a_process_may_be_gone_at_any_point_of_a_whole_story() -> None:
    reached: Counter[str] = Counter()
    with invariants_world.stories():
        for point in POINTS:
            _toured(point, reached)
    assert set(reached) == set(POINTS), f"not at {sorted(set(POINTS) - set(reached))}"


def _toured(point: str, reached: Counter[str]) -> None:
    """A story that comes to every point, in which the process is gone at one."""
    story = Story()
    story.world.points.reached = reached
    story.tell("arm", point=point)
    try:
        for name, how in TOUR:
            story.tell(name, **how)
            invariants.hold(story)
    finally:
        story.end()
