"""The line: what happens to a call, in the order that makes it safe. There is no other way to a tool.

Each stage does one thing, leaves evidence that it did, and can only be called with the evidence of the one before.
A stage that refuses the call raises a Refusal; the endpoint turns it into a problem document and a journal entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.call import Effect, Reply
from gateway.pipeline.effect import SendWrite
from gateway.pipeline.evidence import CallTrace, Denied, Held, Kept, Streamed
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.authenticate import Authenticate
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.decide import Approve, Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.stages.meter import Meter
from gateway.pipeline.stages.observe import Snapshot
from gateway.pipeline.stages.read import Read
from gateway.pipeline.stages.recall import Recall
from gateway.pipeline.stages.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    authenticate: Authenticate
    schedule: Schedule
    gate: Gate
    meter: Meter
    recall: Recall
    decide: Decide
    approve: Approve
    read: Read
    snapshot: Snapshot
    send_write: SendWrite
    replies: Replies

    async def handle(self, trace: CallTrace) -> Reply:
        """Carry a framed, canonical call to its tool and back.

        Raises:
            Refusal: a stage refused it.
        """
        known = trace.at("authenticate", await self.authenticate(trace.call))  # lease -> run, agent, tenant
        action = trace.at("classify", classify(known))  # catalog -> action, target and its tenant, effect class, cost
        due = trace.at("schedule", await self.schedule(action))  # overload sheds writes, then reads; else the tenant's turn comes
        opened = trace.at("gate", self.gate(due))  # containment: the strictest order that matches
        metered = trace.at("meter", await self.meter(opened))  # rate and steps, reads too: a flood of refusals is metered as well
        fresh = trace.at("recall", await self.recall(metered))  # a key whose effect stands answers with its kept reply
        if isinstance(fresh, Kept):
            return self.replies.replayed(fresh)
        permit = trace.at("decide", await self.decide(fresh))  # policy: Allow | Deny | Hold, strictly positive
        if isinstance(permit, Held):
            permit = trace.at("approve", await self.approve(permit))  # a person's approval of this very call, and policy again
        if isinstance(permit, Denied):
            raise permit.refusal
        if permit.action.effect is Effect.READ:
            reply = await self.read(permit)
            trace.mark("read")
            return reply
        before = await self.snapshot(permit)  # version and state of the target
        trace.mark("snapshot")
        sent = await self.send_write(permit, before, trace)  # intent -> fence at the socket, call -> postcondition -> outcome
        if isinstance(sent, Streamed):
            return self.replies.streamed(sent, self.gate.stream_fence(permit))
        return self.replies.settled(sent, self.gate.stream_fence(permit))
