"""Requests to the operators' door and their answers, as bytes are read into words; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from gateway.sdk.values import Json, Problem

_MEDIA_TYPE = "application/problem+json"
_OURS = "urn:killcord:problem:"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``path`` begins behind the gateway's address."""

    method: str
    path: str
    body: Mapping[str, object] | None = None

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else orjson.dumps(self.body)

    def headers(self, token: str) -> dict[str, str]:
        sent = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        return sent if self.body is None else sent | {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    def read(self) -> Json:
        """What a success says.

        Raises:
            Problem: it is none.
        """
        if self.status >= 300:
            raise self.problem()
        return _object(self.raw)

    def problem(self) -> Problem:
        return _problem(self.status, self.headers, self.raw)

    def life(self, expires_at: str) -> float:
        """Seconds from this answer to then, by the gateway's own clock: this machine's may differ. Without a ``Date`` there are none."""
        told_at = self.headers.get("date")
        if told_at is None:
            return 0.0
        # The header is cut to whole seconds: the answer may be nearly one second younger.
        return max(0.0, (datetime.fromisoformat(expires_at) - parsedate_to_datetime(told_at)).total_seconds() - 1.0)


def refusal(status: int, headers: Mapping[str, str], raw: bytes) -> Problem | None:
    """The gateway's refusal, where the answer to a tool call is one; ``None`` where the tool answered, whatever it says."""
    named = {name.lower(): value for name, value in headers.items()}
    if status < 400 or not named.get("content-type", "").startswith(_MEDIA_TYPE):
        return None
    found = _problem(status, named, raw)
    return found if str(found.document.get("type", "")).startswith(_OURS) else None


def given(**fields: object) -> Json:
    """A body of the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _problem(status: int, headers: Mapping[str, str], raw: bytes) -> Problem:
    document = _object(raw)
    seconds = headers.get("retry-after", "")
    told = {"retry_after": float(seconds)} if seconds.isdigit() else {}
    return Problem(status, told | document)


def _object(raw: bytes) -> Json:
    """A JSON object; an empty one where it is none, so that a proxy's page is a problem that says no more than its status."""
    try:
        said: Any = orjson.loads(raw)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
