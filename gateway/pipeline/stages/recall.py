"""Has this call been made before? A key answers from the journal only while the effect it names stands.

An effect whose outcome is unknown is decided by the adapter's probe, or else by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from msgspec.structs import replace

from gateway import errors
from gateway.core import tasks
from gateway.core.adapter import catalog, resolve
from gateway.core.adapter.resolve import Finding
from gateway.core.request import idempotency
from gateway.errors import UpstreamFailure
from gateway.model.call import Effect
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.model.entry import Result
from gateway.pipeline import journal_entries, sealed_payloads
from gateway.pipeline.evidence import Fresh, Kept, Metered
from gateway.pipeline.tool import Tool, ToolReads, Tools
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.projections import Registry, Sightings, Writes
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

        A content key may have been used again since then; that later use does not change the earlier effect's state.
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
        """Whether a content key no longer stands for its object: too old, written since, or seen at another version."""
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


UNSEEN = 900.0
"""Seconds for which a tool that does not show what became of a write is waited for before a person is asked."""


@dataclass(frozen=True, slots=True)
class Decided:
    """``UNKNOWN`` while neither the probe nor a person has decided; ``task_id`` is the person's. ``seen`` is false if the tool did not
    show the object.
    """

    state: State
    task_id: str | None = None
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe found; ``made`` is the id of what a create made."""

    finding: Finding
    version: str | None = None
    made: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    tools: Tools
    reads: ToolReads
    journal: Journal
    registry: Registry
    writes: Writes
    history: History
    vault: Vault
    clock: Clock

    async def __call__(self, write: Write) -> Decided:
        """Read the write's object and decide the outcome if possible; otherwise open one task, and only after a while if the
        tool is unavailable.
        """
        settle = self._settle_time(write)
        if settle is None:
            return Decided(State.UNKNOWN, await self._task(write, "it has no probe"))
        age = self.clock.now() - await self.last_sent(write)
        settled, shown = age >= settle, True
        try:
            seen = await self._find(write, settled=settled)
        except UpstreamFailure:
            seen, shown = Seen(Finding.UNDECIDED), False
        except (ValueError, KeyError):
            seen = Seen(Finding.UNDECIDED)
        match seen.finding:
            case Finding.APPLIED:
                await self.conclude(write, Result.SUCCESS, by="probe", reason="the write's result is there", seen=seen)
                return Decided(State.STANDING)
            case Finding.NOT_APPLIED:
                await self.conclude(write, Result.FAILED, by="probe", reason="the write's result is absent, and can no longer arrive")
                return Decided(State.FAILED)
            case Finding.UNDECIDED:
                why = "its object's state proves nothing" if shown else "its tool has not returned the object since"
                asked = settled if shown else age >= max(settle, UNSEEN)
                return Decided(State.UNKNOWN, await self._task(write, why, seen.version) if asked else None, shown)

    async def decide(self, write: Write) -> State:
        """Decide the outcome if possible; ``UNKNOWN`` if it is not."""
        return (await self(write)).state

    async def abandon(self, write: Write) -> None:
        """Journal that nobody carries a write any more: its outcome is unknown."""
        await self.conclude(write, Result.UNKNOWN, by="restart", reason="the gateway stopped before the outcome was known")

    async def conclude_by_person(self, write: Write, applied: bool, by: str, note: str) -> None:
        """Journal what a person found out about a write."""
        await self.conclude(write, Result.SUCCESS if applied else Result.FAILED, by=by, reason=note)

    async def last_sent(self, write: Write) -> float:
        """A time (Unix seconds) after which nothing of the write left here: it may have waited for a connection since its intent."""
        outcome = await self.history.entry(write.outcome) if write.outcome is not None else None
        return write.at if outcome is None else max(write.at, outcome.at)

    def _settle_time(self, write: Write) -> float | None:
        """Seconds after which a late apply is out of the question; ``None`` if the write cannot be probed."""
        tool = self.tools.get(write.tool)
        kind = tool.catalog.actions.get(write.action) if tool is not None else None
        if kind is None or kind.probe is None or write.args_ref is None or not (write.target.id or kind.probe.find):
            return None
        return kind.probe.settle

    async def _find(self, write: Write, *, settled: bool) -> Seen:
        tool = self.tools[write.tool]
        kind = tool.catalog.actions.get(write.action)
        plain = await self.vault.open(write.args_ref)
        if kind is None or kind.probe is None or plain is None:
            return Seen(Finding.UNDECIDED)
        request = sealed_payloads.request_from(plain, tool.catalog.variables)
        if request.redacted:  # what was struck out is what a listing would be searched for: not finding it proves nothing
            return Seen(Finding.UNDECIDED)
        if kind.probe.find is not None:
            return await self._listed(tool, kind, kind.probe, request, write, settled=settled)
        seen = await self.reads.object_state(tool, kind, request.captures, write.key.tenant)
        applied = kind.probe.applied.holds({**request.document, "object": seen.document})
        finding = resolve.finding_of(applied=applied, seen=seen.version, before=write.before_version, settled=settled)
        absent = finding is Finding.NOT_APPLIED and not seen.exists
        if absent and await self.writes.rewritten(write.key.workflow_id, write.target.object, write.intent.seq):
            # The object was absent before and is absent now; a later write may have removed it.
            return Seen(Finding.UNDECIDED)
        ours = finding is Finding.APPLIED and resolve.ours_alone(
            await self._before(write), seen.state, request.document["request"], replaced=write.method == "PUT"
        )
        # The write was applied; but a version that contains another change too must not guard a restore.
        return Seen(finding, version=seen.version if ours or finding is not Finding.APPLIED else None)

    async def _before(self, write: Write) -> object:
        """The state before it, ``None`` if its object did not exist or was not read."""
        plain = await self.vault.open(write.snapshot_ref)
        return None if plain is None else orjson.loads(plain).get("state")

    async def _listed(
        self, tool: Tool, kind: catalog.ActionType, probe: catalog.Probe, request: sealed_payloads.Request, write: Write, *, settled: bool
    ) -> Seen:
        """Search for the object of a create: one match is it, no match (after it has settled) means not applied, several prove nothing."""
        made = await self.reads.listing(tool, probe, request.captures, request.document, write.key.tenant)
        if made is not None and len(made) == 1:
            return Seen(Finding.APPLIED, version=await self._as_made(tool, kind, request, write, made[0]), made=made[0])
        return Seen(Finding.NOT_APPLIED if made == () and settled else Finding.UNDECIDED)

    async def _as_made(self, tool: Tool, kind: catalog.ActionType, request: sealed_payloads.Request, write: Write, made: str) -> str | None:
        """The version at which what was found is still as the create asked for; ``None`` if that does not show."""
        try:
            seen = await self.reads.object_state(tool, kind, request.captures, write.key.tenant, created=made)
        except (UpstreamFailure, ValueError, KeyError):
            return None
        asked = kind.verify is not None and kind.verify.expect.holds({**request.document, "object": seen.document})
        return seen.version if asked and seen.same else None

    async def conclude(self, write: Write, result: Result, *, by: str, reason: str, seen: Seen | None = None) -> None:
        """Journal what became of a write whose outcome was unknown."""
        became = write if seen is None or seen.made is None else replace(write, target=replace(write.target, id=seen.made))
        version = seen.version if seen is not None else None
        entry = journal_entries.reconciliation(became, self.clock.now(), result=result, by=by, reason=reason, after_version=version)
        await self.journal.append(entry)

    async def _task(self, write: Write, why: str, seen: str | None = None) -> str:
        task = tasks.outcome_unknown(write, why=why, seen=seen, at=self.clock.now())
        owner = tasks.Owner(workflow_id=write.key.workflow_id, generation=write.generation, step_id=write.step_id)
        if await self.registry.task(task.task_id) is None:
            await self.journal.append(tasks.entry(task, owner))
        return task.task_id
