"""Content codings: every common one is taken off, within bounds, and what cannot be read is no error."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest

from gateway.core.request import coding
from gateway.model.call import Answer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = b'{"id": "7", "note": "' + b"a" * 1000 + b'"}'


def bare(body: bytes) -> bytes:
    """A deflate stream without zlib's frame, as some servers send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def coded(name: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"Content-Type", b"application/json"), (b"Content-Encoding", name.encode()))


@pytest.mark.parametrize("name", CODERS)
def test_a_coding_is_taken_off(name: str) -> None:
    assert coding.plain(coded(name), CODERS[name](BODY)) == BODY
    assert coding.plain(coded(name.upper()), CODERS[name](BODY)) == BODY


def test_other_ways_to_write_a_coding() -> None:
    assert coding.plain(coded("deflate"), bare(BODY)) == BODY
    assert coding.plain(coded("gzip"), gzip.compress(BODY[:10]) + gzip.compress(BODY[10:])) == BODY, "two members"
    assert coding.plain(coded("zstd"), zstd.compress(BODY[:10]) + zstd.compress(BODY[10:])) == BODY, "two frames"
    assert coding.plain(coded("gzip, br"), brotli.compress(gzip.compress(BODY))) == BODY
    assert coding.plain(coded("identity"), BODY) == BODY
    assert coding.plain(((b"content-encoding", b"gzip"), (b"Content-Encoding", b"br")), brotli.compress(gzip.compress(BODY))) == BODY
    assert coding.plain(coded("br"), b"") == b"", "a reply without a body, such as a 204 or one to a HEAD"


@pytest.mark.parametrize("name", CODERS)
def test_what_is_cut_or_broken_or_followed_by_more_is_unreadable(name: str) -> None:
    whole = CODERS[name](BODY)
    assert coding.plain(coded(name), whole[:-3]) is None
    assert coding.plain(coded(name), b"\xff" + whole) is None
    assert coding.plain(coded(name), whole + b"more") is None
    assert coding.plain(coded(name), BODY) is None


@pytest.mark.parametrize("name", ["compress", "dcb", "aes128gcm", "gzip, compress", "gzip, gzip, gzip"])
def test_an_unknown_coding_is_unreadable(name: str) -> None:
    assert coding.plain(coded(name), gzip.compress(BODY)) is None


@pytest.mark.parametrize("name", CODERS)
def test_a_body_that_expands_to_too_much_is_unreadable(name: str) -> None:
    bomb = CODERS[name](bytes(coding.BOUND + 1))
    assert coding.plain(coded(name), bomb) is None
    assert coding.plain(coded(name), CODERS[name](bytes(coding.BOUND))) == bytes(coding.BOUND)


def test_a_zstd_frame_that_demands_a_huge_window_is_unreadable() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    packer = zstd.ZstdCompressor(options=options)
    assert coding.plain(coded("zstd"), packer.compress(BODY) + packer.flush()) is None


def test_an_answer_without_its_codings_names_none() -> None:
    answer = Answer(status=200, headers=(*coded("br"), (b"Content-Length", b"9"), (b"ETag", b'"v1"')), body=brotli.compress(BODY))
    expected = Answer(status=200, headers=((b"Content-Type", b"application/json"), (b"ETag", b'"v1"')), body=BODY)
    assert coding.without(answer) == expected
    odd = Answer(status=200, headers=coded("compress"), body=b"?")
    assert coding.without(odd) is odd
