"""A real Kinto on a free port, with its memory backend: an HTTP API with entity tags that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from killcord_demo import children, erp, web

AUTHORIZATION = "Basic a2lsbGNvcmQ6a2lsbGNvcmQ="
"""killcord:killcord; Kinto's basic authentication takes any pair as a user of its own."""

Document = dict[str, object]


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Start Kinto with its files in ``folder``; gives its port once it answers, ends it afterwards."""
    port = children.port(0)
    with erp.started(folder, port):
        yield port


def send(port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Document:
    """One request, ``path`` without ``/v1``; the reply as expressions see it."""
    answer = web.send(method, f"http://127.0.0.1:{port}/v1{path}", body, {"Authorization": AUTHORIZATION, **(headers or {})})
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
