"""Every list with ids as a gateway makes them: a table at 100 columns, and no id is ever cut."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from gateway.cli import containment, incidents, rollbacks, runs, table, tasks
from gateway.cli.output import Columns, cell

RUN, ORDER, TASK, APPROVAL = (f"{kind}_01M8R03N715G22GCFAY88S9VWS" for kind in ("run", "ord", "task", "apr"))
INCIDENT, ROLLBACK, CHECKPOINT, STREAM = (f"{kind}_01M8R03N715G22GCFAY88S9VWS" for kind in ("inc", "rb", "cp", "st"))
AT = "2026-12-01T05:21:30.123456Z"
TARGET = {"system": "erp", "type": "invoice", "id": "inv_20261201_000417", "tenant": "acme-industries"}
WHY = "The object is at another version than the run left it at, and somebody has to compare the two."

LISTS = {
    "runs": (
        runs._RUNS,
        [RUN],
        {"run_id": RUN, "tenant": "acme-industries", "agent_id": "billing-agent", "task_class": "month-end-billing", "mode": "quarantined"}
        | {"counters": {"steps": 4711, "writes": 113}, "expires_at": AT, "closed_at": None},
    ),
    "orders": (
        containment._ORDERS,
        [ORDER, f"run={RUN}"],
        {"order_id": ORDER, "epoch": 417, "scope": {"run": RUN}, "mode": "quarantined", "reason": WHY, "by": "trigger:anomaly.loop"}
        | {"created_at": AT, "state": "standing", "expires_at": None, "no_fanout": False},
    ),
    "tasks": (
        tasks._TASKS,
        [TASK],
        {"task_id": TASK, "kind": "outcome-unknown", "run_id": RUN, "tenant": "acme-industries", "opened_at": AT, "resolution": None}
        | {"summary": WHY},
    ),
    "approvals": (
        tasks._APPROVALS,
        [APPROVAL],
        {"approval_id": APPROVAL, "status": "pending", "kind": "compensation", "run_id": RUN, "tenant": "acme-industries"}
        | {"action": "invoice.replace", "target": TARGET, "expires_at": AT, "summary": WHY},
    ),
    "incidents": (
        incidents._INCIDENTS,
        [INCIDENT, RUN],
        {"incident_id": INCIDENT, "opened_at": AT, "run_id": RUN, "tenant": "acme-industries", "cause": "anomaly.retry-spike"}
        | {"action": "quarantine", "verdict": "containment", "rollback": "due", "state": "open"},
    ),
    "rollbacks": (
        rollbacks._ROLLBACKS,
        [ROLLBACK, RUN],
        {"rollback_id": ROLLBACK, "run_id": RUN, "tenant": "acme-industries", "to": "start", "state": "needs_operator", "started_at": AT}
        | {"by": "alice", "reason": WHY},
    ),
    "effects": (
        runs._EFFECTS,
        [f"{STREAM}/41712"],
        {"intent": f"{STREAM}/41712", "ts": AT, "step_id": "auto-113", "action": "invoice.update", "target": TARGET, "state": "standing"}
        | {"known_by": "reply", "verification": "passed", "can_undo": False, "why_not": WHY},
    ),
    "checkpoints": (
        runs._CHECKPOINTS,
        [CHECKPOINT],
        {"checkpoint_id": CHECKPOINT, "at": f"{STREAM}/41712", "label": "after the invoices", "automatic": False, "taken_at": AT}
        | {"state_ref": "s3://workflows/billing/2026-12-01/state-0417.json", "by": "orchestrator"},
    ),
}


def shown(name: str, width: int) -> list[str] | None:
    """The lines of a list on a terminal of this width; ``None`` if it is no table there."""
    columns, _, item = LISTS[name]
    fitted = fit(columns, item, width)
    if fitted is None:
        return None
    console = Console(width=width, highlight=False)
    with console.capture() as lines:
        console.print(table.drawn(fitted))
    return [line.rstrip() for line in lines.get().splitlines()]


def fit(columns: Columns, item: object, width: int) -> table.Fitted | None:
    row = [cell(find(item)) for find in columns.values.values()]
    return table.fit(list(columns.values), [row, row], columns.optional, width)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_a_table_at_100_columns(name: str) -> None:
    lines = shown(name, 100)
    assert lines is not None
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("width", [*range(40, 260, 5)])
@pytest.mark.parametrize("name", LISTS)
def test_at_no_width_is_an_id_cut_or_left_out(name: str, width: int) -> None:
    columns, ids, item = LISTS[name]
    lines = shown(name, width)
    if lines is None:
        row = [cell(find(item)) for find in columns.values.values()]
        lines = list(table.one_by_one(list(columns.values), [row, row]))
    assert [one for one in ids if sum(one in line for line in lines) != 2] == []


@pytest.mark.parametrize("name", LISTS)
def test_the_wider_the_terminal_the_more_is_shown(name: str) -> None:
    columns, _, item = LISTS[name]
    fitted = [found for width in range(60, 320) if (found := fit(columns, item, width)) is not None]
    counts = [len(found.headings) for found in fitted]
    assert counts == sorted(counts)
    assert list(fitted[-1].headings) == list(columns.values)
    # The column that is left out first comes back last.
    for found in fitted:
        gone = [one for one in columns.optional if one in found.left_out]
        assert gone == [one for one in columns.optional if one not in found.headings and cell(columns.values[one](item)) != "-"]


@pytest.mark.parametrize("name", LISTS)
def test_what_gives_way_is_a_column_and_never_the_first(name: str) -> None:
    columns, _, _ = LISTS[name]
    assert set(columns.optional) < set(columns.values)
    assert next(iter(columns.values)) not in columns.optional


def test_times_lose_their_fractions_before_a_column_is_lost() -> None:
    fitted = fit(*(LISTS["runs"][0], LISTS["runs"][2]), 140)
    assert fitted is not None
    assert "2026-12-01T05:21:30Z" in " ".join(fitted.rows[0])


@pytest.mark.parametrize("name", LISTS)
def test_a_pipe_gets_everything(name: str) -> None:
    columns, _, item = LISTS[name]
    row = [cell(find(item)) for find in columns.values.values()]
    header, line = table.plain(list(columns.values), [row])
    assert re.split(r"  +", header) == list(columns.values)
    assert all(text in line for text in row)
