"""The object of a write before it is sent and after it was: its version guards the write, its state is what a rollback would restore."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway import errors
from gateway.core.adapter import resolve
from gateway.core.adapter.catalog import ActionType
from gateway.core.authorization import approvals
from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Target
from gateway.model.entry import Position, Result, Verification
from gateway.model.review import Approval
from gateway.pipeline import tool
from gateway.pipeline.evidence import Before, Held, Intent, Permitted, Verdict
from gateway.pipeline.tool import Expected, ObjectState, ToolReads, reply_document
from gateway.ports.approvals import Approvals
from gateway.ports.clock import Clock
from gateway.ports.projections import Sightings


@dataclass(frozen=True, slots=True)
class Snapshot:
    reads: ToolReads
    sightings: Sightings
    approvals: Approvals

    async def __call__(self, permit: Permitted | Held) -> Before:
        """Read the target, and bind a guarded write to the version that the run last saw, else to this one.

        What a person has approved is approved for the target as it was shown: an approval of something else is void.

        Raises:
            PreconditionChanged: the run saw another version than the object has now; nothing needs to be sent to know.
            ToolUnreachable, ToolTimeout: the target cannot be read; what cannot be seen before is not written.
        """
        kind, target = permit.action.kind, permit.action.target
        if kind is None or not target.id or not kind.snapshot:
            return Before(taken=False)
        try:
            seen = await self.reads.object_state(permit.known.tool, kind, permit.action.captures, permit.known.run.tenant)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, "The target could not be read before the write") from lost
        if not seen.same:
            raise _other(target)
        if isinstance(permit, Permitted) and permit.approval is not None:
            await self._as_shown(permit.approval, target, seen)
        if not kind.guarded or permit.known.if_match:
            return _before(seen)
        last = await self.sightings.by_run(permit.known.run.run_id, target.object)
        if last is not None and last.version is not None and last.version != seen.version:
            raise changed(target.ref(last.version), target.ref(seen.version))
        # Only a PUT makes what is not there: it must not land on what someone made meanwhile.
        absent = not seen.exists and permit.known.call.method == "PUT"
        return _before(seen, guard=seen.version, guard_absent=absent)

    async def _as_shown(self, approval: Approval, target: Target, seen: ObjectState) -> None:
        if approvals.holds_for(approval, existed=seen.exists, version=seen.version):
            return
        was, now = target.ref(approval.version), target.ref(seen.version)
        await self.approvals.void(approval, f"it is for {was}; the object is now {now}")
        detail = f"The approval is for {was}; the object is now {now}. The approval is void, and nothing was sent."
        hint = "Read the object again; to repeat the call, send it again and request a new approval."
        raise errors.PreconditionChanged(detail, hint=hint, approval_id=approval.approval_id)


def _other(target: Target) -> errors.PreconditionChanged:
    """The object that was read is not the one that the call names, or not only that one: a write would change another object."""
    thing = f"{target.system}:{target.type}:{target.id}"
    hint = "Look up the object again; the id may be an alias, or match several objects."
    return errors.PreconditionChanged(f"A read of {thing} returns another object, or several.", hint=hint, identity="other")


def changed(saw: str, now: str | None, *, entry: Position | None = None) -> errors.PreconditionChanged:
    detail = f"The run acted on {saw}; the object is now " + (f"{now}." if now else "at another version.")
    refused = errors.PreconditionChanged(detail)
    refused.entry = str(entry) if entry is not None else None
    return refused


def _before(seen: ObjectState, *, guard: str | None = None, guard_absent: bool = False) -> Before:
    return Before(taken=True, version=seen.version, state=seen.state, exists=seen.exists, guard=guard, guard_absent=guard_absent)


FIRST_PAUSE = 0.02
"""Seconds before the second look; each later pause is twice as long."""


@dataclass(frozen=True, slots=True)
class Verify:
    reads: ToolReads
    clock: Clock

    async def __call__(self, intent: Intent, answer: Answer) -> Verdict:
        """Judge the answer; if the adapter declares a postcondition, read the object back until it holds or its time ends."""
        kind = intent.action.kind
        if kind is None:
            return Verdict(result=resolve.result_of(answer.status), verification=Verification.NONE)
        reply = reply_document(answer)
        document = {**intent.action.document, "reply": reply}
        demanded = kind.demands is None or kind.demands.holds(document)
        result = resolve.result_of(answer.status, demanded=demanded)
        if result is not Result.SUCCESS:
            return Verdict(result=result, verification=Verification.NONE)
        ours, made = _version(intent, kind, document), resolve.created_id(kind, document)
        conforms = kind.reply_conforms is None or not answer.complete or kind.reply_conforms(reply["body"])
        verification, seen = Verification.NONE, None
        if kind.verify is not None:
            verification, seen = await self._read_back(intent, kind, document, ours, made)
        elif (undoing := intent.known.undoing) is not None and undoing.expects is not None:
            verification, seen = await self._undone(intent, kind, undoing.expects)
        return Verdict(result=result, verification=verification, after_version=ours or seen, made=made, conforms=conforms)

    async def _read_back(
        self, intent: Intent, kind: ActionType, document: dict[str, object], ours: str | None, created: str | None
    ) -> tuple[Verification, str | None]:
        assert kind.verify is not None
        deadline, pause = self.clock.monotonic() + kind.verify.within, FIRST_PAUSE
        while True:
            seen = await self._seen(intent, kind, created)
            version = seen.version if seen is not None else None
            met = seen is not None and kind.verify.expect.holds({**document, "object": seen.document})
            verdict = resolve.verification_of(met=met, before=intent.before.version, ours=ours, seen=version)
            if verdict is not Verification.FAILED or self.clock.monotonic() >= deadline:
                return _unseen(intent) if seen is None else verdict, version if met else None
            await asyncio.sleep(min(pause, max(0.0, deadline - self.clock.monotonic())))
            pause *= 2

    async def _undone(self, intent: Intent, kind: ActionType, expected: Expected) -> tuple[Verification, str | None]:
        """Whether a compensation left its object as expected, if its own adapter declares no postcondition."""
        seen = await self._seen(intent, kind, None)
        if seen is None:
            return _unseen(intent), None
        if not seen.as_expected(expected):
            return Verification.FAILED, None
        return Verification.PASSED, seen.version

    async def _seen(self, intent: Intent, kind: ActionType, created: str | None) -> ObjectState | None:
        """What is there now; ``None`` if it cannot be read."""
        try:
            return await self.reads.object_state(intent.known.tool, kind, intent.action.captures, intent.known.run.tenant, created=created)
        except (UpstreamFailure, KeyError, ValueError):
            return None


def _unseen(intent: Intent) -> Verification:
    """A postcondition that cannot be read is not met. Only for a compensation, whose object is read again at the end of its
    rollback, it stays open.
    """
    undoing = intent.known.undoing
    return Verification.NONE if undoing is not None and undoing.expects is not None else Verification.FAILED


def _version(intent: Intent, kind: ActionType, document: dict[str, object]) -> str | None:
    """The version that the write's own reply says it left; none after a delete."""
    thing = intent.known.tool.catalog.objects.get(kind.object_type or "")
    return None if thing is None or kind.method == "DELETE" else resolve.version_of(thing, document)
