"""Checkpoints of runs: taken by an orchestrator, found at every verified boundary, chosen after an incident.

Taking one is a ``checkpoint`` entry with the whole record::

    {"kind": "checkpoint", "checkpoint_id", "checkpoint": {...}, "ts", "tenant", "workflow_id", "run_id", "generation", "agent_id",
     "task_class", "by", "reason"}

The automatic ones have none: they are computed from the run's effects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core.authorization import approvals
from gateway.core.codec import entry as codec
from gateway.core.codec.record import position_of
from gateway.core.incident import findings
from gateway.core.incident.findings import FirstBad
from gateway.core.rollback import checkpoints
from gateway.core.rollback.checkpoints import Chosen, NotReady
from gateway.model.effect import Write
from gateway.model.entries import CheckpointEntry, FindingEntry
from gateway.model.entry import Kind, Position
from gateway.model.review import ApprovalStatus
from gateway.model.rollback import START, Checkpoint
from gateway.model.run import Run
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal, Query
from gateway.ports.projections import ApprovalRecords, CheckpointRecords, Incidents, Registry, Writes
from gateway.ports.rollback import RollbackRecords


class NotVerified(Exception):
    """Not every effect of the run is known and verified; ``effects`` lists the others, oldest first."""

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
        place = checkpoints.at_entry(run.run_id, run.generation, Position(end.stream, end.seq), writes)
        if standing := checkpoints.obstacles(writes, end.seq):
            raise NotVerified(checkpoints.why_unsound(place, standing), standing)
        now, asked = self.clock.now(), await self.approvals.approvals(run=run.run_id, limit=None)
        taken = replace(
            self._of(run, place),
            checkpoint_id=self.clock.mint("chk"),
            automatic=False,
            state_ref=state_ref,
            label=label,
            approvals=tuple([one.approval_id for one in asked if approvals.status(one, now=now) is ApprovalStatus.PENDING]),
            tasks=tuple([one.task_id for one in await self.registry.tasks(run=run.run_id, limit=None) if one.resolution is None]),
            by=by,
            taken_at=now,
        )
        entry = CheckpointEntry(**codec.owner(run, now), checkpoint_id=taken.checkpoint_id, checkpoint=taken, by=by, reason=reason)
        await self.journal.append(entry)
        return taken

    async def automatic(self, run: Run) -> Checkpoint | None:
        """The newest verified boundary of a run."""
        found = checkpoints.latest_boundary(await self.writes.of_run(run.run_id), None)
        return None if found is None else self._of(run, found)

    async def choose(self, run: Run) -> Chosen | NotReady:
        """Where to resume a run, by what its journal says: before the first bad entry of what it is contained for."""
        writes = await self.writes.of_run(run.run_id)
        rollbacks = await self.rollbacks.rollbacks(run=run.run_id, limit=None)
        targets = checkpoints.rollback_targets(rollbacks, run.generation, self.journal.stream, writes)
        places = [*targets, *await self.records.checkpoints(run.run_id, limit=None)]
        match checkpoints.choose(places, writes, await self.first_bad(run)):
            case Chosen(found, caution):
                return Chosen(self._of(run, found), caution)
            case not_ready:
                return not_ready

    async def first_bad(self, run: Run) -> FirstBad:
        """The first entry that an incident of the run's generation is about, or was seen in."""
        incidents = await self.incidents.incidents(run=run.run_id, limit=None)
        return await self._first_bad([one for one in incidents if one.generation == run.generation])

    async def find(self, run: Run, name: str) -> Checkpoint:
        """The position of a checkpoint's id, of ``start``, or of an entry.

        Raises:
            UnknownCheckpoint: there is no such position.
            NotVerified: an effect before it is not known and verified, or was undone since; or one after it would be made again.
        """
        writes = await self.writes.of_run(run.run_id)
        found = self._of(run, await self._named(run, name, writes))
        if effects := checkpoints.obstacles(writes, found.seq):
            raise NotVerified(checkpoints.why_unsound(found, effects), effects)
        if effects := checkpoints.unrepeatable(writes, found.seq):
            raise NotVerified(checkpoints.why_unrepeatable(found, effects), effects)
        return found

    async def state_ref(self, run: Run, seq: int) -> str | None:
        """Where the workflow's state for continuing from an entry is kept: that of the newest sound checkpoint up to it.

        The journal answers the steps from that checkpoint to the entry.
        """
        found = await self._newest(run.run_id, await self.writes.of_run(run.run_id), seq)
        return None if found is None else found.state_ref

    async def position(self, run_id: str, checkpoint_id: str) -> Position | None:
        """Where a checkpoint that was taken of a run stands; ``None`` if the run has none of this id."""
        found = await self.records.checkpoint(checkpoint_id)
        return None if found is None or found.run_id != run_id else found.at

    async def last_for(self, incident: Incident) -> str | None:
        """The target checkpoint of an incident's rollback, if there is one: the latest explicit checkpoint before the first entry that
        the incident is about, or was detected in.

        Automatic checkpoints do not count: verified effects need not be intended ones.
        """
        bad = (await self._first_bad([incident])).seq
        writes = await self.writes.of_run(incident.run_id)
        found = await self._newest(incident.run_id, writes, math.inf if bad is None else bad - 1)
        return None if found is None else found.checkpoint_id

    async def _newest(self, run_id: str, writes: Sequence[Write], until: float) -> Checkpoint | None:
        """The newest sound checkpoint that was taken up to a place."""
        taken = await self.records.checkpoints(run_id, limit=None)
        sound = [one for one in taken if one.seq <= until and not checkpoints.obstacles(writes, one.seq)]
        return max(sound, key=lambda one: one.seq, default=None)

    async def _first_bad(self, incidents: Sequence[Incident]) -> FirstBad:
        """From the incidents' evidence; findings are read from the whole journal, since an incident names only some of them."""
        seen = [seq for one in incidents if one.cause != findings.CAUSE for seq in self._evidence(one)]
        found = [entry for one in incidents if one.cause == findings.CAUSE for entry in await self._findings(one)]
        return findings.first_bad(seen, found)

    async def _findings(self, incident: Incident) -> list[FindingEntry]:
        entries = await self.history.entries(Query(run=incident.run_id, kind=Kind.FINDING, limit=None))
        return [one for one in entries if isinstance(one, FindingEntry) and one.generation == incident.generation]

    async def _named(self, run: Run, name: str, writes: Sequence[Write]) -> Checkpoint:
        if name == START:
            return checkpoints.start()
        found = await self.records.checkpoint(name)
        if found is not None and found.run_id == run.run_id:
            return found
        place, end = position_of(name), await self.history.tail()
        if place is None or place.stream != end.stream or not 0 < place.seq <= end.seq:
            raise UnknownCheckpoint(f"{name!r} is neither a checkpoint of run {run.run_id} nor an entry of this journal, nor {START!r}.")
        return checkpoints.at_entry(run.run_id, run.generation, place, writes)

    def _evidence(self, incident: Incident) -> list[int]:
        places = [position_of(text) for text in incident.evidence]
        return [place.seq for place in places if place is not None and place.stream == self.journal.stream]

    def _of(self, run: Run, checkpoint: Checkpoint) -> Checkpoint:
        """A place as the run's: a projection of effects does not know of runs."""
        generation = checkpoint.generation or run.generation
        return replace(checkpoint, run_id=run.run_id, generation=generation, tenant=run.tenant, workflow_id=run.workflow_id)
