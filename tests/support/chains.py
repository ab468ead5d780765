"""A small journal's lines, and heads signed over them."""

from collections.abc import Iterator

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from gateway.core.journal import chain, signed_note
from gateway.model.entry import Head

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw()
TRUSTED = signed_note.verifier_key("killcord", PUBLIC)


def entries(count: int, stream: str = "st_1") -> Iterator[bytes]:
    prev = chain.GENESIS
    for seq in range(1, count + 1):
        fields = {"stream": stream, "seq": seq, "ts": f"2026-11-24T20:08:{seq % 60:02d}.000000Z", "kind": "read", "run_id": "run_1"}
        linked = chain.draft(fields).link(prev)
        prev = linked.hash
        yield linked.line


def head(line: bytes) -> Head:
    entry = orjson.loads(line)
    unsigned = Head(entry["stream"], entry["seq"], entry["hash"], "now", note="")
    text = signed_note.body(unsigned)
    return replace(unsigned, note=signed_note.signed(text, "killcord", PUBLIC, KEY.sign(text.encode())))
