"""What is sealed away with a write: its request, the state before it, its reply."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core.policy import decision
from gateway.model.call import Answer, Call, Headers
from gateway.model.decision import Allow, Hold
from gateway.pipeline.evidence import Before, Held, Judged

REPLY_BOUND = 256 * 1024
"""Bytes of a reply that are kept to answer a repetition."""

_PLAIN = frozenset({"accept", "content-encoding", "content-language", "content-type", "if-match", "if-none-match", "prefer"})
"""Headers whose values say how a body is to be read or applied."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a write as expressions see it, read back. ``redacted``: it is not all that was sent."""

    document: Mapping[str, object]
    captures: Mapping[str, str]
    redacted: bool = False


def request(judged: Judged) -> bytes:
    """The request part of the call's document, without what policy redacts.

    A body that is not JSON is kept as base64 beside it, unless policy redacts anything: then it is not kept.
    """
    document = judged.action.document
    asked, beside = _redacted(judged, document["request"])
    return orjson.dumps({"request": asked, "run": document["run"], **beside})


def proposal(held: Held) -> bytes:
    """The request of a held call as it would be sent, for approvers; without what policy redacts.

    Of custom headers it contains only the names (``withheld``): their values may be secrets.
    """
    call, tool = held.known.call, held.known.tool
    shown, beside = _redacted(held, _shown(call, tool.base, call.headers))
    return orjson.dumps({**shown, **beside})


def compensation(call: Call, base: str, guard: Headers, instead: Call | None) -> bytes:
    """The request of a compensation as it would be sent, for approvers; with its alternative if it comes too late."""
    shown = _shown(call, base, (*call.headers, *guard))
    if instead is not None:
        shown["instead"] = _shown(instead, base, instead.headers)
    return orjson.dumps(shown)


def _shown(call: Call, base: str, sent: Headers) -> dict[str, Any]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent}
    return {
        "method": call.method,
        "path": base + call.target,
        "headers": {name: value for name, value in headers.items() if name in _PLAIN},
        "withheld": sorted(headers.keys() - _PLAIN),
        "body": call.args,
    }


def _redacted(judged: Judged, request: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request without what policy redacts, and the members beside it: that it was redacted, or a body that is not JSON."""
    call, redact = judged.known.call, _redact(judged)
    if redact:
        return {**request, "body": decision.redacted(call.args, redact)}, {"redacted": True}
    return request, {"raw": base64.b64encode(call.body).decode()} if call.args is None and call.body else {}


def _redact(judged: Judged) -> Sequence[str]:
    match judged.considered.decision:
        case Allow(obligations={"redact": [*names]}):
            return [str(name) for name in names]
        case Hold(redact=names):
            return names
        case _:
            return ()


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
