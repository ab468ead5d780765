"""Entries as the journal's lines, and lines as entries: the only place where an entry's members are named by strings."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, get_args

import msgspec
import orjson
from msgspec import Raw
from msgspec.structs import replace

from gateway.core import timestamps
from gateway.core.codec.record import APPROVAL, CHECKPOINT, INCIDENT, ORDER, ROLLBACK, RUN, TASK, TRIGGER, Codec, Json, convert, with_tool
from gateway.core.journal import chain
from gateway.model import entries
from gateway.model.entries import DecisionRecord, IntentEntry
from gateway.model.entry import EntryBase, Position
from gateway.model.review import Approval
from gateway.model.run import Run

_LARGEST = 2**53 - 1
_AMOUNT = attrgetter("amount")
_SORTED = msgspec.json.Encoder(order="sorted")

_KINDS: Mapping[str, type[entries.Entry]] = {kind.__struct_config__.tag: kind for kind in get_args(entries.Entry)}
_RECORDS: Mapping[type[EntryBase], Mapping[str, Codec[Any]]] = {
    entries.RunEntry: {"run": RUN},
    entries.OrderEntry: {"order": ORDER},
    entries.TriggerEntry: {"trigger": TRIGGER},
    entries.ResponseEntry: {"trigger": TRIGGER, "incident": INCIDENT},
    entries.RollbackEntry: {"rollback": ROLLBACK, "incident": INCIDENT},
    entries.TaskEntry: {"task": TASK},
    entries.ApprovalEntry: {"approval": APPROVAL},
    entries.CheckpointEntry: {"checkpoint": CHECKPOINT},
}
"""The members that are values of the model, and how each is written and read."""

_EARLIER: Mapping[str, str] = {"untold": "missing_amount"}
"""Names of members in entries of earlier versions, and what they are called now."""

# A control byte stands in no JSON text, so where one was put in it is found again for certain.
_HASH: Any = Raw(b"\x00")
_PREV: Any = Raw(b"\x01")


def owner(owned: Run | Approval, at: float, generation: int | None = None) -> dict[str, Any]:
    """When, and whose: the members that entries about a run begin with. ``at`` is Unix seconds."""
    return {"ts": timestamps.rfc3339(at), **ownership(owned, generation)}


def ownership(owned: Run | Approval, generation: int | None = None) -> dict[str, Any]:
    """Whose: the members by which entries, approvals and incidents name a run, in a generation."""
    return {
        "tenant": owned.tenant,
        "workflow_id": owned.workflow_id,
        "run_id": owned.run_id,
        "generation": owned.generation if generation is None else generation,
        "agent_id": owned.agent_id,
        "task_class": owned.task_class,
    }


def fields(entry: entries.Entry) -> Json:
    """An entry as a JSON object, without members that are absent."""
    members: Json = msgspec.to_builtins(replace(entry, **_records(entry)) if type(entry) in _RECORDS else entry)
    return members


def encode(entry: entries.Entry) -> bytes:
    """The canonical line (RFC 8785, no newline) of an entry that comes from the journal.

    Raises:
        TypeError: a value is no JSON value of ours.
    """
    return chain.canonical(fields(entry))


def draft(entry: entries.Entry, position: Position) -> chain.Draft:
    """Serialise an entry at its place, to be linked.

    Raises:
        TypeError: a value is no JSON value of ours (a float, an integer beyond 53 bits, a lone surrogate); the message names the field.
    """
    if type(entry) not in _RECORDS and not _large(entry):
        try:
            line = _SORTED.encode(replace(entry, stream=position.stream, seq=position.seq, hash=_HASH, prev_hash=_PREV))
        except UnicodeEncodeError:
            line = b"\xff"
        # RFC 8785 sorts by UTF-16 code units, the encoder by code points: they part beyond ASCII.
        if line.isascii():
            return chain.cut(line)
    return chain.draft(fields(replace(entry, stream=position.stream, seq=position.seq, hash=None, prev_hash=None)))


def position_in(line: bytes) -> Position:
    """Where the entry of a line stands."""
    return msgspec.json.decode(line, type=Position)


def decode(line: bytes) -> entries.Entry:
    """The entry of a line.

    Raises:
        KeyError, ValueError, TypeError: it is no entry, or lacks a member of its kind.
    """
    return of_fields(orjson.loads(line))


def of_fields(document: Mapping[str, Any]) -> entries.Entry:
    """The entry of a JSON object.

    Raises:
        KeyError, ValueError, TypeError: it is no entry, or lacks a member of its kind.
    """
    kind = _KINDS[document["kind"]]
    members = {_EARLIER.get(name, name): value for name, value in with_tool(document).items()}
    for name, record_codec in _RECORDS.get(kind, {}).items():
        if isinstance(record := members.get(name), dict):
            members[name] = record_codec.read(record)
    return convert(members, kind)


def _records(entry: entries.Entry) -> dict[str, object]:
    return {
        name: record_codec.journal(value)
        for name, record_codec in _RECORDS[type(entry)].items()
        if isinstance(value := getattr(entry, name), msgspec.Struct)
    }


def _large(entry: entries.Entry) -> bool:
    """Whether an amount may be beyond what an entry can hold, or an approval holds what somebody else chose."""
    decision: DecisionRecord | None = getattr(entry, "decision", None)
    if decision is not None and (decision.approval is not None or max((decision.counters or {}).values(), default=0) > _LARGEST):
        return True
    return isinstance(entry, IntentEntry) and max(map(_AMOUNT, entry.charges or ()), default=0) > _LARGEST
