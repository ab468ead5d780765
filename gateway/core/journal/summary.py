"""What a journal entry says, in one line of words. Never an argument of a call: no path, no query, no refusal's detail. Pure."""

from __future__ import annotations

from typing import assert_never

from gateway.core.codec.record import scope_json
from gateway.core.incident import findings
from gateway.model import entries
from gateway.model.entries import CallEntry, IntentEntry, OutcomeEntry, ReadEntry, ReconciliationEntry, RefusalEntry, ReplayEntry
from gateway.model.entry import StoreEntry, Verification
from gateway.model.run import Mode, Order

_NAMED = 3
"""Entries that a line names before it only counts the rest."""


def describe_entry(entry: entries.Entry) -> str:
    """The line of an entry."""
    match entry:
        case ReadEntry():
            return f"{_call(entry)} was read, status {entry.status}"
        case IntentEntry():
            return f"{_call(entry)} was to be sent"
        case OutcomeEntry():
            verified = "" if entry.verification is Verification.NONE else f", verification {entry.verification}"
            return f"{_call(entry)}: {entry.result}{verified}"
        case RefusalEntry():
            return f"{_call(entry)} was refused: {entry.code}"
        case ReplayEntry():
            return f"{_call(entry)} was repeated and answered from the journal"
        case ReconciliationEntry():
            return f"{_call(entry)} was reconciled: {entry.result}"
        case entries.TriggerEntry(trigger=fired):
            severity = f", {fired.severity}" if fired.severity else ""
            return f"{fired.name} fired ({fired.layer}{severity}): {fired.count} of {fired.threshold}"
        case entries.ResponseEntry():
            undone = ", with a rollback" if entry.rollback else ""
            return f"answered {entry.action} ({entry.verdict}){undone}: {entry.why}"
        case entries.OrderEntry(order=order):
            return _with_reason(f"order {order.order_id} {'made' if entry.change == 'made' else 'released'}: {held(order)}", entry.reason)
        case entries.FindingEntry():
            return _finding(entry)
        case entries.RunEntry():
            return _with_reason(f"run {entry.change}", entry.reason)
        case entries.TaskEntry(task=task):
            return f"task {task.task_id} " + (f"opened: {task.summary}" if entry.change == "opened" else f"resolved: {task.resolution}")
        case entries.ApprovalEntry():
            return _with_reason(f"approval {entry.approval_id} of {entry.tool}:{entry.action} {entry.change}", entry.reason)
        case entries.CheckpointEntry():
            return "checkpoint"
        case entries.RollbackEntry():
            return _rollback(entry)
        case StoreEntry():
            what = (
                "an older journal was accepted" if entry.change == "accepted" else f"tables were rebuilt: {', '.join(entry.tables or ())}"
            )
            return _with_reason(what, entry.reason)
        case _:
            assert_never(entry)


def by(entry: entries.Entry) -> str | None:
    """Who did it, if the entry names anyone."""
    return None if isinstance(entry, _NAMELESS) else entry.by


def held(value: Order) -> str:
    """What an order does, and to what: ``read_only on run=run_1``."""
    mode = "" if value.mode is Mode.ACTIVE else value.mode.label
    flag = "no_fanout" if value.no_fanout else ""
    scope = scope_json(value.scope)
    on = "everything" if value.scope.everything else ",".join(f"{name}={one}" for name, one in scope.items() if name != "subtree")
    below = " and its subtree" if value.scope.subtree else ""
    return f"{' and '.join(filter(None, (mode, flag)))} on {on}{below}"


def _call(entry: CallEntry) -> str:
    """The action and the object it is aimed at, and its tenant if that is not the run's."""
    action, aimed = entry.action or "a call", entry.target
    if aimed is None:
        return action
    other_tenant = "" if aimed.tenant in (None, entry.tenant) else f" of tenant {aimed.tenant}"
    return f"{action} on {aimed.name}{other_tenant}"


def _with_reason(what: str, reason: str | None) -> str:
    return f"{what}; {reason}" if reason else what


def _finding(entry: entries.FindingEntry) -> str:
    about = findings.of_entry(entry)
    named = f"; it is about {', '.join(map(str, about.places[:_NAMED]))}" if about.places else ""
    more = f" and {len(about.places) - _NAMED} more" if len(about.places) > _NAMED else ""
    unnamed = "" if about.known else "; it does not name the first bad entry"
    return f"finding {entry.finding} was reported, {entry.severity}{named}{more}{unnamed}"


def _rollback(entry: entries.RollbackEntry) -> str:
    if entry.change == "node":
        return f"rollback {entry.rollback_id}, node {entry.node}: {entry.state}"
    found = entry.rollback
    if found is None:  # of the incident itself
        return f"{_OF_INCIDENTS[entry.change]}; {entry.reason}"
    match entry.change:
        case "started":
            below = " and its subtree" if found.subtree else ""
            said = f"began, of run {found.run_id}{below} to {found.to}: {found.nodes} node(s)"
        case "ended" if found.residue:
            said = f"ended: {found.status}, {len(found.residue)} thing(s) left"
        case change:
            said = _CHANGES.get(change, f"{change}: {found.status}")
    return _with_reason(f"rollback {found.rollback_id} {said}", entry.reason if entry.change in _BY_PEOPLE else None)


_CHANGES = {
    "claimed": "was continued after a restart",
    "continued": "continued",
    "stopped": "was stopped",
    "waits": "waits for a person",
}
_OF_INCIDENTS = {"recover": "recovery was requested", "closed": "incident closed"}
_BY_PEOPLE = ("started", "continued", "stopped")
_NAMELESS = (ReadEntry, IntentEntry, OutcomeEntry, RefusalEntry, ReplayEntry, entries.TriggerEntry, entries.ResponseEntry)
