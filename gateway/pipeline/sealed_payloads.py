"""What is sealed away with a write: its request, the state before it, its reply."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec import convert, to_builtins
from msgspec.structs import replace

from gateway.core.adapter.carried import LANGUAGE
from gateway.core.adapter.objects import Representation
from gateway.core.policy import decision
from gateway.core.request import body as request_body
from gateway.core.request import coding, exact_json, idempotency
from gateway.model.call import NOTHING_CARRIED, Answer, BodyKind, Call, Carried, Headers
from gateway.model.decision import Allow, Hold
from gateway.pipeline.evidence import Before, Held, Judged

REPLY_BOUND = 256 * 1024
"""Bytes of a reply that are kept to answer a repetition."""

_SHOWN_HEADERS = frozenset({"accept", "content-encoding", "content-language", "content-type", "if-match", "if-none-match", "prefer"})
"""Headers whose values say how a body is to be read or applied."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a write as expressions see it, read back. ``redacted``: it is not all that was sent.

    ``carried`` is what own requests for it carry.
    """

    document: Mapping[str, object]
    captures: Mapping[str, str]
    redacted: bool = False
    carried: Carried = NOTHING_CARRIED

    @property
    def language(self) -> str:
        """The undeclared Accept-Language that own requests for it carry along, empty if there is none."""
        return next((value for name, value in self.carried.headers if name == LANGUAGE), "")


def request(judged: Judged) -> bytes:
    """The request part of the call's document, without what policy redacts.

    A body that is not JSON is kept as base64 beside it, unless policy redacts anything: then it is not kept.
    """
    document, carried, call = judged.action.document, judged.action.carried, judged.known.call
    asked, beside = _redacted(judged, document["request"])
    if not beside and call.args is None and call.body:
        beside["raw"] = base64.b64encode(call.body).decode()
    if carried is not NOTHING_CARRIED:
        beside["carried"] = to_builtins(carried)
    return exact_json.dumps({"request": asked, "run": document["run"], **beside})


def proposal(held: Held) -> bytes:
    """The request of a held call as it would be sent, for approvers; without what policy redacts.

    Of custom headers it contains only the names (``withheld``): their values may be secrets. Of a body that the gateway cannot read it
    contains size and digest (``opaque``): nobody can judge it by its bytes.
    """
    call, tool = held.known.call, held.known.tool
    shown, redacted = _redacted(held, _shown(call, tool.base, call.headers))
    return exact_json.dumps({**shown, **redacted})


def compensation(call: Call, base: str, guard: Headers, instead: Call | None) -> bytes:
    """The request of a compensation as it would be sent, for approvers; with its alternative if it comes too late."""
    shown = _shown(call, base, (*call.headers, *guard))
    if instead is not None:
        shown["instead"] = _shown(instead, base, instead.headers)
    return exact_json.dumps(shown)


def _shown(call: Call, base: str, sent: Headers) -> dict[str, Any]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent}
    shown = {
        "method": call.method,
        "path": base + call.target,
        "headers": {name: value for name, value in headers.items() if name in _SHOWN_HEADERS},
        "withheld": sorted(headers.keys() - _SHOWN_HEADERS),
        "body": call.args,
    }
    if call.kind is BodyKind.OPAQUE:
        shown["opaque"] = {"bytes": len(call.body), "sha256": idempotency.body_digest(call.body)}
    return shown


def _redacted(judged: Judged, request: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request without what policy redacts, and the member beside it that reports this."""
    redact = _redact(judged)
    return ({**request, "body": decision.redacted(judged.known.call.args, redact)}, {"redacted": True}) if redact else (request, {})


def _redact(judged: Judged) -> Sequence[str]:
    match judged.considered.decision:
        case Allow(obligations={"redact": [*names]}):
            return [str(name) for name in names]
        case Hold(redact=names):
            return names
        case _:
            return ()


def request_from(plain: bytes, variables: Mapping[str, object]) -> Request:
    kept: Any = exact_json.loads(plain)
    document = {"request": kept["request"], "run": kept["run"], "vars": variables}
    carried = convert(kept["carried"], Carried) if "carried" in kept else NOTHING_CARRIED
    return Request(document, kept["request"]["path"], redacted=kept.get("redacted", False), carried=carried)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was kept of an object before a write. ``representation`` is ``None`` in snapshots of earlier versions."""

    exists: bool
    state: object
    representation: Representation | None = None


def snapshot(before: Before) -> bytes:
    """One line of JSON, and behind it the object's bytes as they were. A state that is all of them is not written twice."""
    kept = before.representation
    head: dict[str, object] = {"exists": before.exists, "version": before.version}
    if kept is None or not kept.state_is_body:
        head["state"] = before.state
    if kept is None:
        return exact_json.dumps(head)
    described: dict[str, object] = {"content_type": kept.content_type}
    if kept.state_is_body:
        described["state_is_body"] = True
    if kept.kept:
        described |= {"headers": kept.headers, "kept": kept.kept}
    head["representation"] = described
    return exact_json.dumps(head) + b"\n" + kept.body


def snapshot_from(plain: bytes) -> Snapshot:
    line, _, body = plain.partition(b"\n")
    head = exact_json.loads(line)
    assert isinstance(head, dict), "snapshot made it"
    if "representation" not in head:
        return Snapshot(head["exists"], head["state"])
    kept = replace(convert(head["representation"], Representation), body=body)
    if not kept.state_is_body:
        return Snapshot(head["exists"], head["state"], kept)
    coded = tuple((name.encode(), value.encode("latin-1")) for name, value in kept.headers if name == "content-encoding")
    return Snapshot(head["exists"], request_body.json_value(coding.plain(coded, body)), kept)


def reply(answer: Answer) -> bytes:
    head = orjson.dumps([answer.status, [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]])
    return head + b"\n" + answer.body


def reply_from(plain: bytes) -> Answer:
    """The kept reply; without content codings, since who reads it now may accept others than who asked for it."""
    head, _, body = plain.partition(b"\n")
    status, fields = orjson.loads(head)
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
    return coding.without(Answer(status=status, headers=headers, body=body))
