"""Which calls are the same call, and what a key may answer.

A key answers from the journal only while the effect it names stands. An unknown outcome is never sent again by the
gateway: the adapter's probe decides, or a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from gateway import errors
from gateway.core.request import exact_json, multipart
from gateway.model.call import Call
from gateway.model.effect import Key, KeyKind, State, Write

RETRY_IN_FLIGHT = 1.0
"""Seconds after which the same call may be asked again."""


def digest(*parts: object) -> str:
    """Hex SHA-256 of the canonical JSON array of the parts: no two lists of parts collide by gluing."""
    return hashlib.sha256(exact_json.canonical(parts)).hexdigest()


def body_digest(body: bytes) -> str:
    """Hex SHA-256 of the body as sent."""
    return hashlib.sha256(body).hexdigest()


def content_of(call: Call, place: str = "") -> str:
    """What a key stands for: tool, method, target and the canonical body; and where the call goes, if its headers or query say that.

    A form of parts is the same under another boundary. A body that cannot be read is its bytes: JSON sent as ``application/json`` and the
    same bytes under another type are two contents, which is safe only because a write with a body that policy cannot read is refused.
    """
    where, target = (place,) if place else (), _target(call)
    if call.args is not None or not call.body:
        return digest(call.tool, call.method, target, call.args, *where)
    parts = multipart.parts_of(call.headers, call.body)
    body = body_digest(call.body) if parts is None else ["multipart", *parts]
    return digest(call.tool, call.method, target, body, *where)


def _target(call: Call) -> str:
    """Path and query: one text for all orders and escapes in which the same query can be written."""
    return f"{call.path}?{urlencode(sorted(call.query.items()), quote_via=quote)}" if call.raw_query else call.path


def own_key(text: str) -> str:
    """The agent's own key without the quotes of a structured field."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def key(
    call: Call,
    *,
    tenant: str,
    workflow_id: str,
    action: str,
    own: str | None,
    step: str | None,
    identity: Sequence[object] | None,
    window: float,
    place: str = "",
    together: bool = False,
) -> Key:
    """The call's key: the agent's own; else its named step with action and target; else what the call does.

    ``step`` is the step id only if the agent named one. ``identity`` holds the values of the adapter's identity
    fields, ``None`` for the whole canonical body. ``place`` is where the call goes, as far as its headers or query say it. ``together``: an
    own key is looked up beside the content key, which is then the key.
    """
    content = content_of(call, place)
    identical = content if identity is None else digest(*identity, *((place,) if place else ()))
    same = digest("content", tenant, workflow_id, call.tool, action, _target(call), identical)
    kind, made_of, beside = KeyKind.CONTENT, same, None
    if own is not None:
        named = digest("own", tenant, workflow_id, own)
        if together:
            beside = named
        else:
            kind, made_of = KeyKind.OWN, named
    elif step is not None:
        kind, made_of = KeyKind.STEP, digest("step", tenant, workflow_id, step, call.tool, action, call.path)
    return Key(tenant=tenant, workflow_id=workflow_id, kind=kind, digest=made_of, content=content, window=window, same=same, own=beside)


def wire_key(key: Key, attempt: int) -> str:
    """The key the tool sees: a digest, never the agent's own text, since one tool credential is one key space."""
    return "kc-" + digest(key.tenant, key.workflow_id, key.digest, attempt)[:40]


def consider(key: Key, latest: Write | None) -> int | Write:
    """What the newest attempt under a key means for the next call: the number of the attempt to be made, or a write.

    Its effect stands (a content key may still have expired: the caller must check), or is unknown (the probe decides, or a person).

    Raises:
        KeyReused: an own key or a named step already stands for other content.
        InFlight: the same call is being carried out.
    """
    if latest is None:
        return 1
    if latest.state in (State.FAILED, State.COMPENSATED):
        return latest.attempt + 1
    if key.kind is not KeyKind.CONTENT and latest.key.content != key.content:
        raise errors.KeyReused
    if latest.state is State.IN_FLIGHT:
        raise errors.InFlight(retry_after=RETRY_IN_FLIGHT)
    return latest


def lapsed_by_time(write: Write, *, now: float) -> bool:
    """Whether the window is over in which a write answers for equal calls."""
    return now - write.at > write.key.window
