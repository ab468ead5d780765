"""Findings of verifiers and rule engines: report one."""

from __future__ import annotations

from aiohttp import web

from gateway.control.review import findings
from gateway.http.server import answers, problem, reach
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import ReportFinding
from gateway.http.server.route import Asked


async def report(asked: Asked[Nothing, ReportFinding]) -> web.Response:
    """Report a finding: 201 once all that it set off is answered. Also on a closed run: what it left behind may be unsafe all the same."""
    run = await reach.run(asked.services.registry, asked.operator, asked.part("run_id"))
    body = asked.body
    finding = findings.Finding(kind=body.kind, severity=body.severity, evidence=body.evidence, by=asked.operator.name, reason=body.reason)
    try:
        reported = await asked.services.findings.report(run, finding)
    except findings.TooMuchEvidence as much:
        raise problem.BadRequest(f"evidence: {much}") from much
    answer: dict[str, object] = {"finding_id": reported.finding_id, "entry": reported.entry, "about": [str(one) for one in reported.about]}
    if reported.incident_id is not None:
        answer["incident_id"] = reported.incident_id
    return answers.json(answer, 201)
