"""Signatures of Standard Webhooks (standardwebhooks.com), version 1: HMAC-SHA256 over id, time and body. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"

SHORTEST = 24
"""Bytes of a key, and characters of a secret."""


def key(secret: str) -> bytes:
    """The key that a secret stands for: ``whsec_`` and base64, else the text itself.

    Raises:
        ValueError: it is too short, or no base64; what stands there is not repeated.
    """
    if secret.startswith(PREFIX):
        try:
            found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"begins with {PREFIX}, and what follows is no base64") from None
    else:
        found = secret.encode()
    if len(found) < SHORTEST:
        raise ValueError(
            f"is too short to be a secret; it needs at least {SHORTEST} characters, or {PREFIX} and {SHORTEST} bytes in base64"
        )
    return found


def headers(signing: bytes, event_id: str, sent_at: int, body: bytes) -> dict[str, str]:
    """What tells a receiver who sent a body, and when (Unix seconds). The id is an event's, so the same at every attempt."""
    content = b"%b.%d.%b" % (event_id.encode(), sent_at, body)
    digest = hmac.new(signing, content, hashlib.sha256).digest()
    return {"webhook-id": event_id, "webhook-timestamp": str(sent_at), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
