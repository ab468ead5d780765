"""What a journal entry says, in one line of words. Never an argument of a call: no path, no query, no refusal's detail. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.core.codec.incident import ROLLBACK
from gateway.core.codec.order import ORDER, scope_json
from gateway.core.codec.record import target_of
from gateway.core.incident import findings
from gateway.model.entry import Kind
from gateway.model.order import Order
from gateway.model.run import Mode

Entry = Mapping[str, Any]

_NAMED = 3
"""Entries that a line names before it only counts the rest."""


def words(entry: Entry) -> str:
    """The line of any entry; kinds without words of their own are named with what they say of their state."""
    teller = _TELLERS.get(entry["kind"])
    return _plain(entry) if teller is None else teller(entry)


def by(entry: Entry) -> str | None:
    """Who did it, where the entry names anyone."""
    name = entry.get("by")
    return name if isinstance(name, str) else None


def held(value: Order) -> str:
    """What an order does, and to what: ``read_only on run=run_1``."""
    mode = "" if value.mode is Mode.ACTIVE else value.mode.word
    flag = "no_fanout" if value.no_fanout else ""
    scope = scope_json(value.scope)
    on = "everything" if value.scope.everything else ",".join(f"{name}={one}" for name, one in scope.items() if name != "subtree")
    below = " and all below it" if value.scope.subtree else ""
    return f"{' and '.join(filter(None, (mode, flag)))} on {on}{below}"


def _call(entry: Entry) -> str:
    """The action and the object it is aimed at; whose that is, where it is not the run's tenant's."""
    action = entry.get("action") or "a call"
    if not entry.get("target"):
        return str(action)
    aimed = target_of(entry["target"])
    whose = "" if aimed.tenant in (None, entry.get("tenant")) else f" of tenant {aimed.tenant}"
    return f"{action} on {aimed.system}:{aimed.type}:{aimed.id or '(new)'}{whose}"


def _read(entry: Entry) -> str:
    return f"{_call(entry)} was read, status {entry.get('status')}"


def _intent(entry: Entry) -> str:
    return f"{_call(entry)} was about to be sent"


def _outcome(entry: Entry) -> str:
    verified = entry.get("verification", "none")
    return f"{_call(entry)}: {entry['result']}" + ("" if verified == "none" else f", verification {verified}")


def _refusal(entry: Entry) -> str:
    return f"{_call(entry)} was refused: {entry['code']}"


def _replay(entry: Entry) -> str:
    return f"{_call(entry)} was repeated, and answered from the journal"


def _reconciliation(entry: Entry) -> str:
    return f"{_call(entry)} was reconciled: {entry['result']}"


def _trigger(entry: Entry) -> str:
    fired = entry["trigger"]
    severity = f", {fired['severity']}" if fired.get("severity") else ""
    return f"{fired['name']} fired ({fired['layer']}{severity}): {fired['count']} of {fired['threshold']}"


def _response(entry: Entry) -> str:
    undone = ", with a rollback" if entry.get("rollback") else ""
    return f"answered {entry['action']} ({entry['verdict']}){undone}: {entry['why']}"


def _order(entry: Entry) -> str:
    made = ORDER.read(entry["order"])
    what = f"order {made.order_id} {'made' if entry['change'] == 'made' else 'released'}: {held(made)}"
    return f"{what}; {entry['reason']}" if entry.get("reason") else what


def _finding(entry: Entry) -> str:
    about = findings.of_entry(entry)
    named = f"; it is about {', '.join(map(str, about.places[:_NAMED]))}" if about.places else ""
    more = f" and {len(about.places) - _NAMED} more" if len(about.places) > _NAMED else ""
    unsaid = "" if about.known else "; where what is wrong began it does not say"
    return f"finding {entry['finding']} was reported, {entry['severity']}{named}{more}{unsaid}"


def _run(entry: Entry) -> str:
    return f"run {entry['change']}" + (f"; {entry['reason']}" if entry.get("reason") else "")


def _task(entry: Entry) -> str:
    task = entry["task"]
    if entry["change"] == "opened":
        return f"task {task['task_id']} opened: {task['summary']}"
    return f"task {task['task_id']} resolved: {task.get('resolution')}"


def _rollback(entry: Entry) -> str:
    if entry["change"] == "node":
        return f"rollback {entry['rollback_id']}, node {entry['node']}: {entry['state']}"
    if "rollback" not in entry:  # of the incident itself
        return f"{_OF_INCIDENTS[entry['change']]}; {entry['reason']}"
    found = ROLLBACK.read(entry["rollback"])
    match entry["change"]:
        case "started":
            below = " and all below it" if found.subtree else ""
            said = f"began, of run {found.run_id}{below} to {found.to}: {found.nodes} node(s)"
        case "ended" if found.residue:
            said = f"ended: {found.status}, {len(found.residue)} thing(s) left"
        case change:
            said = _CHANGES.get(change, f"{change}: {found.status}")
    return f"rollback {found.rollback_id} {said}" + (f"; {entry['reason']}" if entry["change"] in _BY_PEOPLE and entry["reason"] else "")


def _approval(entry: Entry) -> str:
    what = f"approval {entry['approval_id']} of {entry['tool']}:{entry['action']} {entry['change']}"
    return f"{what}; {entry['reason']}" if entry.get("reason") else what


def _plain(entry: Entry) -> str:
    state = entry.get("change") or entry.get("state")
    return f"{entry['kind']} {state}" if isinstance(state, str) else str(entry["kind"])


_CHANGES = {
    "claimed": "was taken over after a restart",
    "continued": "went on",
    "stopped": "was stopped",
    "waits": "waits for a person",
}
_OF_INCIDENTS = {"recover": "recovery was asked for", "closed": "incident closed"}
_BY_PEOPLE = ("started", "continued", "stopped")

_TELLERS: Mapping[str, Callable[[Entry], str]] = {
    Kind.READ: _read,
    Kind.INTENT: _intent,
    Kind.OUTCOME: _outcome,
    Kind.REFUSAL: _refusal,
    Kind.REPLAY: _replay,
    Kind.RECONCILIATION: _reconciliation,
    Kind.TRIGGER: _trigger,
    Kind.RESPONSE: _response,
    Kind.ORDER: _order,
    Kind.FINDING: _finding,
    Kind.RUN: _run,
    Kind.TASK: _task,
    Kind.APPROVAL: _approval,
    Kind.ROLLBACK: _rollback,
}
