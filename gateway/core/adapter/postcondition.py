"""What a tool's reply proves, and what reading back adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import orjson

from gateway.model.entry import Result, Verification

DEFINITE_FAILURES = frozenset({400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 428, 429})
"""Statuses by which a tool says that it did not apply the write. A 5xx says nothing of the kind, nor does a redirect."""


def result(status: int, *, demanded: bool = True) -> Result:
    """What a reply means for a write. ``demanded`` is whether the adapter's own demand on a success is met."""
    if 200 <= status < 300:
        return Result.SUCCESS if demanded else Result.UNKNOWN
    return Result.FAILED if status in DEFINITE_FAILURES else Result.UNKNOWN


def verification(*, met: bool, before: str | None, ours: str | None, seen: str | None) -> Verification:
    """What one look at the object says of a declared postcondition.

    ``before`` is the version before our write, ``ours`` the one that it left, ``seen`` the one that was read: where it is
    neither and the postcondition is not met, someone wrote after us. Where it is the one before, nothing was written yet, or at all.
    """
    if met:
        return Verification.PASSED
    after = ours is not None and seen is not None and seen not in (ours, before)
    return Verification.SUPERSEDED if after else Verification.FAILED


class Finding(Enum):
    """What a probe can say of an unknown outcome."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNDECIDED = "undecided"


def probe(*, applied: bool, seen: str | None, before: str | None, settled: bool) -> Finding:
    """Judge an unknown write by the state of its object.

    The state asked for proves the write only at another version than before it: else it was so already. Its absence
    proves the opposite only at that same version, and after the time in which a late apply may still land: at another
    version someone may have written over ours.
    """
    if applied:
        return Finding.APPLIED if seen != before else Finding.UNDECIDED
    return Finding.NOT_APPLIED if settled and seen == before else Finding.UNDECIDED


def ours_alone(before: object, seen: object, asked: object, *, replaced: bool) -> bool:
    """Whether the state differs from the one before the write only in what the write requested: then the version contains this write alone.

    A field counts as requested if the request has it, by the same name and value, at any depth: a body rarely has the shape of
    the state. ``replaced``: the write may remove fields by omitting them. ``before`` is ``None`` if there was no object.
    """
    if not isinstance(seen, dict) or not isinstance(before, dict | None):
        return False
    old = before or {}
    if not replaced and not old.keys() <= seen.keys():
        return False
    wanted = set(_fields(asked))
    changed = {name: value for name, value in seen.items() if name not in old or old[name] != value}
    return all((name, _text(value)) in wanted for name, value in changed.items())


def _fields(value: object) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, _text(inner)
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def _text(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
