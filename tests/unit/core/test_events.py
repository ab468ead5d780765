"""What is logged and counted of an entry: its name is listed, its labels are of the gateway's own words, its fields hold no payload."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.journal import events
from gateway.model.call import Target
from gateway.model.entries import ApprovalEntry, Entry, FindingEntry, OrderEntry, RunEntry, TaskEntry, TriggerEntry
from gateway.model.entry import Position
from gateway.model.review import Approval, ApprovalKind, ApprovalStatus, Resolution, Task, TaskKind
from gateway.model.run import Mode, Order, Run, Scope
from gateway.model.trigger import Trigger
from tests.support import journaling

AT = Position("st_1", 7)
OWNER: dict[str, Any] = {"ts": "2026-12-01T03:00:00.000000Z", "tenant": "acme", "run_id": "r1"}
ORDER = Order(order_id="ord_1", epoch=3, scope=Scope(tenant="acme"), mode=Mode.PAUSED, reason="odd", by="ann")
RUN = Run(run_id="r1", workflow_id="w1", tenant="acme", agent_id="a", task_class="default")
TASK = Task(
    task_id="task_1", kind=TaskKind.REVIEW, run_id="r1", tenant="acme", wire_keys=(), summary="amount 12.50 to canary", opened_at=1.0
)
APPROVAL = Approval(
    approval_id="apr_1",
    kind=ApprovalKind.CALL,
    status=ApprovalStatus.PENDING,
    run_id="r1",
    workflow_id="w1",
    tenant="acme",
    agent_id="a",
    task_class="default",
    generation=1,
    tool="erp",
    action="refund.create",
    target=Target("erp", "refund", ""),
    content="ab",
    summary="refund to canary",
    requested_at=1.0,
)


def approval(change: str) -> ApprovalEntry:
    more: dict[str, Any] = {"generation": 1, "approval_id": "apr_1", "tool": "erp", "action": "refund.create", "target": APPROVAL.target}
    return ApprovalEntry(**OWNER, **more, approval=APPROVAL, change=change)


FINDING = FindingEntry(
    **OWNER, workflow_id="w1", generation=1, finding="own.word", finding_id="f1", severity="my-own-word", evidence_ref="canary", by="vera"
)
CASES: list[tuple[Entry, str | None, events.Count]] = [
    (OrderEntry(ts=OWNER["ts"], order=ORDER, change="made", by="ann", reason="odd"), "order-made", ("killcord_orders", ("made", "paused"))),
    (
        OrderEntry(ts=OWNER["ts"], order=replace(ORDER, mode=Mode.ACTIVE, no_fanout=True), change="released"),
        "order-released",
        ("killcord_orders", ("released", "no_fanout")),
    ),
    (
        TriggerEntry(**OWNER, generation=1, trigger=Trigger(name="anomaly.loop", at=1.0)),
        "trigger-fired",
        ("killcord_triggers", ("anomaly.loop",)),
    ),
    (TriggerEntry(**OWNER, generation=1, trigger=Trigger(name="blast.of-old", at=1.0)), "trigger-fired", ("killcord_triggers", ("other",))),
    (TaskEntry(**OWNER, task=TASK, change="opened"), "task-opened", ("killcord_tasks", ("opened", "review"))),
    (
        TaskEntry(**OWNER, task=replace(TASK, resolution=Resolution.DONE), change="resolved"),
        "task-resolved",
        ("killcord_tasks", ("resolved", "review")),
    ),
    *(
        (approval(change), f"approval-{change}", ("killcord_approvals", (change,)))
        for change in ("requested", "granted", "denied", "voided")
    ),
    (RunEntry(**OWNER, run=RUN, change="resumed"), "run-resumed", ("killcord_runs", ("resumed",))),
    (RunEntry(**OWNER, run=RUN, change="opened"), None, ("killcord_runs", ("opened",))),
    (FINDING, "finding-reported", ("killcord_findings", ("other",))),
]


@pytest.mark.parametrize(("entry", "name", "counted"), CASES)
def test_an_entry_is_one_event_and_one_count(entry: Entry, name: str | None, counted: events.Count) -> None:
    (event,) = events.events(entry, AT)
    assert (event.name, event.counts) == (name, counted)
    assert name is None or name in events.NAMES
    family, labels = counted
    assert len(labels) == len(events.COUNTERS[family][1])
    assert "canary" not in str(event.fields)


def test_a_call_without_an_approval_is_no_event() -> None:
    intent = journaling.opening("first").entry
    assert events.events(intent, AT) == ()
    (event,) = events.events(replace(intent, approval_id="apr_1"), AT)
    assert (event.name, event.counts) == ("approval-used", ("killcord_approvals", ("used",)))
