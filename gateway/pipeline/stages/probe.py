"""The probe: what became of a write of unknown outcome, by its object at the tool and by all that the journal knows of the object.

What it cannot decide is a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core import reconciliation, tasks
from gateway.core.adapter import catalog, probing
from gateway.core.adapter.objects import ObjectState
from gateway.core.reconciliation import Conclusion, Judgement, Observation
from gateway.errors import UpstreamFailure
from gateway.model.effect import KnownBy, State, Write
from gateway.model.entry import Result
from gateway.pipeline import journal_entries
from gateway.pipeline.polling import PendingWrites
from gateway.pipeline.stages.listing_search import ListingSearch
from gateway.pipeline.stages.probed_write import ProbedWrites, ProbeResult
from gateway.pipeline.tool import Tool, ToolReader
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.projections import Registry, Writes

UNSEEN = 900.0
"""Seconds for which a tool that does not show what became of a write is waited for before a person is asked."""

_NO_PROBE = Judgement(Conclusion.UNDECIDED, "it has no probe")
_UNREADABLE = Judgement(Conclusion.UNDECIDED, "its object's state proves nothing")
_NOT_SHOWN = Judgement(Conclusion.UNDECIDED, "its tool has not returned the object since")


@dataclass(frozen=True, slots=True)
class Decided:
    """``UNKNOWN`` while neither the probe nor a person has decided; ``task_id`` is the person's. ``seen`` is false if the tool did not
    show the object.
    """

    state: State
    task_id: str | None = None
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Probe:
    probed_writes: ProbedWrites
    listing_search: ListingSearch
    reader: ToolReader
    journal: Journal
    registry: Registry
    writes: Writes
    history: History
    clock: Clock
    pending: PendingWrites

    async def __call__(self, write: Write) -> Decided:
        """Decide the outcome if possible, by the journal, then by the write's object; otherwise open one task, and only after a while
        if the tool is unavailable.
        """
        if write.pending and (polled := await self.pending(write)) is not None:
            return Decided(polled.state, polled.task_id, seen=polled.state is not State.UNKNOWN)
        others = await self.others(write)
        settle = self.probed_writes.settle_time(write)
        proved = reconciliation.proved_by_other_writes(write, others)
        if proved is not None and proved.conclusion is Conclusion.NOT_APPLIED:
            return await self.concluded(write, ProbeResult(proved))
        if settle is None:
            return Decided(State.UNKNOWN, await self._task(write, _NO_PROBE))
        age = self.clock.now() - await self.last_sent(write)
        shown = True
        try:
            seen = await self._look(write, others, settled=age >= settle)
        except UpstreamFailure:
            seen, shown = ProbeResult(_NOT_SHOWN), False
        except (ValueError, KeyError):
            seen = ProbeResult(_UNREADABLE)
        if seen.judgement.conclusion is not Conclusion.UNDECIDED:
            return await self.concluded(write, seen)
        asked = age >= (settle if shown else max(settle, UNSEEN))
        return Decided(State.UNKNOWN, await self._task(write, seen.judgement, seen.version) if asked else None, shown)

    async def decide(self, write: Write) -> State:
        """Decide the outcome if possible; ``UNKNOWN`` if it is not."""
        return (await self(write)).state

    async def others(self, write: Write) -> Sequence[Write]:
        """All other writes of its object that were open at or after its intent and did not fail, of any run or workflow.

        One that may have asked for another language counts as unguarded: its tool may have compared the version of another object.
        """
        found = await self.writes.others(write) if write.target.id else ()
        if not write.guarded or not any(one.guarded for one in found):
            return found
        language = await self.probed_writes.language(write)
        return [
            replace(one, guarded=False) if one.guarded and (language is None or await self.probed_writes.language(one) != language) else one
            for one in found
        ]

    async def concluded(self, write: Write, seen: ProbeResult, *, by: str = "probe") -> Decided:
        """Journal what a look has decided."""
        match seen.judgement.conclusion:
            case Conclusion.PROVEN:
                await self._conclude(write, Result.SUCCESS, by=by, seen=seen, known_by=KnownBy.MARK)
                return Decided(State.STANDING)
            case Conclusion.FOUND:
                await self._conclude(write, Result.FOUND, by=by, seen=seen, known_by=KnownBy.STATE)
                return Decided(State.STANDING)
            case Conclusion.NOT_APPLIED:
                await self._conclude(write, Result.FAILED, by=by, seen=seen)
                return Decided(State.FAILED)
            case Conclusion.UNDECIDED:
                return Decided(State.UNKNOWN)

    async def abandon(self, write: Write) -> None:
        """Journal that nobody carries a write any more: its outcome is unknown."""
        reason = "the gateway stopped before the outcome was known"
        await self.journal.append(
            journal_entries.reconciliation(write, self.clock.now(), result=Result.UNKNOWN, by="restart", reason=reason)
        )

    async def conclude_by_person(self, write: Write, applied: bool, by: str, note: str) -> None:
        """Journal what a person found out about a write."""
        result, known_by = (Result.SUCCESS, KnownBy.PERSON) if applied else (Result.FAILED, None)
        entry = journal_entries.reconciliation(write, self.clock.now(), result=result, by=by, reason=note, known_by=known_by)
        await self.journal.append(entry)

    async def last_sent(self, write: Write) -> float:
        """A time (Unix seconds) after which nothing of the write left here: it may have waited for a connection since its intent."""
        entry = await self.history.entry(write.outcome) if write.outcome is not None else None
        return write.at if entry is None else max(write.at, entry.at)

    async def may_have_caused(self, writes: Iterable[Write], seen: ObjectState) -> frozenset[str]:
        """The wire keys of unsettled writes that the object, as it is now, may come from: those without a probe may all be it."""
        found = []
        for write in writes:
            if write.state in reconciliation.UNSETTLED:
                probed = await self.probed_writes.open(write)
                if probed is None or probed.request.redacted or probed.applied(seen.document):
                    found.append(write.wire_key)
        return frozenset(found)

    async def _look(self, write: Write, others: Sequence[Write], *, settled: bool) -> ProbeResult:
        probed = await self.probed_writes.open(write)
        # What was struck out is what a listing would be searched for: not finding it proves nothing.
        if probed is None or probed.request.redacted:
            return ProbeResult(_UNREADABLE)
        if probed.probe.find is not None:
            return await self.listing_search(probed, settled=settled)
        seen = await self.reader.object_state(probed.tool, probed.kind, probed.request.captures, write.key.tenant, probed.request.carried)
        if not seen.same:
            return ProbeResult(_UNREADABLE, version=seen.version)
        observed = Observation(
            applied=probed.applied(seen.document),
            marked=probed.marked(seen.document),
            version=seen.version,
            exists=seen.exists,
            settled=settled,
            repeats=repeats(probed.tool, probed.kind),
        )
        return await self.judged(write, others, seen, observed, asked=probed.request.document["request"])

    async def judged(
        self, write: Write, others: Sequence[Write], seen: ObjectState, observed: Observation, *, asked: object = None
    ) -> ProbeResult:
        """What a look says of a write; ``asked`` is its request."""
        causes = await self.may_have_caused(others, seen) if observed.applied else frozenset()
        judgement = reconciliation.by_state(write, others, observed, lambda other: other.wire_key in causes)
        if judgement.conclusion is not Conclusion.PROVEN:
            return ProbeResult(judgement, version=seen.version)
        # It was applied; but a version that contains another change too must not guard a restore.
        ours = probing.ours_alone(await self.probed_writes.state_before(write), seen.state, asked, replaced=write.method == "PUT")
        return ProbeResult(judgement, version=seen.version, after=seen.version if ours else None)

    async def _conclude(self, write: Write, result: Result, *, by: str, seen: ProbeResult, known_by: KnownBy | None = None) -> None:
        became = write if seen.made is None else replace(write, target=replace(write.target, id=seen.made))
        entry = journal_entries.reconciliation(
            became,
            self.clock.now(),
            result=result,
            by=by,
            reason=seen.judgement.why,
            known_by=known_by,
            after_version=seen.after if result is Result.SUCCESS else None,
        )
        await self.journal.append(entry)

    async def _task(self, write: Write, judgement: Judgement, seen: str | None = None) -> str:
        """The one task about a write, and about those of unknown outcome that its object may come from as well."""
        together = sorted((write, *(one for one in judgement.rivals if one.state is State.UNKNOWN)), key=lambda one: one.intent.seq)
        task = tasks.outcome_unknown(together, why=judgement.why, seen=seen, at=self.clock.now())
        known = await self.registry.task(task.task_id)
        if known is None or (known.resolution is None and not set(task.wire_keys) <= set(known.wire_keys)):
            first = together[0]
            owner = tasks.Owner(workflow_id=first.key.workflow_id, generation=first.generation, step_id=first.step_id)
            await self.journal.append(tasks.entry(task, owner))
        return task.task_id


def repeats(tool: Tool, kind: catalog.ActionType | None) -> bool:
    """Whether the versions of an action's object are digests of what it holds."""
    thing = tool.catalog.objects.get(kind.object_type or "") if kind is not None else None
    return thing is not None and thing.digest
