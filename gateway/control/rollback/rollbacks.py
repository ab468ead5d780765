"""Rollbacks: planned, started, stopped and resumed, by people, by triggers, and by the next process after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.containment import Containment
from gateway.control.rollback.execution import ActiveRollbacks, Attempts, Execution, RollbackEntries, RollbackView
from gateway.control.rollback.executor import Executor, OutcomeCheck
from gateway.control.rollback.scope import Busy, RollbackPlanner, WrongRollback
from gateway.core.incident import incidents
from gateway.core.rollback import progress
from gateway.core.rollback.progress import Schedule
from gateway.model.effect import State
from gateway.model.entry import Position, Sealed
from gateway.model.rollback import Plan, Rollback, RollbackStatus
from gateway.model.run import Run
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.ports.projections import Incidents, Registry, required
from gateway.ports.rollback import RollbackRecords

_DECIDED = "what it waited for was decided"

Spawn = Callable[[Coroutine[object, object, None]], object]


@dataclass(frozen=True, slots=True)
class Rollbacks:
    """One change of any rollback at a time, under the lock ``alone``, which resuming a run takes, too: what a change rests on still holds
    when its entry is durable. ``owner`` names this process in the records of what it executes.
    """

    scope_query: RollbackPlanner
    execute: Executor
    outcome: OutcomeCheck
    entries: RollbackEntries
    records: RollbackRecords
    incidents: Incidents
    registry: Registry
    containment: Containment
    clock: Clock
    spawn: Spawn
    owner: str
    alone: asyncio.Lock
    active: ActiveRollbacks = field(default_factory=ActiveRollbacks)

    async def dry_run(self, run_id: str, *, subtree: bool, to: str) -> Plan:
        """The plan of a rollback, as it would be made now. Nothing is changed.

        Raises:
            KeyError: there is no such run.
            WrongRollback: ``to`` is neither ``start`` nor a checkpoint of the run nor an entry.
        """
        run = await self._run(run_id)
        return (await self.scope_query(run, subtree=subtree, since=await self.scope_query.since(run, to), wait=False)).plan

    async def start(self, run_id: str, *, subtree: bool, to: str, reason: str, by: str, incident: Incident | None = None) -> Rollback:
        """Begin to undo what a run did since ``to``. Returns the rollback that is under way already, if there is one.

        Raises:
            KeyError: there is no such run.
            NotContained: the scope is not contained.
            WrongRollback: ``to`` is not a valid target.
            JournalUnavailable: nothing was begun.
        """
        run = await self._run(run_id)
        if (known := await self.scope_query.under_way(run, subtree=subtree)) is not None:
            return known
        await self.scope_query.contained(run, subtree=subtree)
        since, before = await self.scope_query.since(run, to), await self.scope_query.begun(run, subtree=subtree)
        scope = await self.scope_query(run, subtree=subtree, since=since)
        async with self.alone:
            if (known := await self.scope_query.under_way(run, subtree=subtree)) is not None:
                return known
            if await self.scope_query.begun(run, subtree=subtree) != before:  # what is planned here was undone meanwhile
                scope = await self.scope_query(run, subtree=subtree, since=since, wait=False)
            await self.scope_query.contained(await self._run(run_id), subtree=subtree)  # it may have been resumed meanwhile
            rollback_id = self.clock.mint("rb")
            if scope.plan.irreversible:
                # Before it begins: after a crash, too, nothing can have followed from the irreversible effect.
                await self.scope_query.freeze(run, rollback_id, subtree=subtree)
            sealed = await self.entries.sealed(run.tenant, scope.plan)
            now = self.clock.now()
            rollback = Rollback(
                rollback_id=rollback_id,
                run_id=run_id,
                subtree=subtree,
                tenant=run.tenant,
                workflow_id=run.workflow_id,
                generation=run.generation,
                to=to,
                since=since.seq if since is not None else 0,
                reason=reason,
                by=by,
                status=RollbackStatus.RUNNING,
                epoch=self.containment.replica.epoch,
                owner=self.owner,
                owner_epoch=1,
                plan_ref=sealed.ref,
                nodes=len(scope.plan.nodes),
                started_at=now,
                updated_at=now,
                incident_id=incident.incident_id if incident is not None else None,
            )
            await self._change(rollback, "started", by=by, reason=reason, plan=sealed, incident=incident)
            self._begin(Execution(rollback, scope, Schedule(scope.plan, {}), Attempts()))
            return rollback

    async def view(self, rollback_id: str) -> RollbackView:
        """How a rollback stands, node by node.

        Raises:
            KeyError: there is no such rollback.
        """
        rollback = await self._known(rollback_id)
        marks = await self.records.marks(rollback_id, rollback.run_id)
        if (execution := self.active.get(rollback_id)) is not None:
            # A watcher polls: what is known here need not be read again, so that the rollback is not slowed down.
            return RollbackView(rollback, execution.scope.plan, execution.states(), marks, dict(execution.waits), execution.unseen)
        planned = await self.entries.plan_of(rollback)
        states = progress.node_states(planned, await self.records.compensations(rollback_id), marks, continuing=False)
        return RollbackView(rollback, planned, states, marks)

    async def stop(self, rollback_id: str, *, reason: str, by: str) -> Rollback:
        """Send no more compensations. What is on the wire ends with its true outcome; ``resume`` continues.

        Raises:
            KeyError: there is no such rollback.
            WrongRollback: it has ended.
        """
        await self._unended(rollback_id)
        # Before it is durable, and before waiting for anything: a stop must work while the journal does not.
        self.active.request_stop(rollback_id, reason, by)
        async with self.alone:
            return await self._stop(rollback_id)

    async def resume(self, rollback_id: str, *, reason: str, by: str) -> Rollback:
        """Continue a rollback that was stopped or waits for a person; what was decided meanwhile is planned again.

        Raises:
            KeyError: there is no such rollback.
            NotContained: the scope is not contained any more.
            WrongRollback: it is clean, or runs, or another one of its scope does.
        """
        rollback = await self._known(rollback_id)
        execution = self.active.get(rollback_id)
        if execution is not None and (execution.stopped.is_set() or rollback.status is not RollbackStatus.RUNNING):
            await execution.ended.wait()  # calls that were on the wire when it was stopped have to end first
            rollback = await self._known(rollback_id)
        if rollback_id in self.active.executions or rollback.status is RollbackStatus.CLEAN:
            raise WrongRollback(f"Rollback {rollback_id} is {rollback.status}; there is nothing to continue.")
        await self.scope_query.contained(run := await self._run(rollback.run_id), subtree=rollback.subtree)
        self.active.stop_requests.pop(rollback_id, None)
        return await self._continue(rollback, run, change="continued", by=by, reason=reason, restart=True)

    async def adopt(self) -> int:
        """At start: continue what an earlier process was executing, or what may wait for a decision made since. Returns how many."""
        for rollback in (left := await self.records.unfinished()):
            await self._claim(rollback)
        return len(left)

    def is_executing(self, rollback_id: str) -> bool:
        """Whether a rollback is executed here, now."""
        return rollback_id in self.active.executions

    def stop_all(self) -> None:
        """At the end of the process: nothing more is sent here. The next process continues."""
        for execution in self.active.executions.values():
            execution.stop()

    async def tick(self) -> None:
        """Journal the stops that the journal could not take before, and continue rollbacks that lost their execution by that.

        Rollbacks that wait for calls on the wire are continued once these have ended.
        """
        for rollback_id in list(self.active.stop_requests):
            async with self.alone:
                await self._stop(rollback_id)
        for rollback_id in list(self.active.orphaned):
            tried = await self.records.compensations(rollback_id)
            if any(write.state is State.IN_FLIGHT for write in tried):
                continue  # the reconciler has yet to journal that no task carries it
            await self._claim(await self._known(rollback_id))
            self.active.orphaned.discard(rollback_id)
        for rollback_id in self.active.calls_ended(self.scope_query.live):
            await self.continue_waiting(rollback_id)

    async def continue_waiting(self, rollback_id: str) -> None:
        """Continue a rollback after a decision that it waited for: now if it waits; if it still runs, once it waits."""
        if (execution := self.active.get(rollback_id)) is not None:
            execution.wake()
            return
        rollback = await self.records.rollback(rollback_id)
        if rollback is not None and rollback.status is RollbackStatus.RUNNING:
            self.active.decide(rollback_id)
        # Another caller may have continued it by a plan from before this decision, so that it waits again by now.
        while rollback is not None and rollback.status is RollbackStatus.NEEDS_OPERATOR and rollback_id not in self.active.stop_requests:
            run = await self._run(rollback.run_id)
            rollback = await self._continue(rollback, run, change="continued", by="gateway", reason=_DECIDED)

    async def decided_about(self, target_object: str) -> None:
        """Continue the rollbacks that may wait for what became of a write to this object, by any run."""
        for rollback_id in self.active.about(target_object):
            await self.continue_waiting(rollback_id)

    async def _claim(self, rollback: Rollback) -> None:
        if not rollback.status.ended:
            run = await self._run(rollback.run_id)
            await self._continue(rollback, run, change="claimed", by=self.owner, reason="the process that executed it is gone")

    async def _continue(self, rollback: Rollback, run: Run, *, change: str, by: str, reason: str, restart: bool = False) -> Rollback:
        """Continue a rollback with a new plan, unless it was continued or stopped meanwhile. ``restart``: the patience with waiting nodes
        begins again.
        """
        since = Position(self.entries.journal.stream, rollback.since) if rollback.since else None
        before = await self.scope_query.begun(run, subtree=rollback.subtree)
        scope = await self.scope_query(run, subtree=rollback.subtree, since=since)
        # As it was, with what was decided since: nodes that are done stay in it, so that others may follow them.
        gone = progress.undone_elsewhere(scope.effects.values(), await self.records.compensations(rollback.rollback_id))
        scope = replace(scope, plan=progress.merge_plans(await self.entries.plan_of(rollback), scope.plan, gone))
        sealed = await self.entries.sealed(run.tenant, scope.plan)
        async with self.alone:
            found = await self._known(rollback.rollback_id)
            if (execution := self.active.get(rollback.rollback_id)) is not None:
                execution.wake()
                return found
            if found != rollback or rollback.rollback_id in self.active.stop_requests:
                if found.status is RollbackStatus.RUNNING:
                    self.active.decide(found.rollback_id)  # somebody else's plan may be from before what this one heeds
                return found
            if found.status.ended:
                if (other := await self.scope_query.under_way(run, subtree=found.subtree)) is not None:
                    raise Busy(other)
                if await self.scope_query.begun(run, subtree=found.subtree) != before:
                    raise WrongRollback("Another rollback of the same scope began and ended in the meantime; try again.")
            claimed = replace(
                rollback,
                status=RollbackStatus.RUNNING,
                owner=self.owner,
                owner_epoch=rollback.owner_epoch + 1,
                plan_ref=sealed.ref,
                nodes=len(scope.plan.nodes),
                updated_at=self.clock.now(),
                ended_at=None,
            )
            await self._change(claimed, change, by=by, reason=reason, plan=sealed)
            attempts = await self.records.compensations(rollback.rollback_id)
            marks = await self.records.marks(rollback.rollback_id, rollback.run_id)
            schedule = Schedule(scope.plan, progress.node_states(scope.plan, attempts, marks, continuing=True))
            self._begin(Execution(claimed, scope, schedule, Attempts(attempts), {} if restart else progress.wait_starts(marks)))
            return claimed

    async def _stop(self, rollback_id: str) -> Rollback:
        try:
            rollback = await self._unended(rollback_id)
        except WrongRollback:
            self.active.stop_requests.pop(rollback_id, None)
            raise
        reason, by = self.active.stop_requests[rollback_id]
        self.active.request_stop(rollback_id, reason, by)  # an execution that began after the request stops, too
        now = self.clock.now()
        stopped = replace(rollback, status=RollbackStatus.STOPPED, updated_at=now, ended_at=now)
        await self._change(stopped, "stopped", by=by, reason=reason)
        self.active.stop_requests.pop(rollback_id, None)
        self.active.objects.pop(rollback_id, None)
        return stopped

    async def _unended(self, rollback_id: str) -> Rollback:
        rollback = await self._known(rollback_id)
        if rollback.status.ended:
            raise WrongRollback(f"Rollback {rollback_id} has ended: {rollback.status}.")
        return rollback

    def _begin(self, execution: Execution) -> None:
        self.active.begin(execution)
        self.spawn(self._executed(execution))

    async def _executed(self, execution: Execution) -> None:
        rollback_id = execution.rollback.rollback_id
        waits, restart = False, False
        try:
            await self.execute(execution)
            restart = execution.woken and execution.waiting and not execution.stopped.is_set()
            waits = not restart and await self._end(execution)
        except errors.JournalUnavailable:
            self.active.orphaned.add(rollback_id)
            raise
        finally:
            self.active.end(execution)
        if not restart and not waits:
            self.active.objects.pop(rollback_id, None)
        if restart:
            await self._renew(rollback_id)
        elif waits and execution.woken:
            await self.continue_waiting(rollback_id)
        elif waits:
            self.active.await_calls(execution)

    async def _renew(self, rollback_id: str) -> None:
        """Plan a running rollback again with what was decided; later, if the journal is down."""
        try:
            if (left := await self._known(rollback_id)).status is RollbackStatus.RUNNING:
                await self._continue(left, await self._run(left.run_id), change="continued", by="gateway", reason=_DECIDED)
        except errors.JournalUnavailable:
            self.active.orphaned.add(rollback_id)
            raise

    async def _end(self, execution: Execution) -> bool:
        """Journal the outcome. Returns whether the rollback waits for a person."""
        rollback = execution.rollback
        status, left = await self.outcome(await self._run(rollback.run_id), execution)
        async with self.alone:
            if execution.stopped.is_set():
                return False
            now = self.clock.now()
            ended = replace(rollback, status=status, residue=left, updated_at=now, ended_at=now if status.ended else None)
            await self._change(ended, "ended" if status.ended else "waits", by=self.owner, reason=str(status))
        return not status.ended

    async def _change(
        self, rollback: Rollback, change: str, *, by: str, reason: str, plan: Sealed | None = None, incident: Incident | None = None
    ) -> None:
        """Journal a change of a rollback with its whole record, its new ``plan``, and the incident that it is for."""
        if incident is None and rollback.incident_id is not None:
            incident = await self.incidents.incident(rollback.incident_id)
        about = incidents.with_rollback(incident, rollback, self.clock.now())
        blobs = () if plan is None else (plan,)
        await self.entries.append(rollback, change, blobs, rollback=rollback, incident=about, by=by, reason=reason)

    async def _known(self, rollback_id: str) -> Rollback:
        return await required(self.records.rollback(rollback_id), rollback_id)

    async def _run(self, run_id: str) -> Run:
        return await required(self.registry.run(run_id), run_id)
