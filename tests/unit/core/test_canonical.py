"""One reading of a request: paths, queries and bodies."""

from __future__ import annotations

import time
import zlib

import pytest

from gateway.core.adapter import request_schema
from gateway.core.request import body as request_body
from gateway.core.request import canonical
from gateway.errors import BodyTooLarge, MalformedRequest
from gateway.model.call import BodyKind, Call, Head


def args(body: bytes, kind: str = "application/json", **more: str) -> object:
    return read(body, kind, **more).args


def read(body: bytes, kind: str = "application/json", **more: str) -> Call:
    headers = [(b"Content-Type", kind.encode())] if kind else []
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    return canonical.call(Head(method="POST", target="/erp/x", headers=tuple(headers)), body, cap=10_000)


@pytest.mark.parametrize(
    ("target", "tool", "path", "segments"),
    [
        ("/", "", "/", ()),
        ("/erp", "erp", "/", ()),
        ("/erp/", "erp", "/", ()),
        ("/erp/a", "erp", "/a", ("a",)),
        ("/erp/a/", "erp", "/a/", ("a", "")),
        ("/erp/a/b", "erp", "/a/b", ("a", "b")),
        ("/%65rp/%61", "erp", "/a", ("a",)),
        ("/erp/%7Ea%2cb", "erp", "/~a%2Cb", ("~a,b",)),
        ("/erp/a%20b", "erp", "/a%20b", ("a b",)),
        ("/erp/caf%c3%a9", "erp", "/caf%C3%A9", ("café",)),
        ("/erp/a+b:c@d=e,f$g&h!i'j(k)*", "erp", "/a+b:c@d=e,f$g&h!i'j(k)*", ("a+b:c@d=e,f$g&h!i'j(k)*",)),
        ("/erp/v1.2/.hidden/a..b/x.", "erp", "/v1.2/.hidden/a..b/x.", ("v1.2", ".hidden", "a..b", "x.")),
        ("/erp/100%25", "erp", "/100%25", ("100%",)),
    ],
)
def test_a_path_has_one_form(target: str, tool: str, path: str, segments: tuple[str, ...]) -> None:
    split = canonical.split(target)
    assert (split.tool, split.path, split.segments) == (tool, path, segments)


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=%2f..%2F", {"a": "/../"}),
        ("a+b=c+d%2B", {"a b": "c d+"}),
        ("&a=1&&", {"a": "1"}),
        ("filter[name]=x|y", {"filter[name]": "x|y"}),
        ("a=%25%32%65", {"a": "%2e"}),
        ("a=line%0aline%09x", {"a": "line\nline\tx"}),
    ],
)
def test_a_query_is_decoded_once_and_sent_as_it_came(raw: str, query: dict[str, str]) -> None:
    split = canonical.split(f"/erp/x?{raw}")
    assert split.query == query
    assert split.raw_query == raw


def test_an_empty_query_is_none() -> None:
    call = canonical.call(Head(method="GET", target="/erp/x?", headers=()), b"")
    assert call.target == "/x"


@pytest.mark.parametrize(
    "target", ["", "erp", "*", "http://localhost/erp", "//erp", "/erp/caf\u00e9", "/erp/\ud800", "/erp/x?\u00e9=1", "/?a#b"]
)
def test_what_is_no_plain_target_is_refused(target: str) -> None:
    with pytest.raises(MalformedRequest):
        canonical.split(target)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json", "text/plain", ""])
def test_json_is_read_under_its_types_and_where_it_shows(kind: str) -> None:
    assert args(b' {"a": [1, 2.5, "x", null, true]}', kind) == {"a": [1, 2.5, "x", None, True]}


@pytest.mark.parametrize(
    "kind",
    [
        "application/octet-stream",
        "application/xml",
        "multipart/form-data; boundary=x",
        'multipart/form-data; boundary="a b"',
        "application/x-json",
        "application/csp-report",
        "application/x-ndjson",
        "application/json-seq",
        "application/x-amz-json-1.0",
        "application/+json",
        "image/png",
    ],
)
def test_a_body_of_another_type_is_opaque_even_if_it_is_json(kind: str) -> None:
    for body in (b'{"a": 1}', b'{"a": 1, "a": 2}', b"\x00\xff"):
        call = read(body, kind)
        assert (call.kind, call.args) == (BodyKind.OPAQUE, None)
        assert call.unread


def test_text_that_is_not_json_is_opaque_and_no_body_needs_no_type() -> None:
    for kind in ("text/plain", "text/xml; charset=utf-8", ""):
        assert read(b"hello", kind).kind is BodyKind.OPAQUE
    assert read(b"", "application/json").kind is BodyKind.NONE
    assert read(b"", "no type at all").kind is BodyKind.NONE


@pytest.mark.parametrize(
    "kind",
    [
        "application/json, text/plain",
        "application/json;",
        "application/json; charset = utf-8",
        "application/json; charset=",
        "application/json; charset=utf-16",
        "application/json; charset=utf8",
        "application/json; charset*=utf-8''utf-16",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset=utf-8; Charset=utf-16",
        'application/json; charset="utf\\-8"',
        "application/json; boundary=x",
        "application/json; encoding=utf-16",
        "application/json charset=utf-8",
        "application /json",
        "application/ json",
        "application/*",
        "*/*",
        "json",
        "application/json/x",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; encoding=utf-7",
        "text/plain; charset=utf-16",
        "multipart/form-data; boundary=a; boundary=b",
        'application/json; profile="a',
        "application/json\x0b; charset=utf-8",
    ],
)
def test_a_content_type_that_two_readers_could_take_differently_is_refused(kind: str) -> None:
    with pytest.raises(MalformedRequest):
        read(b'{"a": 1}', kind)


@pytest.mark.parametrize(
    "kind",
    [
        'application/json;charset="UTF-8"',
        "application/json ;\tcharset=us-ascii",
        'application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"; profile="x y"',
        "application/json;odata.metadata=minimal;odata.streaming=true",
        "APPLICATION/JSON",
        "text/json",
        "application/json-patch+json",
    ],
)
def test_usual_content_types_of_json_are_read(kind: str) -> None:
    assert args(b'{"a": 1}', kind) == {"a": 1}


def test_a_form_that_names_another_charset_is_refused() -> None:
    assert args(b"a=1&_charset_=UTF-8", "application/x-www-form-urlencoded") == {"a": "1", "_charset_": "UTF-8"}
    with pytest.raises(MalformedRequest, match="charset"):
        args(b"a=1&_charset_=utf-16", "application/x-www-form-urlencoded")


def test_a_control_character_in_a_key_is_refused() -> None:
    for escape in (b"\\u0000", b"\\u001f", b"\\n", b"\\u0085"):
        with pytest.raises(MalformedRequest, match="control character"):
            args(b'{"a": [{"amount' + escape + b'": 1}]}')
    assert args(b'{"caf\xc3\xa9 \xf0\x9f\x98\x80": "\\u0000"}') == {"café \U0001f600": "\0"}


def test_a_form_is_an_object_of_strings() -> None:
    assert args(b"a=1&b=x+y%0d%0az", "application/x-www-form-urlencoded") == {"a": "1", "b": "x y\r\nz"}


def test_a_packed_body_is_looked_into_up_to_the_cap() -> None:
    assert args(zlib.compress(b'{"a": 1}'), content_encoding="deflate") == {"a": 1}
    with pytest.raises(BodyTooLarge):
        args(zlib.compress(b'{"a": "' + b"x" * 10_000 + b'"}'), content_encoding="deflate")
    with pytest.raises(MalformedRequest, match="exactly one"):
        args(zlib.compress(b'{"a": 1}') + b"more", content_encoding="deflate")
    with pytest.raises(MalformedRequest, match="exactly one"):
        args(zlib.compress(b'{"a": 1}')[:-2], content_encoding="deflate")
    for coding in ("br", "gzip, gzip", "zstd"):
        assert read(b"x", content_encoding=coding).kind is BodyKind.OPAQUE
    for coding in ("", "identity", "gzip;q=1", "gz ip"):
        with pytest.raises(MalformedRequest):
            read(b"x", content_encoding=coding)


@pytest.mark.parametrize(
    ("text", "inexact"),
    [
        (b"[9007199254740991, -9007199254740991, 1e308, -0.0, 10.10, 12345678901234.5]", False),
        (b'["9007199254740993", "1e999", {"9007199254740993": 1}]', False),
        (b"9007199254740992", True),
        (b'[1, {"a": [-9007199254740992]}]', True),
        (b"1e309", True),
        (b"1e-400", True),
        (b"0.1234567890123456789", True),
        (b"9007199254740993.0", True),
        (b"1" + b"0" * 400, True),
    ],
)
def test_numbers_that_readers_of_json_differ_over_are_noticed(text: bytes, inexact: bool) -> None:
    call = read(text)
    assert bool(list(request_schema.inexact(call.args))) is inexact
    assert call.long_numbers or not inexact


def test_a_number_without_bounds_is_refused() -> None:
    for text in (b"1" * 5_000, b"1e99999", b"1e-99999999999999999999999", b"NaN", b"-Infinity"):
        with pytest.raises(MalformedRequest):
            request_body.loads(text)


def test_depth_is_64_and_brackets_in_strings_are_none() -> None:
    assert request_body.loads(b"[" * 64 + b"]" * 64)
    assert request_body.loads(b'["' + b"[" * 100 + b'\\"[[", ' + b"[[]]," * 100 + b"1]")
    with pytest.raises(MalformedRequest, match="deeper"):
        request_body.loads(b"[" * 65 + b"]" * 65)
    with pytest.raises(MalformedRequest):
        request_body.loads(b'["' + b"[" * 100_000)


def test_surrogates_come_in_pairs() -> None:
    assert request_body.loads(b'"\\ud83d\\ude00"') == "\U0001f600"
    with pytest.raises(MalformedRequest, match="surrogate"):
        request_body.loads(b'["\\ud83d"]')


def test_keys_of_different_objects_may_be_alike() -> None:
    assert request_body.loads(b'{"a": {"A": 1}, "b": [{"a": 1}, {"a": 2}]}')


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65 + b'"' + b'\\"' * 500_000,
        b'{"a":' * 100_000,
        b"[" + b"1" * 1_000_000 + b"]",
        b"[1." + b"9" * 1_000_000 + b"e9]x",
        b'[{"' + b"\\u0041" * 150_000 + b'": "\\ud800"}]',
        b"[[]," * 250_000,
    ],
)
def test_hostile_json_takes_no_more_than_linear_time(body: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(MalformedRequest):
        request_body.loads(body)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "target", ["/erp/" + "%25" * 100_000 + "%", "/erp/x?" + "a" * 300_000 + "%", "/erp/x?" + "a&" * 150_000, "/" + "a/" * 150_000 + "/"]
)
def test_hostile_targets_take_no_more_than_linear_time(target: str) -> None:
    began = time.perf_counter()
    with pytest.raises(MalformedRequest):
        canonical.split(target)
    assert time.perf_counter() - began < 5
