"""Calls to decide on by the examples of docs/policies.md: a ceiling, a time window, a list of what an argument may be."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.cases.calls import Case
from tests.support.policies import call

HOUR = 3600 * 10**9
DAY = 24 * HOUR
TUESDAY = 1_795_478_400 * 10**9
"""The 24th of November 2026, 0:00 UTC."""

AMOUNTS: list[object] = [
    *(0, 1, 99.99, 100, 100.0, 100.01, 250, 499.99, 500, 500.0, 500.01, 501, -1, -500.01, -0.0, 0.1 + 0.2, 1e-7, 5e-324),
    *(1e21, 1e308, 2**53 - 1, 2**53, 2**53 + 1, 2**63, 2**64 - 1, "100", "", None, True, False, [100], {"amount": 1}),
]
STATUSES: list[object] = [
    *("open", "paid", "disputed", "void", "PAID", "paid ", "pa\u0131d", "рaid", "paid\u0000", "", None, True, 1),
    *(["paid"], {"paid": True}, ["open", "paid"]),
]
ARGUMENTS: list[object] = [
    *({}, {"data": None}, {"data": []}, {"data": "paid"}, {"status": "paid"}, None, [], "paid", [{"data": {"status": "paid"}}]),
    *({"Amount": 100}, {"amount ": 100}, {"amount\u0000": 100}),
]
MOMENTS: list[object] = [
    *(TUESDAY + day * DAY + at for day in range(7) for at in (0, 8 * HOUR - 1, 8 * HOUR, 12 * HOUR, 18 * HOUR - 1, 18 * HOUR)),
    *(0, -1, 2**63 - 1, -(2**63), 2**63, 1.5, 1e18, float(TUESDAY), "0", None, ..., [TUESDAY], [TUESDAY, "Europe/Berlin"], True),
]


def calls() -> Iterator[Case]:
    for amount in AMOUNTS:
        yield f"a refund of {amount!r}", _refund({"amount": amount})
    for status in STATUSES:
        yield f"status {status!r}", _update({"data": {"status": status}})
    for args in ARGUMENTS:
        yield f"a refund by {args!r}", _refund(args)
        yield f"a status by {args!r}", _update(args)
    for now in MOMENTS:
        yield f"a write, now is {now!r}", call(now=now)
        yield f"a read, now is {now!r}", call(now=now, action__effect="read", action__class=...)


def _refund(args: object) -> dict[str, object]:
    return call(lease__scopes=["erp:refund.create"], action__name="refund.create", action__class="compensatable", args=args)


def _update(args: object) -> dict[str, object]:
    return call(action__name="invoice.status.update", args=args)
