"""Has this call been made before? A key answers from the journal only while the effect it names stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway import errors
from gateway.core.adapter import resolve
from gateway.core.request import idempotency
from gateway.model.call import Effect
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.pipeline import journal_entries, sealed_payloads
from gateway.pipeline.evidence import Fresh, Kept, Metered
from gateway.pipeline.probe import Probe
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Sightings, Writes
from gateway.ports.vault import Vault

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
            OutcomeUnknown: neither the probe nor a person has decided it yet.
            ReplyNotKept: the effect stands, its reply is not there.
        """
        if metered.action.effect is Effect.READ:
            return Fresh(metered=metered)
        key = _key(metered)
        latest = await self.writes.latest(key.tenant, key.workflow_id, key.digest)
        if latest is not None and (before := await self._before(metered, key, latest)) is not None:
            return await self._kept(metered, before)
        match idempotency.consider(key, latest):
            case int(number):
                return Fresh(metered=metered, key=key, attempt=number)
            case Write(state=State.UNKNOWN) as write:
                return await self._ask(metered, key, write)
            case write:
                if await self._lapsed(metered, write):
                    return Fresh(metered=metered, key=key, attempt=write.attempt + 1)
                return await self._kept(metered, write)

    async def _before(self, metered: Metered, key: Key, latest: Write) -> Write | None:
        """The effect from before the place that the run was resumed from, for which the key answers whatever its age.

        A content key may have been lapsed and used again since then; what came of that says nothing of the earlier effect.
        """
        resumed_from = metered.known.run.resumed_from
        if key.kind is not KeyKind.CONTENT or not resumed_from:
            return None
        if latest.intent.seq <= resumed_from and latest.state is State.STANDING:
            return latest
        return await self.writes.standing(key, resumed_from)

    async def _ask(self, metered: Metered, key: Key, write: Write) -> Fresh:
        if metered.known.undoing is not None:  # the rollback's executor knows the expected state, and decides
            raise errors.OutcomeUnknown(f"The outcome of {write.action} ({write.intent}) is unknown.")
        decided = await self.probe(write)
        if decided.state is State.FAILED:
            return Fresh(metered=metered, key=key, attempt=write.attempt + 1)
        if decided.state is State.STANDING:
            raise errors.ReplyNotKept
        task: dict[str, Any] = {} if decided.task_id is None else {"task_id": decided.task_id}
        raise errors.OutcomeUnknown(f"The outcome of {write.action} ({write.intent}) is unknown.", **task)

    async def _lapsed(self, metered: Metered, write: Write) -> bool:
        """Whether a content key no longer speaks for its object: too old, written since, or seen at another version."""
        if write.key.kind is not KeyKind.CONTENT:
            return False
        if idempotency.lapsed_by_time(write, now=metered.known.at):
            return True
        if not metered.action.target.id:
            return False
        thing, workflow = metered.action.target.object, metered.known.run.workflow_id
        if await self.writes.rewritten(workflow, thing, write.intent.seq):
            return True
        seen = await self.sightings.by_workflow(workflow, thing)
        settled = write.outcome.seq if write.outcome is not None else write.intent.seq
        return seen is not None and seen.seq > settled and seen.version not in (None, write.after_version)

    async def _kept(self, metered: Metered, write: Write) -> Kept:
        try:
            plain = await self.vault.open(write.reply_ref)
        except KeyError as error:
            raise errors.ReplyNotKept("The tenant's records were forgotten.") from error
        if plain is None:
            raise errors.ReplyNotKept
        answer = sealed_payloads.reply_from(plain)
        position = self.journal.post(journal_entries.replay(metered, write, self.clock.now()))
        return Kept(metered=metered, write=write, answer=answer, position=position)


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
    )
