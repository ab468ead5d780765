"""What is sealed away with a write: its request, the state before it, its reply."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core import redaction
from gateway.model.decision import Allow
from gateway.model.wire import Answer
from gateway.pipeline.evidence import Before, Judged

REPLY_BOUND = 256 * 1024
"""Bytes of a reply that are kept to answer a repetition."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a write as expressions see it, read back. ``redacted`` where it is not all that was sent."""

    document: Mapping[str, object]
    captures: Mapping[str, str]
    redacted: bool = False


def request(judged: Judged) -> bytes:
    """The request part of the call's document, without what policy wants struck out.

    A body that is not JSON is kept as base64 beside it, unless policy wants anything struck out: then it is not kept.
    """
    known, document = judged.known, judged.action.document
    kept: dict[str, Any] = {"request": document["request"], "run": document["run"]}
    decision = judged.considered.decision
    redact = decision.obligations.get("redact") if isinstance(decision, Allow) else None
    if isinstance(redact, list) and redact:
        kept["request"] = {**kept["request"], "body": redaction.struck(known.call.args, redact)}
        kept["redacted"] = True
    elif known.call.args is None and known.call.body:
        kept["raw"] = base64.b64encode(known.call.body).decode()
    return orjson.dumps(kept)


def request_from(plain: bytes, variables: Mapping[str, object]) -> Request:
    kept: dict[str, Any] = orjson.loads(plain)
    document = {"request": kept["request"], "run": kept["run"], "vars": variables}
    return Request(document, kept["request"]["path"], redacted=kept.get("redacted", False))


def snapshot(before: Before) -> bytes:
    return orjson.dumps({"exists": before.exists, "version": before.version, "state": before.state})


def reply(answer: Answer) -> bytes:
    head = orjson.dumps([answer.status, [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]])
    return head + b"\n" + answer.body


def reply_from(plain: bytes) -> Answer:
    head, _, body = plain.partition(b"\n")
    status, headers = orjson.loads(head)
    return Answer(status=status, headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers), body=body)
