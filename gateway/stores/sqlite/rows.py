"""Table rows and the model's values."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec.structs import replace

from gateway.core.codec.record import APPROVAL, CHECKPOINT, INCIDENT, ORDER, ROLLBACK, RUN, TASK
from gateway.core.journal.projection import WriteSettled
from gateway.model.approval import Approval, ApprovalStatus
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.checkpoint import Checkpoint
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.model.entry import Position, Verification
from gateway.model.rollback import Rollback
from gateway.model.run import Order, Run
from gateway.model.task import Task
from gateway.model.trigger import Incident
from gateway.stores.sqlite.database import Row


def of_write(write: Write) -> Row:
    """In the order of the query ``keep_writes``."""
    key, target, way = write.key, write.target, write.compensation
    return (
        write.intent.seq,
        key.tenant,
        key.workflow_id,
        key.digest,
        write.attempt,
        key.kind.value,
        key.content,
        key.window,
        write.wire_key,
        write.state.value,
        write.run_id,
        write.generation,
        write.step_id,
        write.tool,
        write.action,
        target.system,
        target.type,
        target.id,
        target.tenant,
        target.object if target.id else None,
        way.reversibility.value,
        way.remedy.value,
        way.automatic,
        way.allowed_until,
        write.at,
        write.before_version,
        write.snapshot_ref,
        write.args_ref,
        write.rollback_id,
        write.parent_step,
        write.method,
        write.existed,
        orjson.dumps(write.compensates).decode() if write.compensates else None,
    )


def write(row: Row, stream: str) -> Write:
    """From ``SELECT *``, in the order of the table."""
    cells: tuple[Any, ...] = row
    (seq, tenant, workflow_id, digest, attempt, kind, content, window, wire_key, state, run_id, generation, step_id, tool, action) = cells[
        :15
    ]
    (system, type_, id_, target_tenant, _, class_, remedy, automatic, until, at) = cells[15:25]
    (before, snapshot, args, rollback_id, outcome, status, after, reply, verification) = cells[25:34]
    (parent_step, method, existed, compensates) = cells[34:]
    return Write(
        key=Key(tenant=tenant, workflow_id=workflow_id, kind=KeyKind(kind), digest=digest, content=content, window=window),
        attempt=attempt,
        wire_key=wire_key,
        state=State(state),
        run_id=run_id,
        generation=generation,
        step_id=step_id,
        tool=tool,
        action=action,
        target=Target(system, type_, id_, target_tenant),
        compensation=Compensation(
            reversibility=Reversibility(class_), remedy=Remedy(remedy), automatic=bool(automatic), allowed_until=until
        ),
        intent=Position(stream, seq),
        outcome=None if outcome is None else Position(stream, outcome),
        at=at,
        status=status,
        before_version=before,
        after_version=after,
        snapshot_ref=snapshot,
        args_ref=args,
        reply_ref=reply,
        verification=Verification(verification),
        rollback_id=rollback_id,
        parent_step=parent_step,
        method=method,
        existed=None if existed is None else bool(existed),
        compensates=tuple(orjson.loads(compensates)) if compensates else (),
    )


def of_settled(settled: WriteSettled) -> Row:
    """In the order of the query ``settle_writes``."""
    return (
        settled.wire_key,
        settled.state.value,
        settled.reconciled,
        settled.outcome.seq,
        settled.status,
        settled.after_version,
        settled.reply_ref,
        settled.verification.value,
        settled.made,
        settled.object,
    )


def of_run(run: Run) -> Row:
    """In the order of the query ``keep_run``."""
    document = orjson.dumps(RUN.journal(run))
    return (run.run_id, run.tenant, run.agent_id, run.parent_run, run.closed_at is not None, run.revoked, document)


def run(row: Row) -> Run:
    """From ``document, revoked``; the column holds what orders revoked since."""
    cells: tuple[Any, ...] = row
    document, revoked = cells
    found = RUN.read(orjson.loads(document))
    return found if found.revoked == revoked else replace(found, revoked=revoked)


def of_order(order: Order) -> Row:
    return (order.order_id, order.epoch, orjson.dumps(ORDER.journal(order)))


def order(row: Row) -> Order:
    (document,) = row
    return ORDER.read(orjson.loads(document))  # type: ignore[arg-type]


def of_task(task: Task) -> Row:
    return (task.task_id, task.run_id, orjson.dumps(TASK.journal(task)))


def task(row: Row) -> Task:
    (document,) = row
    return TASK.read(orjson.loads(document))  # type: ignore[arg-type]


def of_incident(incident: Incident) -> Row:
    found = incident
    return (found.incident_id, found.run_id, found.generation, found.cause, orjson.dumps(INCIDENT.journal(found)))


def incident(row: Row) -> Incident:
    (document,) = row
    return INCIDENT.read(orjson.loads(document))  # type: ignore[arg-type]


def of_approval(approval: Approval) -> Row:
    one = approval
    document = orjson.dumps(APPROVAL.journal(one))
    return (one.approval_id, one.run_id, one.generation, one.action, one.content, one.number, one.status.value, document)


def approval(row: Row) -> Approval:
    """From ``document, status, used_at, used_by``; the last three hold what an intent did to it since."""
    cells: tuple[Any, ...] = row
    document, status, used_at, used_by = cells
    found = APPROVAL.read(orjson.loads(document))
    return found if found.status == status else replace(found, status=ApprovalStatus(status), used_at=used_at, used_by=used_by)


def of_checkpoint(checkpoint: Checkpoint) -> Row:
    return (checkpoint.checkpoint_id, checkpoint.run_id, orjson.dumps(CHECKPOINT.journal(checkpoint)))


def checkpoint(row: Row) -> Checkpoint:
    (document,) = row
    return CHECKPOINT.read(orjson.loads(document))  # type: ignore[arg-type]


def of_rollback(rollback: Rollback) -> Row:
    return (rollback.rollback_id, rollback.run_id, orjson.dumps(ROLLBACK.journal(rollback)))


def rollback(row: Row) -> Rollback:
    (document,) = row
    return ROLLBACK.read(orjson.loads(document))  # type: ignore[arg-type]
