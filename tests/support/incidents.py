"""An incident as the journal holds one."""

from __future__ import annotations

from gateway.model.trigger import Incident, Measure, Verdict

INCIDENT = Incident(
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
    evidence=("st_1/3",),
    action=Measure.READ_ONLY,
    verdict=Verdict.CONTAINMENT,
    why="ten times the same",
    orders=("ord_1",),
)
