"""How long something is left alone before it is tried again."""

from __future__ import annotations

import pytest

from gateway.core import backoff
from gateway.core.backoff import Backoff
from gateway.core.webhook import delivery

WEBHOOK = Backoff(1.0, delivery.LONGEST, most_asked=delivery.LONGEST)


def test_pauses_double_up_to_five_minutes_and_chance_takes_up_to_half() -> None:
    assert [WEBHOOK.pause(tries) for tries in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert [WEBHOOK.pause(tries, chance=1.0) for tries in (1, 2, 10)] == [0.5, 1, 150]


def test_anyone_who_asks_for_time_gets_it_within_reason() -> None:
    assert WEBHOOK.pause(1, asked=30.0) == 30
    assert WEBHOOK.pause(5, asked=2.0) == 16
    assert WEBHOOK.pause(1, asked=86_400.0) == delivery.LONGEST
    assert Backoff(1.0, 60.0).pause(1, asked=30.0) == 1


def test_what_nobody_counted_is_tried_as_its_age_doubles() -> None:
    assert [Backoff(1.0, 60.0).pause_at_age(age) for age in (-5.0, 0.2, 1.0, 7.0, 300.0)] == [1, 1, 1, 7, 60]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:16:50 -0000", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("\u0665", None),
        ("9" * 400, 9_999_999_999),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float | None) -> None:
    assert backoff.requested_pause(header, now=1000.0) == seconds
