"""A webhook: an external receiver of orders, triggers and incidents."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path

from msgspec import Struct


class Topic(StrEnum):
    """The topics that a webhook can subscribe to."""

    ORDER = "order"
    TRIGGER = "trigger"
    INCIDENT = "incident"


class Webhook(Struct, frozen=True, kw_only=True):
    """``url`` may hold a secret, as ``key`` (that of the signatures) does: neither is shown. ``host`` is what may be.

    ``timeout`` is in seconds, for one attempt. ``tenants`` are those whose events it gets; ``None`` is every event, also
    those that belong to no tenant. ``ca`` verifies its server in the place of the system's certificates.
    """

    name: str
    host: str
    url: str
    key: bytes
    topics: frozenset[Topic] = frozenset(Topic)
    timeout: float = 5.0
    attempts: int = 8
    tenants: frozenset[str] | None = None
    ca: Path | None = None

    def __repr__(self) -> str:
        return f"Webhook(name={self.name!r}, host={self.host!r})"

    @property
    def sent_in_plain_text(self) -> bool:
        """Whether its events cross a network in plain text."""
        return self.url.startswith("http:") and not _on_this_machine(self.host)


def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
