"""Signed heads held against the journal that they speak for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from gateway.core.journal import chain
from gateway.model.entry import Head, StoreEntry

HashAt = Callable[[int], str | None]
"""The chain hash of the entry at a seq; ``None`` if there is none."""

Signed = Callable[[Head], bool]
"""Whether this node's own key signed a head."""


class Mismatches(Struct, frozen=True):
    """The heads that do not match, ascending by seq: signed by this node and not excused, excused by an acceptance, and foreign.

    ``unanchored`` is the newest head in the store, if the anchor has none as new.
    """

    own: tuple[Head, ...] = ()
    excused: tuple[Head, ...] = ()
    foreign: tuple[Head, ...] = ()
    unanchored: Head | None = None


def matches(head: Head, hash_at: HashAt) -> bool:
    return head.hash == (hash_at(head.seq) if head.seq else chain.GENESIS)


def compare(heads: Iterable[Head], accepted: Sequence[StoreEntry], hash_at: HashAt, signed: Signed) -> Mismatches:
    """Hold the heads of one stream against its entries.

    A head that fits proves nothing wrong, so only the signature of one that does not is checked: what this node's key
    did not sign neither stops a start nor lets one pass. An acceptance is an entry, and entries need no key: it counts only below a head
    that fits and that this node signed.
    """
    fitting: list[Head] = []
    others: list[Head] = []
    for head in heads:
        (fitting if matches(head, hash_at) else others).append(head)
    if not others:
        return Mismatches()
    trusted = trusted_acceptances(accepted, fitting, signed)
    others.sort(key=lambda head: (head.seq, head.ts))
    excused = [head for head in others if is_excused(head, trusted)]
    rest = [head for head in others if not is_excused(head, trusted)]
    own = [head for head in rest if signed(head)]
    foreign = [head for head in rest if not signed(head)] if len(own) < len(rest) else []
    return Mismatches(tuple(own), tuple(excused), tuple(foreign))


def trusted_acceptances(accepted: Sequence[StoreEntry], fitting: Iterable[Head], signed: Signed) -> list[StoreEntry]:
    if not accepted:
        return []
    newest_first = sorted(fitting, key=lambda head: head.seq, reverse=True)
    covered = next((head.seq for head in newest_first if signed(head)), 0)
    return [one for one in accepted if one.seq is not None and one.seq <= covered]


def is_excused(head: Head, accepted: Iterable[StoreEntry]) -> bool:
    """Whether an operator accepted that this head does not match: it is among those that did not at that start."""
    return any(one.first is not None and one.until is not None and head.seq >= one.first and head.ts <= one.until for one in accepted)


def describe(head: Head, end: int) -> str:
    """What a head says against a journal that ends at ``end``."""
    if head.seq > end:
        return f"a head was signed at seq {head.seq} on {head.ts}, but the journal ends at {end}: it is an older copy, or was cut"
    return f"a head was signed at seq {head.seq} on {head.ts} over another entry: the history up to it was rewritten"
