"""The hash chain: canonical bytes, links, and the verifier that anyone can run over an export.

An entry's canonical form is RFC 8785. Entries hold no floats and integers within +-(2**53 - 1), so a dump with sorted keys is that form.

    hash = SHA-256(prev_hash || canonical)

``prev_hash`` is the 64 lower-case hex digits (ASCII text, not the 32 bytes) that stand in the entry; ``canonical`` is the entry
without its ``hash`` member, ``prev_hash`` included. The first entry of a stream has ``prev_hash`` = 64 zeros. So one line of shell
re-computes a link: ``printf %s%s "$prev_hash" "$canonical" | sha256sum``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from msgspec import Struct

from gateway.core.journal import signed_note
from gateway.model.entry import Head

Fields = Mapping[str, object]
"""The members of an entry: JSON values without floats, so that a sorted dump is its canonical form (RFC 8785)."""

GENESIS = "0" * 64
"""The ``prev_hash`` of a stream's first entry."""

_SCALARS = frozenset({str, int, bool, type(None)})
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_AS_GIVEN = orjson.OPT_STRICT_INTEGER


class Linked(Struct, frozen=True, gc=False):
    """An entry with its place in the chain: the whole canonical ``line`` (no newline) and its ``hash``."""

    line: bytes
    hash: str


class Draft(Struct, frozen=True, gc=False):
    """An entry serialised once, in canonical order, cut where its ``hash`` member and the value of its ``prev_hash`` go."""

    before: bytes
    between: bytes
    after: bytes

    def link(self, prev_hash: str) -> Linked:
        """Put the entry behind the one whose hash is ``prev_hash``."""
        prev = prev_hash.encode()
        rest = b'%b"%b"%b' % (self.between, prev, self.after)
        digest = hashlib.sha256(b"%b%b%b" % (prev, self.before, rest)).hexdigest()
        return Linked(b'%b"hash":"%b",%b' % (self.before, digest.encode(), rest), digest)


# A control byte stands in no JSON text, so where one was put in it is found again for certain.
_HASH, _PREV = orjson.Fragment(b"\x00"), orjson.Fragment(b"\x01")
_HASH_MEMBER = b'"hash":\x00,'


def draft(fields: Fields) -> Draft:
    """Check an entry and serialise it; ``fields`` hold neither ``hash`` nor ``prev_hash``.

    Raises:
        TypeError: a value is no JSON value of ours (a float, an integer beyond 53 bits, a lone surrogate); the message names the field.
    """
    if "hash" in fields or "prev_hash" in fields:
        raise TypeError("hash and prev_hash are set by the journal, not by the caller")
    plain = _checked(fields)
    marked = {**fields, "hash": _HASH, "prev_hash": _PREV}
    return cut(_dumped(marked, fields, plain=plain))


def cut(line: bytes) -> Draft:
    """Cut a canonical line in which the byte 0 stands for the hash and the byte 1 for the hash before it."""
    before, _, rest = line.partition(_HASH_MEMBER)
    between, _, after = rest.partition(b"\x01")
    return Draft(before, between, after)


def canonical(fields: Fields) -> bytes:
    """The RFC 8785 form of an entry.

    Raises:
        TypeError: as for :func:`draft`; names of the entry's own fields are ASCII.
    """
    return _dumped(fields, fields, plain=_checked(fields))


def _dumped(fields: Fields, checked: Fields, *, plain: bool) -> bytes:
    """``checked`` are the fields to look at for what could not be serialised."""
    try:
        # RFC 8785 sorts by UTF-16 code units, orjson by code points: they part at astral characters, so other than ASCII we sort ourselves.
        return orjson.dumps(fields, option=_SORTED) if plain else orjson.dumps(_ordered(fields), option=_AS_GIVEN)
    except TypeError as refused:
        raise TypeError(f"{_culprit(checked)}: {refused}") from refused


def _checked(fields: Fields) -> bool:
    """Whether all keys below the entry's own, which must be, are ASCII.

    Raises:
        TypeError: as for :func:`canonical`.
    """
    if not "".join(fields).isascii():
        name = next(key for key in fields if not key.isascii())
        raise TypeError(f"{name!r}: the names of an entry's fields are ASCII")
    plain = True
    for name, member in fields.items():
        if type(member) not in _SCALARS:
            plain = _check(member, name) and plain
    return plain


def _check(value: object, name: str) -> bool:
    """Whether all keys below are ASCII; refuses what is no JSON value or is a float."""
    if isinstance(value, dict):
        try:
            plain = "".join(value).isascii()
        except TypeError:
            raise TypeError(f"{name}: a key is not a string") from None
        for key, member in value.items():
            if type(member) not in _SCALARS:
                plain = _check(member, f"{name}.{key}") and plain
        return plain
    if isinstance(value, list | tuple):
        plain = True
        for index, member in enumerate(value):
            if type(member) not in _SCALARS:
                plain = _check(member, f"{name}[{index}]") and plain
        return plain
    if isinstance(value, str | int):  # an enum's member
        return True
    raise TypeError(f"{name}: an entry may not contain {type(value).__name__}; use an integer or a string")


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))}
    if isinstance(value, list | tuple):
        return [_ordered(member) for member in value]
    return value


def _culprit(fields: Fields) -> str:
    for key, value in fields.items():
        try:
            orjson.dumps({key: value}, option=_SORTED)
        except TypeError:
            return repr(key)
    return "the entry"


def link(prev_hash: str, fields: Fields) -> str:
    """The hash (64 hex digits) of an entry; ``fields`` hold its ``prev_hash`` and no ``hash``."""
    return hashlib.sha256(prev_hash.encode() + canonical(fields)).hexdigest()


def head_line(head: Head) -> bytes:
    """A signed head as a line at the end of an export."""
    return canonical({"checkpoint": head.note, "hash": head.hash, "seq": head.seq, "stream": head.stream, "ts": head.ts})


def is_head(fields: Mapping[str, object]) -> bool:
    """Whether a line of an export is a signed head: an entry of kind checkpoint has that field too, and is linked."""
    return "checkpoint" in fields and "prev_hash" not in fields


class ChainFinding(Struct, frozen=True):
    """What is wrong with a chain, and where. ``seq`` 0 is the stream as a whole; an empty ``stream`` is a line that names none."""

    stream: str
    seq: int
    problem: str

    def __str__(self) -> str:
        return f"{self.stream or 'no stream'}/{self.seq}: {self.problem}"


@dataclass(slots=True)
class _Stream:
    seq: int = 0
    tip: str = GENESIS
    covered: int = 0
    hashes: bytearray = field(default_factory=bytearray)
    accepted: list[tuple[int, int, str]] = field(default_factory=list)
    """Of each entry that accepted an older journal: its seq, the lowest seq of a head that did not match, the time of the newest."""

    def excuses(self, head: Head) -> bool:
        """Whether an operator accepted that this head does not match. It counts only below a head that matches: an entry needs no key."""
        return any(seq <= self.covered and head.seq >= first and head.ts <= until for seq, first, until in self.accepted)

    def hash_at(self, seq: int) -> str:
        return self.hashes[32 * (seq - 1) : 32 * seq].hex()


class Verifier:
    """Checks a chain line by line: :meth:`feed` each line in order, then :meth:`finish`. The first finding stands.

    ``keys`` are trusted verifier keys; with none given signatures are not judged (positions and hashes are). ``anchors`` are signed notes
    kept outside the journal: each must be a prefix of, or equal to, the chain. Keeps 32 bytes for each entry.
    """

    def __init__(self, *, keys: Sequence[str] = (), anchors: Sequence[str] = ()) -> None:
        self.entries = 0
        self.heads = 0
        self.finding: ChainFinding | None = None
        self._streams: dict[str, _Stream] = {}
        self._keys = tuple(keys)
        self._anchors = tuple(anchors)
        self._mismatches: list[tuple[Head, ChainFinding]] = []
        self.excused: list[Head] = []
        """Heads that do not match because an operator accepted an older journal; complete after :meth:`finish`."""

    def feed(self, line: bytes) -> ChainFinding | None:
        """Check one more line (one trailing newline is taken off)."""
        if self.finding is None:
            self.finding = self._line(line[:-1] if line.endswith(b"\n") else line)
        return self.finding

    def finish(self) -> ChainFinding | None:
        """Check the anchored heads against the whole chain."""
        for text in self._anchors:
            if self.finding is None:
                self.finding = self._checkpoint(text, "anchored head")
        for head, finding in self._mismatches:
            if self._streams[head.stream].excuses(head):
                self.excused.append(head)
            elif self.finding is None:
                self.finding = finding
        return self.finding

    @property
    def streams(self) -> Mapping[str, int]:
        """The last seq of each stream."""
        return {name: stream.seq for name, stream in self._streams.items()}

    @property
    def uncovered(self) -> Mapping[str, int]:
        """How many entries of each stream stand above its newest head or anchor: removing them could not be detected."""
        return {name: stream.seq - stream.covered for name, stream in self._streams.items()}

    def _line(self, line: bytes) -> ChainFinding | None:
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as broken:
            return self._lost(f"not a JSON line ({broken})")
        if not isinstance(fields, dict):
            return self._lost("not a JSON object")
        if is_head(fields):
            return self._head(fields, line)
        stream, seq = fields.get("stream"), fields.get("seq")
        if not isinstance(stream, str) or type(seq) is not int:
            return self._lost("an entry without stream and seq")
        if self.heads:
            return ChainFinding(stream, seq, "an entry after the signed heads; heads must follow all entries")
        return self._entry(fields, line, stream, seq)

    def _entry(self, fields: dict[str, object], line: bytes, name: str, seq: int) -> ChainFinding | None:
        stream = self._streams.setdefault(name, _Stream())
        if seq != stream.seq + 1:
            return ChainFinding(
                name, stream.seq + 1, f"expected seq {stream.seq + 1}, found {seq}: entries are missing, repeated or out of order"
            )
        hash_, prev = fields.pop("hash", None), fields.pop("prev_hash", None)
        if prev != stream.tip:
            return ChainFinding(name, seq, "prev_hash is not the hash of the entry before it")
        try:
            linked = draft(fields).link(stream.tip)
        except TypeError as refused:
            return ChainFinding(name, seq, f"not an entry in canonical form: {refused}")
        if hash_ != linked.hash:
            return ChainFinding(name, seq, "hash does not cover the entry: it was changed")
        if line != linked.line:
            return ChainFinding(name, seq, "the line is not in canonical form (RFC 8785)")
        stream.seq, stream.tip = seq, linked.hash
        stream.hashes += bytes.fromhex(linked.hash)
        self.entries += 1
        first, until = fields.get("first"), fields.get("until")
        if fields.get("kind") == "store" and isinstance(first, int) and isinstance(until, str):
            stream.accepted.append((seq, first, until))
        return None

    def _head(self, fields: dict[str, object], line: bytes) -> ChainFinding | None:
        text = fields["checkpoint"]
        if not isinstance(text, str):
            return self._lost("a checkpoint that is not text")
        self.heads += 1
        found = self._checkpoint(text, "signed head")
        if found is not None:
            return found
        head = signed_note.read(text)
        return None if line == head_line(head) else ChainFinding(head.stream, head.seq, "a head line that differs from its signed note")

    def _checkpoint(self, text: str, what: str) -> ChainFinding | None:
        try:
            point = signed_note.verify(text, self._keys) if self._keys else signed_note.read(text)
        except signed_note.NotTrusted as refused:
            return ChainFinding(refused.stream, refused.seq, f"{what}: {refused}") if refused.stream else self._lost(f"{what}: {refused}")
        stream = self._streams.get(point.stream, _Stream())
        found = _mismatch(point, stream, what)
        if found is None:
            stream.covered = max(stream.covered, point.seq)
        elif stream.accepted:  # whether it is excused shows when all heads were seen
            self._mismatches.append((point, found))
            return None
        return found

    def _lost(self, problem: str) -> ChainFinding:
        name, stream = next(reversed(self._streams.items()), ("", _Stream()))
        return ChainFinding(name, stream.seq + 1, f"line {self.entries + self.heads + 1}: {problem}")


def _mismatch(head: Head, stream: _Stream, what: str) -> ChainFinding | None:
    if head.seq > stream.seq:
        return ChainFinding(
            head.stream, stream.seq + 1, f"{what} at seq {head.seq}, but the journal ends at {stream.seq}: its end was removed"
        )
    if head.hash != (stream.hash_at(head.seq) if head.seq else GENESIS):
        return ChainFinding(head.stream, head.seq, f"{what} has another hash than the journal: history was rewritten")
    return None


def verify(lines: Iterable[bytes], *, keys: Sequence[str] = (), anchors: Sequence[str] = ()) -> Verifier:
    """Verify an export's lines to the first finding; the verifier returned holds it, and what was covered."""
    verifier = Verifier(keys=keys, anchors=anchors)
    for line in lines:
        if verifier.feed(line) is not None:
            return verifier
    verifier.finish()
    return verifier
