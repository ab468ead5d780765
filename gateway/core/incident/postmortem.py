"""A post-mortem of an incident in Markdown, out of its story as the API tells it: the same story gives the same text. Pure.

Whatever others wrote (ids, reasons, what policy says) stands in code spans, where nothing is markup, a link or a mention.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.model.action import Remedy

Json = Mapping[str, Any]


def markdown(story: Json, heads: Sequence[Json], verifier_key: str) -> str:
    """The report. ``heads`` are signed ones as ``GET /v1/journal/heads`` lists them, ``verifier_key`` is what they verify under."""
    parts = (
        [f"# Post-mortem of incident {_code(story['incident_id'])}"],
        _summary(story),
        _timeline(story),
        _stopped(story),
        _affected(story),
        _undone(story),
        _open(story),
        _evidence(story, heads, verifier_key),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _summary(story: Json) -> list[str]:
    told = (
        f"Agent {_code(story['agent_id'])}, working for tenant {_code(story['tenant'])}, fired {_code(story['cause'])} in run "
        f"{_code(story['run_id'])}. The response was {_code(story['action'])} ({story['verdict']}): {_code(story['why'])}"
    )
    facts = [
        ("Run", f"{_code(story['run_id'])}, generation {story['generation']}"),
        ("Workflow, task class", f"{_code(story['workflow_id'])}, {_code(story['task_class'])}"),
        ("Cause", f"{_code(story['cause'])}, {story['triggers']} trigger(s)"),
        ("Opened", story["opened_at"]),
        ("State", story["state"] if story["closed_at"] is None else f"closed at {story['closed_at']}"),
        ("Rollback", story["rollback"].replace("_", " ")),
    ]
    return ["## Summary", "", told, "", *_table(("", ""), facts)]


def _timeline(story: Json) -> list[str]:
    rows = [
        (one["ts"], _code(one["entry"]), _code(one["what"]) + (" (evidence)" if one.get("is_evidence") else ""), _code(one.get("by")))
        for one in story["timeline"]
    ]
    left_out = _omitted(story["omitted"]["timeline"], "entries in the middle")
    return ["## Timeline", "", "Times are UTC.", "", *_table(("Time", "Entry", "What", "By"), rows), *left_out]


def _stopped(story: Json) -> list[str]:
    stopped = story["stopped"]
    how_fast = (
        "No order was made for it."
        if stopped is None
        else f"Order {_code(stopped['order_id'])} was made {stopped['after_ms']:.3f} ms after the first trigger "
        f"({_code(stopped['trigger'])} to {_code(stopped['order'])})."
    )
    rows = [
        (_code(one["order_id"]), _code(_mode(one)), _code(_scope(one["scope"])), _code(one["by"]), _end(one)) for one in story["orders"]
    ]
    return [
        "## What was stopped, and how fast",
        "",
        how_fast,
        *(["", *_table(("Order", "Holds in", "What", "By", "Until"), rows)] * bool(rows)),
    ]


def _affected(story: Json) -> list[str]:
    rows = [
        (_code(_object(one["object"])), one["effects"], _state(one), _code(one["after_ref"]), _way_back(one), _code(one["entry"]))
        for one in story["affected"]
    ]
    if not rows:
        return ["## Affected objects", "", "None: no write of the run was applied."]
    columns = ("Object", "Effects", "State", "Last version", "Compensation", "Last entry")
    return ["## Affected objects", "", *_table(columns, rows), *_omitted(story["omitted"]["affected"], "objects")]


def _undone(story: Json) -> list[str]:
    count = story["effects"]
    return [
        "## What was undone, and what was not",
        "",
        f"- {count['compensated']} effect(s) were undone.",
        f"- {count['standing']} effect(s) stand.",
        f"- {count['unknown'] + count['in_flight']} effect(s) may or may not have been applied.",
        f"- {count['failed']} write(s) were not applied, so there is nothing to undo.",
    ]


def _open(story: Json) -> list[str]:
    # Which orders hold changes as time goes by, the report must not: of orders it says what the journal says.
    found = [f"- {one['what'].replace('-', ' ')}: {_code(one['text'])}{_where(one)}" for one in story["open"] if one["what"] != "order"]
    found += [f"- order {_code(one['order_id'])} was not released" for one in story["orders"] if one["released_at"] is None]
    return ["## Open items", "", *(found or ["None."])]


def _evidence(story: Json, heads: Sequence[Json], verifier_key: str) -> list[str]:
    hashes = story["hashes"]
    rows = [(_code(name), _code(hashes[name])) for name in sorted(hashes, key=_place)]
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
        *_commands(story["incident_id"], signed, verifier_key),
    ]


def _commands(incident_id: str, signed: Sequence[Json], verifier_key: str) -> list[str]:
    file = f"{incident_id}.heads"
    notes = [line for one in signed for line in one["checkpoint"].rstrip("\n").split("\n")]
    keep = [f"cat > {file} <<'HEADS'", *notes, "HEADS"] if signed else []
    anchored = f" --heads {file}" if signed else ""
    return ["```sh", *keep, f"killcord journal verify --key '{verifier_key}'{anchored}", "```"]


# --- cells -----------------------------------------------------------------------------------------------------------


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [" | ".join(str(cell) for cell in row) for row in rows]
    return [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns), *(f"| {line} |" for line in lines)]


def _code(value: object) -> str:
    """A foreign text as a code span that stays one, also in a cell of a table; a dash if there is none."""
    text = "".join(letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    text = text.replace("`", "'").replace("|", "\N{BROKEN BAR}").strip()
    return f"`{text}`" if value is not None and text else "-"


def _omitted(count: int, what: str) -> list[str]:
    return ["", f"{count} more {what} are omitted; `killcord journal export` has them."] if count else []


def _object(value: Json) -> str:
    return f"{value['system']}:{value['type']}:{value['id'] or '(new)'}"


def _state(one: Json) -> str:
    verified = "" if one["verification"] == "none" else f", verification {one['verification']}"
    return f"{one['state'].replace('_', ' ')}{verified}"


def _way_back(one: Json) -> str:
    way = one["compensation"]
    if one["state"] == "compensated":
        return "undone"
    if one["state"] != "standing":
        return "decide its outcome first"
    if not Remedy(way["type"]).by_action:
        return f"by a person: {_code(way['type'])} ({way['class']})"
    until = "" if way["allowed_until"] is None else f", until {way['allowed_until']}"
    return f"{_code(way['type'])} ({way['class']}){'' if way['auto'] else ', once approved'}{until}"


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


def _place(name: str) -> tuple[str, int]:
    stream, _, seq = name.rpartition("/")
    return stream, int(seq)
