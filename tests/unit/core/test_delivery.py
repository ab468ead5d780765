"""What a receiver's answer means, and how long it is left alone."""

from __future__ import annotations

import pytest

from gateway.core.webhook import delivery
from gateway.core.webhook.delivery import Verdict


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.DELIVERED, (200, 201, 202, 204, 299)),
        (Verdict.AGAIN, (0, 301, 302, 307, 408, 425, 429, 500, 502, 503, 599)),
        (Verdict.NEVER, (400, 401, 403, 404, 409, 413, 422, 451)),
        (Verdict.GONE, (410,)),
    ],
)
def test_a_status_says_what_becomes_of_the_event(verdict: Verdict, statuses: tuple[int, ...]) -> None:
    assert {delivery.verdict(status) for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("7", 7),
        (" 120 ", 120),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:16:50 -0000", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", 0),
        ("-5", 0),
        ("", 0),
        ("\u0665", 0),
        ("9" * 400, 9_999_999_999),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float) -> None:
    assert delivery.requested_pause(header, now=1000.0) == seconds
