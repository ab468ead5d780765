"""ports.Vault: sealing with a key per tenant, wrapped by the gateway's master key.

A sealed blob is ``version (1 byte) || key id (8) || nonce (12) || AES-256-GCM``; its associated data is the tenant, so that a blob moved
to another tenant does not open. A wrapped key is ``nonce (12) || AES-256-GCM`` under the master key, bound to its tenant likewise.
Forgetting a tenant is forgetting its wrapped key.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import errors
from gateway.clients.clock import RandomBytes
from gateway.clients.keys import files
from gateway.model.entry import Sealed
from gateway.ports.vault import Blobs

_VERSION = b"\x01"
_NONCE = 12
_KEPT = 256
"""Unwrapped keys in memory."""


@dataclass(frozen=True, slots=True)
class _Key:
    ident: bytes
    cipher: AESGCM


class TenantVault:
    """Seals and unseals; the keys are in ``blobs``, wrapped."""

    def __init__(self, blobs: Blobs, master: bytes) -> None:
        self._blobs = blobs
        self._master = AESGCM(master)
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self._chance = RandomBytes()

    async def seal(self, tenant: str, plain: bytes) -> Sealed:
        """Raises:
        JournalUnavailable: the tenant's first key cannot be kept.
        """
        key = await self._key(tenant) or await self._new(tenant)
        nonce = self._chance.take(_NONCE)
        data = _VERSION + key.ident + nonce + key.cipher.encrypt(nonce, plain, _associated_data("blob", tenant))
        return Sealed(f"sha256:{hashlib.sha256(data).hexdigest()}", tenant, data)

    async def open(self, ref: str | None) -> bytes | None:
        """Raises:
        KeyError, ValueError: as for :meth:`unseal`.
        """
        sealed = None if ref is None else await self._blobs.blob(ref)
        return None if sealed is None else await self.unseal(sealed)

    async def fetch(self, refs: Collection[str]) -> Mapping[str, Sealed]:
        return await self._blobs.blobs(refs)

    async def unseal(self, sealed: Sealed) -> bytes:
        """Raises:
        KeyError: the tenant was forgotten.
        ValueError: the blob was changed, or sealed for another tenant.
        """
        key = await self._key(sealed.tenant)
        data = sealed.data
        if data[:1] != _VERSION:
            raise ValueError(f"{sealed.ref} is not a sealed blob of this gateway")
        if key is None or data[1:9] != key.ident:
            raise KeyError(sealed.tenant)
        try:
            return key.cipher.decrypt(data[9:21], data[21:], _associated_data("blob", sealed.tenant))
        except InvalidTag as changed:
            raise ValueError(f"{sealed.ref} was changed, or sealed for another tenant") from changed

    async def forget(self, tenant: str) -> bool:
        """Make everything that was sealed for a tenant permanently unreadable; whether there was a key."""
        self._keys.pop(tenant, None)
        forgotten = await self._blobs.forget_tenant_key(tenant)
        self._keys.pop(tenant, None)  # a call in between may have fetched it again
        return forgotten

    async def _key(self, tenant: str) -> _Key | None:
        key = self._keys.get(tenant)
        if key is not None:
            self._keys.move_to_end(tenant)
            return key
        wrapped = await self._blobs.tenant_key(tenant)
        return None if wrapped is None else self._unwrapped(tenant, wrapped)

    async def _new(self, tenant: str) -> _Key:
        nonce = self._chance.take(_NONCE)
        wrapped = nonce + self._master.encrypt(nonce, AESGCM.generate_key(256), _associated_data("key", tenant))
        # Another call may have kept one first: the one that stands is the tenant's.
        return self._unwrapped(tenant, await self._blobs.keep_tenant_key(tenant, wrapped))

    def _unwrapped(self, tenant: str, wrapped: bytes) -> _Key:
        try:
            raw = self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _associated_data("key", tenant))
        except InvalidTag as foreign:
            raise ValueError(f"the key of tenant {tenant!r} was not wrapped by this master key; restore keys/master.key") from foreign
        key = self._keys[tenant] = _Key(hashlib.sha256(wrapped).digest()[:8], AESGCM(raw))
        if len(self._keys) > _KEPT:
            self._keys.popitem(last=False)
        return key


def open_master_key(folder: Path) -> bytes:
    """The master key ``master.key`` of a folder (64 hex digits), made if there is none.

    Raises:
        Misconfigured: it is not such a key, or others than its owner can read it.
    """
    path = files.open_folder(folder) / "master.key"
    if not path.exists():
        files.create(path, os.urandom(32).hex().encode() + b"\n")
    text = files.read(path).strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise errors.Misconfigured([f"{path}: a master key is 64 hex digits; restore it from your backup; no other key opens it"])
    return key


def state_key(master: bytes) -> bytes:
    """The key that proves the projections (32 bytes). It is another than the master key, which opens the tenants' keys alone."""
    return hashlib.blake2b(key=master, digest_size=32, person=b"killcord-tables").digest()


def _associated_data(what: str, tenant: str) -> bytes:
    return f"killcord-{what}\x00{tenant}".encode()
