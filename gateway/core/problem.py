"""Refusals as problem documents (RFC 9457), one status to a code."""

from __future__ import annotations

import orjson

from gateway.core import limits
from gateway.errors import Refusal
from gateway.model.call import Headers, Reply

MEDIA_TYPE = b"application/problem+json"


def document(refusal: Refusal, *, run_id: str | None = None, step_id: str | None = None, entry: str | None = None) -> dict[str, object]:
    """The problem object; members that do not apply are absent."""
    known = {"run_id": run_id, "step_id": step_id, "entry": entry, "retry_after": refusal.retry_after}
    return {
        "type": f"urn:killcord:problem:{refusal.code}",
        "title": " ".join((type(refusal).__doc__ or "").split()),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "retryable": refusal.retryable,
        "hint": refusal.advice,
        **{name: value for name, value in known.items() if value is not None},
        **refusal.members,
    }


def reply(
    refusal: Refusal,
    headers: Headers = (),
    *,
    run_id: str | None = None,
    step_id: str | None = None,
    entry: str | None = None,
    close: bool = False,
) -> Reply:
    """The refusal as it goes to the agent; ``headers`` are those of ours that every reply carries."""
    own: Headers = ((b"Content-Type", MEDIA_TYPE), (b"Cache-Control", b"no-store"))
    status = refusal.status
    if status == 401:
        own += ((b"WWW-Authenticate", b'Bearer realm="killcord", error="invalid_token"'),)
    if refusal.retry_after is not None or status == 503:
        own += ((b"Retry-After", str(limits.retry_after(refusal.retry_after or 1.0)).encode()),)
    body = orjson.dumps(document(refusal, run_id=run_id, step_id=step_id, entry=entry))
    return Reply(status=status, headers=own + refusal.fields + headers, body=body, close=close)
