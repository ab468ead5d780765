"""Refusals as problem documents (RFC 9457), one status to a code."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core import limits
from gateway.errors import MalformedRequest, Refusal
from gateway.model.call import Headers, Reply

STATUS: Mapping[str, int] = {
    "malformed-request": 400,
    "lease-missing": 401,
    "lease-invalid": 401,
    "lease-expired": 401,
    "lease-revoked": 403,
    "run-quarantined": 403,
    "run-read-only": 403,
    "fanout-blocked": 403,
    "policy-denied": 403,
    "tenant-boundary": 403,
    "tenant-unknown": 403,
    "action-unknown": 403,
    "approval-required": 403,
    "approval-denied": 403,
    "tool-unknown": 404,
    "in-flight": 409,
    "outcome-unknown": 409,
    "reply-not-kept": 409,
    "precondition-changed": 412,
    "body-too-large": 413,
    "body-timeout": 408,
    "key-reused": 422,
    "rate-limited": 429,
    "blast-radius": 429,
    "tool-unreachable": 502,
    "tool-timeout": 504,
    "run-paused": 503,
    "policy-unavailable": 503,
    "journal-unavailable": 503,
    "containment-stale": 503,
    "draining": 503,
}

MEDIA_TYPE = b"application/problem+json"


def status_of(refusal: Refusal) -> int:
    return refusal.status if isinstance(refusal, MalformedRequest) else STATUS[refusal.code]


def document(refusal: Refusal, *, run_id: str | None = None, step_id: str | None = None, entry: str | None = None) -> dict[str, object]:
    """The problem object; members that do not apply are absent."""
    known = {"run_id": run_id, "step_id": step_id, "entry": entry, "retry_after": refusal.retry_after}
    return {
        "type": f"urn:killcord:problem:{refusal.code}",
        "title": " ".join((type(refusal).__doc__ or "").split()),
        "status": status_of(refusal),
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
    status = status_of(refusal)
    if status == 401:
        own += ((b"WWW-Authenticate", b'Bearer realm="killcord", error="invalid_token"'),)
    if refusal.retry_after is not None or status == 503:
        own += ((b"Retry-After", str(limits.retry_after(refusal.retry_after or 1.0)).encode()),)
    body = orjson.dumps(document(refusal, run_id=run_id, step_id=step_id, entry=entry))
    return Reply(status=status, headers=own + refusal.fields + headers, body=body, close=close)
