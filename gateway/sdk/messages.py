"""Requests to the control API and their answers as values; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from gateway.sdk.values import Json, Lost, Problem

JSON = "application/json"
EVENTS = "text/event-stream"

_PROBLEM = "application/problem+json"
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
        return None if self.body is None else orjson.dumps(self.body)

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
            raise Problem(self.status, {})
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
        why = "timed out"
    elif isinstance(error, ValueError):
        # Its text contains the header, and so the token.
        why = "the request cannot be sent; check the address and the characters of the token"
    else:
        why = str(error) or type(error).__name__
    return Lost(f"{url} gave no answer: {why}")


def _problem(status: int, headers: Mapping[str, str], raw: bytes) -> Problem:
    seconds = headers.get("retry-after", "")
    return Problem(status, ({"retry_after": float(seconds)} if seconds.isdigit() else {}) | (_object(raw) or {}))


def _object(raw: bytes) -> Json | None:
    """A JSON object; ``None`` if it is anything else, such as the page of a proxy."""
    try:
        found: Any = orjson.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
