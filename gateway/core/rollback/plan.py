"""Which compensations a rollback needs, and in which order they may run. Pure.

Only effects that stand are undone; what depends on others goes first; what somebody else changed is never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from gateway.core.rollback import effects as reasons
from gateway.core.rollback import plan_objects, plan_order
from gateway.core.rollback.plan_objects import Draft, Undos
from gateway.core.rollback.plan_order import Order
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.incident import RollbackState
from gateway.model.plan import Node, NodeState, Plan, Step, Way

_NAMED = 3
"""Nodes that a sentence names before it only counts the rest."""


def plan(effects: Iterable[Write], undos: Undos, *, parents: Mapping[Step, Step], now: float, since: Position | None = None) -> Plan:
    """The plan that undoes a scope's own effects.

    Compensations among them are not undone, they only tell which version they left, and (by their step, which is the node's id) which
    effects are not to be compensated again: so a plan made in the middle of a rollback, or after one that was stopped, goes on from
    there. Once a probe is decided, a new plan is due.

    ``undos`` are the catalogs' by tool and action. ``parents`` leads from steps without effects (reads) to the steps that they named
    as their parents; those of effects are known from them. With ``since`` only what was intended after it counts: by number in its own
    stream; in another stream, what was made after the newest of ``effects`` up to it.
    """
    given = list(effects)
    everything = sorted(given, key=_age(given))
    scope = _after(everything, since)
    carried = {write.step_id for write in scope if write.rollback_id is not None and write.state is State.STANDING}
    drafts: list[Draft] = []
    starts: list[int] = []
    for history in _by_object(scope):
        starts.append(len(drafts))
        drafts += plan_objects.drafted(history, undos, carried, now)
    ages = {write.wire_key: age for age, write in enumerate(scope)}
    order = Order.of(ages[draft.effects[-1].wire_key] for draft in drafts)
    _on_objects(order, drafts, starts)
    _on_compensations(order, drafts)
    plan_order.causal(order, drafts, everything, parents)
    plan_order.declared(order, drafts, undos)
    order.straighten()
    return _written(order, drafts)


def ready(plan: Plan, states: Mapping[str, NodeState]) -> tuple[Node, ...]:
    """The pending nodes that may run now, in the plan's order; a node without a state is pending."""
    passed = _passed(plan, states)
    return tuple([node for node in plan.nodes if _pending(node, states) and all(map(passed, node.after))])


def finished(plan: Plan, states: Mapping[str, NodeState]) -> RollbackState:
    """``RUNNING`` while a node runs or may run; ``STOPPED`` where one was stopped; ``NEEDS_OPERATOR`` where an approval or an
    unknown outcome is waited for; ``CLEAN`` where all is done or not needed; else ``RESIDUE``.
    """
    found = {states.get(node.node_id, NodeState.PENDING) for node in plan.nodes}
    if NodeState.RUNNING in found:
        return RollbackState.RUNNING
    if NodeState.STOPPED in found:
        return RollbackState.STOPPED
    if NodeState.PENDING in found and ready(plan, states):
        return RollbackState.RUNNING
    if found & {NodeState.WAITING, NodeState.UNKNOWN}:
        return RollbackState.NEEDS_OPERATOR
    return RollbackState.CLEAN if found <= {NodeState.DONE, NodeState.NOTHING} else RollbackState.RESIDUE


def _pending(node: Node, states: Mapping[str, NodeState]) -> bool:
    return states.get(node.node_id, NodeState.PENDING) is NodeState.PENDING


def _passed(plan: Plan, states: Mapping[str, NodeState]) -> Callable[[str], bool]:
    """Whether what comes after a node or a join may go on."""
    passed = {node_id for node_id, state in states.items() if state.passed}
    return (passed | {join for join, members in plan.joins.items() if passed.issuperset(members)}).__contains__


def _age(effects: Sequence[Write]) -> Callable[[Write], tuple[float, str, int]]:
    """By number within one stream, whose clock may have been set back; by time across streams."""
    if len({write.intent.stream for write in effects}) <= 1:
        return lambda write: (0.0, "", write.intent.seq)
    return lambda write: (write.at, write.intent.stream, write.intent.seq)


def _after(effects: Sequence[Write], since: Position | None) -> Sequence[Write]:
    if since is None:
        return effects
    until = max((write.at for write in effects if write.intent.stream == since.stream and write.intent.seq <= since.seq), default=0.0)
    return [write for write in effects if (write.intent.seq > since.seq if write.intent.stream == since.stream else write.at > until)]


def _by_object(effects: Sequence[Write]) -> Iterable[list[Write]]:
    """What names no object is one for itself."""
    found: dict[str, list[Write]] = {}
    for write in effects:
        if write.state is not State.FAILED:
            found.setdefault(write.target.object if write.target.id else f"\0{write.wire_key}", []).append(write)
    return found.values()


def _on_objects(order: Order, drafts: Sequence[Draft], starts: Sequence[int]) -> None:
    """On one object, what is not known is found out first; then the newest is undone before the older."""
    for start, stop in pairwise([*starts, len(drafts)]):
        first = next((point for point in range(start, stop) if drafts[point].node.way is not Way.PROBE), stop)
        if first < stop:
            order.wait_all([first], range(start, first))
        for point in range(first + 1, stop):
            order.wait(point, point - 1)


def _on_compensations(order: Order, drafts: Sequence[Draft]) -> None:
    """Where it is not known whether a compensation was applied, which may be on another object, that is found out before another one."""
    points = {draft.node.node_id: point for point, draft in enumerate(drafts)}
    for point, draft in enumerate(drafts):
        compensation = draft.effects[0]
        if compensation.rollback_id is not None and (waiting := points.get(compensation.step_id)) is not None:
            order.wait(waiting, point)


def _written(order: Order, drafts: Sequence[Draft]) -> Plan:
    ids = [draft.node.node_id for draft in drafts]
    names = [*ids, *(f"join:{number}" for number in range(len(order.before) - len(ids)))]
    nodes = []
    for point in order.sorted():
        node = drafts[point].node
        dropped = [ids[one] for one in order.dropped.get(point, ()) if one < len(ids)]
        if order.before[point] or dropped:
            why = node.why + (_dropped(dropped) if dropped else "")
            node = replace(node, after=tuple([names[one] for one in order.before[point]]), why=why)
        nodes.append(node)
    joins = {names[point]: tuple([names[one] for one in order.before[point]]) for point in range(len(ids), len(names))}
    irreversible = any(reasons.irreversible(write) for draft in drafts for write in draft.effects if write.rollback_id is None)
    return Plan(tuple(nodes), joins, irreversible)


def _dropped(others: Sequence[str]) -> str:
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f" It should also come after {', '.join(others[:_NAMED])}{more}, but that waits for it: the newer goes first."
