"""The line: what happens to a call, in the order that makes it safe. There is no other way to a tool.

Each stage does one thing, leaves evidence that it did, and can only be called with the evidence of the one before.
A stage that stands against the call raises a Refusal; the front turns it into a problem document and a journal entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.action import Effect
from gateway.model.wire import Reply
from gateway.pipeline.call_trace import CallTrace
from gateway.pipeline.evidence import Denied, Held, Kept
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.approve import Approve
from gateway.pipeline.stages.authenticate import Authenticate
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.decide import Decide
from gateway.pipeline.stages.forward import Forward
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.intend import Intend
from gateway.pipeline.stages.meter import Meter
from gateway.pipeline.stages.read import Read
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.stages.settle import Settle
from gateway.pipeline.stages.snapshot import Snapshot
from gateway.pipeline.stages.verify import Verify
from gateway.pipeline.streams import Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    authenticate: Authenticate
    gate: Gate
    meter: Meter
    recall: Recall
    decide: Decide
    approve: Approve
    read: Read
    snapshot: Snapshot
    intend: Intend
    forward: Forward
    verify: Verify
    settle: Settle
    streams: Streams
    replies: Replies

    async def handle(self, trail: CallTrace) -> Reply:
        """Carry a framed, canonical call to its tool and back.

        Raises:
            Refusal: a stage stood against it.
        """
        known = trail.at("authenticate", await self.authenticate(trail.call))  # lease -> run, agent, tenant
        action = trail.at("classify", classify(known))  # catalog -> action, target and its tenant, effect class, cost
        opened = trail.at("gate", self.gate(action))  # containment: the strictest order that matches
        metered = trail.at("meter", await self.meter(opened))  # rate and steps, reads too: a flood of refusals is metered as well
        fresh = trail.at("recall", await self.recall(metered))  # a key whose effect stands answers with its kept reply
        if isinstance(fresh, Kept):
            return self.replies.replayed(fresh)
        permit = trail.at("decide", await self.decide(fresh))  # policy: Allow | Deny | Hold, strictly positive
        if isinstance(permit, Held):
            permit = trail.at("approve", await self.approve(permit))  # a person's yes to this very call, and policy again
        if isinstance(permit, Denied):
            raise permit.refusal
        if permit.action.effect is Effect.READ:
            reply = await self.read(permit)
            trail.mark("read")
            return reply
        before = await self.snapshot(permit)  # version and state of the target
        trail.mark("snapshot")
        trail.commit()  # from here on the call ends even if its client goes away
        async with self.intend(permit, before) as intent:  # one transaction, durable before the first byte
            trail.at("intend", intent)
            answer = await self.forward(intent)  # the fence at the socket, then the call
            trail.mark("forward")
            verdict = await self.verify(intent, answer)  # postcondition
            trail.mark("verify")
            settled = trail.at("settle", await self.settle(intent, answer, verdict))  # the outcome, durable before the agent hears of it
        rest = None if answer.rest is None else self.streams.guarded(answer, self.gate.hearing(permit.fresh))
        return self.replies.settled(settled, rest=rest)
