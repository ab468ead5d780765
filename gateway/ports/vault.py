"""Sealed blobs and the keys that seal them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from gateway.model.entry import Sealed


class Blobs(Protocol):
    """Sealed blobs and the wrapped tenant keys they were sealed under."""

    async def blob(self, ref: str) -> Sealed | None: ...

    async def blobs(self, refs: Collection[str]) -> Mapping[str, Sealed]:
        """The blobs of those refs that are kept, by ref. One query fetches all of them."""

    async def tenant_key(self, tenant: str) -> bytes | None: ...

    async def keep_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        """Keep a tenant's wrapped key durably; returns the one that stands (an earlier one wins)."""

    async def forget_tenant_key(self, tenant: str) -> bool: ...


class Vault(Protocol):
    """Sealing, with a key per tenant, so that a tenant can be forgotten."""

    async def seal(self, tenant: str, plain: bytes) -> Sealed: ...

    async def open(self, ref: str | None) -> bytes | None:
        """The plain bytes of the kept blob of this ref; ``None`` if there is none.

        Raises:
            KeyError: the tenant was forgotten.
        """

    async def fetch(self, refs: Collection[str]) -> Mapping[str, Sealed]:
        """The blobs of those refs that are kept, by ref, still sealed."""

    async def unseal(self, sealed: Sealed) -> bytes:
        """Raises:
        KeyError: the tenant was forgotten.
        ValueError: the blob was changed, or sealed for another tenant.
        """
