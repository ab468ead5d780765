"""The control API as commands use it, by the SDK's blocking client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import typer

from gateway.cli import output
from gateway.cli.output import Columns, wrong_use
from gateway.sdk.messages import DEFAULT_URL, TOKEN, URL, Json
from gateway.sdk.sync import Killcord


def connect(*, timeout: float = 30.0) -> Killcord:
    """The gateway that KILLCORD_URL and KILLCORD_TOKEN name. ``timeout`` is in seconds; a stream sends a comment more often.

    Raises:
        Failure: KILLCORD_URL is not the address of a server.
    """
    url = os.environ.get(URL) or DEFAULT_URL
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
        raise wrong_use(f"{URL} is {url!r}; it must look like {DEFAULT_URL}")
    return Killcord(url, os.environ.get(TOKEN, "").strip(), timeout)


def get(path: str, **query: object) -> Json:
    """The JSON object at ``path``."""
    return connect().ask("GET", path, query=query)


def post(path: str, body: Mapping[str, object]) -> Json:
    """The JSON object that answers ``body``."""
    return connect().ask("POST", path, body)


def list_items(context: typer.Context, path: str, columns: Columns, **query: object) -> None:
    """Print every item of a list."""
    found = list(connect().items(path, **query))
    output.of(context).table(found, columns, found)


def show(context: typer.Context, path: str, lines: Callable[[Json], Iterable[str]]) -> None:
    """Print the object at ``path``."""
    found = get(path)
    output.of(context).value(found, lines(found))


def change(
    context: typer.Context, path: str, body: Mapping[str, object], lines: str | Callable[[Json], Iterable[str]], method: str = "POST"
) -> None:
    """Send ``body`` and print the answer: by ``lines``, or as one line, a format of the answer's members."""
    answered = connect().ask(method, path, body)
    output.of(context).value(answered, [lines.format_map(answered)] if isinstance(lines, str) else lines(answered))
