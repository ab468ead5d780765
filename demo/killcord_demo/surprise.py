"""A step that failed. The demo is a check: it ends there, and prints what was expected."""

from __future__ import annotations


class Surprise(Exception):
    """What was expected, and what was found instead."""

    def __init__(self, expected: str, found: object) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}; found {found}")


def expect(holds: bool, expected: str, found: object) -> None:
    """Continue only if it holds.

    Raises:
        Surprise: it does not.
    """
    if not holds:
        raise Surprise(expected, found)
