"""A small client of the operators' door: no proxies, no redirects, a time limit on everything."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from gateway.cli.failure import Failure, refused, wrong_use

URL = "KILLCORD_URL"
TOKEN = "KILLCORD_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_URL = "http://127.0.0.1:8091"

TIMEOUT = 30.0
"""Seconds that the gateway may take; a stream sends a comment more often than that."""

LINES = "application/x-ndjson"
SVG = "image/svg+xml"

Json = dict[str, Any]

_SCHEMES = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of journal lines, each with its newline, and the cursor to go on from."""

    lines: list[bytes]
    next: str | None


@dataclass(frozen=True, slots=True)
class Api:
    """Every method raises :class:`Failure`: the gateway refused, or cannot be reached."""

    url: str
    token: str
    timeout: float = TIMEOUT

    def get(self, path: str, **query: object) -> Json:
        return self._json("GET", path, query)

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        return self._json("POST", path, {}, body)

    def drawn(self, path: str, body: Mapping[str, object]) -> bytes:
        """The picture that answers a request, as SVG."""
        with self._answer("POST", path, {}, body, accept=SVG) as response:
            return _read(self, response)

    def delete(self, path: str, body: Mapping[str, object]) -> Json:
        return self._json("DELETE", path, {}, body)

    def all(self, path: str, **query: object) -> Iterator[Json]:
        """Every item of a list, page by page."""
        after: str | None = None
        while True:
            page = self.get(path, **query, after=after, limit=1000)
            yield from page["items"]
            if page["next"] is None:
                return
            after = page["next"]

    def lines(self, **query: object) -> Lines:
        """A page of the journal as it is stored, one entry a line."""
        with self._answer("GET", "/v1/journal", query, accept=LINES) as response:
            return Lines(_read(self, response).splitlines(keepends=True), response.headers.get("Killcord-Next"))

    def follow(self, **query: object) -> Iterator[str]:
        """Entries as they come, one JSON text each, until the gateway ends the stream."""
        with self._answer("GET", "/v1/journal/follow", query, accept="text/event-stream") as response:
            try:
                while line := response.readline():
                    if line.startswith(b"data: "):
                        yield line[6:].decode().rstrip("\n")
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(self.url, error) from error

    def _json(self, method: str, path: str, query: Mapping[str, object], body: Mapping[str, object] | None = None) -> Json:
        with self._answer(method, path, query, body) as response:
            return _object(_read(self, response), self.url)

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: Mapping[str, object] | None = None,
        accept: str = "application/json",
    ) -> closing[http.client.HTTPResponse]:
        given = {name: str(value) for name, value in query.items() if value is not None}
        headers = {"Accept": accept, "Connection": "close"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = _connection(self.url, self.timeout)
        try:
            connection.request(
                method, path + (f"?{urlencode(given)}" if given else ""), None if body is None else json.dumps(body), headers
            )
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
            connection.close()
            raise _unreachable(self.url, error) from error
        if response.status >= http.client.MULTIPLE_CHOICES:
            with closing(response):
                raise _refusal(self, response)
        return closing(response)


def of_environment(*, timeout: float = TIMEOUT) -> Api:
    """The gateway that KILLCORD_URL and KILLCORD_TOKEN name."""
    return Api(os.environ.get(URL) or DEFAULT_URL, os.environ.get(TOKEN, ""), timeout)


def part(text: str) -> str:
    """A value as one segment of a path."""
    return quote(text, safe="")


def given(**fields: object) -> Json:
    """A body of the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        kind: type[http.client.HTTPConnection] = _SCHEMES[parts.scheme]
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
            raise ValueError(url)
        return kind(parts.hostname, parts.port, timeout=timeout)
    except (KeyError, ValueError) as wrong:
        raise wrong_use(f"{URL} is {url!r}; it has to look like {DEFAULT_URL}") from wrong


def _read(api: Api, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(api.url, error) from error


def _refusal(api: Api, response: http.client.HTTPResponse) -> Failure:
    raw = _read(api, response)
    try:
        return refused(_object(raw, api.url))
    except Failure:
        return Failure(f"{api.url} answered {response.status}, and not as a Killcord gateway does; look at what {URL} names.")


def _object(raw: bytes, url: str) -> Json:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Failure(f"{url} did not answer as a Killcord gateway does; look at what {URL} names.")
    return value


def _unreachable(url: str, error: Exception) -> Failure:
    why = "it took too long" if isinstance(error, (socket.timeout, TimeoutError)) else str(error) or type(error).__name__
    return Failure(
        f"The gateway at {url} cannot be reached: {why}.\n"
        f"  Is 'killcord serve' running there? Set {URL} to its operators' door, such as {DEFAULT_URL}."
    )
