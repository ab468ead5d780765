"""Plans of random runs, carried out in any order that they allow, against a tiny store with versions.

What has to come of it is told by the store's own history alone: an object is as it was before the run's first effect on
it, or after the last thing that must not be undone by a call, a write of somebody else above all.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.core.rollback import plan as planning
from gateway.core.rollback.progress import Schedule
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.rollback import CompensationKind, Node, NodeAction, NodeState, Plan, RollbackStatus, Step
from tests.support.planning import UNDOS, write

CASES = 2500

Thing = dict[str, int]


def _ready(plan: Plan, states: Mapping[str, NodeState]) -> list[Node]:
    schedule = Schedule(plan, dict(states))
    status, found = schedule.status, list(iter(schedule.ready, None))
    assert (status is RollbackStatus.RUNNING) == bool(found)
    return found


@dataclass
class Store:
    """``things`` and their versions by id; no version is used twice."""

    things: dict[str, Thing] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    count: int = 0

    def put(self, id_: str, thing: Thing | None) -> str | None:
        self.count += 1
        self.things.pop(id_, None)
        if thing is not None:
            self.things[id_] = thing
        self.versions[id_] = None if thing is None else f"v{self.count}"
        return self.versions[id_]

    def see(self, id_: str) -> tuple[Thing | None, str | None]:
        return self.things.get(id_), self.versions.get(id_)


@dataclass
class Case:
    chance: random.Random
    store: Store = field(default_factory=Store)
    effects: dict[str, Write] = field(default_factory=dict)
    snapshots: dict[str, Thing | None] = field(default_factory=dict)
    deltas: dict[str, int] = field(default_factory=dict)
    truth: dict[str, tuple[bool, str | None]] = field(default_factory=dict)
    parents: dict[Step, Step] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    expected: dict[str, Thing | None] = field(default_factory=dict)
    edited: dict[str, Thing | None] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    left: dict[str, str | None] = field(default_factory=dict)
    seq: int = 0

    # The run, and others beside it.

    def happen(self, events: int) -> None:
        objects = [f"o{number}" for number in range(1 + events // 4)]
        for id_ in objects:
            if self.chance.random() < 0.6:
                self.store.put(id_, self._thing())
        for _ in range(events):
            self.seq += 1
            lot = self.chance.random()
            if lot < 0.12:
                self._foreign(self.chance.choice(objects))
            elif lot < 0.25:
                self._read()
            else:
                self._effect(self.chance.choice(objects))

    def _thing(self) -> Thing:
        return {name: self.chance.randrange(10**6) for name in ("value", "status", "owner", "sum")}

    def _foreign(self, id_: str) -> None:
        """Somebody else writes. What somebody else made stays there: of an absence it could not be told whose it is."""
        theirs = id_ in self.foreign or self.store.see(id_)[0] is None
        self.store.put(id_, self._thing() if theirs or self.chance.random() < 0.6 else None)
        self.foreign.add(id_)
        self._final(id_)

    def _final(self, id_: str) -> None:
        """The object got where it is by something that no call may undo."""
        if id_ in self.expected:
            self.expected[id_] = self.store.see(id_)[0]

    def _parent(self) -> str | None:
        return self.chance.choice(self.steps) if self.steps and self.chance.random() < 0.5 else None

    def _read(self) -> None:
        step, parent = f"s{self.seq}", self._parent()
        self.steps.append(step)
        if parent is not None:
            self.parents["run_1", step] = ("run_1", parent)

    def _effect(self, id_: str) -> None:
        thing, before = self.store.see(id_)
        actions = (
            ["upsert", "create"]
            if thing is None
            else ["update"] * 4 + ["status", "assign", "adjust", "adjust", "upsert", "delete", "ship", "fix"]
        )
        action = self.chance.choice(actions)
        step = self.chance.choice(self.steps) if self.steps and self.chance.random() < 0.1 else f"s{self.seq}"
        made = write(self.seq, action, id_, before, None, step, parent_step=self._parent())
        self.steps.append(step)
        outcome = self.chance.random()
        self.snapshots[made.wire_key] = thing
        self.deltas[made.wire_key] = delta = self.chance.randrange(1, 100)
        if outcome < 0.08:
            self.effects[made.wire_key] = replace(made, state=State.FAILED)
            return
        applied = outcome > 0.14
        self.expected.setdefault(id_, thing)
        if applied:
            after = self.store.put(id_, self._changed(action, thing, delta))
            self.foreign.discard(id_)
        told = outcome > 0.22
        lost = self.chance.random() < 0.05 and action != "delete"
        if applied and (action in ("ship", "fix") or lost):
            self._final(id_)
        known = None if not applied or lost else after
        if told:
            self.effects[made.wire_key] = replace(made, after_version=known)
        else:
            state = self.chance.choice((State.UNKNOWN, State.IN_FLIGHT))
            self.effects[made.wire_key] = replace(made, state=state)
            self.truth[made.wire_key] = (applied, known)

    def _changed(self, action: str, thing: Thing | None, delta: int) -> Thing | None:
        if action == "delete":
            return None
        if thing is None:
            return self._thing()
        match action:
            case "adjust":
                return {**thing, "sum": thing["sum"] + delta}
            case "status" | "assign":
                return {**thing, "status" if action == "status" else "owner": self.chance.randrange(10**6)}
            case _:
                return self._thing()

    # The rollback.

    def plan(self) -> Plan:
        shuffled = list(self.effects.values())
        self.chance.shuffle(shuffled)
        return planning.plan(shuffled, UNDOS, parents=self.parents, now=0.0)

    def roll_back(self) -> None:
        states: dict[str, NodeState] = {}
        plan = self.plan()
        nodes = {node.node_id: node for node in plan.nodes}
        self._check_order(plan)
        while free := _ready(plan, states):
            node = self.chance.choice(free)
            if self.chance.random() < 0.04:
                self._edit(node.target.id)
            states[node.node_id] = self._carried_out(node, states)
            if node.way is NodeAction.PROBE or self.chance.random() < 0.1:
                plan = self.plan()
                nodes |= {one.node_id: one for one in plan.nodes}
                self._check_order(plan)
        residue = any(states[node.node_id] is NodeState.TASK for node in plan.nodes)
        assert Schedule(plan, states).status is (RollbackStatus.RESIDUE if residue else RollbackStatus.CLEAN)

    def _edit(self, id_: str) -> None:
        self.store.put(id_, self._thing())
        self.edited[id_] = self.store.see(id_)[0]

    def _carried_out(self, node: Node, states: dict[str, NodeState]) -> NodeState:
        match node.way:
            case NodeAction.TASK | NodeAction.REVIEW:
                return NodeState.TASK
            case NodeAction.NOTHING:
                return NodeState.NOTHING
            case NodeAction.PROBE:
                applied, after = self.truth[node.original]
                state = State.STANDING if applied else State.FAILED
                self.effects[node.original] = replace(self.effects[node.original], state=state, after_version=after)
                return NodeState.NOTHING if not applied else NodeState.PENDING
            case NodeAction.CALL:
                return self._called(node, states)

    def _called(self, node: Node, states: dict[str, NodeState]) -> NodeState:
        id_ = node.target.id
        thing, version = self.store.see(id_)
        if node.guard_follows is not None:
            followed = states[node.guard_follows]
            if followed is not NodeState.DONE or self.left[node.guard_follows] != version:
                return NodeState.TASK
        elif node.guard_absent:
            if version is not None:
                return NodeState.TASK
        elif version != node.guard:
            return NodeState.TASK
        assert not self.undone & set(node.effects), "an effect is undone once"
        after = self.store.put(id_, self._undone(node, thing))
        self.undone |= set(node.effects)
        self.left[node.node_id] = after
        self._journal(node, version, after)
        return NodeState.DONE

    def _undone(self, node: Node, thing: Thing | None) -> Thing | None:
        kept = self.snapshots[node.effects[0]]
        match node.does:
            case CompensationKind.REMOVES:
                return None
            case CompensationKind.OFFSETS:
                assert thing is not None
                return {**thing, "sum": thing["sum"] - self.deltas[node.original]}
            case _:
                assert kept is not None
                if node.action in ("status", "assign"):
                    assert thing is not None
                    name = "status" if node.action == "status" else "owner"
                    return {**thing, name: kept[name]}
                return kept

    def _journal(self, node: Node, before: str | None, after: str | None) -> None:
        """As the projection has it: the effects are compensated, and the compensation is a write of its own."""
        for wire_key in node.effects:
            self.effects[wire_key] = replace(self.effects[wire_key], state=State.COMPENSATED)
        self.seq += 1
        action = "delete" if node.does is CompensationKind.REMOVES else "upsert"
        done = write(self.seq, action, node.target.id, before, after, node.node_id, rollback_id="rb_1")
        self.effects[done.wire_key] = done

    # What has to hold.

    def _check_order(self, plan: Plan) -> None:
        """In the plan's own order, nothing precedes what it comes after; what depends on an effect goes before it."""
        place = {node.node_id: number for number, node in enumerate(plan.nodes)}
        at = {wire_key: place[node.node_id] for node in plan.nodes for wire_key in node.effects}
        for node in plan.nodes:
            after = {one for name in node.after for one in plan.joins.get(name, (name,))}
            assert all(place[one] < place[node.node_id] for one in after)
        if any("should also follow" in node.why for node in plan.nodes):
            return
        planned = [one for one in self.effects.values() if one.wire_key in at]
        probing = {one.wire_key for one in planned if plan.nodes[at[one.wire_key]].way is NodeAction.PROBE}
        above = self._ancestors()
        for newer, older in itertools.permutations(planned, 2):
            if older.wire_key in probing:
                continue
            ordered = at[newer.wire_key] <= at[older.wire_key]
            assert ordered or older.step_id not in above[newer.step_id], (newer.step_id, older.step_id)
            assert ordered or newer.target.id != older.target.id or newer.intent.seq < older.intent.seq

    def _ancestors(self) -> dict[str, set[str]]:
        """Those that each step follows from, itself aside."""
        own = sorted((one for one in self.effects.values() if one.rollback_id is None), key=lambda one: one.intent.seq)
        named = {one.step_id: one.parent_step for one in own} | {step: parent for (_, step), (_, parent) in self.parents.items()}
        found: dict[str, set[str]] = {}
        for step in named:
            at, seen = named[step], set[str]()
            while at is not None and at not in seen:
                seen.add(at)
                at = named.get(at)
            found[step] = seen - {step}
        return found

    def check(self) -> None:
        for id_, thing in self.expected.items():
            found = self.store.see(id_)[0]
            if id_ in self.edited:
                assert found == self.edited[id_], f"{id_}: somebody's edit during the rollback was overwritten"
            else:
                assert found == thing, f"{id_}: {found} instead of {thing}"


def test_any_order_that_a_plan_allows_brings_back_what_may_be_brought_back() -> None:
    for seed in range(CASES):
        case = Case(random.Random(seed))
        case.happen(2 + seed * 30 // CASES)
        try:
            case.roll_back()
            case.check()
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong


def test_since_a_position_only_what_was_intended_later_is_undone() -> None:
    for seed in range(200):
        case = Case(random.Random(seed))
        case.happen(20)
        since = Position("st", case.chance.randrange(20))
        found = planning.plan(case.effects.values(), UNDOS, parents=case.parents, now=0.0, since=since)
        own = {one.wire_key for one in case.effects.values() if one.intent.seq > since.seq and one.state is not State.FAILED}
        assert {wire_key for node in found.nodes for wire_key in node.effects} == own
