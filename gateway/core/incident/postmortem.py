"""A post-mortem of an incident in Markdown, out of its timeline as the API shows it: the same timeline gives the same text. Pure.

Text by others (ids, reasons, what policy says) is in code spans, in which nothing is markup, a link or a mention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.core.incident.timeline import by_position
from gateway.model.call import Remedy

Json = Mapping[str, Any]


def markdown(incident: Json, heads: Sequence[Json], verifier_key: str) -> str:
    """The report. ``heads`` are signed ones as ``GET /v1/journal/heads`` lists them, ``verifier_key`` is what they verify under."""
    parts = [[f"# Post-mortem of incident {_code(incident['incident_id'])}"]]
    parts += [[f"## {title}", "", *lines(incident)] for title, lines in _SECTIONS.items()]
    parts.append(_evidence(incident, heads, verifier_key))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _summary(incident: Json) -> list[str]:
    text = (
        f"Agent {_code(incident['agent_id'])}, working for tenant {_code(incident['tenant'])}, fired {_code(incident['cause'])} in run "
        f"{_code(incident['run_id'])}. The response was {_code(incident['action'])} ({incident['verdict']}): {_code(incident['why'])}"
    )
    facts = [
        ("Run", f"{_code(incident['run_id'])}, generation {incident['generation']}"),
        ("Workflow, task class", f"{_code(incident['workflow_id'])}, {_code(incident['task_class'])}"),
        ("Cause", f"{_code(incident['cause'])}, {incident['triggers']} trigger(s)"),
        ("Opened", incident["opened_at"]),
        ("State", incident["state"] if incident["closed_at"] is None else f"closed at {incident['closed_at']}"),
        ("Rollback", incident["rollback"].replace("_", " ")),
    ]
    return [text, "", *_table(("", ""), facts)]


def _timeline(incident: Json) -> list[str]:
    rows = [
        (one["ts"], _code(one["entry"]), _code(one["what"]) + (" (evidence)" if one.get("is_evidence") else ""), _code(one.get("by")))
        for one in incident["timeline"]
    ]
    left_out = _omitted(incident["omitted"]["timeline"], "entries in the middle")
    return ["Times are UTC.", "", *_table(("Time", "Entry", "What", "By"), rows), *left_out]


def _stopped(incident: Json) -> list[str]:
    stopped = incident["stopped"]
    how_fast = (
        "No order was made for it."
        if stopped is None
        else f"Order {_code(stopped['order_id'])} was made {stopped['after_ms']:.3f} ms after the first trigger "
        f"({_code(stopped['trigger'])} to {_code(stopped['order'])})."
    )
    rows = [
        (_code(one["order_id"]), _code(_mode(one)), _code(_scope(one["scope"])), _code(one["by"]), _end(one)) for one in incident["orders"]
    ]
    return [how_fast, *(["", *_table(("Order", "Holds in", "What", "By", "Until"), rows)] if rows else [])]


def _affected(incident: Json) -> list[str]:
    rows = [
        (_code(_object(one["object"])), one["effects"], _state(one), _code(one["after_ref"]), _compensation(one), _code(one["entry"]))
        for one in incident["affected"]
    ]
    if not rows:
        return ["None: no write of the run was applied."]
    columns = ("Object", "Effects", "State", "Last version", "Compensation", "Last entry")
    return [*_table(columns, rows), *_omitted(incident["omitted"]["affected"], "objects")]


def _undone(incident: Json) -> list[str]:
    count = incident["effects"]
    return [
        f"- {count['compensated']} effect(s) were undone.",
        f"- {count['standing']} effect(s) stand.",
        f"- {count['unknown'] + count['in_flight']} effect(s) may or may not have been applied.",
        f"- {count['failed']} write(s) were not applied, so there is nothing to undo.",
    ]


def _open(incident: Json) -> list[str]:
    # Which orders hold changes as time goes by, the report must not: of orders it says what the journal says.
    found = [f"- {one['what'].replace('-', ' ')}: {_code(one['text'])}{_where(one)}" for one in incident["open"] if one["what"] != "order"]
    found += [f"- order {_code(one['order_id'])} was not released" for one in incident["orders"] if one["released_at"] is None]
    return found or ["None."]


def _evidence(incident: Json, heads: Sequence[Json], verifier_key: str) -> list[str]:
    hashes = incident["hashes"]
    rows = [(_code(name), _code(hashes[name])) for name in sorted(hashes, key=by_position)]
    cited = {name.rpartition("/")[0] for name in hashes}
    signed = [one for one in heads if one["stream"] in cited]
    return [
        "## Evidence",
        "",
        "Each entry's hash is chained to all entries before it:",
        "",
        *_table(("Entry", "Hash"), rows),
        "",
        *(f"Newest signed head: {_code(one['stream'])} up to entry {one['seq']}, hash {_code(one['hash'])}." for one in signed),
        "",
        "To check that the journal still holds these entries unchanged, keep the signed head and verify the journal against it; "
        "then compare hashes with `killcord journal show ENTRY`:",
        "",
        *_commands(incident["incident_id"], signed, verifier_key),
    ]


def _commands(incident_id: str, signed: Sequence[Json], verifier_key: str) -> list[str]:
    file = f"{incident_id}.heads"
    notes = [line for one in signed for line in one["checkpoint"].rstrip("\n").split("\n")]
    keep = [f"cat > {file} <<'HEADS'", *notes, "HEADS"] if signed else []
    anchored = f" --heads {file}" if signed else ""
    return ["```sh", *keep, f"killcord journal verify --key '{verifier_key}'{anchored}", "```"]


_SECTIONS: Mapping[str, Callable[[Json], list[str]]] = {
    "Summary": _summary,
    "Timeline": _timeline,
    "What was stopped, and how fast": _stopped,
    "Affected objects": _affected,
    "What was undone, and what was not": _undone,
    "Open items": _open,
}


# --- cells -----------------------------------------------------------------------------------------------------------


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [" | ".join(str(cell) for cell in row) for row in rows]
    return [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns), *(f"| {line} |" for line in lines)]


def _code(value: object) -> str:
    """A text by others as a code span, which it cannot end, in a table either; a dash if there is no text."""
    text = "".join(letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    text = text.replace("`", "'").replace("|", "\N{BROKEN BAR}").strip()
    return f"`{text}`" if value is not None and text else "-"


def _omitted(count: int, what: str) -> list[str]:
    return ["", f"{count} more {what} are omitted; `killcord journal export` has them."] if count else []


def _object(value: Json) -> str:
    return f"{value['system']}:{value['type']}:{value['id'] or '(new)'}"


def _state(one: Json) -> str:
    verified = "" if one["verification"] == "none" else f", verification {one['verification']}"
    found = ", found, not proven" if one.get("known_by") == "state" else ""
    return f"{one['state'].replace('_', ' ')}{found}{verified}"


def _compensation(one: Json) -> str:
    undo = one["compensation"]
    if one["state"] == "compensated":
        return "undone"
    if one["state"] != "standing":
        return "decide its outcome first"
    if not Remedy(undo["type"]).by_action:
        return f"by a person: {_code(undo['type'])} ({undo['class']})"
    until = "" if undo["allowed_until"] is None else f", until {undo['allowed_until']}"
    return f"{_code(undo['type'])} ({undo['class']}){'' if undo['auto'] else ', once approved'}{until}"


def _mode(order: Json) -> str:
    flag = ["no_fanout"] if order["no_fanout"] else []
    return " and ".join(flag if order["mode"] == "active" else [order["mode"], *flag])


def _scope(scope: Json) -> str:
    return ", ".join(f"{name}={value}" for name, value in scope.items())


def _end(order: Json) -> str:
    if order["released_at"] is not None:
        return f"released at {order['released_at']} by {_code(order['released_by'])}"
    return "it is released" if order["expires_at"] is None else str(order["expires_at"])


def _where(one: Json) -> str:
    name = one.get("entry") or one.get("task_id") or one.get("rollback_id")
    return "" if name is None else f" ({_code(name)})"
