"""Has this call been made before? A key answers from the journal only while the effect it names stands.

An effect whose outcome is unknown is decided by the adapter's probe, or else by a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import resolve, versions
from gateway.core.request import idempotency
from gateway.model.call import Effect
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.pipeline import headers, journal_entries, sealed_payloads
from gateway.pipeline.evidence import Fresh, Kept, Metered
from gateway.pipeline.stages.probe import Decided, Probe
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Sightings, Writes
from gateway.ports.vault import Vault

_FROM_ITS_TOOL = ("Cache-Control", "no-cache")
"""What keeps a cache on the way from answering with what it has."""

WINDOW = 900.0
"""Seconds for which a write without a key of its own answers, where the adapter says nothing else."""


@dataclass(frozen=True, slots=True)
class Recall:
    writes: Writes
    sightings: Sightings
    vault: Vault
    journal: Journal
    probe: Probe
    clock: Clock

    async def __call__(self, metered: Metered) -> Fresh | Kept:
        """The reply that this key stands for, or the attempt to be made.

        Raises:
            InFlight, KeyReused: by the newest attempt.
            OutcomeUnknown: neither the probe nor a person has decided it yet, or an equal call's.
            ReplyNotKept: the effect stands, its reply is not there.
        """
        if metered.action.effect is Effect.READ:
            return Fresh(metered=metered)
        key = _key(metered)
        if key.own is not None and (answered := await self._named(metered, key)) is not None:
            return answered
        latest = await self.writes.latest(key.tenant, key.workflow_id, key.digest)
        if latest is not None and (before := await self._before(metered, key, latest)) is not None:
            return await self._kept(metered, before, named=key)
        match idempotency.consider(key, latest):
            case int(number):
                return await self._fresh(metered, key, number)
            case Write(state=State.UNKNOWN) as write:
                return await self._ask(metered, key, write)
            case write:
                if write.key.kind is KeyKind.CONTENT and await self._lapsed(metered, write):
                    return await self._fresh(metered, key, write.attempt + 1)
                return await self._kept(metered, write, named=key)

    async def _named(self, metered: Metered, key: Key) -> Fresh | Kept | None:
        """What the agent's own key says, where it is looked up beside the content key; ``None`` if the content alone decides."""
        match idempotency.consider(replace(key, kind=KeyKind.OWN), await self.writes.named(key)):
            case int():
                return None
            case Write(state=State.UNKNOWN) as write:
                return await self._ask(metered, key, write)
            case write:
                return await self._kept(metered, write)

    async def _fresh(self, metered: Metered, key: Key, attempt: int) -> Fresh:
        """The attempt, unless an equal call under another key may have been applied without its agent knowing.

        One that is in flight is no obstacle: until its outcome is unknown, two equal calls under two keys are two calls.

        Raises:
            OutcomeUnknown: that one's outcome is not decided.
            ReplyNotKept: it was applied, as was found out later: nobody has had its reply.
        """
        if metered.known.undoing is None and self.writes.may_have_undecided(key.tenant, key.workflow_id):
            for write in await self.writes.undecided_equals(key):
                await self._told_apart(metered, write)
        return Fresh(metered=metered, key=key, attempt=attempt)

    async def _told_apart(self, metered: Metered, write: Write) -> None:
        if write.state is State.STANDING:
            applied = not await self._lapsed(metered, write)
        else:
            decided = await self.probe(write)
            if decided.state is State.UNKNOWN:
                raise _unknown(write, decided, "An equal call under another key is of unknown outcome")
            applied = decided.state is State.STANDING
        if applied:
            raise errors.ReplyNotKept(
                f"An equal call under another key, {write.action} ({write.intent}), was applied, and its reply was lost. Nothing was sent.",
                hint="Read the target: what you ask for was done. To do it once more, wait until the adapter's window is over.",
            )

    async def _before(self, metered: Metered, key: Key, latest: Write) -> Write | None:
        """The effect from before the place that the run was resumed from, for which the key answers whatever its age.

        A content key may have been used again since then; that later use does not change the earlier effect's state.
        """
        resumed_from = metered.known.run.resumed_from
        if key.kind is not KeyKind.CONTENT or not resumed_from:
            return None
        if latest.intent.seq <= resumed_from and latest.state is State.STANDING:
            return latest
        return await self.writes.standing(key, resumed_from)

    async def _ask(self, metered: Metered, key: Key, write: Write) -> Fresh | Kept:
        if metered.known.undoing is not None:  # the rollback's executor knows the expected state, and decides
            raise errors.OutcomeUnknown(f"The outcome of {write.action} ({write.intent}) is unknown.")
        decided = await self.probe(write)
        if decided.state is State.FAILED:
            return await self._fresh(metered, key, write.attempt + 1)
        if decided.state is State.STANDING:
            return await self._kept(metered, await self.writes.by_wire_key(write.wire_key) or write, named=key)
        if write.pending and decided.task_id is None:
            raise _unfinished(write, self.probe.pending.patience(write))
        raise _unknown(write, decided, "The outcome is unknown")

    async def _lapsed(self, metered: Metered, write: Write) -> bool:
        """Whether what a write did is no longer what an equal call asks for: too old, written since, or seen at a later version."""
        if idempotency.lapsed_by_time(write, now=metered.known.at):
            return True
        if not metered.action.target.id:
            return False
        thing, workflow = metered.action.target.object, metered.known.run.workflow_id
        if await self._rewritten(await self.writes.later(workflow, thing, write.intent.seq)):
            return True
        if write.found:  # which version it left is not known: the one that was seen may be that
            return False
        seen = await self.sightings.by_workflow(workflow, thing)
        settled = write.outcome.seq if write.outcome is not None else write.intent.seq
        if seen is None or seen.version is None or seen.seq <= settled:
            return False
        if versions.same(write.after_version, seen.version) or versions.same(write.before_version, seen.version):
            return False
        # A replica that lags, or a read that was slow, may show any version from before the write: that frees no key.
        if await self.writes.outdated(metered.action.target, seen.version, settled, metered.known.run.run_id):
            return False
        return await self._shown(metered, seen.version)

    async def _shown(self, metered: Metered, version: str) -> bool:
        """Whether the gateway's own read shows the object at this version too. One that shows another, whichever it is, says that one of
        the two reads was of the past; and of an object that cannot be read nothing is known.
        """
        action, known = metered.action, metered.known
        if action.kind is None:
            return False
        fresh = replace(action.carried, headers=(*action.carried.headers, _FROM_ITS_TOOL))
        try:
            now = await self.probe.reader.object_state(known.tool, action.kind, action.captures, known.run.tenant, fresh)
        except (errors.UpstreamFailure, KeyError, ValueError):
            return False
        return now.same and versions.same(version, now.version)

    async def _rewritten(self, later: Sequence[Write]) -> bool:
        """Whether one of the workflow's later writes to the object took place.

        Raises:
            InFlight, OutcomeUnknown: that is not known of one of them, so neither is what the earlier write's reply is still worth.
        """
        if any(write.state in (State.STANDING, State.COMPENSATED) for write in later):
            return True
        for write in later:
            if write.state is State.IN_FLIGHT:
                raise errors.InFlight(retry_after=idempotency.RETRY_IN_FLIGHT)
            decided = await self.probe(write)
            if decided.state is State.STANDING:
                return True
            if decided.state is State.UNKNOWN:
                raise _unknown(write, decided, "A later write to the same object is of unknown outcome")
        return False

    async def _kept(self, metered: Metered, write: Write, *, named: Key | None = None) -> Kept:
        """The reply of a write. The agent's own key, if the content of its call has found the write, is ``named`` and stands for that
        content from here on: for longer than equal contents are one call, too.
        """
        try:
            plain = await self.vault.open(write.reply_ref)
        except KeyError as error:
            raise errors.ReplyNotKept("The tenant's records were forgotten.") from error
        if plain is None:
            raise errors.ReplyNotKept
        answer = headers.received(metered.known.tool, metered.known.run.tenant, sealed_payloads.reply_from(plain))
        now = self.clock.now()
        if named is None or named.own is None or named.own == write.key.own:
            position = self.journal.post(journal_entries.replay(metered, write, now))
        else:
            position = await self.journal.append(journal_entries.replay(metered, write, now, named))
        return Kept(metered=metered, write=write, answer=answer, position=position)


def _unfinished(write: Write, again: float) -> errors.OutcomeUnknown:
    """The agent's error for a call that its tool has accepted and not finished."""
    hint = "Wait: poll the Location of its reply through the gateway, or send the same call again after the time in Retry-After."
    detail = f"The tool has accepted {write.action} ({write.intent}), and has not finished it."
    refused = errors.OutcomeUnknown(detail, hint=hint, retry_after=again, outcome="pending")
    refused.retryable = True
    return refused


def _key(metered: Metered) -> Key:
    known, kind = metered.known, metered.action.kind
    return idempotency.key(
        known.call,
        tenant=known.run.tenant,
        workflow_id=known.run.workflow_id,
        action=metered.action.name,
        own=known.own_key,
        step=known.step.id if known.step.named else None,
        identity=None if kind is None else resolve.identity_of(kind, metered.action.document),
        window=WINDOW if kind is None else kind.idempotency.window,
        place=metered.action.carried.place,
        together=kind is not None and kind.idempotency.together,
    )


def _unknown(write: Write, decided: Decided, what: str) -> errors.OutcomeUnknown:
    task: dict[str, Any] = {} if decided.task_id is None else {"task_id": decided.task_id}
    return errors.OutcomeUnknown(f"{what}: {write.action} ({write.intent}).", **task)
