"""A tool as the line meets it: its catalog, where it is, and how its secret is brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core import catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``authority`` is the Host header's value, ``base`` the path in front of the tool's own (no slash at the end).

    ``credential`` gives the header that carries the tool's secret for a tenant, ``None`` for tools without one; it raises
    KeyError where a tenant has no secret. ``lease_header`` and ``lease_basic`` say where unmodified clients put the lease.
    ``timeout`` in seconds.
    """

    name: str
    catalog: catalog.Tool
    authority: bytes
    base: str = ""
    credential: Callable[[str], tuple[bytes, bytes]] | None = None
    credential_header: bytes | None = None
    timeout: float = 10.0
    lease_header: bytes | None = None
    lease_basic: bool = False


Tools = Mapping[str, Tool]
