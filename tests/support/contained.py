"""A run that was contained by its own loop, entry by entry: one effect stands, one is unknown with a task about it, one failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from gateway.core import timestamps
from gateway.core.codec import record
from gateway.model.review import Task, TaskKind
from gateway.model.run import Mode, Order, Scope
from gateway.model.trigger import Incident, Measure, RollbackState, Verdict
from tests.support import journaling
from tests.support.control_api import Parts
from tests.support.journaling import typed

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contained:
    """``evidence`` and ``trigger`` are positions."""

    incident: Incident
    order: Order
    evidence: str
    trigger: str


async def contain(parts: Parts, *, wider: bool = False) -> Contained:
    """Journal it all, the order by the real way; ``wider``: the order holds the agent, and does not name the run."""
    journal, clock = parts.store.journal, parts.services.clock
    await journal.append(typed(journaling.run_entry()))
    await journal.intend(journaling.opening("first"))
    await journal.append(typed(journaling.outcome("first", after_version='"v2"')))
    await journal.intend(journaling.opening("lost", id_="inv_2"))
    await journal.append(typed(journaling.outcome("lost", id_="inv_2", result="unknown")))
    await journal.append(typed(journaling.task_entry(task("lost"))))
    await journal.intend(journaling.opening("no", id_="inv_3"))
    evidence = str(await journal.append(typed(journaling.outcome("no", id_="inv_3", result="failed"))))
    seen = [evidence]
    trigger = str(await journal.append(typed(now(clock.now(), "trigger", trigger=fired(seen)))))
    scope = Scope(agent="billing") if wider else Scope(run="run_1")
    order = await parts.services.containment.make(scope, Mode.READ_ONLY, reason="a loop", by="trigger:anomaly.loop")
    incident = replace(incident_of(order, evidence), opened_at=clock.now(), updated_at=clock.now())
    await journal.append(typed(now(clock.now(), "response", **answered(trigger, incident, order))))
    return Contained(incident, order, evidence, trigger)


def now(at: float, kind: str, **more: object) -> Entry:
    return {**journaling.entry(kind, **more), "ts": timestamps.rfc3339(at)}


def fired(evidence: list[str], name: str = "anomaly.loop") -> Entry:
    return {"name": name, "layer": "behaviour", "at": 1, "count": 10, "threshold": 10, "evidence": evidence, "facts": {}}


def answered(trigger: str, incident: Incident, order: Order) -> Entry:
    return {
        "trigger": trigger,
        "name": incident.cause,
        "action": incident.action.value,
        "verdict": incident.verdict.value,
        "rollback": incident.rollback is RollbackState.DUE,
        "why": incident.why,
        "revision": "r1",
        "order_id": order.order_id,
        "incident": record.INCIDENT.journal(incident),
    }


def task(name: str) -> Task:
    return Task(
        task_id="task_1",
        kind=TaskKind.OUTCOME_UNKNOWN,
        run_id="run_1",
        tenant="acme",
        wire_keys=(journaling.wire_key(name),),
        summary="Its outcome is unknown.",
        opened_at=1000.0,
    )


def incident_of(order: Order, evidence: str) -> Incident:
    return Incident(
        incident_id="inc_1",
        run_id="run_1",
        workflow_id="wf_1",
        tenant="acme",
        agent_id="billing",
        task_class="default",
        generation=1,
        cause="anomaly.loop",
        opened_at=10.0,
        updated_at=10.0,
        evidence=(evidence,),
        action=Measure.READ_ONLY,
        verdict=Verdict.CONTAINMENT,
        why="ten times the same",
        orders=(order.order_id,),
        rollback=RollbackState.DUE,
    )
