"""Drives an incident to its end: contained, taken back, looked at again, taken up with tighter rights.

It stops where a person has to decide, and goes on by itself once they have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import errors
from gateway.control.checkpoints import Checkpoints, NotVerified, UnknownCheckpoint
from gateway.control.containment import Containment
from gateway.control.resume import CannotResume, NotReady, Resume
from gateway.control.rollback.ground import START, NotContained
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.core import checkpoints as choosing
from gateway.core import records, recovery, resuming, stamp
from gateway.core.opening import TooWide
from gateway.core.recovery import Recovery, Situation, Stage
from gateway.model.entry import Kind, Position
from gateway.model.incident import Incident
from gateway.model.order import Scope
from gateway.model.rollback import Rollback, RollbackStatus
from gateway.model.run import Mode, Run
from gateway.ports import Clock, Journal, Registry
from gateway.ports.rollback import RollbackRecords
from gateway.ports.sentinel import Incidents

_PAGE = 1000

Spawn = Callable[[Coroutine[object, object, None]], object]
Unsound = Callable[[Run, Rollback], Awaitable[tuple[str, ...]]]
"""What is not as it should be, read from the tools now."""


@dataclass(frozen=True, slots=True)
class Recover:
    journal: Journal
    registry: Registry
    incidents: Incidents
    containment: Containment
    rollbacks: Rollbacks
    records: RollbackRecords
    checkpoints: Checkpoints
    resume: Resume
    unsound: Unsound
    clock: Clock
    spawn: Spawn
    log: Callable[..., object]
    _driven: set[str] = field(default_factory=set)

    async def __call__(self, incident_id: str, request: resuming.Request, *, by: str, reason: str) -> tuple[Incident, Recovery]:
        """Ask for an incident's recovery, and go as far as it goes without a person.

        Raises:
            KeyError: there is no such incident.
            JournalUnavailable: nothing was begun.
        """
        incident = await self._known(incident_id)
        wanted = {"by": by, "reason": reason, "request": resuming.written(request), "asked_at": stamp.micros(self.clock.now())}
        asked = replace(incident, recovery=wanted, updated_at=self.clock.now())
        await self._journal(asked, "recover", by=by, reason=reason)
        self.spawn(self.go_on(incident_id))
        return asked, await self.told(asked)

    async def told(self, incident: Incident) -> Recovery:
        """Where an incident's recovery stands now."""
        run = await self.registry.run(incident.run_id)
        if run is None:
            return Recovery(Stage.GIVEN_UP, f"run {incident.run_id} is not in this journal")
        return recovery.recovery(await self._situation(incident, run))

    async def go_on(self, incident_id: str) -> None:
        """Take the steps that need no person. What stops it is journaled where it happens; calling this again goes on from there."""
        if incident_id in self._driven:
            return
        self._driven.add(incident_id)
        try:
            while await self._step(await self._known(incident_id)):
                pass
        except (errors.JournalUnavailable, NotContained, CannotResume, NotReady, NotVerified, UnknownCheckpoint, TooWide) as stopped:
            self.log("recovery-stopped", incident=incident_id, error=str(stopped))
        finally:
            self._driven.discard(incident_id)

    async def catch_up(self) -> int:
        """At start: go on with the recoveries that an earlier process was driving. Says how many."""
        open_, after = [], None
        while page := await self.incidents.incidents(after=after, limit=_PAGE):
            open_ += [one.incident_id for one in page if one.recovery is not None and one.closed_at is None]
            after = page[-1].incident_id
        for incident_id in open_:
            self.spawn(self.go_on(incident_id))
        return len(open_)

    def heard(self, fields: Mapping[str, Any], position: Position) -> None:
        """Hear of whatever a recovery may wait for."""
        match fields["kind"]:
            case Kind.ROLLBACK if fields.get("change") in ("ended", "waits", "stopped"):
                self.spawn(self._woken(fields["run_id"]))
            case Kind.TASK if fields.get("change") == "resolved":
                self.spawn(self._woken(fields["run_id"]))
            case Kind.RUN if fields["change"] in ("resumed", "closed"):
                self.spawn(self._closed(fields["run_id"], fields["change"]))

    async def _step(self, incident: Incident) -> bool:
        """Take the next step; whether there may be another one right away."""
        if incident.recovery is None:
            return False
        wanted = incident.recovery
        by, reason = str(wanted["by"]), str(wanted["reason"])
        now = await self.told(incident)
        match now.stage:
            case Stage.CONTAIN:
                scope = Scope(run=incident.run_id)
                await self.containment.make(scope, Mode.QUARANTINED, reason=f"recovery of {incident.incident_id}: {reason}", by=by)
                return True
            case Stage.COMPENSATE:
                to = now.checkpoint or START
                await self.rollbacks.start(incident.run_id, subtree=False, to=to, reason=reason, by=by, incident=incident)
                return False
            case Stage.RESUME:
                request = replace(resuming.read(wanted["request"]), checkpoint=now.checkpoint)
                await self.resume(incident.run_id, request, by=by, reason=reason)
                return False
            case _:
                return False

    async def _situation(self, incident: Incident, run: Run) -> Situation:
        rollback = await self._rollback(incident, run)
        over = rollback is not None and rollback.status in (RollbackStatus.CLEAN, RollbackStatus.RESIDUE)
        return Situation(
            incident=incident,
            run=run,
            contained=self.resume.contained(run),
            choice=await self._choice(incident, run),
            rollback=rollback,
            tasks=await self._tasks(rollback) if rollback is not None else (),
            unsound=await self.unsound(run, rollback) if rollback is not None and over else (),
        )

    async def _choice(self, incident: Incident, run: Run) -> choosing.Chosen | choosing.NotReady:
        named = resuming.read(incident.recovery["request"]).checkpoint if incident.recovery is not None else None
        if named is None:
            return await self.checkpoints.choose(run)
        try:
            return choosing.Chosen(await self.checkpoints.find(run, named))
        except (UnknownCheckpoint, NotVerified) as wrong:
            return choosing.NotReady(str(wrong))

    async def _rollback(self, incident: Incident, run: Run) -> Rollback | None:
        """The newest rollback of this generation of the run: the incident's own, or one that somebody else began."""
        found = [one for one in await self.records.rollbacks(run=run.run_id, limit=_PAGE) if one.generation == incident.generation]
        return found[-1] if found else None

    async def _tasks(self, rollback: Rollback) -> tuple[str, ...]:
        found = await self.registry.tasks(run=rollback.run_id, limit=_PAGE)
        return tuple(task.task_id for task in found if task.resolution is None)

    async def _woken(self, run_id: str) -> None:
        for incident in await self.incidents.incidents(run=run_id, limit=_PAGE):
            if incident.recovery is not None and incident.closed_at is None:
                await self.go_on(incident.incident_id)

    async def _closed(self, run_id: str, change: str) -> None:
        """A run that goes on, or was given up, closes its incidents."""
        run = await self._run(run_id)
        now = self.clock.now()
        for incident in await self.incidents.incidents(run=run_id, limit=_PAGE):
            over = incident.generation < run.generation or run.closed_at is not None
            if incident.closed_at is None and over:
                await self._journal(
                    replace(incident, closed_at=now, updated_at=now), "closed", by="gateway", reason=f"the run was {change}"
                )

    async def _journal(self, incident: Incident, change: str, *, by: str, reason: str) -> None:
        entry: dict[str, object] = {
            "ts": stamp.rfc3339(self.clock.now()),
            "kind": Kind.ROLLBACK.value,
            "tenant": incident.tenant,
            "workflow_id": incident.workflow_id,
            "run_id": incident.run_id,
            "generation": incident.generation,
            "change": change,
            "incident": records.incident_entry(incident),
            "by": by,
            "reason": reason,
        }
        await self.journal.append(entry)

    async def _known(self, incident_id: str) -> Incident:
        found = await self.incidents.incident(incident_id)
        if found is None:
            raise KeyError(incident_id)
        return found

    async def _run(self, run_id: str) -> Run:
        run = await self.registry.run(run_id)
        if run is None:
            raise KeyError(run_id)
        return run
