"""Framing of request bodies, fed in any pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.wire.inbound import body
from gateway.wire.limits import Bounds

BOUNDS = Bounds(body_cap=100, chunks=20, trailer_bytes=50)


def fed(data: bytes, cuts: list[int], length: int | None = None) -> tuple[bytes | None, bytes]:
    """The body, and what is left in the buffer, when ``data`` comes in pieces cut at ``cuts``."""
    framing, buffer, found = body.framing(length, BOUNDS), bytearray(), None
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        buffer += data[start:end]
        if found is None:
            found = framing(buffer)
    return found, bytes(buffer)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.lists(st.integers(0, 200)), st.binary(max_size=5))
def test_chunks_come_together_however_they_are_cut(chunks: list[bytes], cuts: list[int], more: bytes) -> None:
    data = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX: y\r\n\r\n"
    assert fed(data + more, cuts) == (b"".join(chunks), more)


@given(st.binary(max_size=100), st.lists(st.integers(0, 200)), st.binary(max_size=5))
def test_a_declared_length_is_taken_exactly(content: bytes, cuts: list[int], more: bytes) -> None:
    found, left = fed(content + more, cuts, len(content)) if content + more else (b"", b"")
    assert (found, left) == (content, more)


def test_the_caps_hold() -> None:
    with pytest.raises(BodyTooLarge):
        body.framing(101, BOUNDS)
    with pytest.raises(BodyTooLarge):
        fed(b"65\r\n", [])
    with pytest.raises(BodyTooLarge):
        fed(b"32\r\n" + b"x" * 50 + b"\r\n33\r\n", [])
    with pytest.raises(BodyTooLarge):
        fed(b"1\r\nx\r\n" * 21, [])
    with pytest.raises(MalformedRequest):
        fed(b"0\r\nX: " + b"y" * 60, [])
    with pytest.raises(MalformedRequest):
        fed(b"0\r\n" + b"X: y\r\n" * 10, [])


@pytest.mark.parametrize(
    "start", [b"", b"1", b"1\r", b"1\r\n", b"1\r\nx", b"1\r\nx\r", b"0\r\n", b"0\r\n\r", b"0\r\nX: y\r", b"ffffffff"[:2]]
)
def test_what_may_still_become_a_body_is_waited_for(start: bytes) -> None:
    assert fed(start, [])[0] is None


@pytest.mark.parametrize(
    "start", [b"\r", b"0x", b"1;", b"1 ", b"g", b"01", b"1\n", b"1\rx", b"1\r\nxy", b"1\r\nx\n", b"0\r\nX\n", b"0\r\nX: y\rz"]
)
def test_what_can_no_longer_become_a_body_is_refused_at_once(start: bytes) -> None:
    with pytest.raises(MalformedRequest):
        fed(start, [])
