"""Automatic rollbacks: started by a response, and continued when the event they waited for was decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway import errors
from gateway.control.containment.containment import Containment
from gateway.control.rollback.rollbacks import Rollbacks, Spawn
from gateway.control.rollback.scope import NotContained, WrongRollback
from gateway.model.entries import ApprovalEntry, Entry, ReconciliationEntry, TaskEntry
from gateway.model.entry import Position
from gateway.model.rollback import BY_ROLLBACK, START
from gateway.model.trigger import Incident, RollbackState
from gateway.ports.projections import Incidents, Registry
from gateway.ports.rollback import RollbackRecords

LastCheckpoint = Callable[[Incident], Awaitable[str | None]]
"""The id of the checkpoint to go back to for an incident, if its run has one that can be used."""


@dataclass(frozen=True, slots=True)
class AutomaticRollbacks:
    rollbacks: Rollbacks
    incidents: Incidents
    containment: Containment
    last_checkpoint: LastCheckpoint
    log: Callable[..., object]
    _later: dict[str, Incident] = field(default_factory=dict)
    """Those that could not begin for now, by id."""
    _beginning: set[str] = field(default_factory=set)

    async def __call__(self, incident: Incident) -> None:
        """Start the rollback that an incident's response asks for, once: to the run's last checkpoint, else to its start."""
        if incident.incident_id in self._beginning:
            return
        self._beginning.add(incident.incident_id)
        try:
            known = await self.incidents.incident(incident.incident_id)
            if known is None or known.rollback is RollbackState.DUE:
                await self._begin(incident)
            else:
                self._later.pop(incident.incident_id, None)  # somebody began it meanwhile
        finally:
            self._beginning.discard(incident.incident_id)

    async def _begin(self, incident: Incident) -> None:
        to = await self.last_checkpoint(incident) or START
        try:
            begun = await self.rollbacks.start(
                incident.run_id,
                subtree=self._subtree(incident),
                to=to,
                reason=f"{incident.cause}: {incident.why}",
                by=f"trigger:{incident.cause}",
                incident=incident,
            )
        except NotContained as released:
            self._log_delay(incident, released)
        except (WrongRollback, errors.JournalUnavailable) as not_now:
            if self._later.setdefault(incident.incident_id, incident) is incident:
                self._log_delay(incident, not_now)
            return
        else:
            if begun.incident_id != incident.incident_id:
                self._later[incident.incident_id] = incident  # another's is under way: this one's begins once that has ended
                return
        self._later.pop(incident.incident_id, None)

    async def tick(self) -> None:
        """Begin what could not begin before: the journal was down, or part of the scope was being undone already."""
        for incident in list(self._later.values()):
            await self(incident)

    async def catch_up(self) -> int:
        """At start: begin what was due and not begun. Returns how many."""
        known = await self.incidents.incidents(limit=None)
        due = [one for one in known if one.rollback is RollbackState.DUE and one.closed_at is None]
        for incident in due:
            await self(incident)
        return len(due)

    def _log_delay(self, incident: Incident, error: Exception) -> None:
        self.log("rollback-not-started", run=incident.run_id, incident=incident.incident_id, error=str(error))

    def _subtree(self, incident: Incident) -> bool:
        orders = [self.containment.order(name) for name in incident.orders]
        return any(order is not None and order.scope.run == incident.run_id and order.scope.subtree for order in orders)


@dataclass(frozen=True, slots=True)
class RollbackResumer:
    """Observes what people and probes decide, and continues the rollbacks that waited for it."""

    rollbacks: Rollbacks
    records: RollbackRecords
    registry: Registry
    spawn: Spawn

    def on_entry(self, entry: Entry, position: Position) -> None:
        match entry:
            case TaskEntry(change="resolved"):
                self.spawn(self._wake(entry.run_id))
            case ApprovalEntry(change="granted" | "denied") if entry.approval.rollback_id is not None:
                self.spawn(self._wake(entry.run_id))
            # An execution's own conclusions are in it already; those of a probe, or of a person, are for the next plan. The task that a
            # person resolves may be another run's, as the write may be on which a compensation of the same object waits.
            case ReconciliationEntry() if entry.rollback_id is None or entry.by != BY_ROLLBACK:
                self.spawn(self._wake(entry.run_id))
                self.spawn(self.rollbacks.decided_about(entry.target.object))

    async def _wake(self, run_id: str) -> None:
        run = await self.registry.run(run_id)
        for name in (run_id, *(run.ancestors if run is not None else ())):
            for rollback in await self.records.rollbacks(run=name, limit=None):
                await self.rollbacks.continue_waiting(rollback.rollback_id)
