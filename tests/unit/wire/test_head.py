"""The grammar of a request head. (What it refuses is listed in tests/support/bad_requests.py and shown on real sockets.)"""

from __future__ import annotations

import time

import pytest

from gateway.errors import MalformedRequest
from gateway.model.call import Head
from gateway.wire.inbound.head import Grammar, Hosts, readable_fields
from gateway.wire.limits import Bounds

GRAMMAR = Grammar(Hosts(["localhost", "127.0.0.1", "::1"]), Bounds(), once=["X-API-Key"])


def raw(*lines: str, start: str = "GET /erp/x HTTP/1.1", host: str = "localhost") -> bytes:
    return "\r\n".join([start, f"Host: {host}", *lines, "", ""]).encode("latin-1")


def read(*lines: str, start: str = "GET /erp/x HTTP/1.1", host: str = "localhost") -> Head:
    return GRAMMAR.read(raw(*lines, start=start, host=host))[0]


def test_a_head_is_its_end_to_end_fields_in_order_with_names_as_sent() -> None:
    head = read("Accept: a, b", "accept: c", "X-Empty:", "X-Blank: \t ", "X: \t y z \t", "tracestate: a=1", "Killcord-Step: s1")
    assert head.headers == (
        (b"Accept", b"a, b"),
        (b"accept", b"c"),
        (b"X-Empty", b""),
        (b"X-Blank", b""),
        (b"X", b"y z"),
        (b"tracestate", b"a=1"),
        (b"Killcord-Step", b"s1"),
    )


def test_host_framing_and_hop_by_hop_fields_are_not_passed_on() -> None:
    lines = [
        "Content-Length: 3",
        "Connection: X-Mine, close",
        "X-Mine: 1",
        "TE: trailers",
        "Trailer: X",
        "Keep-Alive: 1",
        "Proxy-Connection: x",
    ]
    head, keep = GRAMMAR.read(raw(*lines, start="PUT /erp/x HTTP/1.1"))
    assert head.headers == ()
    assert head.length == 3
    assert not keep


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "Keep-Alive", True), ("1.0", "keep-alive, close", False)],
)
def test_whether_a_connection_lives_on(version: str, connection: str, keep: bool) -> None:
    lines = [f"Connection: {connection}"] if connection else []
    assert GRAMMAR.read(raw(*lines, start=f"GET /erp/x HTTP/{version}"))[1] is keep


@pytest.mark.parametrize(
    ("line", "length"),
    [
        ("X: y", 0),
        ("Content-Length: 0", 0),
        ("Content-Length: 17", 17),
        ("Transfer-Encoding: chunked", None),
        ("Transfer-Encoding: Chunked", None),
    ],
)
def test_how_long_a_body_is(line: str, length: int | None) -> None:
    assert read(line, start="POST /erp/x HTTP/1.1").length == length


def test_a_get_may_say_that_it_has_no_body() -> None:
    assert read("Content-Length: 0").length == 0


def test_only_a_client_of_1_1_with_a_body_can_ask_first() -> None:
    ask = "Expect: 100-Continue"
    assert read(ask, "Content-Length: 3", start="PUT /erp/x HTTP/1.1").expects_continue
    assert not read(ask, "Content-Length: 3", start="PUT /erp/x HTTP/1.0").expects_continue
    assert not read(ask).expects_continue


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8090", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8090", "[0:0:0:0:0:0:0:1]:80", "localhost:65535"]
)
def test_allowed_hosts_are_known_in_all_their_forms(host: str) -> None:
    assert read(host=host).method == "GET"


def test_an_origin_of_an_allowed_host_passes() -> None:
    assert read("Origin: http://localhost:3000").headers == ((b"Origin", b"http://localhost:3000"),)


def test_a_quoted_key_may_hold_a_comma() -> None:
    assert read('Idempotency-Key: "a, b"').headers == ((b"Idempotency-Key", b'"a, b"'),)
    with pytest.raises(MalformedRequest):
        read('Idempotency-Key: "a", "b"')


def test_a_tools_own_lease_field_is_single_too() -> None:
    for lines in (["X-API-Key: a", "x-api-key: b"], ["X-API-Key: a, b"], ["Connection: x-api-key"]):
        with pytest.raises(MalformedRequest):
            read(*lines)
    assert read("X-API-Key: a").headers == ((b"X-API-Key", b"a"),)


def test_the_fields_of_a_malformed_head_can_be_read_nevertheless() -> None:
    malformed = raw("Authorization: Bearer x", "X: caf\xe9")
    with pytest.raises(MalformedRequest):
        GRAMMAR.read(malformed)
    assert (b"Authorization", b"Bearer x") in readable_fields(malformed)


def test_a_head_is_judged_before_it_is_whole() -> None:
    GRAMMAR.refuse_early(b"GET /erp/x HTTP/1.1\r\nHost: localhost\r")
    GRAMMAR.refuse_early(b"GET /er")
    for start in (
        b"GET /erp/x\r\n",
        b"\x16\x03\x01",
        b"GET /erp/x HTTP/1.1\n",
        b"GET / HTTP/1.1\r\nX: a\rb",
        b"G" * 40_000,
    ):
        with pytest.raises(MalformedRequest):
            GRAMMAR.refuse_early(start)


def test_a_bare_cr_that_ended_one_read_is_found_in_the_next() -> None:
    start = b"GET /erp/x HTTP/1.1\r\nX: a\r"
    GRAMMAR.refuse_early(start)
    with pytest.raises(MalformedRequest):
        GRAMMAR.refuse_early(start + b"b", since=len(start))


def test_the_bounds_hold_at_their_edge() -> None:
    assert read(*[f"X-{number}: y" for number in range(99)])
    assert read("X: " + "y" * 16_000)
    for lines in ([f"X-{number}: y" for number in range(100)], ["X: " + "y" * 16_400]):
        with pytest.raises(MalformedRequest):
            read(*lines)


@pytest.mark.parametrize(
    "start",
    [
        b"G" * 1_000_000,
        b"GET /" + b"x:" * 500_000,
        b"GET /erp/x HTTP/1.1\r\n" + b"a" * 1_000_000,
        b"\r\n " * 300_000,
        b"\r\na \t " * 200_000,
    ],
)
def test_judging_a_hostile_head_takes_no_more_than_linear_time(start: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(MalformedRequest):
        GRAMMAR.refuse_early(start)
    with pytest.raises(MalformedRequest):
        GRAMMAR.read(start + b"\r\n\r\n")
    assert time.perf_counter() - began < 5


def test_fields_that_came_before_are_read_as_they_were_whatever_the_request_line() -> None:
    """Short blocks of fields are remembered; what depends on the method, the version or the length of the head is not."""
    lines = ["Content-Length: 3", "X-Mine: 1", "Connection: x-mine"]
    starts = ["PUT /erp/x HTTP/1.1", "POST /erp/y HTTP/1.0", "GET /erp/x HTTP/1.1"]
    grammar = Grammar(Hosts(["localhost"]), Bounds())
    for _ in range(2):
        for start in starts[:2]:
            fresh = Grammar(Hosts(["localhost"]), Bounds())
            assert grammar.read(raw(*lines, start=start)) == fresh.read(raw(*lines, start=start))
        with pytest.raises(MalformedRequest, match="must not have a body"):
            grammar.read(raw(*lines, start=starts[2]))


def test_what_is_refused_is_refused_again() -> None:
    for line, message in (("X_Y: 1", "not accepted"), ("Expect: 200-ok", "expectation"), ("X Y: 1", "name"), ("Host: localhost", "twice")):
        for _ in range(2):
            with pytest.raises(MalformedRequest, match=message):
                read(line)
