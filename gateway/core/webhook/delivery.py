"""What a receiver's answer means for an event. Pure.

Signatures of Standard Webhooks (standardwebhooks.com), version 1: HMAC-SHA256 over id, time and body. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import Enum

LONGEST = 300.0
"""Seconds between two attempts at most, whatever a receiver requests."""


class Verdict(Enum):
    DELIVERED = "delivered"
    AGAIN = "again"
    NEVER = "never"
    """This event will not be taken, however often it is sent."""
    GONE = "gone"
    """No event will be taken any more."""


_AGAIN = frozenset({408, 425, 429})


def verdict(status: int) -> Verdict:
    """What a status means. A redirect is not followed, and could be gone at the next attempt."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == 410:
        return Verdict.GONE
    return Verdict.NEVER if 400 <= status < 500 and status not in _AGAIN else Verdict.AGAIN


PREFIX = "whsec_"

SHORTEST = 24
"""Bytes of a key, and characters of a secret."""


def key(secret: str) -> bytes:
    """The key of a secret: ``whsec_`` and base64, otherwise the text.

    Raises:
        ValueError: it is too short, or not base64; the message does not contain it.
    """
    if secret.startswith(PREFIX):
        try:
            found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"begins with {PREFIX}, but the rest is not base64") from None
    else:
        found = secret.encode()
    if len(found) < SHORTEST:
        raise ValueError(f"is too short; it needs at least {SHORTEST} characters, or {PREFIX} and {SHORTEST} bytes in base64")
    return found


def headers(signing: bytes, event_id: str, sent_at: int, body: bytes) -> dict[str, str]:
    """What tells a receiver who sent a body, and when (Unix seconds). The id is an event's, so the same at every attempt."""
    content = b"%b.%d.%b" % (event_id.encode(), sent_at, body)
    digest = hmac.new(signing, content, hashlib.sha256).digest()
    return {"webhook-id": event_id, "webhook-timestamp": str(sent_at), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
