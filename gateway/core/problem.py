"""Refusals as problem documents (RFC 9457), one status to a code."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core import limits
from gateway.errors import Refusal
from gateway.model.call import Headers, Reply

_CODES: Mapping[int, tuple[str, ...]] = {
    400: ("malformed-request",),
    401: ("lease-missing", "lease-invalid", "lease-expired"),
    403: (
        "lease-revoked",
        "run-quarantined",
        "run-read-only",
        "fanout-blocked",
        "policy-denied",
        "tenant-boundary",
        "tenant-unknown",
        "action-unknown",
        "approval-required",
        "approval-denied",
    ),
    404: ("tool-unknown",),
    408: ("body-timeout",),
    409: ("in-flight", "outcome-unknown", "reply-not-kept"),
    412: ("precondition-changed",),
    413: ("body-too-large",),
    422: ("key-reused",),
    429: ("rate-limited", "blast-radius"),
    502: ("tool-unreachable",),
    503: ("run-paused", "policy-unavailable", "journal-unavailable", "containment-stale", "draining"),
    504: ("tool-timeout",),
}
STATUS: Mapping[str, int] = {code: status for status, codes in _CODES.items() for code in codes}

MEDIA_TYPE = b"application/problem+json"


def status_of(refusal: Refusal) -> int:
    """The status of the refusal's code, unless the refusal has one of its own."""
    return refusal.status or STATUS[refusal.code]


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
