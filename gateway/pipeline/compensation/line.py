"""The line of compensating calls: the same stages in the same order, under a lease for one node of a plan and nothing else.

A compensation is identified, journaled, fenced and verified like any other call. What differs stands here in one place: its call is
made from the journal, its lease is the plan's, a version that no longer matches is a conflict, and no limit is charged.
Policy can turn a compensation into a task, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import catalog, dependencies, objects, versions
from gateway.core.adapter.objects import Expected, ObjectState
from gateway.core.policy import rules
from gateway.core.reconciliation import Observation
from gateway.core.request import idempotency
from gateway.core.rollback import effects
from gateway.model.decision import Allow, Considered
from gateway.model.effect import State, Write
from gateway.model.entries import Sent
from gateway.model.entry import Verification
from gateway.model.rollback import BY_ROLLBACK, CompensationKind, Node, NodeOutcome, NodeState
from gateway.model.run import Lease, Run
from gateway.pipeline import effect, sealed_payloads
from gateway.pipeline.compensation import node_outcome
from gateway.pipeline.compensation.node_outcome import Conflict, Needless, NeverShown
from gateway.pipeline.compensation.payloads import Payloads
from gateway.pipeline.compensation.request import CompensationRequests, Prepared
from gateway.pipeline.effect import SendWrite
from gateway.pipeline.evidence import Before, CallTrace, Classified, Fresh, Kept, Known, Metered, Permitted, Step, Undoing
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.probe import Probe, repeats
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.tool import ToolReader, Tools
from gateway.ports.clock import Clock
from gateway.ports.policy import Rules
from gateway.ports.rollback import CompensationRequest, Examined, NotExamined, Proposal

LEASE = 60.0
"""Seconds for which a recovery lease permits its one call."""
SETTLE = 30.0
"""Seconds after which a compensation that is not visible was not applied, unless its adapter declares another time."""


@dataclass(frozen=True, slots=True)
class Compensate:
    tools: Tools
    calls: CompensationRequests
    gate: Gate
    recall: Recall
    rules: Rules
    reader: ToolReader
    send_write: SendWrite
    probe: Probe
    clock: Clock

    async def execute(self, compensating: CompensationRequest) -> NodeOutcome:
        """Carry out a node. A failure becomes a state of the node, never an exception.

        Raises:
            JournalUnavailable: its result is determined after the journal works again.
        """
        try:
            return await self._carried(compensating)
        except errors.JournalUnavailable:
            raise
        except (Conflict, errors.Refusal) as against:
            return node_outcome.of_refusal(against)

    async def _carried(self, order: CompensationRequest) -> NodeOutcome:
        payloads = self.calls.payloads(order.node, order.effects, sent=True)
        order = await self._in_time(order, payloads)  # or what its adapter declares for an object that it is too late for
        action = await self._prepared(order, payloads)  # the one call of the plan, from the journal
        opened = self.gate(action)  # orders that came later, on the tool or on everything
        metered = Metered(opened=opened, quota=None)  # charged to no limit: a contained run's budget must not keep it from being undone
        fresh = await self.recall(metered)  # done before, by this or an earlier owner
        if isinstance(fresh, Kept):
            return node_outcome.of_earlier(fresh)
        permit = await self._permitted(fresh, order)  # policy can only turn it into a task
        before = await self._matching(permit, order, payloads)  # at the version that our last effect left, or not at all
        trace = CallTrace(action.known.call, self.clock.monotonic, _no_client)
        settled = await self.send_write.settled(permit, before, trace)  # intent, fence, call, verification, outcome: as every write
        return node_outcome.of_answer(settled, now=self.clock.now())

    async def _prepared(self, order: CompensationRequest, payloads: Payloads) -> Classified:
        now = await self._object(order.node, order.run, order.effects, payloads) if self.calls.needs_object(order.node) else None
        prepared = await self.calls.prepare(order.node, order.run, order.effects, payloads, now)  # from what was sealed with the effects
        known = self._known(order, prepared)  # the recovery lease: this node's one call
        return _confined(order, classify(known))  # the declared compensation, on the object's own path

    async def proposal(self, compensating: CompensationRequest) -> Proposal | NodeOutcome:
        node = compensating.node
        payloads = self.calls.payloads(node, compensating.effects)
        try:
            call = (await self._prepared(compensating, payloads)).known.call
            instead = self.calls.instead(node)
            other = None if instead is None else (await self._prepared(_other(compensating, instead), payloads)).known.call
        except (Conflict, errors.Refusal) as against:
            return node_outcome.of_refusal(against)
        base = self.tools[node.tool].base
        kind = self.calls.action(node, node.by)
        if_match = versions.in_if_match(compensating.guard, None if kind is None else kind.guard)
        guard = effect.guard(Before(taken=True, guard=if_match, guard_absent=node.guard_absent))
        digest = f"sha256:{idempotency.body_digest(call.body)}"
        request = Sent(method=call.method, path=base + call.recorded, body_digest=digest)
        return Proposal(request=request, shown=sealed_payloads.compensation(call, base, guard, other))

    async def decide(self, write: Write) -> bool | None:
        if write.wire_key in self.send_write.live:
            return None  # it is on the wire: what is not there yet may still come, and its own outcome will tell
        now = await self.probe.writes.by_wire_key(write.wire_key) or write
        if now.state not in (State.UNKNOWN, State.IN_FLIGHT):
            return now.state is not State.FAILED  # it was determined meanwhile
        decided = await self.probe(now)
        if not decided.seen:
            raise errors.ToolUnreachable(f"{write.tool} does not show its outcome.", outcome="not-sent")
        return None if decided.state is State.UNKNOWN else decided.state is State.STANDING

    async def settle_unknown(self, order: CompensationRequest, write: Write) -> bool | None:
        """Determine whether a compensation of unknown outcome was applied; if the tool shows it, journal it."""
        payloads = self.calls.payloads(order.node, order.effects)
        expects = await self._expects(order.node, payloads)
        now = await self.probe.writes.by_wire_key(write.wire_key) or write
        if expects is None or now.pending:  # what the tool has only accepted may still come: the object does not show it
            return await self.decide(now)
        try:
            seen = await self._object(order.node, order.run, order.effects, payloads)
        except errors.ToolUnreachable:
            raise
        except (Conflict, errors.Refusal):
            return None
        if not seen.same:
            return None  # another object says nothing of this one
        there = seen.as_expected(expects)
        settled = self.clock.now() - await self.probe.last_sent(write) >= self._settle_time(order.node)
        digests = repeats(self.tools[order.node.tool], self.calls.action(order.node, order.node.action))
        observed = Observation(applied=there, version=seen.version, exists=seen.exists, settled=settled, repeats=digests)
        judged = await self.probe.judged(write, await self.probe.others(write), seen, observed)
        # The whole state is as expected; but somebody else may have made it so, and later nodes must not build on their version.
        became = (await self.probe.concluded(write, judged, by=BY_ROLLBACK)).state
        return None if became is State.UNKNOWN else became is State.STANDING

    async def examine(self, node: Node, run: Run, effects: Sequence[Write], state: NodeState) -> Examined | NotExamined | None:
        payloads = self.calls.payloads(node, effects)
        try:
            seen = await self._object(node, run, effects, payloads)
        except errors.ToolUnreachable as lost:
            return NotExamined(lost.detail)
        except NeverShown as never:
            return await self._not_compared(node, state, never, payloads)
        except (Conflict, errors.Refusal):
            return None
        if state not in (NodeState.DONE, NodeState.NOTHING):
            return Examined(exists=seen.exists, version=seen.version, state=seen.state, as_expected=None)
        expects = await self._expects(node, payloads) if node.by is not None else None
        differs = None if expects is None else objects.difference(seen, expects)
        met = None if expects is None else differs is None
        why = "" if differs is None else f"it differs from its state before the run: {differs}"
        return Examined(exists=seen.exists, version=seen.version, state=seen.state, as_expected=met, why=why)

    async def _not_compared(self, node: Node, state: NodeState, why: NeverShown, payloads: Payloads) -> Examined | None:
        """An object that was restored or removed and can never be looked at: it is not known to be as it has to be."""
        if state is not NodeState.DONE or await self._expects(node, payloads) is None:
            return None
        return Examined(exists=True, version=None, state=None, as_expected=False, why=f"it could not be compared: {why}")

    async def _expects(self, node: Node, payloads: Payloads) -> Expected | None:
        try:
            return await self.calls.expects(node, payloads)
        except Conflict:
            return None

    def _settle_time(self, node: Node) -> float:
        """Seconds after which a compensation that is not visible was not applied."""
        kind = self.calls.action(node, node.by)
        return SETTLE if kind is None or kind.probe is None else kind.probe.settle

    def _known(self, order: CompensationRequest, prepared: Prepared) -> Known:
        now, run, node = self.clock.now(), order.run, order.node
        key = f"rb_{order.rollback.rollback_id}_{node.node_id}"
        return Known(
            call=prepared.call,
            tool=self.tools[node.tool],
            run=run,
            lease=Lease(run_id=run.run_id, tenant=run.tenant, generation=run.generation, not_before=now, expires_at=now + LEASE),
            step=Step(node.node_id, None, named=True),
            at=now,
            own_key=idempotency.own_key(key),
            if_match=False,
            trace_id=None,
            undoing=Undoing(order, prepared.expects, prepared.carried),
        )

    async def _in_time(self, order: CompensationRequest, payloads: Payloads) -> CompensationRequest:
        """The node as it has to be carried out on the object as it is now. Its key stays: one of the two is done, once."""
        node, instead = order.node, self.calls.instead(order.node)
        if instead is None:
            return order
        seen = await self._object(node, order.run, order.effects, payloads)
        if seen.body_unknown and dependencies.depends_on(instead.when, "object", "body"):
            raise Conflict(f"it is not known whether it is too late for the object: {seen.body_unknown}", seen=seen.version)
        variables = self.tools[node.tool].catalog.variables
        if not (seen.exists and seen.same and instead.when.holds({"object": seen.document, "vars": variables})):
            return order
        return _other(order, instead)

    async def _permitted(self, fresh: Fresh, order: CompensationRequest) -> Permitted:
        """Ask policy; while it cannot be asked, the compensation waits.

        Raises:
            Conflict: the time for it is over, policy wants a person to do it, or its answer cannot be used.
            PolicyUnavailable: there is no answer now.
        """
        known = fresh.known
        if (late := effects.why_too_late(order.effects, known.at)) is not None:
            raise Conflict(late)  # planned in time, and held up since: by an approver, or by its tool
        node = rules.node_document(order.node, order.effects)
        document = rules.recovery_document(node=node, run=known.run, mode=fresh.opened.mode, now=known.at)
        why_not = rules.parse_recovery(await self.rules.ask(rules.RECOVERY, document))
        if why_not is not None:
            raise Conflict(f"policy requires a person: {why_not}")
        allow = Allow(decision_id=self.clock.mint("dec"), revision=self.rules.revision)
        return Permitted(fresh=fresh, considered=Considered(decision=allow, at=known.at, mode=fresh.opened.mode, active=allow.revision))

    async def _matching(self, permit: Permitted, order: CompensationRequest, payloads: Payloads) -> Before:
        """Bind the call to the version that our last effect left.

        Raises:
            Conflict: the object is at another version: somebody wrote after us, and that must not be overwritten.
        """
        node = order.node
        if order.guard is None and not node.guard_absent:
            return Before(taken=False)
        seen = await self._object(node, order.run, order.effects, payloads)
        if node.guard_absent:
            if seen.exists:
                raise Conflict("the removed object exists again; somebody created it", seen=seen.version)
            return Before(taken=True, exists=False, guard_absent=True)
        if not seen.exists and node.does is CompensationKind.REMOVES and order.effects[0].verification is Verification.FAILED:
            raise Conflict("the object that its reply named was not found after the write either; it may be elsewhere", seen="absent")
        if not seen.exists and node.does is CompensationKind.REMOVES:
            raise Needless("the created object is already gone", seen="absent")
        if not seen.exists:
            raise Conflict("the object no longer exists; somebody removed it", seen="absent")
        if not seen.same:
            raise Conflict("a read of the object returns another one, or several", seen=seen.version)
        if not versions.same(order.guard, seen.version):
            raise Conflict(f"the object is at {seen.version}, and our last effect left it at {order.guard}", seen=seen.version)
        if (changed := await self.calls.foreign_change(node, order.effects, seen, payloads)) is not None:
            raise Conflict(f"somebody else may have changed {changed}: its version does not show that", seen=seen.version)
        return Before(taken=True, version=seen.version, state=seen.state, exists=True, guard=_if_match(seen.version, permit))

    async def _object(self, node: Node, run: Run, effects: Sequence[Write], payloads: Payloads) -> ObjectState:
        kind = self.calls.action(node, node.action)
        if kind is None or kind.object_type is None:
            raise Conflict("its adapter no longer declares how to read the object")
        tool = self.tools[node.tool]
        request = await payloads.request(effects[-1])  # the newest one: by its captures the object is read
        made = node.target.id if kind.creates is not None else None
        try:
            return await self.reader.object_state(tool, kind, request.captures, run.tenant, request.carried, created=made)
        except errors.UpstreamFailure as lost:
            if lost.permanent:
                raise NeverShown(f"{tool.name} cannot show the object: {lost.detail}") from lost
            raise errors.ToolUnreachable(f"{tool.name} cannot show the object: {lost.detail}", outcome="not-sent") from lost
        except (KeyError, ValueError) as error:
            raise Conflict("the object's id is not valid in a path") from error


def _if_match(version: str | None, permit: Permitted) -> str | None:
    """The If-Match that a compensation carries; ``None`` where looking at the object right before is all that guards it.

    Raises:
        Conflict: the tool's tag cannot guard it, and its adapter does not declare that looking is enough.
    """
    guard = None if permit.action.kind is None else permit.action.kind.guard
    sent = versions.in_if_match(version, guard)
    if sent is None and version is not None and versions.is_weak(version) and guard is not versions.Guard.COMPARE:
        raise Conflict(
            f"the object is as our last effect left it, but its tag {version} is weak, so that If-Match cannot protect a write of somebody "
            f"else; on {permit.action.name}, declare guard: if_match_verbatim if the tool accepts weak tags in If-Match, or "
            "guard: compare if a read right before the call is enough",
            seen=version,
        )
    return sent


def _no_client() -> None:
    """A compensation has no waiting client that could disconnect, so committing it needs no notice."""


def _other(order: CompensationRequest, instead: catalog.Instead) -> CompensationRequest:
    """What is done if the node's own compensation comes too late."""
    node = replace(order.node, by=instead.by, remedy=instead.remedy, does=CompensationKind.OFFSETS, guard=None, guard_follows=None)
    return replace(order, node=node, guard=None)


def _confined(order: CompensationRequest, classified: Classified) -> Classified:
    """The call that the plan speaks of, and no other: whatever an id may have made of its path."""
    node, action = order.node, classified.action
    own = node.does is CompensationKind.OFFSETS or action.target.object == node.target.object
    if action.name != node.by or action.target.tenant != node.target.tenant or not own:
        found = f"{action.name} on {action.target.name}"
        raise Conflict(f"its compensation is {found}, which the plan does not permit")
    return classified
