"""What follows on an incident: rollbacks, tasks, approvals."""

from __future__ import annotations

from typing import Any

from gateway.http import approvals, incidents, requests, rollbacks, tasks
from gateway.http.operators import Permission
from gateway.http.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/v1/incidents",
        summary="List incidents.",
        permission=Permission.READ_INCIDENTS,
        query=requests.ListIncidents,
        answers={200: "a list of incidents, ascending by id"},
        handler=incidents.list_incidents,
    ),
    Route(
        method="GET",
        path="/v1/incidents/{incident_id}",
        summary="One incident as a story: what was seen, what was done, what it touched, what is still open.",
        permission=Permission.READ_INCIDENTS,
        answers={200: "the incident, with `timeline`, `stopped`, `orders`, `affected`, `effects`, `open`, `omitted` and `hashes`"},
        handler=incidents.one_incident,
    ),
    Route(
        method="POST",
        path="/v1/rollbacks",
        summary="Take back what a contained run did, or (`dry_run`) plan it; for `Accept: image/svg+xml` the plan is drawn.",
        permission=Permission.ROLL_BACK,
        body=requests.RollBack,
        answers={
            202: "the rollback, or the one that runs",
            200: "for a `dry_run`: {progress, irreversible, nodes, joins}",
            409: "the scope is not contained",
        },
        handler=rollbacks.roll_back,
    ),
    Route(
        method="GET",
        path="/v1/rollbacks",
        summary="List rollbacks.",
        permission=Permission.READ_ROLLBACKS,
        query=requests.ListRollbacks,
        answers={200: "a list of rollbacks, ascending by id"},
        handler=rollbacks.list_rollbacks,
    ),
    Route(
        method="GET",
        path="/v1/rollbacks/{rollback_id}",
        summary="One rollback, node by node; for `Accept: image/svg+xml` it is drawn.",
        permission=Permission.READ_ROLLBACKS,
        query=requests.ShowRollback,
        answers={200: "the rollback, with `progress`, `irreversible`, `residue`, `nodes` and `joins`"},
        handler=rollbacks.one_rollback,
    ),
    Route(
        method="POST",
        path="/v1/rollbacks/{rollback_id}/stop",
        summary="Stop a rollback: nothing more is sent for it.",
        permission=Permission.ROLL_BACK,
        body=requests.BecauseRequired,
        answers={200: "the rollback", 409: "it has ended"},
        handler=rollbacks.stop,
    ),
    Route(
        method="POST",
        path="/v1/rollbacks/{rollback_id}/continue",
        summary="Go on with a rollback that was stopped, or that waited for a person.",
        permission=Permission.ROLL_BACK,
        body=requests.BecauseRequired,
        answers={200: "the rollback", 409: "it cannot go on"},
        handler=rollbacks.go_on,
    ),
    Route(
        method="GET",
        path="/v1/tasks",
        summary="List tasks handed to a person.",
        permission=Permission.READ_TASKS,
        query=requests.ListTasks,
        answers={200: "a list of tasks, ascending by id"},
        handler=tasks.list_tasks,
    ),
    Route(
        method="GET",
        path="/v1/tasks/{task_id}",
        summary="One task, with its evidence.",
        permission=Permission.READ_TASKS,
        answers={200: "the task"},
        handler=tasks.one_task,
    ),
    Route(
        method="POST",
        path="/v1/tasks/{task_id}/resolve",
        summary="Close a task with what a person found or did at the tool.",
        permission=Permission.RESOLVE_TASKS,
        body=requests.ResolveTask,
        answers={200: "the task", 400: "another word closes a task of its kind", 409: "it was resolved before"},
        handler=tasks.resolve_task,
    ),
    Route(
        method="GET",
        path="/v1/approvals",
        summary="List approvals; with the request as it would be sent, for those who may decide.",
        permission=Permission.READ_APPROVALS,
        query=requests.ListApprovals,
        answers={200: "a list of approvals, ascending by id"},
        handler=approvals.list_approvals,
    ),
    Route(
        method="GET",
        path="/v1/approvals/{approval_id}",
        summary="One approval; with the request as it would be sent, for those who may decide.",
        permission=Permission.READ_APPROVALS,
        answers={200: "the approval"},
        handler=approvals.one_approval,
    ),
    Route(
        method="POST",
        path="/v1/approvals/{approval_id}",
        summary="Approve or deny.",
        permission=Permission.DECIDE_APPROVALS,
        body=requests.DecideApproval,
        answers={200: "the approval", 409: "it was decided before, has expired, was used or is void"},
        handler=approvals.decide,
    ),
)
