"""Plain JSON over HTTP on the standard library: what a person at the ERP and an operator at the gateway use here."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names; ``body`` is the JSON value, text if it is not JSON, ``None`` if there is nothing."""

    status: int
    headers: Mapping[str, str]
    body: Any


def send(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None, *, timeout: float = 30.0) -> Answer:
    """One request on a connection of its own; a status is an answer, whatever it says.

    Raises:
        OSError: there was no answer.
    """
    parts = urlsplit(url)
    data = None if body is None else json.dumps(body).encode()
    sent = {"Accept": "application/json", **({} if data is None else {"Content-Type": "application/json"}), **(headers or {})}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), data, sent)
        answer = connection.getresponse()
        raw = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{url} gave no answer that is HTTP: {error!r}") from error
    finally:
        connection.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, _read(raw))


def _read(raw: bytes) -> object:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
