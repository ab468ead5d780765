"""Requests to the control API and their answers, what they mean as values, and what can go wrong; no I/O."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson

Json = dict[str, Any]

URL = "KILLCORD_URL"
TOKEN = "KILLCORD_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_URL = "http://127.0.0.1:8091"

HOLDS = frozenset({"run-read-only", "run-paused", "run-quarantined", "lease-revoked", "fanout-blocked"})
"""Codes of refusals by an order. They are not failures of the workflow: the same step may pass later, or after a resume."""


class Problem(Exception):
    """The gateway refused, and says why (RFC 9457).

    ``code`` is stable, ``hint`` says what to do next, ``retryable`` whether the same request may pass later, ``retry_after`` in how many
    seconds, if the gateway knows. ``document`` is the whole problem document; it has no ``code`` if another server answered, and then
    ``text`` is the beginning of what that one said.
    """

    def __init__(self, status: int, document: Mapping[str, Any], text: str = "") -> None:
        self.status = status
        self.document = document
        self.text = text
        self.code = str(document.get("code", status))
        self.detail = str(document.get("detail", f"HTTP {status}"))
        self.hint = str(document.get("hint", ""))
        self.retryable = document.get("retryable") is True
        self.retry_after: float | None = document.get("retry_after")
        super().__init__(f"{self.code}: {self.detail} {self.hint}".rstrip())

    def __reduce__(self) -> tuple[type[Problem], tuple[int, Mapping[str, Any], str]]:
        # Durable workflow engines keep what a step raised.
        return type(self), (self.status, self.document, self.text)

    @property
    def held(self) -> bool:
        """Whether an order refused it."""
        return self.code in HOLDS


class Lost(Exception):
    """No complete answer came. Whether the gateway carried out the request is unknown; each request of a method but ``ask`` and
    ``fetch`` may be repeated.
    """


class Unanswered(Lost):
    """The connection stood, or may have, and no answer came: the request may still be carried out."""


class Unsendable(TypeError):
    """A request that was not sent: a number beyond 64 bits, or text that is not Unicode."""


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
    """A run's last resume: its generation since then, and where the state to start from is kept; ``None`` is the workflow's start.

    ``warnings`` name each limit that is used up and refuses the next write; only the call that resumes returns them.
    """

    generation: int
    state_ref: str | None
    warnings: tuple[str, ...] = ()


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


JSON = "application/json"
EVENTS = "text/event-stream"

_PROBLEM = "application/problem+json"
_SHOWN = 200
"""Bytes that are kept of an answer that is not a gateway's."""
_OURS = "urn:killcord:problem:"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``path`` is relative to the gateway's address; members of ``query`` that are ``None`` are left out."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    query: Mapping[str, object] = field(default_factory=dict)
    accept: str = JSON

    @property
    def target(self) -> str:
        """The path with its query, as it stands in the request line."""
        query = urlencode({name: str(value) for name, value in self.query.items() if value is not None})
        return f"{self.path}?{query}" if query else self.path

    @property
    def content(self) -> bytes | None:
        """The body as JSON.

        Raises:
            Unsendable: it holds what JSON cannot.
        """
        try:
            return None if self.body is None else orjson.dumps(self.body)
        except TypeError as wrong:
            raise Unsendable(f"The request cannot be written as JSON: {wrong}.") from wrong

    def headers(self, token: str) -> dict[str, str]:
        """The request's headers; an empty ``token`` sends none."""
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        return {"Accept": self.accept} | authorization | ({} if self.body is None else {"Content-Type": JSON})


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    def checked(self) -> Answer:
        """This answer.

        Raises:
            Problem: it is a refusal, or a redirect, which no client follows.
        """
        if self.status >= 300:
            raise self.problem()
        return self

    def read(self) -> Json:
        """The JSON object of a success.

        Raises:
            Problem: it is a refusal, or not an answer of a Killcord gateway; then the problem's document has no ``code``.
        """
        if (found := _object(self.checked().raw)) is None:
            raise self.problem()
        return found

    def problem(self) -> Problem:
        return _problem(self.status, self.headers, self.raw)

    def life(self, expires_at: str) -> float:
        """Seconds from this answer to ``expires_at`` by the gateway's own clock, which may differ from this machine's.

        Without a ``Date`` header it is 0.
        """
        answered_at = self.headers.get("date")
        if answered_at is None:
            return 0.0
        # The header is cut to whole seconds: the answer may be nearly one second younger.
        return max(0.0, (datetime.fromisoformat(expires_at) - parsedate_to_datetime(answered_at)).total_seconds() - 1.0)


def refusal(status: int, headers: Mapping[str, str], raw: bytes) -> Problem | None:
    """The gateway's refusal of a tool call; ``None`` if the tool itself answered."""
    named = {name.lower(): value for name, value in headers.items()}
    if status < 400 or not named.get("content-type", "").startswith(_PROBLEM):
        return None
    found = _problem(status, named, raw)
    return found if str(found.document.get("type", "")).startswith(_OURS) else None


def given(**fields: object) -> Json:
    """A body of the fields that are not ``None``, ``False`` or an empty list or tuple."""
    return {name: value for name, value in fields.items() if value not in (None, [], ()) and value is not False}


def path(*segments: str) -> str:
    """A path of the control API, such as ``/v1/runs/r1/lease``; each argument is one segment."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def lost(url: str, error: Exception) -> Lost:
    """No answer came from ``url``, and why."""
    if isinstance(error, TimeoutError):
        return Unanswered(f"{url} gave no answer in time")
    elif isinstance(error, ConnectionResetError | http.client.HTTPException):
        return Unanswered(f"{url} ended the connection without an answer")
    elif isinstance(error, ValueError):
        # Its text contains the header, and so the token.
        why = "the request cannot be sent; check the address and the characters of the token"
    else:
        why = str(error) or type(error).__name__
    return Lost(f"{url} gave no answer: {why}")


def _problem(status: int, headers: Mapping[str, str], raw: bytes) -> Problem:
    seconds, found = headers.get("retry-after", ""), _object(raw) or {}
    text = "" if "code" in found else " ".join(raw[:_SHOWN].decode("utf-8", "replace").split())
    return Problem(status, ({"retry_after": float(seconds)} if seconds.isdigit() else {}) | found, text)


def _object(raw: bytes) -> Json | None:
    """A JSON object; ``None`` if it is anything else, such as the page of a proxy."""
    try:
        found: Any = orjson.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
