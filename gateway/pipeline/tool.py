"""A tool as the line meets it: its catalog, where it is, and how its secret is brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core.adapter import catalog
from gateway.errors import UpstreamFailure
from gateway.model.call import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``authority`` is the Host header's value, ``base`` the path in front of the tool's own (no slash at the end).

    ``credential`` gives the header that carries the tool's secret for a tenant, ``None`` for tools without one; it raises
    KeyError where a tenant has no secret. ``lease_header`` and ``lease_basic`` say where unmodified clients put the lease.
    ``timeout`` in seconds. Until ``shadow_until`` (Unix seconds) policy's denials are journaled and waived.
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
    shadow_until: float = 0.0

    def secret(self, tenant: str) -> Headers:
        """The header that carries the tool's secret for a tenant; none for a tool without one.

        Raises:
            UpstreamFailure: the secret is not there, so nothing can be sent.
        """
        if self.credential is None:
            return ()
        try:
            return (self.credential(tenant),)
        except KeyError as error:
            raise UpstreamFailure(f"the gateway has no secret of {self.name} for tenant {tenant}", sent=False) from error


Tools = Mapping[str, Tool]
