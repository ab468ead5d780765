"""What orchestrators get from the gateway, and what goes wrong, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

URL = "KILLCORD_URL"
TOKEN = "KILLCORD_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_URL = "http://127.0.0.1:8091"

HOLDS = frozenset({"run-read-only", "run-paused", "run-quarantined", "lease-revoked", "fanout-blocked"})
"""Codes of what an order refuses. That is no failure of the workflow: the same step may pass later, or after a resume."""


class Problem(Exception):
    """The gateway said no, in its own words (RFC 9457).

    ``code`` is stable, ``hint`` says what to do next, ``retryable`` whether the same request may pass later, ``retry_after`` in how many
    seconds where the gateway says so. ``document`` is all of it.
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
        """Whether an order stands against it."""
        return self.code in HOLDS


class Lost(Exception):
    """The gateway gave no whole answer. Whether a request was carried out is not known; every one of this client may be sent again."""


class Superseded(Exception):
    """The run was resumed since this process opened it: what the process knows may have been taken back.

    Open the run again, and go on from the state that its ``resumption`` names.
    """


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a task may start; ``retry_after`` in seconds, ``None`` where only a person can end what holds it."""

    admit: bool
    mode: str
    reason: str | None = None
    order_id: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified place in a run's journal; ``document`` is all that the gateway keeps of it."""

    checkpoint_id: str
    state_ref: str | None
    label: str | None
    document: Json


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run's last resume: its generation since then, and where the state to begin with is kept. ``None`` is the workflow's start."""

    generation: int
    state_ref: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding as it was taken; ``incident_id`` where policy made an incident of it, ``about`` the run's entries that it was understood
    to be about: what is wrong begins at the first of them.
    """

    finding_id: str
    entry: str
    incident_id: str | None = None
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as it was given, with the run it is for; ``life`` is how many seconds it had to live when the gateway answered."""

    run: Json
    lease: str
    life: float
