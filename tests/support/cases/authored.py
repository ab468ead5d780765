"""Calls to decide on by ``bundles.AUTHORED``: what its built-ins could stumble over."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.cases.calls import ODD, WRAPPED, Case
from tests.support.cases.documented import DAY, HOUR
from tests.support.policies import call

CHRISTMAS = 1_797_984_000 * 10**9
"""The 23rd of December 2026, 0:00 UTC."""
SUMMER_TIME = 1_774_746_000 * 10**9
"""When Berlin's clocks went forward in 2026."""

OF_ARGUMENT: dict[str, list[object]] = {
    "name": [
        *("a" * 40, "a" * 41, "é" * 40, "e\u0301" * 20, "𝒳" * 40, "𝒳" * 41, "👩‍👩‍👧" * 8, "👩‍👩‍👧" * 9, ""),
        *(41, None, ["a"] * 41),
    ],
    "to": [
        *(["a@example.com"], ["A.B@EXAMPLE.COM"], ["a@evil.com", "a@example.com"], ["a@example.com\n"], ["a@example.com.evil.com"]),
        *(["İ@example.com"], ["a@ſub.example.com"], ["ΑΣ@example.com"], ["аdmin@example.com"], ["٣@example.com"], ["@example.com"]),
        *([""], [1], [None], [["a@example.com"]], [], "a@example.com", {"x": "a@example.com"}, {"x": "a@evil.com"}, None, 1),
        [f"a{at}@example.com" for at in range(3000)],
    ],
    "items": [
        *([{"price": 1000}], [{"price": 1000.0}], [{"price": 1000.01}], [{"price": 999.99}, {"price": 0.01}], [{"price": 0.1}] * 10_001),
        *([{"price": 333.33}] * 3, [{"price": 333.34}] * 3, [{"price": 1e300}] * 2, [{"price": 1.7e308}] * 2, [{"price": 5e-324}]),
        *(
            [{"price": 2**63}, {"price": -(2**63)}],
            [{"price": -1}, {"price": 1001}],
            [{"price": "1001"}],
            [{"price": True}],
            [{"price": [1001]}],
        ),
        *([{"id": 1}, {"id": 1.0}, {"id": True}, {"id": "1"}], [{"id": [at]} for at in range(3)], {"a": {"price": 1001, "id": 1}}),
        *(None, 1, "x", {}, [1, 2, 3]),
    ],
    "fields": [
        *({}, {"title": 1}, {"état": 1}, {"e\u0301tat": 1}, {"𝒳": 1}, {"Title": 1, "body": 2, "z": 3, "a": 4}, {"": 1}),
        *([], ["x"], "x", None),
    ],
    "labels": [
        *([], ["a"], ["é"], ["e\u0301"], [" a"], ["\u00a0a"], ["\u0085a"], ["\u200ba"], [""], ["1"], [1], "a", "1", None),
        *({"x": "a"}, {"x": "1"}, ["a"] * 5000),
    ],
    "quantity": ["1", "10", "11", "1e1", "1.1e1", "-11", 11, None, "0", "9" * 30, "1e308"],
    "amount": [*ODD, 100, 100.0, 100.01, 1000, 1000.01, "1001"],
    "data": [*ODD, {"secret": 1}, [{"clientſecret": 1}], {"b": {"mySECRETkey": 1}}, "secret", {"SECRE\u0422": 1}, ["secret"]],
}
PATHS = ["/", "/admin", "/a/admin/b", "/administrator", "/a/ADMIN", "/internal/", "//internal", "", "/é/𝒳", "/%61dmin"]
MOMENTS = [CHRISTMAS + at for at in (-1, 0, 1, 4 * DAY - 1, 4 * DAY)] + [SUMMER_TIME + at * HOUR // 2 for at in range(-4, 12)]
COUNTERS: list[dict[str, int]] = [
    *({}, {"steps": 0}, {"steps": 99}, {"steps": 100}, {"steps": 200}, {"steps": 2**53}),
    *({"amount:refund": 500_000_000}, {"amount:refund": 500_000_001}),
]
TICKETS: list[object] = ["ABC-1", "ABC-", "abc-1", "ABC-\n1", "XABC-1", "АBC-1", "ABC"]


def calls() -> Iterator[Case]:
    for argument, values in OF_ARGUMENT.items():
        for value in values:
            yield f"{argument} is {value!r}"[:80], call(args={argument: value})
    for items in OF_ARGUMENT["items"]:
        yield f"items {items!r}, some known"[:80], call(args={"items": items, "known": [1, "1", [1]]})
    for args in [*ODD, WRAPPED, "secret", ["secret"]]:
        yield f"arguments that are {args!r}"[:80], call(args=args)
    for path in PATHS:
        yield f"path {path}", call(http__path=path)
    for now in MOMENTS:
        yield f"now is {now}", call(now=now, run__opened_at=now - DAY)
        yield f"now is {now}, the run a day old", call(now=now, run__opened_at=now - DAY - 1)
    for counters in COUNTERS:
        yield f"counters {counters!r}", call(counters=counters)
    for ticket in TICKETS:
        yield f"ticket {ticket!r}", _close({"ticket": ticket})
    yield "no ticket", _close({})


def failing() -> Iterator[Case]:
    """Calls that a rule cannot be applied to, on either engine."""
    odd: tuple[object, ...] = (1, None, [], {})
    for ticket in odd:
        yield f"ticket {ticket!r}", _close({"ticket": ticket})
    for quantity in ("", "ten", " 11", "1,000", "--1"):
        yield f"quantity {quantity!r}", call(args={"quantity": quantity})
    yield "a counter with a fraction", call(counters={"steps": 99.5})
    yield "a time that is text", call(now="1790000000000000000")


def _close(args: dict[str, object]) -> dict[str, object]:
    return call(lease__scopes=["*"], action__name="ticket.close", args=args)
