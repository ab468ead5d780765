"""Replies as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.model.call import Head, Reply
from gateway.wire.inbound import response

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"
GET = Head(method="GET", target="/", headers=())
OLD = Head(method="GET", target="/", headers=(), http_1_0=True)


async def rest() -> AsyncIterator[bytes]:
    yield b"more"


def lines(reply: Reply, head: Head | None = GET, *, keep: bool = True) -> list[bytes]:
    return response.response_head(reply, head, keep=keep, now=0.0).data.split(b"\r\n")


def test_a_complete_reply_has_its_true_length_and_nothing_else_added() -> None:
    reply = Reply(status=200, headers=((b"X", b"y"), (b"content-length", b"99"), (b"Transfer-Encoding", b"chunked")), body=b"abc")
    assert lines(reply) == [b"HTTP/1.1 200 OK", b"X: y", b"Date: " + DATE, b"Content-Length: 3", b"", b"abc"]


def test_a_date_that_is_there_stays() -> None:
    assert lines(Reply(status=204, headers=((b"date", b"then"),))) == [b"HTTP/1.1 204 No Content", b"date: then", b"", b""]


def test_a_reply_without_a_body_declares_the_length_it_would_have() -> None:
    head = Head(method="HEAD", target="/", headers=())
    assert b"Content-Length: 9" in lines(Reply(status=200, bodiless_length=9, body=b"never"), head)
    assert lines(Reply(status=200, bodiless_length=9, body=b"never"), head)[-1] == b""
    assert b"Content-Length: 7" in lines(Reply(status=304, headers=((b"Content-Length", b"7"),)))
    assert not any(line.startswith(b"Content-Length") for line in lines(Reply(status=204, bodiless_length=7)))


async def test_a_stream_is_framed_by_its_declared_length_or_by_chunks_or_by_the_end() -> None:
    declared = response.response_head(
        Reply(status=200, headers=((b"Content-Length", b"7"),), body=b"abc", rest=rest()), GET, keep=True, now=0.0
    )
    assert (declared.due, declared.chunked, declared.keep) == (4, False, True)
    chunked = response.response_head(Reply(status=200, body=b"abc", rest=rest()), GET, keep=True, now=0.0)
    assert (chunked.due, chunked.chunked, chunked.keep) == (None, True, True)
    assert chunked.data.endswith(b"\r\n\r\n3\r\nabc\r\n")
    ending = response.response_head(Reply(status=200, body=b"abc", rest=rest()), OLD, keep=True, now=0.0)
    assert (ending.due, ending.chunked, ending.keep) == (None, False, False)


def test_the_connection_field_says_what_becomes_of_the_connection() -> None:
    assert b"Connection: close" in lines(Reply(status=200, close=True))
    assert b"Connection: close" in lines(Reply(status=200), keep=False)
    assert b"Connection: keep-alive" in lines(Reply(status=200), OLD)


def test_an_unknown_status_has_no_phrase() -> None:
    assert lines(Reply(status=299))[0] == b"HTTP/1.1 299 "


@pytest.mark.parametrize("value", [b"a\r\nb", b"a\nb", b"a\rb"])
def test_a_line_end_in_a_field_is_no_reply(value: bytes) -> None:
    with pytest.raises(ValueError, match="line end"):
        lines(Reply(status=200, headers=((b"X", value),)))
