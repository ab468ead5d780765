"""Times survive being kept: what is shown at once is what is shown after a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core import timestamps


@given(st.floats(0, 4e9))
def test_a_time_is_shown_the_same_before_and_after_it_was_kept(seconds: float) -> None:
    kept = timestamps.seconds(timestamps.micros(seconds))
    assert timestamps.rfc3339(kept) == timestamps.rfc3339(seconds)


def test_texts_sort_as_times_do() -> None:
    assert timestamps.rfc3339(1795553838.5) == "2026-11-24T20:57:18.500000Z"
    assert timestamps.rfc3339(1795553838.0) < timestamps.rfc3339(1795553838.000001)
