"""Table rows and the model's values: a write has a column for each member, all else is a document beside the columns to find it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

import orjson
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.codec.record import APPROVAL, CHECKPOINT, INCIDENT, ORDER, ROLLBACK, RUN, TASK, Codec
from gateway.core.journal.projection import WriteSettled
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import Key, KeyKind, KnownBy, State, Write
from gateway.model.entry import Position, Verification
from gateway.model.review import Approval, ApprovalStatus, Task
from gateway.model.rollback import Checkpoint, Rollback
from gateway.model.run import Order, Run
from gateway.model.trigger import Incident
from gateway.stores.sqlite.database import Row

T = TypeVar("T", bound=Struct)


class Document(Generic[T]):
    """How values of one type are stored: by the named query, as their ``columns`` and then the document that their entries hold."""

    def __init__(self, query: str, codec: Codec[T], *columns: str) -> None:
        self.query = query
        self._codec = codec
        self._cells = attrgetter(*columns)

    def row(self, value: T) -> Row:
        """In the order of the query."""
        return (*self._cells(value), orjson.dumps(self._codec.journal(value)))

    def value(self, row: Row) -> T:
        """From a row that begins with the document."""
        return self._codec.read(orjson.loads(row[0]))


RUNS = Document("keep_run", RUN, "run_id", "tenant", "agent_id", "parent_run", "closed_at", "revoked")
ORDERS = Document("keep_order", ORDER, "order_id", "epoch")
TASKS = Document("keep_task", TASK, "task_id", "run_id")
INCIDENTS = Document("keep_incident", INCIDENT, "incident_id", "run_id", "generation", "cause")
ROLLBACKS = Document("keep_rollback", ROLLBACK, "rollback_id", "run_id")
CHECKPOINTS = Document("keep_checkpoint", CHECKPOINT, "checkpoint_id", "run_id")
APPROVALS = Document("keep_approval", APPROVAL, "approval_id", "run_id", "generation", "action", "content", "number", "status.value")

Stored = Run | Order | Task | Incident | Rollback | Checkpoint | Approval
DOCUMENTS: Mapping[type[Stored], Document[Any]] = {
    Run: RUNS,
    Order: ORDERS,
    Task: TASKS,
    Incident: INCIDENTS,
    Rollback: ROLLBACKS,
    Checkpoint: CHECKPOINTS,
    Approval: APPROVALS,
}


def run(row: Row) -> Run:
    """From ``document, revoked``; the column holds what orders revoked since."""
    found = RUNS.value(row)
    return found if found.revoked == row[1] else replace(found, revoked=row[1])


def approval(row: Row) -> Approval:
    """From ``document, status, used_at, used_by``; the last three hold what an intent did to it since."""
    found, (status, used_at, used_by) = APPROVALS.value(row), row[1:]
    return found if found.status == status else replace(found, status=ApprovalStatus(status), used_at=used_at, used_by=used_by)


_COLUMNS = (
    "seq tenant workflow_id key_digest attempt key_kind content window_s wire_key state run_id generation step_id tool action "
    "system type id target_tenant object class remedy automatic allowed_until at before_version snapshot_ref args_ref rollback_id "
    "outcome_seq status after_version reply_ref verification parent_step method existed compensates "
    "place undeclared guarded known_by key_same key_own pending"
)
"""Of a write, in the order of the table."""

_OPENED = "attempt wire_key run_id generation step_id tool action at before_version snapshot_ref args_ref rollback_id parent_step method"
"""Columns that are members of a write by the same name, as its intent sets them; ``existed`` and ``guarded`` are numbers beside them."""

_OUTCOME = "status after_version reply_ref"
"""Those that its outcome sets."""

_opened = attrgetter(*_OPENED.split())
_settled = attrgetter("status", "after_version", "reply_ref", "reconciled", "made", "object", "known_by", "pending")


def of_write(write: Write) -> Row:
    """In the order of the query ``keep_writes``."""
    key, target, undo = write.key, write.target, write.compensation
    of_key = (
        key.tenant,
        key.workflow_id,
        key.digest,
        key.kind.value,
        key.content,
        key.window,
        None if key.same == key.digest else key.same or None,
        key.own,
    )
    of_target = (target.system, target.type, target.id, target.tenant, target.object if target.id else None, target.place)
    of_undo = (undo.reversibility.value, undo.remedy.value, int(undo.automatic), undo.allowed_until)
    flags = None if write.existed is None else int(write.existed), int(write.guarded)
    lists = _list(write.compensates), _list(write.undeclared)
    return (write.intent.seq, write.state.value, *of_key, *of_target, *of_undo, *lists, *_opened(write), *flags)


def _list(names: tuple[str, ...]) -> str | None:
    return orjson.dumps(names).decode() if names else None


def of_settled(settled: WriteSettled) -> Row:
    """In the order of the query ``settle_writes``."""
    return (settled.wire_key, settled.state.value, settled.verification.value, settled.outcome.seq, *_settled(settled))


def _cells(columns: str) -> Callable[[Row], tuple[Any, ...]]:
    return itemgetter(*map(_COLUMNS.split().index, columns.split()))


_PLAIN = f"{_OPENED} {_OUTCOME}"
_plain_names = tuple(_PLAIN.split())
_plain = _cells(_PLAIN)
_positions = _cells("seq outcome_seq")
_states = _cells("state verification existed compensates undeclared guarded known_by pending")
_key = _cells("tenant workflow_id key_kind key_digest content window_s key_same key_own")
_target = _cells("system type id target_tenant tool place")
_undo = _cells("class remedy automatic allowed_until")


def write(row: Row, stream: str) -> Write:
    """From ``SELECT *``, in the order of the table."""
    seq, outcome = _positions(row)
    state, verification, existed, compensates, undeclared, guarded, known_by, pending = _states(row)
    tenant, workflow_id, kind, digest, content, window, same, own = _key(row)
    reversibility, remedy, automatic, until = _undo(row)
    members = dict(zip(_plain_names, _plain(row), strict=True))
    members["existed"] = None if existed is None else bool(existed)
    members["guarded"] = bool(guarded)
    return Write(
        key=Key(
            tenant=tenant,
            workflow_id=workflow_id,
            kind=KeyKind(kind),
            digest=digest,
            content=content,
            window=window,
            same=same or (digest if kind == KeyKind.CONTENT else ""),
            own=own,
        ),
        state=State(state),
        target=Target(*_target(row)),
        compensation=Compensation(
            reversibility=Reversibility(reversibility), remedy=Remedy(remedy), automatic=bool(automatic), allowed_until=until
        ),
        intent=Position(stream, seq),
        outcome=None if outcome is None else Position(stream, outcome),
        verification=Verification(verification),
        compensates=tuple(orjson.loads(compensates)) if compensates else (),
        undeclared=tuple(orjson.loads(undeclared)) if undeclared else (),
        known_by=None if known_by is None else KnownBy(known_by),
        pending=bool(pending),
        **members,
    )
