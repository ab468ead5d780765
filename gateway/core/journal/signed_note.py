"""Signed heads: C2SP signed notes over checkpoint lines, written and verified.

A note's text is four lines, each ended by a newline: the origin ``killcord/<stream>``, the size (= seq), the chain hash (32 bytes,
base64) and ``ts <time>``; then a blank line and signature lines of em dash, key name and base64(key id || signature). The key id
is the first 4 bytes of SHA-256(name || newline || 0x01 || public key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.model.entry import Head

ORIGIN = "killcord/"
_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_SHORTEST = 4 + 64
"""Bytes of a key id and an Ed25519 signature; those of witnesses are longer."""


class NotTrusted(ValueError):
    """A note that is malformed, or signed by no trusted key; ``stream`` and ``seq`` as far as it names them."""

    def __init__(self, problem: str, stream: str = "", seq: int = 0) -> None:
        super().__init__(problem)
        self.stream = stream
        self.seq = seq


def body(head: Head) -> str:
    """The text that is signed."""
    root = base64.b64encode(bytes.fromhex(head.hash)).decode()
    return f"{ORIGIN}{head.stream}\n{head.seq}\n{root}\nts {head.ts}\n"


def key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """A key as others keep it: ``name+hex key id+base64(0x01 || public key)``."""
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def signed(text: str, name: str, public: bytes, signature: bytes) -> str:
    """A note's text with its signature line."""
    return f"{text}\n{_DASH}{name} {base64.b64encode(key_id(name, public) + signature).decode()}\n"


def read(text: str) -> Head:
    """What a note claims; its signature is not judged.

    Raises:
        NotTrusted: it is not a note of ours, to the byte.
    """
    head, _ = _parse(text)
    return head


def verify(text: str, keys: Sequence[str]) -> Head:
    """What a note claims, signed by one of the trusted verifier keys.

    Raises:
        NotTrusted: the note is malformed or no trusted key signed it.
        ValueError: a verifier key is malformed.
    """
    head, signatures = _parse(text)
    trusted = {(name, ident): public for name, ident, public in map(_verifier, keys)}
    for name, ident, signature in signatures:
        public = trusted.get((name, ident))
        if public is not None and _signed_by(public, signature, body(head)):
            return head
    raise NotTrusted("no trusted key signed it", head.stream, head.seq)


def notes(text: str) -> list[str]:
    """The signed notes in a text in which they stand one after the other; what is before the first is passed over."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith(ORIGIN):
            found.append("")
        if found:
            found[-1] += line + "\n"
    return [one.rstrip("\n") + "\n" for one in found]


def _parse(text: str) -> tuple[Head, list[tuple[str, bytes, bytes]]]:
    facts, blank, lines = text.partition("\n\n")
    fields = facts.split("\n")
    if not blank or len(fields) != 4 or not lines.endswith("\n"):
        raise NotTrusted("not a signed note: four lines, a blank line and signatures were expected")
    origin, size, root, ts = fields
    head = Head(
        origin.removeprefix(ORIGIN),
        int(size) if size.isascii() and size.isdecimal() and len(size) <= 16 else 0,
        _hex(root),
        ts.removeprefix("ts "),
        text,
    )
    if body(head) != facts + "\n":
        raise NotTrusted("not a head of a killcord journal, to the byte", head.stream, head.seq)
    return head, [_signature(line, head) for line in lines[:-1].split("\n")]


def _hex(root: str) -> str:
    try:
        return base64.b64decode(root, validate=True).hex()
    except (binascii.Error, ValueError) as broken:
        raise NotTrusted(f"its hash is not base64 ({broken})") from broken


def _signature(line: str, head: Head) -> tuple[str, bytes, bytes]:
    name, _, coded = line.removeprefix(_DASH).partition(" ")
    try:
        raw = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < _SHORTEST or line != f"{_DASH}{name} {base64.b64encode(raw).decode()}":
        raise NotTrusted("a malformed signature line", head.stream, head.seq)
    return name, raw[:4], raw[4:]


def _verifier(key: str) -> tuple[str, bytes, bytes]:
    name, _, rest = key.partition("+")
    ident, _, coded = rest.partition("+")
    raw = base64.b64decode(coded, validate=True)
    public = raw[1:]
    if raw[:1] != _ED25519 or len(public) != 32 or key_id(name, public).hex() != ident:
        raise ValueError(f"{key!r} is not a verifier key; expected name+hash+base64 of an Ed25519 key")
    return name, bytes.fromhex(ident), public


def _signed_by(public: bytes, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
