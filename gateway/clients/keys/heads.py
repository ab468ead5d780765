"""ports.HeadSigner: signs the journal's head, so that a cut tail shows."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import errors
from gateway.clients.keys import files
from gateway.core.journal import signed_note

NAME = "killcord"
"""The key's name on its notes; nodes differ by key id."""


class SignedHeads:
    """Signs checkpoints with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey, name: str = NAME) -> None:
        self._key = key
        self._name = name
        self._public = key.public_key().public_bytes_raw()

    def sign(self, stream: str, seq: int, chain_hash: str, ts: str) -> str:
        text = signed_note.body(signed_note.Point(stream, seq, chain_hash, ts))
        return signed_note.signed(text, self._name, self._public, self._key.sign(text.encode()))

    @property
    def verifier_key(self) -> str:
        return signed_note.verifier_key(self._name, self._public)


def open_head_key(folder: Path) -> SignedHeads:
    """The key ``head.pem`` of a folder, made if there is none.

    Raises:
        Misconfigured: it is not an Ed25519 key, or others than its owner can read it.
    """
    path = files.folder(folder) / "head.pem"
    if not path.exists():
        files.make(path, _pem(Ed25519PrivateKey.generate()))
    try:
        key = serialization.load_pem_private_key(files.read(path), password=None)
    except (ValueError, TypeError) as broken:
        raise errors.Misconfigured([_advice(path)]) from broken
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.Misconfigured([_advice(path)])
    return SignedHeads(key)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _advice(path: Path) -> str:
    return f"{path}: not an Ed25519 private key in PEM form; restore it from your backup, or remove it to start with a new key"
