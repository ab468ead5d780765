"""Scope patterns: ``<tool>:<action>`` with ``*`` for any characters."""

from __future__ import annotations

from collections.abc import Iterable


def within(pattern: str, ceiling: str) -> bool:
    """Whether everything that ``pattern`` matches is matched by ``ceiling`` too.

    The pattern is read as a text in which ``*`` is a letter of its own that only a ``*`` of the ceiling can cover:
    never true where it should be false.
    """
    pieces = ceiling.split("*")
    if len(pieces) == 1:
        return pattern == ceiling
    if not pattern.startswith(pieces[0]):
        return False
    position = len(pieces[0])
    for piece in pieces[1:-1]:
        found = pattern.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return pattern.endswith(pieces[-1]) and len(pattern) - len(pieces[-1]) >= position


def beyond(asked: Iterable[str], ceilings: Iterable[str]) -> list[str]:
    """The asked patterns that no single ceiling covers."""
    allowed = tuple(ceilings)
    return [pattern for pattern in asked if not any(within(pattern, ceiling) for ceiling in allowed)]


def reach(patterns: Iterable[str], tool: str) -> bool:
    """Whether any pattern matches some action of a tool."""
    ours = f"{tool}:"
    return any(_begins(pattern, ours) for pattern in patterns)


def _begins(pattern: str, ours: str) -> bool:
    literal, star, _ = pattern.partition("*")
    # A star may stand for the rest of the tool's name and more: what comes after it is matched by the action.
    return literal.startswith(ours) or (bool(star) and ours.startswith(literal))
