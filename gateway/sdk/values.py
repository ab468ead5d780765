"""What the gateway returns to orchestrators, and what can go wrong, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

URL = "KILLCORD_URL"
TOKEN = "KILLCORD_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_URL = "http://127.0.0.1:8091"

HOLDS = frozenset({"run-read-only", "run-paused", "run-quarantined", "lease-revoked", "fanout-blocked"})
"""Codes of refusals by an order. They are not failures of the workflow: the same step may pass later, or after a resume."""


class Problem(Exception):
    """The gateway refused, and says why (RFC 9457).

    ``code`` is stable, ``hint`` says what to do next, ``retryable`` whether the same request may pass later, ``retry_after`` in how many
    seconds, if the gateway knows. ``document`` is the whole problem document; it has no ``code`` if another server answered.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = document
        self.code = str(document.get("code", status))
        self.detail = str(document.get("detail", f"HTTP {status}"))
        self.hint = str(document.get("hint", ""))
        self.retryable = document.get("retryable") is True
        self.retry_after: float | None = document.get("retry_after")
        super().__init__(f"{self.code}: {self.detail} {self.hint}".rstrip())

    def __reduce__(self) -> tuple[type[Problem], tuple[int, Mapping[str, Any]]]:
        # Durable workflow engines keep what a step raised.
        return type(self), (self.status, self.document)

    @property
    def held(self) -> bool:
        """Whether an order refused it."""
        return self.code in HOLDS


class Lost(Exception):
    """No complete answer came. Whether the gateway carried out the request is unknown; each request of a method but ``ask`` and
    ``fetch`` may be repeated.
    """


class Superseded(Exception):
    """The run was resumed since this process opened it: what the process knows may have been rolled back.

    Open the run again, and continue from the state that its ``resumption`` names.
    """


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a task may start; ``retry_after`` in seconds, ``None`` if only a person can end what holds it."""

    admit: bool
    mode: str
    reason: str | None = None
    order_id: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified position in a run's journal; ``document`` is the gateway's whole record of it."""

    checkpoint_id: str
    state_ref: str | None
    label: str | None
    document: Json


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run's last resume: its generation since then, and where the state to start from is kept; ``None`` is the workflow's start."""

    generation: int
    state_ref: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A recorded finding. ``incident_id`` is set if policy opened an incident; ``about`` are the run's entries that the finding concerns:
    what is wrong starts at the first of them.
    """

    finding_id: str
    entry: str
    incident_id: str | None = None
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A granted lease and its run; ``life`` is the seconds until it expires, counted from the gateway's answer."""

    run: Json
    lease: str
    life: float
