"""``killcord status``: whether the gateway is ready, the orders in force, what waits for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping

import typer

from gateway.cli import client, output
from gateway.cli.output import EXPECTED, REFUSED, Failure, failure
from gateway.sdk.messages import Json, Problem
from gateway.sdk.sync import Killcord

WIDTH = 100

_NEXT = {
    "orders": "killcord orders",
    "incidents": "killcord incidents --state open",
    "approvals": "killcord approvals",
    "tasks": "killcord tasks",
    "rollbacks": "killcord rollbacks --state needs_operator",
    "triggers": "killcord journal tail --kind trigger",
}
"""The command that lists all of a part."""


PATIENCE = 5.0
"""Seconds for an answer: at 3 a.m. half a minute of silence is no answer."""


def status(context: typer.Context) -> None:
    """Show whether the gateway is ready, the orders in force, what waits for a person, and the newest triggers.

    Exits with code 1 if the gateway is not ready, or if it or a part of it cannot be reached.
    """
    gateway, out = client.connect(timeout=PATIENCE), output.of(context)
    ready, problem = _readiness(gateway)
    value: Json = {"ready": ready, "status": None, "problem": None}
    unread = False
    lines = list(_ready_lines(gateway.url, ready, problem))
    if ready is not None:
        try:
            found = value["status"] = gateway.ask("GET", "/v1/status")
            lines += _status_lines(found)
            unread = bool(found["unread"])
        except EXPECTED as error:
            problem = failure(error)
            lines += ["", *_wrapped("what is in force and what waits is unknown: ", problem.text)]
    if problem is not None:
        value["problem"] = problem.text
    out.value(value, lines)
    if problem is not None or unread or ready is None or ready["status"] != "ready":
        raise typer.Exit(REFUSED)


def _readiness(gateway: Killcord) -> tuple[Json | None, Failure | None]:
    """The document of /readyz, also if it says that the gateway is not ready; else why there is none."""
    try:
        return gateway.ask("GET", "/readyz"), None
    except Problem as refused:
        if refused.status == 503 and refused.document.get("status") == "not ready":
            return dict(refused.document), None
        return None, failure(refused)
    except EXPECTED as error:
        return None, failure(error)


def _ready_lines(url: str, ready: Json | None, problem: Failure | None) -> Iterator[str]:
    if ready is None:
        yield f"gateway     unknown    {url}"
        if problem is not None:
            yield from _wrapped("            ", problem.text)
        return
    yield f"gateway     {ready['status']:<10} {url}"
    for name, part in ready.items():
        if isinstance(part, Mapping):
            detail = ", ".join(
                f"{key} {text}" if key != "detail" else str(text) for key, text in part.items() if key != "ok" and text != ""
            )
            yield from _wrapped(f"  {name:<12}{'ok' if part.get('ok') else 'FAILED':<8}", detail)
        elif name != "status" and part:
            yield f"  {name:<12}{output.cell(part)}"


def _status_lines(found: Json) -> Iterator[str]:
    sees = found["sees"]
    limits = [f"{name.replace('_', ' ')} {', '.join(names)}" for name, names in sees.items() if "*" not in names]
    if limits:
        yield from _wrapped("", f"This token sees only {'; '.join(limits)}. There may be more.")
    for part, (title, rows) in _PARTS.items():
        yield ""
        if part in found["withheld"]:
            yield from _wrapped(f"{title}: not shown: ", found["withheld"][part])
            continue
        if part in found["unread"]:
            yield from _wrapped(f"{title}: unknown: ", found["unread"][part])
            continue
        one = found[part]
        yield f"{title}: {'at least ' if one['more'] and part != 'triggers' else ''}{one['total'] or 'none'}"
        for item in one["items"]:
            yield from rows(item)
        if one["more"] or one["total"] > len(one["items"]):
            yield f"  ... the rest: {_NEXT[part]}"


def _order(one: Json) -> Iterator[str]:
    mode = "no_fanout" if one["mode"] == "active" else one["mode"] + (" no_fanout" if one["no_fanout"] else "")
    yield f"  {one['order_id']}  {mode}  {one['runs_held']} run(s)  since {one['created_at'][:19]}"
    yield from _wrapped("      ", f"{output.cell(one['scope'])}, by {one['by']}: {one['reason']}")


def _incident(one: Json) -> Iterator[str]:
    yield from _item(one["incident_id"], f"{one['cause']}  {one['action']}  rollback {one['rollback']}", one)


def _approval(one: Json) -> Iterator[str]:
    yield from _item(one["approval_id"], f"until {(one['expires_at'] or 'it is decided')[:19]}", one)


def _task(one: Json) -> Iterator[str]:
    yield from _item(one["task_id"], f"{one['kind']}  since {one['opened_at'][:19]}", one)


def _rollback(one: Json) -> Iterator[str]:
    yield from _item(one["rollback_id"], f"{one['state']}  {len(one['residue'])} left", one)


def _item(item_id: str, about: str, one: Json) -> Iterator[str]:
    """One item of a run on two lines: its id and what it is about, then the run, with its summary if it has one."""
    yield f"  {item_id}  {about}"
    summary = f": {one['summary']}" if "summary" in one else ""
    yield from _wrapped("      ", f"run {one['run_id']}{summary}")


def _trigger(one: Json) -> Iterator[str]:
    yield f"  {one['ts'][:19]}  {one['trigger']}  run {one['run_id']}"


_PARTS: Mapping[str, tuple[str, Callable[[Json], Iterator[str]]]] = {
    "orders": ("Orders in force", _order),
    "incidents": ("Open incidents", _incident),
    "approvals": ("Approvals that wait", _approval),
    "tasks": ("Open tasks", _task),
    "rollbacks": ("Rollbacks that need an operator", _rollback),
    "triggers": ("Newest triggers", _trigger),
}


def _wrapped(first: str, text: str) -> list[str]:
    """The text in lines of at most ``WIDTH``, the first after ``first``; an id is never broken."""
    indent = " " * min(len(first), 22)
    plain = " ".join(output.clean(text).split())
    return textwrap.wrap(
        first + plain, WIDTH, subsequent_indent=indent, drop_whitespace=True, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]
