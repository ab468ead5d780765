"""Ed25519 keys that are kept in files, and what is signed with them: leases, and heads of the journal.

ports.LeaseKeys: leases as JWTs (RFC 9864). ports.HeadSigner: heads as C2SP signed notes, so that a cut tail shows.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from gateway import errors
from gateway.clients.keys import files
from gateway.core.journal import signed_note
from gateway.model.entry import Head
from gateway.model.run import Lease

ALGORITHM: Final = "Ed25519"
TYPE = "killcord-lease+jwt"
ISSUER: Final = "killcord"
AUDIENCE: Final = "killcord:agents"
LONGEST = 4096
"""Bytes of a token; a longer one is not read."""


class _Claims(msgspec.Struct):
    """What a token says; ``nbf`` and ``exp`` in Unix seconds."""

    iss: Literal["killcord"]
    aud: Literal["killcord:agents"]
    sub: str
    ten: str
    gen: int
    nbf: float
    exp: float


class SignedLeases:
    """The last key signs; all of them verify, so that leases outlive a rotation.

    A token is one exact string: its header must be, byte for byte, the one this gateway writes for one of its keys. So another
    algorithm, a foreign key id, ``crit``, or a key that the token brings along are never even parsed.
    """

    def __init__(self, keys: Sequence[OKPKey]) -> None:
        self._keys = tuple(keys)
        self._headers = {_sign(key, b"").partition(".")[0]: key for key in keys}

    def sign(self, lease: Lease, *, now: float) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": lease.run_id,
            "ten": lease.tenant,
            "gen": lease.generation,
            "iat": _date(now),
            "nbf": _date(lease.not_before),
            "exp": _date(lease.expires_at),
        }
        return _sign(self._keys[-1], orjson.dumps(claims))

    def verify(self, token: str) -> Lease:
        header, _, rest = token.partition(".")
        signature = rest.rpartition(".")[2]
        key = self._headers.get(header)
        if len(token) > LONGEST or key is None or not token.isascii() or not _canonical(signature):
            raise errors.LeaseInvalid
        try:
            payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
            claims = msgspec.convert(orjson.loads(payload), _Claims)
        except (JoseError, ValueError, msgspec.ValidationError) as refused:
            raise errors.LeaseInvalid from refused
        return Lease(run_id=claims.sub, tenant=claims.ten, generation=claims.gen, not_before=claims.nbf, expires_at=claims.exp)

    def jwks(self) -> Mapping[str, object]:
        """Public keys only, the signing one first."""
        return {
            "keys": [{**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHM, "use": "sig"} for key in self._keys[::-1]]
        }


def open_lease_keys(folder: Path) -> SignedLeases:
    """The keys ``lease-*.pem`` of a folder, in the order of their names; the first one is made if there is none.

    Raises:
        Misconfigured: a key is not an Ed25519 key, or others than its owner can read it.
    """
    files.open_folder(folder)
    if not list(folder.glob("lease-*.pem")):
        add_lease_key(folder)
    return SignedLeases(
        [_load(path, f"make one with 'openssl genpkey -algorithm ed25519 -out {path}'") for path in sorted(folder.glob("lease-*.pem"))]
    )


def add_lease_key(folder: Path) -> Path:
    """Create the key that signs after the next start; earlier keys still verify."""
    taken = sorted(folder.glob("lease-*.pem"))
    last = taken[-1].stem.removeprefix("lease-") if taken else "0"
    number = int(last) if last.isascii() and last.isdecimal() else len(taken)
    path = folder / f"lease-{number + 1:04d}.pem"
    files.create(path, _generated())
    return path


def retire_lease_keys(folder: Path) -> None:
    """Create a new signing key and take the others out of use: what they signed is refused from the next start on."""
    new = add_lease_key(folder)
    for path in folder.glob("lease-*.pem"):
        if path != new:
            path.rename(path.with_name(f"retired-{path.name}"))


def _generated() -> bytes:
    return OKPKey.generate_key(ALGORITHM).as_pem(private=True)


def _load(path: Path, advice: str) -> OKPKey:
    try:
        key = OKPKey.import_key(files.read(path))
        if key.curve_name == ALGORITHM and key.is_private:
            return key
    except (JoseError, ValueError, TypeError):
        pass
    raise errors.Misconfigured([f"{path}: not an Ed25519 private key in PEM form; {advice}"])


def _sign(key: OKPKey, payload: bytes) -> str:
    return jws.serialize_compact({"alg": ALGORITHM, "kid": key.thumbprint(), "typ": TYPE}, payload, key, algorithms=[ALGORITHM])


def _canonical(segment: str) -> bool:
    """Whether a base64url segment is the one way to write its bytes: else one lease would have several names."""
    try:
        raw = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == segment


def _date(seconds: float) -> int | float:
    """A NumericDate, exact to the millisecond and never later than what is meant."""
    millis = math.floor(seconds * 1000)
    return millis // 1000 if millis % 1000 == 0 else millis / 1000


NAME = "killcord"
"""The key's name on its notes; nodes differ by key id."""


class SignedHeads:
    """Signs checkpoints with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()

    def sign(self, stream: str, seq: int, chain_hash: str, ts: str) -> str:
        text = signed_note.body(Head(stream, seq, chain_hash, ts, note=""))
        return signed_note.signed(text, NAME, self._public, self._key.sign(text.encode()))

    def signed(self, head: Head) -> bool:
        """Whether this key signed a head as it stands."""
        try:
            return signed_note.verify(head.note, [self.verifier_key]) == head
        except signed_note.NotTrusted:
            return False

    @property
    def verifier_key(self) -> str:
        return signed_note.verifier_key(NAME, self._public)


def open_head_key(folder: Path) -> SignedHeads:
    """The key ``head.pem`` of a folder, made if there is none.

    Raises:
        Misconfigured: it is not an Ed25519 key, or others than its owner can read it.
    """
    path = files.open_folder(folder) / "head.pem"
    if not path.exists():
        files.create(path, _generated())
    key = _load(path, "restore it from your backup, or remove it to start with a new key").private_key
    assert isinstance(key, Ed25519PrivateKey)
    return SignedHeads(key)
