"""What both clients share: the operations of the control API, each a generator that yields requests and is sent their answers.

Both clients perform the same operations, so they cannot differ. A client throws ``Lost`` into an operation if a request got no answer;
an operation raises ``Problem`` if the gateway refused.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Required, Self, TypedDict, TypeVar

from gateway.sdk import messages
from gateway.sdk.messages import DEFAULT_URL, TOKEN, URL, Answer, Grant, Json, Lost, Problem, Request, Superseded, given, path

T = TypeVar("T")
Operation = Generator[Request, Answer, T]

PAGE = 1000
"""Items of a list that are requested at a time."""

_RENEWED_AT = 2 / 3
"""The share of a lease's life after which its next use renews it."""


class Opening(TypedDict, total=False):
    """What a run is opened with. Opening the same ``run_id`` again finds the run; the task class gives what is left out."""

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
    """How a run is resumed. ``checkpoint`` is a checkpoint's id, an entry or ``start``; if it is left out, the gateway chooses.

    ``limits`` narrow what the run had; ``raise_limits`` extend them and take an admin's token.
    """

    reason: Required[str]
    checkpoint: str
    scopes: Sequence[str]
    tools: Sequence[str]
    mode: str
    limits: Mapping[str, object]
    raise_limits: Mapping[str, object]
    require_approval: Sequence[str]


class Found(TypedDict, total=False):
    """A verifier's finding; ``severity`` is ``critical``, or less, such as ``high``.

    ``evidence`` may name what it is about: ``entries`` (``<stream>/<seq>``) and ``objects`` (``<type>:<id>``) of the run.
    """

    kind: Required[str]
    severity: Required[str]
    evidence: Required[Mapping[str, object]]
    reason: str


@dataclass(slots=True)
class RunLease:
    """The lease of a run, renewed as it is used: no task or thread runs for it.

    ``clock`` counts seconds; ``since`` is when the present lease was requested, so that its age is never underestimated.
    """

    grant: Grant
    since: float
    clock: Callable[[], float]
    ttl: float | str | None = None

    @property
    def run_id(self) -> str:
        return str(self.grant.run["run_id"])

    @property
    def generation(self) -> int:
        return int(self.grant.run["generation"])

    def current(self) -> Operation[str]:
        """The lease, renewed if that is due.

        A lease that cannot be renewed is used until it expires, and the next use tries again: the gateway's answer to the call says
        what refuses the run.

        Raises:
            Problem, Lost: it could not be renewed, and it has expired.
            Superseded: the run was resumed in the meantime.
        """
        asked_at = self.clock()
        if asked_at - self.since < self.grant.life * _RENEWED_AT:
            return self.grant.lease
        try:
            grant = yield from renewed(self.run_id, self.ttl)
        except (Problem, Lost):
            if self.clock() - self.since >= self.grant.life:
                raise
            return self.grant.lease
        # With a lease of a later generation, a workflow would continue that does not know what was rolled back.
        if grant.run["generation"] != self.generation:
            raise Superseded(f"Run {self.run_id} was resumed: open it again and continue from the state that its resumption names.")
        self.grant, self.since = grant, asked_at
        return grant.lease


@dataclass(slots=True, eq=False)
class Client:
    """The gateway that a client speaks to, and how."""

    url: str
    token: str = field(repr=False)
    timeout: float = 30.0
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of_environment(cls) -> Self:
        """The gateway that KILLCORD_URL and KILLCORD_TOKEN name."""
        return cls(os.environ.get(URL) or DEFAULT_URL, os.environ.get(TOKEN, ""))


@dataclass(frozen=True, slots=True)
class LeasedRun:
    """What the runs of both clients know."""

    _lease: RunLease = field(repr=False)

    @property
    def run_id(self) -> str:
        return self._lease.run_id

    @property
    def generation(self) -> int:
        """1 until the run is resumed. State of an earlier generation may contain what was rolled back since."""
        return self._lease.generation


def step(lease: str, name: str, *, parent: str | None = None, key: str | None = None, confidence: float | None = None) -> dict[str, str]:
    """The headers of a tool call that is the step ``name``."""
    sure = None if confidence is None else f"{confidence:g}"
    more = {"Killcord-Parent-Step": parent, "Idempotency-Key": key, "Killcord-Confidence": sure}
    headers = {"Authorization": f"Bearer {lease}", "Killcord-Step": name}
    return headers | {name: value for name, value in more.items() if value is not None}


def any_request(request: Request) -> Operation[Answer]:
    """Any one request."""
    return (yield request).checked()


def page(where: str, query: Mapping[str, object], after: str) -> Operation[tuple[list[Json], str | None]]:
    """The page of a list after a cursor (empty: the first one), and the cursor of the next one; ``None`` after the last."""
    answer = (yield Request("GET", where, query={**query, "after": after or None, "limit": PAGE})).read()
    return answer["items"], answer["next"]


def opened(asked: Opening) -> Operation[Grant]:
    """Open a run, or find it by its ``run_id``, with a fresh lease.

    A run that was resumed with fewer permissions is found by what it was opened with; its permissions stay as they are.
    """
    answer = yield Request("POST", path("runs"), {**asked})
    if answer.status == 201:
        return _grant(answer)
    if answer.status != 200:
        refused = answer.problem()
        if refused.code != "conflict" or not _is_resumed(asked, (yield Request("GET", path("runs", asked["run_id"]))).read()):
            raise refused
    # The lease that a second opening returns ends when the first one does, which may be any moment.
    return (yield from renewed(asked["run_id"], asked.get("ttl")))


def renewed(run_id: str, ttl: float | str | None = None) -> Operation[Grant]:
    """A new lease of the run's present generation."""
    return _grant((yield Request("POST", path("runs", run_id, "lease"), given(ttl=ttl))))


def closed(run_id: str, reason: str | None) -> Operation[None]:
    """End a run and its leases."""
    (yield Request("POST", path("runs", run_id, "close"), given(reason=reason))).read()


def checkpoint(run_id: str, generation: int, state_ref: str, label: str | None) -> Operation[messages.Checkpoint]:
    """Take a checkpoint of a run that is still in this generation."""
    body = given(state_ref=state_ref, label=label, generation=generation)
    taken = (yield Request("POST", path("runs", run_id, "checkpoints"), body)).read()
    return messages.Checkpoint(taken["checkpoint_id"], taken["state_ref"], taken["label"], taken)


def resumption(run_id: str) -> Operation[messages.Resumption | None]:
    """The run's last resume, by any operator; ``None`` if it was never resumed."""
    resumed = (yield Request("GET", path("runs", run_id, "checkpoints"), query={"limit": 1})).read()["resumed"]
    return None if resumed is None else messages.Resumption(resumed["generation"], resumed["state_ref"])


def resume(run_id: str, asked: Resuming) -> Operation[tuple[Grant, messages.Resumption]]:
    """Resume a contained run."""
    answer = yield Request("POST", path("runs", run_id, "resume"), {**asked})
    grant = _grant(answer)
    said = answer.read()
    return grant, messages.Resumption(grant.run["generation"], said["state_ref"], tuple(said["warnings"]))


def admission(tenant: str, task_class: str, run_id: str | None) -> Operation[messages.Admission]:
    """Whether this task may start."""
    answer = (yield Request("POST", path("admission"), given(tenant=tenant, task_class=task_class, run_id=run_id))).read()
    return messages.Admission(answer["admit"], answer["mode"], answer.get("reason"), answer.get("order_id"), answer.get("retry_after"))


def finding(run_id: str, found: Found) -> Operation[messages.Finding]:
    """Report what is wrong with a run's state."""
    answer = (yield Request("POST", path("runs", run_id, "findings"), {**found})).read()
    return messages.Finding(answer["finding_id"], answer["entry"], answer.get("incident_id"), tuple(answer["about"]))


def _is_resumed(asked: Opening, run: Json) -> bool:
    """Whether a run of this id differs only by what a resume changed."""
    named: Json = {"workflow_id": run["run_id"], "parent_run": None, "task_class": "default", **asked}
    names = ("tenant", "agent_id", "task_class", "workflow_id", "parent_run")
    return bool(run["generation"] > 1) and all(named[name] == run[name] for name in names)


def _grant(answer: Answer) -> Grant:
    granted = answer.read()
    return Grant(granted["run"], granted["lease"], answer.life(granted["expires_at"]))
