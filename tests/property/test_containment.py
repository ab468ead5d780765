"""The effective mode of a call, against every order ever made read by the letter of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.control.containment.containment import OrderReplica, WrongOrder, check
from gateway.model.run import Mode, Order, Run, Scope

TOOLS = ("erp", "crm")

runs_named = st.integers(0, 6).map("r{}".format)
scopes = st.builds(
    Scope,
    run=st.none() | runs_named,
    subtree=st.booleans(),
    agent=st.none() | st.sampled_from(["a0", "a1"]),
    tenant=st.none() | st.sampled_from(["t0", "t1"]),
    task_class=st.none() | st.sampled_from(["c0", "c1"]),
    tool=st.none() | st.sampled_from(TOOLS),
    everything=st.sampled_from([False] * 9 + [True]),
)


@dataclass(frozen=True)
class Make:
    scope: Scope
    mode: Mode
    no_fanout: bool
    ttl: float | None


@dataclass(frozen=True)
class Release:
    which: int


@dataclass(frozen=True)
class Open:
    parent: int | None
    agent: str
    tenant: str
    task_class: str


@dataclass(frozen=True)
class Resume:
    which: int


@dataclass(frozen=True)
class Wait:
    seconds: float


Step = Make | Release | Open | Resume | Wait


steps = st.lists(
    st.builds(Make, scopes, st.sampled_from(Mode), st.booleans(), st.none() | st.sampled_from([1.0, 3.0, 10.0]))
    | st.builds(Release, st.integers(0, 9))
    | st.builds(
        Open, st.none() | st.integers(0, 6), st.sampled_from(["a0", "a1"]), st.sampled_from(["t0", "t1"]), st.sampled_from(["c0", "c1"])
    )
    | st.builds(Resume, st.integers(0, 6))
    | st.builds(Wait, st.sampled_from([0.5, 1.0, 4.0])),
    min_size=4,
    max_size=24,
)


@dataclass
class World:
    """Orders and runs as they come about: once as the gateway keeps them (``replica``), once as plain lists that nothing leaves."""

    replica: OrderReplica = field(init=False)
    orders: list[Order] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    resumed: list[tuple[str, float]] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.replica = OrderReplica(self.latest)

    def latest(self, run_id: str) -> Run | None:
        return next((run for run in self.runs if run.run_id == run_id), None)

    def step(self, step: Step) -> None:
        self.now += 0.125
        match step:
            case Make():
                self._make(step)
            case Release(which) if self.orders:
                self._release(which % len(self.orders))
            case Open():
                self._open(step)
            case Resume(which) if self.runs:
                self._resume(which % len(self.runs))
            case Wait(seconds):
                self.now += seconds

    def _make(self, make: Make) -> None:
        try:
            check(make.scope, make.mode, ttl=make.ttl, no_fanout=make.no_fanout)
        except WrongOrder:
            return
        order = Order(
            order_id=f"ord-{len(self.orders)}",
            epoch=self.replica.epoch + 1,
            scope=make.scope,
            mode=make.mode,
            reason="property",
            by="property",
            no_fanout=make.no_fanout,
            created_at=self.now,
            expires_at=None if make.ttl is None else self.now + make.ttl,
        )
        self.orders.append(order)
        self.replica.put(order, now=self.now)

    def _release(self, place: int) -> None:
        if self.orders[place].released_at is not None:
            return
        standing = self.orders[place]
        released = replace(standing, epoch=self.replica.epoch + 1, made=standing.since, released_at=self.now)
        self.orders[place] = released
        self.replica.put(released, now=self.now)

    def _open(self, wanted: Open) -> None:
        parent = None if wanted.parent is None or not self.runs else self.runs[wanted.parent % len(self.runs)]
        run = Run(
            run_id=f"r{len(self.runs)}",
            workflow_id="w",
            tenant=parent.tenant if parent else wanted.tenant,
            agent_id=wanted.agent,
            task_class=wanted.task_class,
            parent_run=parent.run_id if parent else None,
            ancestors=(parent.run_id, *parent.ancestors) if parent else (),
            opened_at=self.now,
            opened_under=self.replica.epoch,
        )
        if parent is not None:
            run = replace(run, inherited=self.replica.passed_on(parent, run, now=self.now))
        self.runs.append(run)

    def _resume(self, place: int) -> None:
        run = self.runs[place]
        self.resumed.append((run.run_id, self.now))
        self.replica.end(run.run_id, run.generation)
        self.runs[place] = replace(run, generation=run.generation + 1, superseded=self.replica.epoch)
        self.replica.settle(run.run_id)

    def matches(self, order: Order, run: Run) -> bool:
        """By the words of the contract, with nothing remembered but when each run was opened and each order made and ended."""
        return _named(order.scope, run) or self._held_its_parent(order, run)

    def _held_its_parent(self, order: Order, run: Run) -> bool:
        """A child opened while its parent is held is held by the same orders."""
        parent = next((one for one in self.runs if one.run_id == run.parent_run), None)
        return (
            parent is not None
            and order.created_at <= run.opened_at
            and self.matches(order, parent)
            and self.stands(order, parent, run.opened_at)
        )

    def superseded(self, order: Order, run: Run, at: float) -> bool:
        """A resume supersedes the run's own orders of before, but for those on one tool; and what was released, but a lost tool."""
        resumes = [when for run_id, when in self.resumed if run_id == run.run_id and when <= at]
        own = order.scope.run == run.run_id and order.scope.tool is None
        ends = order.scope.tool is None or order.mode is not Mode.REVOKED
        released = order.released_at
        return any((own and order.created_at <= when) or (ends and released is not None and released <= when) for when in resumes)

    def stands(self, order: Order, run: Run, at: float) -> bool:
        if self.superseded(order, run, at):
            return False
        if order.expires_at is not None and order.expires_at <= at:
            return False
        if order.released_at is None or at < order.released_at:
            return True
        return order.mode in (Mode.QUARANTINED, Mode.REVOKED) and run.opened_at <= order.released_at

    def expected(self, run: Run, tool: str | None, at: float) -> tuple[Mode, bool]:
        matching = [
            order
            for order in self.orders
            if self.matches(order, run) and self.stands(order, run, at) and (order.scope.tool is None or order.scope.tool == tool)
        ]
        return max([run.mode, *(order.mode for order in matching)]), any(order.no_fanout for order in matching)


def _named(scope: Scope, run: Run) -> bool:
    parts = [
        scope.run is None or scope.run == run.run_id or (scope.subtree and scope.run in run.ancestors),
        scope.agent in (None, run.agent_id),
        scope.tenant in (None, run.tenant),
        scope.task_class in (None, run.task_class),
    ]
    return scope.everything or all(parts)


def agrees(world: World, at: float) -> None:
    for run in world.runs:
        for tool in (None, *TOOLS):
            held = world.replica.hold(run, run.generation, tool, now=at)
            mode, no_fanout = world.expected(run, tool, at)
            assert held.mode is mode, (run, tool, at)
            # From quarantined on nothing passes at all, so nobody asks for the flag.
            assert mode >= Mode.QUARANTINED or held.no_fanout is no_fanout, (run, tool, at)
            if held.order_id is not None:
                named = next(order for order in world.orders if order.order_id == held.order_id)
                assert named.mode is mode
            assert held.until > at
        for dead in range(1, run.generation):
            assert world.replica.hold(run, dead, None, now=at).mode is Mode.REVOKED


@settings(max_examples=2_000)
@given(steps)
def test_the_effective_mode_is_that_of_the_strictest_order_that_matches_by_the_letter(taken: list[Step]) -> None:
    world = World()
    for step in taken:
        world.step(step)
        agrees(world, world.now)
    for later in (0.5, 2.0, 20.0):
        agrees(world, world.now + later)


few_scopes = [Scope(run="r0"), Scope(run="r0", subtree=True), Scope(run="r0", tool="erp"), Scope(agent="a0"), Scope(tool="erp")]
steps_of_one = st.lists(
    st.builds(Make, st.sampled_from(few_scopes), st.sampled_from(Mode), st.just(False), st.none() | st.sampled_from([1.0, 3.0, 10.0]))
    | st.builds(Release, st.integers(0, 9))
    | st.builds(Resume, st.just(0))
    | st.builds(Wait, st.sampled_from([0.5, 1.0, 4.0])),
    min_size=4,
    max_size=16,
)


OWN = Scope(run="r0")


@settings(max_examples=1_000)
@given(steps_of_one)
@example([Make(OWN, Mode.PAUSED, False, None), Resume(0), Make(OWN, Mode.PAUSED, False, 10.0)])
@example([Make(OWN, Mode.QUARANTINED, False, None), Resume(0), Make(OWN, Mode.QUARANTINED, False, None), Release(1), Release(0)])
def test_a_resume_ends_the_runs_own_orders_of_before_and_none_other(taken: list[Step]) -> None:
    world = World()
    for step in (Open(None, "a0", "t0", "c0"), Open(0, "a0", "t0", "c0"), *taken):
        world.step(step)
        agrees(world, world.now)
    for later in (0.5, 2.0, 20.0):
        agrees(world, world.now + later)


@settings(max_examples=300)
@given(steps)
def test_what_is_read_back_after_a_restart_holds_the_same(taken: list[Step]) -> None:
    world = World()
    for step in taken:
        world.step(step)
    again = OrderReplica(world.latest)
    again.load(sorted(world.orders, key=lambda order: order.epoch))
    assert again.epoch == world.replica.epoch
    for run in world.runs:
        for tool in (None, *TOOLS):
            before, after = (one.hold(run, run.generation, tool, now=world.now) for one in (world.replica, again))
            assert (before.mode, before.until) == (after.mode, after.until)


@settings(max_examples=200)
@given(steps)
def test_what_has_ended_for_everybody_is_forgotten(taken: list[Step]) -> None:
    world = World()
    for step in taken:
        world.step(step)
    world.replica.standing.expire(now=world.now)
    kept = [
        order
        for order in world.orders
        if (order.expires_at is None or order.expires_at > world.now) and (order.released_at is None or order.mode >= Mode.QUARANTINED)
    ]
    assert len(world.replica.standing) == len(kept)
