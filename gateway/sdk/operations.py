"""What is said to the operators' door, without any I/O: each operation is a generator that yields requests and is sent their answers.

Both clients carry the same talks, so what the blocking one says, the asynchronous one says. A request without an answer is thrown into
the talk as ``Lost``; an answer that says no is raised out of it as ``Problem``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Required, TypedDict, TypeVar
from urllib.parse import quote

from gateway.sdk.messages import Answer, Request, given
from gateway.sdk.values import Admission, Checkpoint, Finding, Grant, Json, Resumption

T = TypeVar("T")
Talk = Generator[Request, Answer, T]


class Opening(TypedDict, total=False):
    """What a run is opened with. With a ``run_id`` opening it again finds it; what is left out is the task class's."""

    tenant: Required[str]
    agent_id: Required[str]
    scopes: Required[Sequence[str]]
    task_class: str
    run_id: str
    workflow_id: str
    parent_run: str
    tools: Sequence[str]
    mode: str
    ttl: float | str
    limits: Mapping[str, object]
    reason: str


class Resuming(TypedDict, total=False):
    """How a run is taken up again. ``checkpoint`` is a checkpoint's id, an entry or ``start``; left out, the gateway chooses."""

    reason: Required[str]
    checkpoint: str
    scopes: Sequence[str]
    tools: Sequence[str]
    mode: str
    limits: Mapping[str, object]
    require_approval: Sequence[str]


class Found(TypedDict, total=False):
    """A verifier's finding; ``severity`` is ``critical``, or a lesser word such as ``high``.

    ``evidence`` may name what it is about: ``entries`` (``<stream>/<seq>``) and ``objects`` (``<type>:<id>``) of the run.
    """

    kind: Required[str]
    severity: Required[str]
    evidence: Required[Mapping[str, object]]
    reason: str


def opened(asked: Opening) -> Talk[Grant]:
    """Open a run, or find it again by its ``run_id``, with a lease that is fresh.

    A run that was resumed with tighter rights is found by what it was opened with; its rights stay as they are.
    """
    answer = yield Request("POST", "/v1/runs", {**asked})
    if answer.status == 201:
        return _grant(answer)
    if answer.status != 200:
        refused = answer.problem()
        if refused.code != "conflict" or not _is_resumed(asked, (yield Request("GET", _run(asked["run_id"]))).read()):
            raise refused
    # The lease that a second opening brings ends when the first one does, which may be any moment.
    return (yield from renewed(asked["run_id"], asked.get("ttl")))


def renewed(run_id: str, ttl: float | str | None = None) -> Talk[Grant]:
    """A new lease of the run's present generation."""
    return _grant((yield Request("POST", _run(run_id, "/lease"), given(ttl=ttl))))


def closed(run_id: str, reason: str | None) -> Talk[None]:
    """End a run and its leases."""
    (yield Request("POST", _run(run_id, "/close"), given(reason=reason))).read()


def checkpoint(run_id: str, generation: int, state_ref: str, label: str | None) -> Talk[Checkpoint]:
    """Take a checkpoint of a run that is still in this generation."""
    body = given(state_ref=state_ref, label=label, generation=generation)
    taken = (yield Request("POST", _run(run_id, "/checkpoints"), body)).read()
    return Checkpoint(taken["checkpoint_id"], taken["state_ref"], taken["label"], taken)


def resumption(run_id: str) -> Talk[Resumption | None]:
    """The run's last resume, whoever asked for it; ``None`` where it was never resumed."""
    resumed = (yield Request("GET", _run(run_id, "/checkpoints?limit=1"))).read()["resumed"]
    return None if resumed is None else Resumption(resumed["generation"], resumed["state_ref"])


def resume(run_id: str, asked: Resuming) -> Talk[tuple[Grant, Resumption]]:
    """Take a contained run up again."""
    answer = yield Request("POST", _run(run_id, "/resume"), {**asked})
    grant = _grant(answer)
    return grant, Resumption(grant.run["generation"], answer.read()["state_ref"])


def admission(tenant: str, task_class: str, run_id: str | None) -> Talk[Admission]:
    """May this task start?"""
    said = (yield Request("POST", "/v1/admission", given(tenant=tenant, task_class=task_class, run_id=run_id))).read()
    return Admission(said["admit"], said["mode"], said.get("reason"), said.get("order_id"), said.get("retry_after"))


def finding(run_id: str, found: Found) -> Talk[Finding]:
    """Report what is wrong with a run's state."""
    said = (yield Request("POST", _run(run_id, "/findings"), {**found})).read()
    return Finding(said["finding_id"], said["entry"], said.get("incident_id"), tuple(said["about"]))


def asked(method: str, path: str, body: Mapping[str, object] | None) -> Talk[Json]:
    """Any other request; gives the JSON object that answers it."""
    return (yield Request(method, path, body)).read()


def _run(run_id: str, more: str = "") -> str:
    return f"/v1/runs/{quote(run_id, safe='')}{more}"


def _is_resumed(asked: Opening, run: Json) -> bool:
    """Whether a run of this id differs only by what a resume made of it."""
    named: Json = {"workflow_id": run["run_id"], "parent_run": None, "task_class": "default", **asked}
    names = ("tenant", "agent_id", "task_class", "workflow_id", "parent_run")
    return bool(run["generation"] > 1) and all(named[name] == run[name] for name in names)


def _grant(answer: Answer) -> Grant:
    said = answer.read()
    return Grant(said["run"], said["lease"], answer.life(said["expires_at"]))
