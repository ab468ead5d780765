"""The object of a write before it is sent and after it was: its version guards the write, its state is what a rollback would restore."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from gateway import errors
from gateway.core.adapter import objects, resolve, versions
from gateway.core.adapter.catalog import ActionType
from gateway.core.adapter.catalog import Verify as Postcondition
from gateway.core.adapter.long_running import ACCEPTED, Pending, Phase
from gateway.core.adapter.objects import Expected, ObjectState
from gateway.core.authorization import approvals
from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Target
from gateway.model.entry import Position, Result, Verification
from gateway.model.review import Approval
from gateway.pipeline import answers, postcondition, tool
from gateway.pipeline.answers import garbled, reply_document, unreadable
from gateway.pipeline.evidence import Before, Held, Intent, Known, Permitted, Settled, Verdict
from gateway.pipeline.last_reads import LastReads
from gateway.pipeline.polling import Accepted, Polls, made_by
from gateway.pipeline.tool import ToolReader, Unreadable
from gateway.ports.approvals import Approvals
from gateway.ports.clock import Clock
from gateway.ports.projections import Sightings

_OTHER_TAG = "The call's If-Match is not for {}, and the tool would not compare it."
_STILL_THERE = (
    "The tool answered 412, and the object is still {}. Either the tool does not accept this tag in If-Match, or it has a condition of "
    "its own."
)
_NOT_BY_READING = (
    "Do not read it again; that does not help. If the tool does not accept the tag, the adapter's author must declare guard: compare."
)
_CONDITIONS = frozenset({b"if-none-match", b"if-unmodified-since"})
"""Headers by which an agent makes its write conditional, beside If-Match, in whose place the gateway sets none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    reader: ToolReader
    sightings: Sightings
    approvals: Approvals
    last_reads: LastReads

    async def __call__(self, permit: Permitted | Held) -> Before:
        """Read the target, and bind a guarded write to the version that the run last saw, else to this one: by comparing them here,
        and by an If-Match where the tool can compare that.

        What a person has approved is approved for the target as it was shown: an approval of something else is void.

        Raises:
            PreconditionChanged: the run saw another version than the object has now; nothing needs to be sent to know.
            ToolUnreachable, ToolTimeout: the target cannot be read; what cannot be seen before is not written.
        """
        action, known = permit.action, permit.known
        kind, target = action.kind, action.target
        if kind is None or not target.id or not kind.snapshot:
            return Before(taken=False)
        try:
            seen = await self.reader.object_state(known.tool, kind, action.captures, known.run.tenant, action.carried)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, "The target could not be read before the write") from lost
        if not seen.same:
            raise _other(target)
        if seen.cut:
            raise _too_large(target)
        if isinstance(permit, Permitted) and permit.approval is not None:
            await self._as_shown(permit.approval, target, seen)
        own, versioned = known.if_match, known.tool.catalog.objects[kind.object_type or ""].version is not None
        if kind.guard is None or (own and (kind.guard is not versions.Guard.COMPARE or _names(known, seen.version))):
            return _before(seen, versioned=versioned)
        run_id, thing = known.run.run_id, target.object
        last = await self.sightings.by_run(run_id, thing)
        # Its tag may be that of another form of the object, which is what the run saw.
        if own and versions.is_tag(seen.version) and not (last is not None and _names(known, last.version)):
            raise errors.PreconditionChanged(_OTHER_TAG.format(target.ref(seen.version)))
        if last is not None and last.version is not None and not versions.same(last.version, seen.version):
            await self._in_another_form(permit, kind, seen, last.version)
        if last is not None and last.version is not None and self.last_reads.broke_off(run_id, thing, last.version):
            raise _cut_off(target, last.version)
        # Only a PUT makes what is not there: it must not land on what someone made meanwhile.
        absent = not seen.exists and known.call.method == "PUT"
        guard = versions.in_if_match(seen.version, kind.guard)
        return _before(seen, versioned=versioned, guard=guard, guard_absent=absent)

    async def _in_another_form(self, permit: Permitted | Held, kind: ActionType, seen: ObjectState, last: str) -> None:
        """Let the versions differ if they are those of two forms of one state. Read in this order, the state is the one at ``seen``.

        Raises:
            PreconditionChanged: the object has changed.
        """
        known, target = permit.known, permit.action.target
        thing = known.tool.catalog.objects[kind.object_type or ""]
        if not seen.exists or not await self.last_reads.still(known.tool, thing, known.run.run_id, known.run.tenant, target.object, last):
            raise changed(target.ref(last), target.ref(seen.version))

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
    hint = "Look up the object again; the id may be an alias, or match several objects."
    return errors.PreconditionChanged(f"A read of {target.name} returns another object, or several.", hint=hint, identity="other")


def _too_large(target: Target) -> errors.ToolUnreachable:
    """The object has more bytes than are read: its state before the write cannot be kept, nor compared."""
    detail = (
        f"{target.name} has more than the {answers.BOUND} bytes that the gateway reads, so that its state cannot be kept before the write."
    )
    refused = errors.ToolUnreachable(detail, hint=tool.TOO_LONG, outcome="not-sent")
    refused.retryable = False
    return refused


def _cut_off(target: Target, version: str) -> errors.PreconditionChanged:
    """The run has seen the version of the object, and not all that is there."""
    return errors.PreconditionChanged(
        f"The run's last read of {target.ref(version)} broke off before its end.", hint="Read it again, whole."
    )


def changed(saw: str, now: str | None, *, entry: Position | None = None) -> errors.PreconditionChanged:
    detail = f"The run acted on {saw}; the object is now " + (f"{now}." if now else "at another version.")
    refused = errors.PreconditionChanged(detail)
    refused.entry = str(entry) if entry is not None else None
    return refused


def precondition_refusal(settled: Settled) -> errors.PreconditionChanged | None:
    """The agent's error for a 412 to a condition that the gateway added; ``None`` if the tool's answer is to pass: it is to the agent's
    own condition, or to none of a version.
    """
    intent, now = settled.intent, settled.verdict.now
    before, target = intent.before, intent.action.target
    if settled.answer.status != PRECONDITION_FAILED or not before.bound:
        return None
    still = now is not None and now.exists is before.exists and (not now.exists or versions.same(before.version, now.version))
    if any(name.lower() in _CONDITIONS for name, _ in intent.known.call.headers) and (still or before.guard_absent):
        return None
    if now is not None and not still:
        return changed(target.ref(before.version), target.ref(now.version), entry=settled.position)
    if not still:
        return changed(target.ref(before.version), None, entry=settled.position)
    refused = errors.PreconditionChanged(_STILL_THERE.format(target.ref(before.version)), hint=_NOT_BY_READING)
    refused.entry = str(settled.position)
    return refused


def _names(known: Known, version: str | None) -> bool:
    """Whether the agent's own If-Match asks for this version."""
    field = next(value.decode("latin-1").strip() for name, value in known.call.headers if name.lower() == b"if-match")
    named = versions.tags(field) or (field,)
    return field == "*" or any(versions.same(one, version) or one.strip('"') == version for one in named)


def _before(seen: ObjectState, *, versioned: bool, guard: str | None = None, guard_absent: bool = False) -> Before:
    # Without the version that it should have it may not be the object: some tools say within a 200 that there is none.
    return Before(
        taken=not (versioned and seen.exists and seen.version is None),
        version=seen.version,
        state=seen.state,
        exists=seen.exists,
        guard=guard,
        guard_absent=guard_absent,
        representation=seen.representation,
    )


PRECONDITION_FAILED = 412
"""The status by which a tool says that the object is not as the call's own conditions have it."""


@dataclass(frozen=True, slots=True)
class Verify:
    reader: ToolReader
    polls: Polls
    clock: Clock

    async def __call__(self, intent: Intent, answer: Answer) -> Verdict:
        """Judge the answer; if the adapter declares a postcondition, read the object back until it holds or its time ends."""
        action, known = intent.action, intent.known
        kind = action.kind
        if kind is None:
            accepted = answer.status == ACCEPTED
            return Verdict(result=resolve.result_of(answer.status), verification=Verification.NONE, pending=accepted)
        reply = reply_document(answer)
        document = {**action.document, "reply": reply}
        success = None if kind.success is None else kind.success.holds(document)
        failed = kind.failed is not None and kind.failed.holds(document)
        result = resolve.result_of(answer.status, success=success, failed=failed)
        if kind.pending is not None and not failed and kind.pending.accepts(document, answer.status):
            return await self._accepted(intent, kind, kind.pending, document)
        if result is not Result.SUCCESS:
            refused = answer.status == PRECONDITION_FAILED and intent.before.bound
            now = await self._refusing(intent, kind) if refused else None
            return Verdict(result=result, verification=Verification.NONE, now=now)
        ours, made = _version(intent, kind, document), made_by(known.tool, kind, action.captures, document)
        undecoded = unreadable(answer, reply)
        conforms = kind.reply_conforms is None or not answer.complete or undecoded or kind.reply_conforms(reply["body"])
        unread = undecoded or (reply["body"] is None and garbled(reply) != "")
        verification, seen, differs = await self._verified(intent, kind, document, ours, made, unread=unread)
        # A 202 promises nothing but to begin, unless the adapter says that it is a success, or the object shows it.
        begun = answer.status == ACCEPTED and success is None and verification is not Verification.PASSED and known.undoing is None
        return Verdict(
            result=result,
            verification=verification,
            after_version=postcondition.left(intent.before, ours, seen),
            made=made,
            conforms=conforms,
            pending=begun,
            differs=differs,
        )

    async def _accepted(self, intent: Intent, kind: ActionType, pending: Pending, document: dict[str, object]) -> Verdict:
        """Wait a little for what the tool has only accepted; then it is pending, and neither a success nor a failure."""
        action, known = intent.action, intent.known
        made = made_by(known.tool, kind, action.captures, document)
        accepted = Accepted(known.tool, kind, action.captures, document, known.run.tenant, action.carried, made)
        look = await self.polls.until_done(accepted, pending)
        if look.phase is not Phase.DONE:
            result = Result.FAILED if look.phase is Phase.FAILED else Result.UNKNOWN
            return Verdict(result=result, verification=Verification.NONE, made=look.made, pending=look.phase is Phase.PENDING)
        ours = look.seen.version if look.seen is not None else None
        verification, seen, differs = await self._verified(intent, kind, document, ours, look.made)
        shown = look.seen if kind.verify is None else None
        version = postcondition.left(intent.before, None, seen or shown)
        return Verdict(result=Result.SUCCESS, verification=verification, after_version=version, made=look.made, differs=differs)

    async def _verified(
        self, intent: Intent, kind: ActionType, document: dict[str, object], ours: str | None, made: str | None, *, unread: bool = False
    ) -> tuple[Verification, ObjectState | None, str]:
        """What reading the object back shows, the object if it is as it should be, and what differs otherwise, as far as that is known.

        ``unread``: the reply could not be read.
        """
        verification, seen, differs = Verification.NONE, None, ""
        try:
            if kind.verify is not None and not (unread and _tells(kind, kind.verify)):
                look, before = functools.partial(self._seen, intent, kind, made), intent.before.version
                verification, seen = await postcondition.read_back(
                    kind.verify, look, document, self.clock, before=before, ours=ours, unseen=_unseen(intent)
                )
            elif (undoing := intent.known.undoing) is not None and undoing.expects is not None:
                verification, seen, differs = await self._undone(intent, kind, undoing.expects)
            elif _only_a_look_shows(intent, kind, ours, made):
                found = await self._seen(intent, kind, made)
                seen = found if found is not None and found.same else None
        except Unreadable:
            pass  # nothing is known of the object, so nothing is said of it
        return verification, seen, differs

    async def _undone(self, intent: Intent, kind: ActionType, expected: Expected) -> tuple[Verification, ObjectState | None, str]:
        """Whether a compensation left its object as expected, if its own adapter declares no postcondition; and what differs."""
        seen = await self._seen(intent, kind, None)
        if seen is None:
            return _unseen(intent), None, ""
        if (differs := objects.difference(seen, expected)) is not None:
            return Verification.FAILED, None, differs
        return Verification.PASSED, seen, ""

    async def _refusing(self, intent: Intent, kind: ActionType) -> ObjectState | None:
        """The object after the tool refused the condition that the gateway had added; ``None`` if it cannot be read."""
        try:
            return await self._seen(intent, kind, None)
        except Unreadable:
            return None

    async def _seen(self, intent: Intent, kind: ActionType, created: str | None) -> ObjectState | None:
        """What is there now; ``None`` if it cannot be read.

        Raises:
            Unreadable: the tool shows it in a form of which nothing can be said.
        """
        try:
            known, action = intent.known, intent.action
            return await self.reader.object_state(known.tool, kind, action.captures, known.run.tenant, action.carried, created=created)
        except Unreadable:
            raise
        except (UpstreamFailure, KeyError, ValueError):
            return None


def _unseen(intent: Intent) -> Verification:
    """A postcondition that cannot be read is not met. Only for a compensation, whose object is read again at the end of its
    rollback, it stays open.
    """
    undoing = intent.known.undoing
    return Verification.NONE if undoing is not None and undoing.expects is not None else Verification.FAILED


def _version(intent: Intent, kind: ActionType, document: dict[str, object]) -> str | None:
    """The version that the write's own reply says it left; none after a delete, and no digest of a reply that may have another shape."""
    thing = intent.known.tool.catalog.objects.get(kind.object_type or "")
    return None if thing is None or thing.digest or kind.method == "DELETE" else resolve.version_of(thing, document)


def _tells(kind: ActionType, declared: Postcondition) -> bool:
    """Whether it takes the write's own reply to find its object, or to compare it."""
    return kind.creates is not None or "reply" in declared.expect.roots


def _only_a_look_shows(intent: Intent, kind: ActionType, ours: str | None, made: str | None) -> bool:
    """Whether the object has to be read to know the version that a write left: a digest is made of its state, the reply to a create may
    have none, and a version that is the one from before says nothing unless the state is that one too.
    """
    thing, before = intent.known.tool.catalog.objects.get(kind.object_type or ""), intent.before
    if thing is None or kind.method == "DELETE" or (kind.creates is not None and made is None):
        return False
    if ours is None and kind.creates is not None:
        return thing.version is not None
    return thing.digest or (ours is not None and before.exists and thing.state is not None and versions.same(before.version, ours))
