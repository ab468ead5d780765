"""Numbers as every policy engine holds them: at most fifteen digits, or a whole number up to 2^53-1. Others are shown as texts. Pure.

The embedded engine calculates with doubles, a real OPA with the digits that it is given: 100.00000000000001 is greater than 100 on one of
them only. A text compares alike on both, and is no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gateway.core.request import exact_json
from gateway.core.request.exact_json import SAFE

DIGITS = 15
"""Decimal digits that a double holds, whatever they are."""
_LARGEST = 2**63 - 1


def shown(value: object, largest: int = SAFE) -> object:
    """A value whose numbers all engines hold; ``largest`` is the greatest whole number that stays one."""
    if isinstance(value, dict):
        # Most members are texts.
        return {name: member if type(member) is str else shown(member, largest) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(member, largest) for member in value]
    return value if is_plain(value, largest=largest) else exact_json.dumps(value).decode()


def documented(document: Mapping[str, object]) -> dict[str, object]:
    """The same for what the gateway composes: its times are whole nanoseconds."""
    return {name: shown(member, _LARGEST) for name, member in document.items()}


def is_plain(value: object, *, largest: int = SAFE) -> bool:
    """Whether all engines hold it; what is no number, they do."""
    if type(value) is int:
        return -largest <= value <= largest
    if not isinstance(value, (float, Decimal)):
        return True
    return -SAFE <= value <= SAFE and isinstance(value, float) and digits(repr(value)) <= DIGITS


def digits(text: str) -> int:
    """The significant digits of a number that is written out."""
    mantissa = text.lower().partition("e")[0].lstrip("-").replace(".", "")
    return len(mantissa.strip("0"))
