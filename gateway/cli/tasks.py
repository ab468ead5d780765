"""``killcord tasks`` and ``approvals``: work and decisions that wait for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from gateway.cli import client, completion, options, output
from gateway.cli.options import OfRun, group
from gateway.cli.output import columns
from gateway.sdk.messages import Json, path

app = group("Tasks for a person. Without a command, lists those that are open.", default="list")
approvals = group("Approvals: calls that wait for a decision. Without a command, lists those that are pending.", default="list")

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.", autocompletion=completion.tasks)]
ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="The approval's id.", autocompletion=completion.approvals)]
Why = Annotated[str, typer.Option("--reason", help="The reason; the journal records it, and the agent gets it with a denial.")]

_TASKS = columns("TASK=task_id KIND RUN=run_id TENANT OPENED=opened_at RESOLUTION SUMMARY", optional="OPENED RUN TENANT RESOLUTION KIND")
_APPROVALS = columns(
    "APPROVAL=approval_id STATUS KIND RUN=run_id TENANT ACTION TARGET EXPIRES=expires_at WHY=summary",
    optional="KIND STATUS EXPIRES TENANT RUN ACTION",
    TARGET=output.target,
)

_UNSEEN = {
    "withheld": "withheld from the role of this token; an operator, an approver or an admin sees it",
    "forgotten": "lost: its tenant was forgotten",
    "none": "none",
}

Kind = Annotated[options.TaskKind | None, typer.Option(help="Only of this kind.")]
Applied = Annotated[list[str] | None, typer.Option("--write", help="Of a task about several writes: one that was applied; repeatable.")]
Resolved = Annotated[bool, typer.Option("--all", help="Also resolved ones.")]
Resolution = Annotated[
    options.Resolution,
    typer.Argument(metavar="RESOLUTION", help="applied or not_applied for an unknown outcome; else done, not_needed or accepted."),
]
Note = Annotated[str, typer.Option("--note", "--reason", help="What you checked; the journal records it.")]
Status = Annotated[options.ApprovalStatus | None, typer.Option(help="Only with this status.")]
Decided = Annotated[bool, typer.Option("--all", help="With any status.")]


@app.command("list")
def list_tasks(context: typer.Context, run: OfRun = None, kind: Kind = None, everything: Resolved = False) -> None:
    """List tasks. Without --all only those that are open."""
    client.list_items(context, path("tasks"), _TASKS, run=run, kind=kind, status=None if everything else "open")


@app.command("show")
def show(context: typer.Context, task: TaskId) -> None:
    """Show one task with its evidence."""
    client.show(context, path("tasks", task), _task)


@app.command("resolve")
def resolve(context: typer.Context, task: TaskId, resolution: Resolution, note: Note, write: Applied = None) -> None:
    """Close a task with what you found or did at the tool. `accepted` leaves the object as it is."""
    body = {"resolution": resolution, "note": note, **({"writes": write} if write else {})}
    client.change(context, path("tasks", task, "resolve"), body, "Task {task_id} is resolved as {resolution}.")


@approvals.command("list")
def list_approvals(context: typer.Context, run: OfRun = None, status: Status = None, everything: Decided = False) -> None:
    """List approvals. Without --all and --status only those that are pending."""
    client.list_items(context, path("approvals"), _APPROVALS, run=run, status=status or (None if everything else "pending"))


@approvals.command("show")
def show_approval(context: typer.Context, approval: ApprovalId) -> None:
    """Show one approval with the request as it would be sent. Viewers and verifiers do not see the request."""
    client.show(context, path("approvals", approval), _approval)


@approvals.command("approve")
def approve(context: typer.Context, approval: ApprovalId, reason: Why) -> None:
    """Approve one call. The gateway carries it out once when it is repeated, if policy still allows it and its target is unchanged."""
    _decide(context, approval, "approve", reason)


@approvals.command("deny")
def deny(context: typer.Context, approval: ApprovalId, reason: Why) -> None:
    """Deny one call. The gateway refuses it until the run is resumed."""
    _decide(context, approval, "deny", reason)


def _decide(context: typer.Context, approval: str, decision: str, reason: str) -> None:
    client.change(context, path("approvals", approval), {"decision": decision, "reason": reason}, "Approval {approval_id} is {status}.")


def _task(one: Json) -> Iterator[str]:
    yield f"task       {one['task_id']} ({one['kind']}, opened {one['opened_at']})"
    yield f"run        {one['run_id']}, tenant {one['tenant']}"
    if one["rollback_id"] is not None:
        yield f"rollback   {one['rollback_id']}, node {one['node_id']}"
    if one["target"] is not None:
        yield f"object     {output.target(one)}"
    yield f"summary    {one['summary']}"
    if (evidence := one["evidence"]) is not None:
        yield from (f"{name:<10} {evidence[name] or 'not known'}" for name in ("before", "after", "now"))
        yield f"why        {evidence['why']}"
        yield f"entries    {' '.join(evidence['entries'])}"
    if one["resolution"] is not None:
        yield f"resolved   {one['resolution']} by {one['resolved_by']} at {one['resolved_at']}: {one['note']}"


def _approval(one: Json) -> Iterator[str]:
    yield f"approval  {one['approval_id']} ({one['status']})"
    yield f"of        {one['kind']} by run {one['run_id']} of {one['agent_id']}, tenant {one['tenant']}, generation {one['generation']}"
    yield f"action    {one['tool']}:{one['action']} on {output.target(one)}"
    yield f"version   {_version(one)}"
    if one["rollback_id"] is not None:
        yield f"rollback  {one['rollback_id']}, node {one['node_id']}"
    yield f"why       {one['summary']}"
    yield from (f"reason    {reason['code']}: {reason['message']}" for reason in one["reasons"])
    yield f"arguments {one['args_digest']}"
    yield f"asked     {one['requested_at']}, valid until {one['expires_at'] or 'it is decided'}"
    if one["decided_at"] is not None:
        yield f"decided   {one['decided_at']} by {one['decided_by']}: {one['reason']}"
    if one["used_at"] is not None:
        yield f"used      {one['used_at']}" + (f" by {one['used_by']}" if one["used_by"] else "")
    if one["request"] is not None:
        yield from _request(one["request"])
    else:
        yield f"request   {_UNSEEN[one['request_state']]}"


def _request(request: Json) -> Iterator[str]:
    yield from ("", f"{request['method']} {request['path']}")
    yield from (f"{name}: {value}" for name, value in request["headers"].items())
    yield from (f"{name}: (not shown)" for name in request["withheld"])
    if request["body"] is not None:
        yield from ("", *json.dumps(request["body"], indent=2, ensure_ascii=False).split("\n"))
    elif opaque := request.get("opaque"):
        yield from ("", f"(a body of {opaque['bytes']} bytes that the gateway cannot read; sha256 {opaque['sha256']})")
    if "instead" in request:
        yield from ("", "if that is too late, this one instead:")
        yield from _request(request["instead"])


def _version(one: Json) -> str:
    if one["existed"] is None:
        return "not read"
    return (one["version"] or "exists, without a version") if one["existed"] else "absent"
