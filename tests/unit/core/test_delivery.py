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
