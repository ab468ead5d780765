"""Recovers an incident: contain, roll back, verify, resume with fewer permissions.

It waits if a person has to decide, and continues automatically after the decision. Its stage follows from the journal alone, so that
the next process after a crash continues it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.containment import Containment
from gateway.control.review.tasks import Tasks
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import NotContained, WrongRollback
from gateway.control.runs.checkpoints import Checkpoints, NotVerified, UnknownCheckpoint
from gateway.control.runs.resume import CannotResume, NotReady, Resume
from gateway.core import tasks as handing
from gateway.core import timestamps
from gateway.core.authorization import admission
from gateway.core.authorization.admission import TooWide
from gateway.core.backoff import Backoff
from gateway.core.incident import incidents, recovery
from gateway.core.incident.recovery import Recovery, RecoveryInputs, Stage, StateDefect
from gateway.core.rollback import checkpoints as choosing
from gateway.model.entries import Entry, RollbackEntry, RunEntry, TaskEntry
from gateway.model.entry import Position
from gateway.model.rollback import START, NodeState, Rollback, RollbackStatus
from gateway.model.run import Mode, Run, Scope
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Incidents, Registry, required
from gateway.ports.rollback import RollbackRecords

_BACKOFF = Backoff(1.0, 60.0)
"""Between two checks of what has no entry in the journal."""
_OVER = (Stage.RESUMED, Stage.GIVEN_UP)
_STOPPED = (errors.JournalUnavailable, NotContained, WrongRollback, CannotResume, NotReady, NotVerified, UnknownCheckpoint, TooWide)
"""Errors of a step that may not occur again at a later attempt."""

Spawn = Callable[[Coroutine[object, object, None]], object]
Unsound = Callable[[Run, Rollback], Awaitable[tuple[StateDefect, ...]]]
"""What is not as it should be, read from the tools now."""


@dataclass(slots=True)
class _Driven:
    """A recovery in this process. ``busy``: its steps are being taken; ``woken``: something was decided since its stage was read."""

    busy: bool = False
    woken: bool = False
    checks: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class RecoveryDriver:
    """``unsound`` reads the tools, and is called only if nothing else prevents resuming the run."""

    journal: Journal
    registry: Registry
    incidents: Incidents
    containment: Containment
    rollbacks: Rollbacks
    records: RollbackRecords
    checkpoints: Checkpoints
    resume: Resume
    tasks: Tasks
    unsound: Unsound
    clock: Clock
    spawn: Spawn
    log: Callable[..., object]
    _driven: dict[str, _Driven] = field(default_factory=dict)
    """Those asked for and not over, by incident."""
    _closing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, incident_id: str, request: admission.ResumeRequest, *, by: str, reason: str) -> tuple[Incident, Recovery]:
        """Request an incident's recovery, and do all steps that need no person. A recovery that has ended does not change. For a run that
        was closed before, the request only acknowledges the incident.

        Raises:
            KeyError: there is no such incident.
            TooWide: it asks for more than the run has.
            JournalUnavailable: nothing was begun.
        """
        incident = await self._known(incident_id)
        now = await self.view(incident)
        if now.stage is Stage.RESUMED or incident.closed_at is not None:
            return incident, now
        admission.narrowed(await required(self.registry.run(incident.run_id), incident.run_id), request)
        wanted = {
            "by": by,
            "reason": reason,
            "request": admission.RESUME_REQUEST.journal(request),
            "asked_at": timestamps.micros(self.clock.now()),
        }
        asked = replace(incident, recovery=wanted, updated_at=self.clock.now())
        await self._journal(asked, "recover", by=by, reason=reason)
        self.spawn(self.proceed(incident_id))
        return asked, await self.view(asked)

    async def view(self, incident: Incident) -> Recovery:
        """Where an incident's recovery stands now."""
        run = await self.registry.run(incident.run_id)
        if run is None:
            return Recovery(Stage.GIVEN_UP, f"run {incident.run_id} is not in this journal")
        if (ended := recovery.ended(incident, run)) is not None:
            return ended
        situation = await self._situation(incident, run)
        now = recovery.recovery(situation)
        if now.stage is not Stage.RESUME or situation.rollback is None:
            return now
        return recovery.recovery(replace(situation, unsound=await self.unsound(run, situation.rollback)))

    async def proceed(self, incident_id: str) -> None:
        """Take the steps that need no person. Whatever stops it, calling this again continues from there."""
        driven = self._driven.setdefault(incident_id, _Driven())
        driven.woken = True
        if driven.busy:
            return
        driven.busy = True
        try:
            while driven.woken:
                driven.woken = False
                await self._steps(incident_id)
        except _STOPPED as stopped:
            self.log("recovery-stopped", incident=incident_id, error=str(stopped))
        finally:
            driven.busy = False

    async def catch_up(self) -> int:
        """At start: continue the recoveries of an earlier process, and close what ended meanwhile. Returns how many continue."""
        open_ = await self._open(None)
        for incident in open_:
            await self._close(incident.incident_id)
        asked = [one.incident_id for one in open_ if one.recovery is not None]
        for incident_id in asked:
            self.spawn(self.proceed(incident_id))
        return len(asked)

    def tick(self) -> None:
        """Check the recoveries that wait for something without an entry: a repaired tool, a journal that was down."""
        now = self.clock.monotonic()
        due = [name for name, one in self._driven.items() if one.due <= now and not one.busy]
        for incident_id in due:
            driven = self._driven[incident_id]
            driven.checks += 1
            driven.due = now + _BACKOFF.pause(driven.checks)
            self.spawn(self.proceed(incident_id))

    def on_entry(self, entry: Entry, position: Position) -> None:
        """Observe everything that a recovery may wait for."""
        match entry:
            case RollbackEntry(change="ended" | "waits" | "stopped") | TaskEntry(change="resolved"):
                self.spawn(self._woken(entry.run_id))
            case RunEntry(change="resumed" | "closed"):
                self.spawn(self._closed(entry.run_id))

    async def _steps(self, incident_id: str) -> None:
        while True:
            incident = await self._known(incident_id)
            now = await self.view(incident)
            if incident.recovery is None or now.stage in _OVER:
                await self._close(incident_id)
                self._driven.pop(incident_id, None)
                return
            for task in now.tasks:
                await self.tasks.open(task, handing.Owner(workflow_id=incident.workflow_id, generation=incident.generation))
            if not await self._step(incident, incident.recovery, now):
                return

    async def _step(self, incident: Incident, wanted: Mapping[str, Any], now: Recovery) -> bool:
        """Take the next step; whether there may be another one right away."""
        by, reason = str(wanted["by"]), str(wanted["reason"])
        match now.stage:
            case Stage.CONTAIN:
                scope = Scope(run=incident.run_id)
                await self.containment.make(scope, Mode.QUARANTINED, reason=f"recovery of {incident.incident_id}: {reason}", by=by)
                return True
            case Stage.COMPENSATE:
                to = now.checkpoint or await self.checkpoints.last_for(incident) or START
                await self.rollbacks.start(incident.run_id, subtree=False, to=to, reason=reason, by=by, incident=incident)
                return False
            case Stage.RESUME:
                await self._resolve_tasks(incident.run_id)
                request = replace(admission.RESUME_REQUEST.read(wanted["request"]), checkpoint=now.checkpoint)
                await self.resume(incident.run_id, request, by=by, reason=reason)
                return True
            case _:
                return False

    async def _situation(self, incident: Incident, run: Run) -> RecoveryInputs:
        choice = await self._choice(incident, run)
        place = choice.checkpoint.seq if isinstance(choice, choosing.Chosen) else None
        rollbacks = [one for one in await self.records.rollbacks(run=run.run_id, limit=None) if one.generation == incident.generation]
        rollback = recovery.current_rollback(rollbacks, place)
        reached = True
        if rollback is not None and place is not None and rollback.since > place:
            reached = recovery.reached(rollback, place, await self.checkpoints.writes.of_run(run.run_id))
        return RecoveryInputs(
            incident=incident,
            run=run,
            contained=self.resume.contained(run),
            choice=choice,
            rollback=rollback,
            reached=reached,
            tasks=await self._tasks(run.run_id, of_objects=False),
            approvals=() if rollback is None else await self._approvals(rollback),
            hindered=await self.resume.hindered(run),
        )

    async def _choice(self, incident: Incident, run: Run) -> choosing.Chosen | choosing.NotReady:
        named = admission.RESUME_REQUEST.read(incident.recovery["request"]).checkpoint if incident.recovery is not None else None
        if named is None:
            return await self.checkpoints.choose(run)
        try:
            return choosing.Chosen(await self.checkpoints.find(run, named))
        except (UnknownCheckpoint, NotVerified) as wrong:
            return choosing.NotReady(str(wrong))

    async def _approvals(self, rollback: Rollback) -> tuple[str, ...]:
        """The approvals that a rollback waits for."""
        if rollback.status is not RollbackStatus.NEEDS_OPERATOR:
            return ()
        marks = await self.records.marks(rollback.rollback_id, rollback.run_id)
        waiting = [mark for mark in marks.values() if mark.state == NodeState.WAITING]
        return tuple(mark.approval_id for mark in waiting if mark.approval_id is not None)

    async def _tasks(self, run_id: str, *, of_objects: bool) -> tuple[str, ...]:
        """The run's open tasks: those of objects that a recheck found otherwise, or all others."""
        known = await self.registry.tasks(run=run_id, limit=None)
        return tuple([one.task_id for one in known if one.resolution is None and handing.is_of_object(one.task_id) is of_objects])

    async def _resolve_tasks(self, run_id: str) -> None:
        """Resolve the tasks about objects that were found changed after a rollback and are correct again."""
        for task_id in await self._tasks(run_id, of_objects=True):
            with suppress(handing.AlreadyResolved):
                await self.tasks.resolve(task_id, resolution="not_needed", note="Its state is correct again.", by="gateway")

    async def _woken(self, run_id: str) -> None:
        for incident in await self._open(run_id):
            if incident.recovery is not None:
                await self.proceed(incident.incident_id)

    async def _closed(self, run_id: str) -> None:
        """A run that continues, or was given up, closes its incidents."""
        for incident in await self._open(run_id):
            await self._close(incident.incident_id)

    async def _close(self, incident_id: str) -> None:
        async with self._closing:
            incident = await self._known(incident_id)
            run = await self.registry.run(incident.run_id)
            if run is None or incident.closed_at is not None:
                return
            if (why := incidents.closing_reason(incident, run)) is not None:
                now = self.clock.now()
                closed = replace(incident, closed_at=now, updated_at=now)
                await self._journal(closed, "closed", by="gateway", reason=why)
        self._driven.pop(incident_id, None)

    async def _open(self, run_id: str | None) -> list[Incident]:
        """The incidents that are not closed, of one run or of all."""
        return [one for one in await self.incidents.incidents(run=run_id, limit=None) if one.closed_at is None]

    async def _journal(self, incident: Incident, change: str, *, by: str, reason: str) -> None:
        entry = RollbackEntry(
            ts=timestamps.rfc3339(self.clock.now()),
            tenant=incident.tenant,
            workflow_id=incident.workflow_id,
            run_id=incident.run_id,
            generation=incident.generation,
            change=change,
            incident=incident,
            by=by,
            reason=reason,
        )
        await self.journal.append(entry)

    async def _known(self, incident_id: str) -> Incident:
        return await required(self.incidents.incident(incident_id), incident_id)
