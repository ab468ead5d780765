"""A read: sent (after an error possibly again or to the fallback, as policy decides), streamed back, and journaled without
waiting for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from gateway import errors
from gateway.core import backoff, tasks
from gateway.core.adapter import resolve, versions
from gateway.core.adapter.catalog import ObjectType
from gateway.core.request import canonical
from gateway.model.call import Answer, Call, Reply
from gateway.model.entry import Position
from gateway.model.trigger import Measure, Trigger
from gateway.pipeline import headers, journal_entries, sealed_payloads, tool
from gateway.pipeline.answers import discard, gathered, reply_document, unreadable
from gateway.pipeline.evidence import Permitted
from gateway.pipeline.last_reads import LastReads
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.classify import classify
from gateway.pipeline.stages.decide import Decide
from gateway.pipeline.stages.gate import Gate
from gateway.pipeline.tool import ToolReader
from gateway.ports.approvals import Approvals
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.triggers import Responses
from gateway.ports.vault import Vault

RECOVERABLE = frozenset({429, 503})
"""What a tool says that cannot answer a read now."""
PAUSE = 0.1
"""Seconds before a read is sent again to a tool that does not say how long to wait."""
LONGEST_PAUSE = 2.0
"""Seconds; to a tool that wants a longer pause, the gateway does not send the read again."""
TRIES = 3
"""How often a read is sent at the most, whatever policy says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    reader: ToolReader
    gate: Gate
    decide: Decide
    approvals: Approvals
    responses: Responses
    journal: Journal
    replies: Replies
    vault: Vault
    clock: Clock
    last_reads: LastReads

    async def __call__(self, permit: Permitted) -> Reply:
        """Forward a read, and journal it without waiting for the disk.

        Raises:
            Refusal: an order came before the first byte, or the tool gave no answer.
        """
        asked = permit
        try:
            permit, answer = await self._answered(asked)
            if answer.status in RECOVERABLE:
                await self._give_back(asked)
            answer = await _gathered_if_needed(permit, answer)
        except errors.UpstreamFailure as lost:
            await self._give_back(asked)
            raise tool.refusal(lost, f"{permit.known.tool.name} gave no answer") from lost
        known, target = permit.known, permit.action.target
        looked_into, thing = _looks_into(permit, answer), _shown(permit, answer)
        reply = reply_document(answer, parsed=looked_into) if looked_into or thing is not None else {}
        conforms = not looked_into or _conforms(permit, answer, reply)
        version = None if thing is None else _version(permit, thing, answer, reply)
        if version is not None:
            self.last_reads.note(known.run.run_id, target.object, version, known.call)
        try:
            args = await self.vault.seal(known.run.tenant, sealed_payloads.request(permit)) if known.call.sealed else None
            entry = journal_entries.read(
                permit,
                self.clock.now(),
                status=answer.status,
                version=version,
                args=args,
                conforms=conforms,
                fallback_of=None if permit is asked else asked.action.name,
            )
            position = self.journal.post(entry, () if args is None else (args,))
            if permit.action.dry_run and not conforms:
                await self._made(permit, position)
        except errors.JournalUnavailable:
            await discard(answer)
            raise
        if version is not None and answer.rest is not None:
            answer = self.last_reads.watched(known.run.run_id, target.object, answer.rest, answer)
        return self.replies.passed(permit, answer, position, self.gate.fence(permit, sent=True))

    async def _give_back(self, asked: Permitted) -> None:
        """A tool that does not answer now has used up no approval. That of a dry run stays used: it may have been one in name only."""
        if asked.approval is not None and not asked.action.dry_run:
            with suppress(errors.JournalUnavailable):  # then it stays used
                await self.approvals.give_back(asked.approval)

    async def _made(self, permit: Permitted, position: Position) -> None:
        """Hand over to a person what the reply to a dry run says was made: there is no effect that a rollback could undo."""
        known = permit.known
        task = tasks.dry_run_made(known.run, permit.action.name, permit.action.target, position, self.clock.now())
        owner = tasks.Owner(workflow_id=known.run.workflow_id, generation=known.lease.generation, step_id=known.step.id)
        await self.journal.append(tasks.entry(task, owner))

    async def _answered(self, permit: Permitted) -> tuple[Permitted, Answer]:
        """The answer to a read, and the permit of what was sent: after an error it may be sent again or elsewhere, as policy decides.

        Raises:
            UpstreamFailure: there is no answer.
            Refusal: an order came before the first byte.
        """
        attempt = 0
        trouble: Answer | errors.UpstreamFailure
        while True:
            attempt += 1
            wait = None
            try:
                trouble = await self._sent(permit)
                if trouble.status not in RECOVERABLE:
                    return permit, trouble
                wait = retry_after(trouble, now=self.clock.now())
            except errors.UpstreamFailure as lost:
                trouble = lost
            match await self._measure(permit, trouble, attempt):
                case Measure.RETRY if attempt < TRIES and (wait or 0.0) <= LONGEST_PAUSE and not permit.action.dry_run:
                    await _given_up(trouble)
                    await asyncio.sleep(PAUSE if wait is None else wait)
                case Measure.FALLBACK if (other := await self._fallback(permit)) is not None:
                    await _given_up(trouble)
                    return other, await self._sent(other)
                case _ if isinstance(trouble, errors.UpstreamFailure):
                    raise trouble
                case _:
                    return permit, trouble

    async def _sent(self, permit: Permitted) -> Answer:
        known, action = permit.known, permit.action
        dry = action.dry_run
        identity = action.kind is not None and (action.target.id != "" or action.kind.reply_conforms is not None or dry)
        asked = known.tool.request(known.call, known.run.tenant, identity_encoding=identity, retriable=not dry)
        send = self.reader.dry_run if dry else self.reader.send
        return headers.received(known.tool, known.run.tenant, await send(asked, self.gate.fence(permit)))

    async def _measure(self, permit: Permitted, trouble: Answer | errors.UpstreamFailure, attempt: int) -> Measure:
        facts: dict[str, object] = {
            "effect": "read",
            "attempt": attempt,
            "fallback": permit.action.kind is not None and permit.action.kind.fallback is not None,
        }
        if isinstance(trouble, Answer):
            facts["status"] = trouble.status
        elif trouble.late:
            facts["timeout"] = True
        known = permit.known
        trigger = Trigger(
            name="recoverable.tool-error",
            at=self.clock.now(),
            count=attempt,
            effect="read",
            tool=known.tool.name,
            action=permit.action.name,
            facts=facts,
        )
        try:
            return (await self.responses.about(known.run, known.lease.generation, trigger)).action
        except errors.JournalUnavailable:
            return Measure.NONE

    async def _fallback(self, permit: Permitted) -> Permitted | None:
        """Leave to ask elsewhere, decided on like any call; ``None`` if there is no fallback, or policy does not allow it."""
        known, action = permit.known, permit.action
        if action.kind is None or action.kind.fallback is None:
            return None
        try:
            path = resolve.fallback_path(known.tool.catalog, action.kind, action.captures)
            classified = classify(replace(known, call=_elsewhere(known.call, path)))
        except (ValueError, KeyError, errors.Refusal):
            return None
        if classified.action.name != action.kind.fallback:
            return None
        opened = replace(permit.opened, known=classified.known, action=classified.action)
        decided = await self.decide(replace(permit.fresh, metered=replace(permit.fresh.metered, opened=opened)))
        return decided if isinstance(decided, Permitted) else None


def _looks_into(permit: Permitted, answer: Answer) -> bool:
    """Whether the gateway needs the body of an answer: to compare its form with the declared one, or for the version of the object."""
    action, known = permit.action, permit.known
    kind = action.kind
    if kind is None or answer.status != 200 or known.call.method == "HEAD":
        return kind is not None and action.dry_run
    if action.dry_run or kind.reply_conforms is not None:
        return True
    return kind.object is not None and action.target.id != "" and known.tool.catalog.objects[kind.object].version_in_body


async def _gathered_if_needed(permit: Permitted, answer: Answer) -> Answer:
    """The answer, complete if the gateway needs its body and it is short enough, and quick enough, to be kept for that."""
    return answer if answer.rest is None or not _looks_into(permit, answer) else await gathered(answer, permit.known.tool.timeout)


def _conforms(permit: Permitted, answer: Answer, reply: Mapping[str, object]) -> bool:
    """Whether a body is of the form that the adapter declares; what cannot be read shows nothing of it. Of a dry run: whether it was one,
    which a reply is not that names what was made, or that cannot be read.
    """
    kind = permit.action.kind
    if kind is not None and permit.action.dry_run:
        document = {**permit.action.document, "reply": reply}
        unmade = resolve.nothing_made(permit.known.tool.catalog, kind, permit.action.captures, document, answer.status)
        return unmade and (answer.status >= 300 or (answer.complete and not unreadable(answer, reply)))
    if kind is None or kind.reply_conforms is None or not answer.complete or unreadable(answer, reply):
        return True
    return kind.reply_conforms(reply["body"])


def _shown(permit: Permitted, answer: Answer) -> ObjectType | None:
    """The object that the run has now seen: only if it read the object itself, completely and without an error, or has it as it is now
    (304). A HEAD, and a part (206), show a version and not what is at it.
    """
    action, known = permit.action, permit.known
    kind, call = action.kind, known.call
    if kind is None or not action.target.id or answer.status not in (200, 304) or call.method != "GET" or action.dry_run:
        return None
    thing = known.tool.catalog.objects[kind.object_type or ""]
    if thing.version is None or thing.template.match(call.segments) is None:  # it read something beneath or beside the object
        return None
    part = thing.digest and call.query.keys() - {key for key, _ in action.carried.query}  # that is what a query may ask for
    return None if part else thing


def _version(permit: Permitted, thing: ObjectType, answer: Answer, reply: Mapping[str, object]) -> str | None:
    """The version at which the run has seen the object."""
    version = resolve.version_of(thing, {**permit.action.document, "reply": reply})
    return version if answer.status == 200 else _confirmed(thing, permit.known.call, version)


def _confirmed(thing: ObjectType, call: Call, version: str | None) -> str | None:
    """The version that a 304 says the agent has: one of those that it asked for by If-None-Match.

    One to If-Modified-Since, with its seconds, does not say which version the agent has.
    """
    asked = [tag for name, value in call.headers if name.lower() == b"if-none-match" for tag in versions.tags(value.decode("latin-1"))]
    if version is None and len(asked) == 1 and thing.version is not None and thing.version.keys == ("reply", "headers", "etag"):
        return asked[0]
    return version if any(versions.same(tag, version) for tag in asked) else None


async def _given_up(trouble: Answer | errors.UpstreamFailure) -> None:
    if isinstance(trouble, Answer):
        await discard(trouble)


def _elsewhere(call: Call, path: str) -> Call:
    """The same read of another path of the tool; as canonical as if an agent had sent it."""
    target = canonical.split(f"/{call.tool}{path}")
    return replace(call, path=target.path, segments=target.segments, body=b"", args=None)


def retry_after(answer: Answer, *, now: float) -> float | None:
    """Seconds that the tool asks for; ``None`` if it does not, or not readably. A date is compared with the answer's own, if it has one."""
    found = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
    asked = found.get(b"retry-after")
    if asked is None:
        return None
    sent = backoff.date(found.get(b"date", ""))
    return backoff.requested_pause(asked, now=now if sent is None else sent)
