"""Checkpoints of runs: taken by an orchestrator, found at every verified boundary, chosen after an incident.

Taking one is a ``checkpoint`` entry with the whole record::

    {"kind": "checkpoint", "checkpoint_id", "checkpoint": {...}, "ts", "tenant", "workflow_id", "run_id", "generation", "agent_id",
     "task_class", "by", "reason"}

The automatic ones have none: they are a fold of the run's effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec.structs import replace

from gateway.core import timestamps
from gateway.core.authorization import approvals
from gateway.core.codec.record import position_of
from gateway.core.codec.review import CHECKPOINT
from gateway.core.incident import findings
from gateway.core.incident.findings import FirstBad
from gateway.core.rollback import checkpoints
from gateway.core.rollback.checkpoints import Chosen, NotReady
from gateway.model.approval import ApprovalStatus
from gateway.model.checkpoint import START, Checkpoint
from gateway.model.effect import Write
from gateway.model.entry import Kind, Position
from gateway.model.incident import Incident
from gateway.model.rollback import Rollback
from gateway.model.run import Run
from gateway.ports.approvals import ApprovalRecords
from gateway.ports.checkpoints import CheckpointRecords
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal, Query
from gateway.ports.projections import Registry, Writes
from gateway.ports.rollback import RollbackRecords
from gateway.ports.triggers import Incidents

_PAGE = 1000


class NotVerified(Exception):
    """What the run did is not all known and verified; ``effects`` stand against it, oldest first."""

    def __init__(self, why: str, effects: Sequence[Write]) -> None:
        super().__init__(why)
        self.effects = tuple(effects)


class UnknownCheckpoint(ValueError):
    """There is no such place in the run's journal."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    journal: Journal
    records: CheckpointRecords
    rollbacks: RollbackRecords
    writes: Writes
    history: History
    registry: Registry
    approvals: ApprovalRecords
    incidents: Incidents
    clock: Clock

    async def take(self, run: Run, *, state_ref: str, label: str | None, by: str, reason: str) -> Checkpoint:
        """Take a checkpoint of a run as it is now: all that was begun up to the newest entry is before it.

        Raises:
            NotVerified: an effect before it is in flight, unknown, or failed its verification.
            JournalUnavailable: it is not durable.
        """
        # The end first: what is begun while the rest is looked up is after the checkpoint.
        end = await self.history.tail()
        writes = await self.writes.of_run(run.run_id)
        place = checkpoints.entry(run.run_id, run.generation, Position(end.stream, end.seq), writes)
        if standing := checkpoints.against(writes, end.seq):
            raise NotVerified(checkpoints.assumed(place, standing), standing)
        now = self.clock.now()
        taken = replace(
            self._of(run, place),
            checkpoint_id=self.clock.mint("chk"),
            automatic=False,
            state_ref=state_ref,
            label=label,
            approvals=await self._pending(run.run_id, now),
            tasks=await self._open_tasks(run.run_id),
            by=by,
            taken_at=now,
        )
        await self.journal.append(_fields(run, taken, now, by=by, reason=reason))
        return taken

    async def automatic(self, run: Run) -> Checkpoint | None:
        """The newest verified boundary of a run."""
        found = checkpoints.boundary(await self.writes.of_run(run.run_id), None)
        return None if found is None else self._of(run, found)

    async def choose(self, run: Run) -> Chosen | NotReady:
        """Where to take a run up again, by what its journal says: before the first bad entry of what it is contained for."""
        writes = await self.writes.of_run(run.run_id)
        places = [*await self._led_back_to(run, writes), *await self._taken(run.run_id)]
        match checkpoints.choose(places, writes, await self.first_bad(run)):
            case Chosen(found, caution):
                return Chosen(self._of(run, found), caution)
            case not_ready:
                return not_ready

    async def first_bad(self, run: Run) -> FirstBad:
        """The first entry that an incident of the run's generation is about, or was seen in."""
        found: list[Incident] = []
        after: str | None = None
        while page := await self.incidents.incidents(run=run.run_id, after=after, limit=_PAGE):
            found += [incident for incident in page if incident.generation == run.generation]
            after = page[-1].incident_id
        return await self._first_bad(found)

    async def find(self, run: Run, name: str) -> Checkpoint:
        """The place of a name: a checkpoint's id, ``start``, or an entry.

        Raises:
            UnknownCheckpoint: it is none of these.
            NotVerified: an effect before it is not known and verified, or was taken back since; or one after it would be made again.
        """
        writes = await self.writes.of_run(run.run_id)
        found = self._of(run, await self._named(run, name, writes))
        if effects := checkpoints.against(writes, found.seq):
            raise NotVerified(checkpoints.assumed(found, effects), effects)
        if effects := checkpoints.unmade(writes, found.seq):
            raise NotVerified(checkpoints.repeated(found, effects), effects)
        return found

    async def state_ref(self, run: Run, checkpoint: Checkpoint) -> str | None:
        """Where the workflow's state for going on from a place is kept: that of the newest sound checkpoint taken up to it.

        From there on, steps that lead to the place answer from the journal.
        """
        return await self._state_ref(run, checkpoint.seq)

    async def resumed_with(self, run: Run) -> str | None:
        """The same of where a run that was resumed goes on from, told for as long as that state is sound."""
        return await self._state_ref(run, run.resumed_from)

    async def position(self, run_id: str, checkpoint_id: str) -> Position | None:
        """Where a checkpoint that was taken of a run stands; ``None`` where the run has none of this id."""
        found = await self.records.checkpoint(checkpoint_id)
        return None if found is None or found.run_id != run_id else found.at

    async def last_for(self, incident: Incident) -> str | None:
        """The checkpoint that an incident's rollback goes back to, if its run has one that can be used: the latest that somebody took
        before the first entry that the incident is about, or was seen in.

        A boundary that nobody took does not count: that effects were verified does not say that they were meant.
        """
        bad = (await self._first_bad([incident])).seq
        writes = await self.writes.of_run(incident.run_id)
        taken = [one for one in await self._taken(incident.run_id) if bad is None or one.seq < bad]
        sound = [one for one in taken if not checkpoints.against(writes, one.seq)]
        return max(sound, key=lambda one: one.seq).checkpoint_id if sound else None

    async def _state_ref(self, run: Run, seq: int) -> str | None:
        writes = await self.writes.of_run(run.run_id)
        taken = [one for one in await self._taken(run.run_id) if one.seq <= seq and not checkpoints.against(writes, one.seq)]
        return max(taken, key=lambda one: one.seq).state_ref if taken else None

    async def _first_bad(self, incidents: Sequence[Incident]) -> FirstBad:
        """By the incidents' evidence; of a finding the whole journal is asked, since an incident names only some of those it was told."""
        seen = [seq for one in incidents if one.cause != findings.CAUSE for seq in self._evidence(one)]
        told = [entry for one in incidents if one.cause == findings.CAUSE for entry in await self._findings(one)]
        return findings.first_bad(seen, told)

    async def _findings(self, incident: Incident) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: str | None = None
        while page := await self.history.entries(Query(run=incident.run_id, kind=Kind.FINDING.value, after=after, limit=_PAGE)):
            entries = [orjson.loads(line) for line in page]
            found += [entry for entry in entries if entry["generation"] == incident.generation]
            after = f"{entries[-1]['stream']}/{entries[-1]['seq']}"
        return found

    async def _named(self, run: Run, name: str, writes: Sequence[Write]) -> Checkpoint:
        if name == START:
            return checkpoints.start()
        found = await self.records.checkpoint(name)
        if found is not None and found.run_id == run.run_id:
            return found
        place, end = position_of(name), await self.history.tail()
        if place is None or place.stream != end.stream or not 0 < place.seq <= end.seq:
            raise UnknownCheckpoint(f"{name!r} is neither a checkpoint of run {run.run_id} nor an entry of this journal, nor {START!r}.")
        return checkpoints.entry(run.run_id, run.generation, place, writes)

    async def _taken(self, run_id: str) -> list[Checkpoint]:
        found: list[Checkpoint] = []
        while page := await self.records.checkpoints(run_id, after=found[-1].checkpoint_id if found else None, limit=_PAGE):
            found += page
        return found

    async def _led_back_to(self, run: Run, writes: Sequence[Write]) -> list[Checkpoint]:
        begun: list[Rollback] = []
        while page := await self.rollbacks.rollbacks(run=run.run_id, after=begun[-1].rollback_id if begun else None, limit=_PAGE):
            begun += page
        return checkpoints.led_back_to(begun, run.generation, self.journal.stream, writes)

    async def _pending(self, run_id: str, now: float) -> tuple[str, ...]:
        found: list[str] = []
        after: str | None = None
        while page := await self.approvals.approvals(run=run_id, after=after, limit=_PAGE):
            found += [one.approval_id for one in page if approvals.status(one, now=now) is ApprovalStatus.PENDING]
            after = page[-1].approval_id
        return tuple(found)

    async def _open_tasks(self, run_id: str) -> tuple[str, ...]:
        found: list[str] = []
        after: str | None = None
        while page := await self.registry.tasks(run=run_id, after=after, limit=_PAGE):
            found += [one.task_id for one in page if one.resolution is None]
            after = page[-1].task_id
        return tuple(found)

    def _evidence(self, incident: Incident) -> list[int]:
        places = [position_of(text) for text in incident.evidence]
        return [place.seq for place in places if place is not None and place.stream == self.journal.stream]

    def _of(self, run: Run, checkpoint: Checkpoint) -> Checkpoint:
        """A place with whose it is: a fold of effects does not know of runs."""
        generation = checkpoint.generation or run.generation
        return replace(checkpoint, run_id=run.run_id, generation=generation, tenant=run.tenant, workflow_id=run.workflow_id)


def _fields(run: Run, checkpoint: Checkpoint, now: float, *, by: str, reason: str) -> dict[str, object]:
    return {
        "ts": timestamps.rfc3339(now),
        "kind": Kind.CHECKPOINT.value,
        "tenant": run.tenant,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "generation": run.generation,
        "agent_id": run.agent_id,
        "task_class": run.task_class,
        "checkpoint_id": checkpoint.checkpoint_id,
        "checkpoint": CHECKPOINT.journal(checkpoint),
        "by": by,
        "reason": reason,
    }
