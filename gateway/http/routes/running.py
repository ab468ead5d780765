"""What runs may do: opening, leases, findings, admission, orders."""

from __future__ import annotations

from typing import Any

from gateway.http.api import admission, effects, findings, orders, runs
from gateway.http.server import requests
from gateway.http.server.operators import Permission
from gateway.http.server.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/v1/runs",
        summary="Open a run and give its lease; it is never wider than its class and its parent.",
        permission=Permission.OPEN_RUNS,
        body=requests.OpenRun,
        answers={
            201: "{run, lease, expires_at}",
            200: "the run that this request opened before, with a lease",
            400: "`too-wide` with `excess`, or `bad-request`",
            409: "the id stands for another run",
        },
        handler=runs.open_run,
    ),
    Route(
        method="GET",
        path="/v1/runs",
        summary="List runs.",
        permission=Permission.READ_RUNS,
        query=requests.ListRuns,
        answers={200: "a list of runs, ascending by id"},
        handler=runs.list_runs,
    ),
    Route(
        method="GET",
        path="/v1/runs/{run_id}",
        summary="One run, under its effective mode and with what it has used.",
        permission=Permission.READ_RUNS,
        answers={200: "the run"},
        handler=runs.one_run,
    ),
    Route(
        method="POST",
        path="/v1/runs/{run_id}/lease",
        summary="Renew a run's lease.",
        permission=Permission.RENEW_LEASES,
        body=requests.RenewLease,
        answers={200: "{run, lease, expires_at}", 403: "the run is held or ended"},
        handler=runs.renew_lease,
    ),
    Route(
        method="POST",
        path="/v1/runs/{run_id}/close",
        summary="End a run, and its leases with it.",
        permission=Permission.CLOSE_RUNS,
        body=requests.Because,
        answers={200: "the run"},
        handler=runs.close_run,
    ),
    Route(
        method="GET",
        path="/v1/runs/{run_id}/effects",
        summary="What the run changed, and what can still be undone.",
        permission=Permission.READ_RUNS,
        query=requests.ListEffects,
        answers={200: "a list of effects, oldest first"},
        handler=effects.list_effects,
    ),
    Route(
        method="POST",
        path="/v1/runs/{run_id}/findings",
        summary="Report that the run's state is unsafe, with the proof.",
        permission=Permission.REPORT_FINDINGS,
        body=requests.ReportFinding,
        answers={201: "{finding_id, entry, incident_id?}: what it set off is answered, and an order that was made holds"},
        handler=findings.report,
    ),
    Route(
        method="POST",
        path="/v1/admission",
        summary="May this task start?",
        permission=Permission.ADMIT,
        body=requests.AskAdmission,
        answers={200: "{admit, mode, reason?, order_id?, retry_after?}"},
        handler=admission.ask,
    ),
    Route(
        method="POST",
        path="/v1/orders",
        summary="Contain: hold what the scope matches in a mode.",
        permission=Permission.ORDER,
        body=requests.Contain,
        answers={
            201: "the order, with `nodes` and `held_ms`: it holds everywhere and is durable",
            200: "for a `dry_run`: {runs}, how many open runs it would hold",
            503: "`journal-unavailable`: it holds on this node, but is not durable",
        },
        handler=orders.contain,
    ),
    Route(
        method="GET",
        path="/v1/orders",
        summary="List orders, released ones too.",
        permission=Permission.READ_ORDERS,
        query=requests.ListOfRun,
        answers={200: "a list of orders, ascending by id"},
        handler=orders.list_orders,
    ),
    Route(
        method="DELETE",
        path="/v1/orders/{order_id}",
        summary="Release an order; the reason stands in the body or in the query.",
        permission=Permission.ORDER,
        query=requests.BecauseQuery,
        body=requests.Because,
        answers={200: "the order", 409: "it was released before"},
        handler=orders.release,
    ),
)
