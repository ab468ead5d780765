"""A real S3 API (moto) on a free port, with a bucket that keeps versions; and an adapter for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.gateway import CHECKOUT, wait_until
from tests.support.ports import free_port

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AKIA/20261130/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""Whose requests these are; moto does not verify the signature."""
BUCKET = "acme"

ADAPTER = """\
system: s3
tenant: run.tenant
objects:
  object:
    path: /{bucket}/{key}
    version: reply.headers.etag
    state: reply.body
    keep: [cache-control, content-disposition, content-encoding, content-language, "x-amz-meta-*"]
actions:
  - {name: object.read, match: {method: GET, path: "/{bucket}/{key}"}, object: object, effect: read}
  - name: object.put
    match: {method: PUT, path: "/{bucket}/{key}"}
    object: object
    effect: write
    class: reversible
    body: opaque
    guard: if_match
    compensation: {type: restore_previous_version, by: object.put, delete_created: object.delete, auto: true}
  - name: object.delete
    match: {method: DELETE, path: "/{bucket}/{key}"}
    object: object
    effect: write
    class: reversible
    guard: if_match
    compensation: {type: restore_previous_version, by: object.put, auto: true}
"""

_VERSIONS = b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
_VARYING = frozenset({"date", "last-modified", "x-amzn-requestid", "x-amz-version-id", "server", "connection"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket as its owner sees it, past any gateway."""

    port: int

    def send(self, method: str, key: str = "", body: bytes = b"", **headers: str) -> httpx.Response:
        """One request for an object, or for the bucket; a header's ``_`` are dashes."""
        sent = {"Authorization": AUTHORIZATION, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.request(method, f"http://127.0.0.1:{self.port}/{BUCKET}/{key}", content=body, headers=sent)

    def put(self, key: str, body: bytes, **headers: str) -> None:
        answer = self.send("PUT", key, body, **headers)
        assert answer.status_code == 200, answer.text

    def shown(self, key: str) -> tuple[bytes, dict[str, str]] | None:
        """An object's bytes and all that S3 says of it, save when it was written; ``None`` if there is none."""
        answer = self.send("GET", key, Accept_Encoding="identity")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return answer.read(), {name: value for name, value in answer.headers.items() if name not in _VARYING}


@contextmanager
def serving(folder: Path) -> Iterator[Bucket]:
    """Start it; without moto in ``.tools`` the test is skipped, and fails where CI asks for it."""
    server = CHECKOUT / ".tools" / "python" / "bin" / "moto_server"
    if not server.exists():
        if os.environ.get("CI"):
            pytest.fail("CI requires a real S3 API: make tools")
        pytest.skip("NOT CHECKED AGAINST A REAL S3 API: install it by make tools")
    made = Bucket(free_port())
    with open(folder / "moto.log", "wb") as log:
        process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(made.port)], stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: _answers(made), "moto to answer")
        assert made.send("PUT").status_code == 200
        versioned = httpx.put(
            f"http://127.0.0.1:{made.port}/{BUCKET}?versioning",
            content=_VERSIONS,
            headers={"Authorization": AUTHORIZATION, "Content-Type": "application/xml"},
        )
        assert versioned.status_code == 200, versioned.text
        yield made
    finally:
        process.terminate()
        process.wait(60)


def _answers(bucket: Bucket) -> bool:
    try:
        return bucket.send("GET").status_code > 0
    except httpx.TransportError:
        return False
