"""What own requests carry: evaluated once, named where nobody declared it, and sent as it was."""

from __future__ import annotations

import pytest

from gateway.core.adapter import carried, expression
from gateway.core.adapter.carried import Field, Own
from gateway.errors import MalformedRequest
from gateway.model.call import NOTHING_CARRIED, Carried

ACCOUNT = Field("X-Account", expression.compile('request.headers."x-account"'), places=True)
VERSION = Field("Accept", expression.compile("'application/vnd.api+json'"))
KEY = Field("account", expression.compile("request.query.account"), places=True)
KNOWN = carried.NEUTRAL | {"x-account"}


def of(own: Own, headers: dict[str, str], query: dict[str, str] | None = None) -> Carried:
    asked = query or {}
    return carried.carried(own, {"request": {"headers": headers, "query": asked}}, headers, asked)


def test_a_call_without_anything_of_the_kind_carries_nothing() -> None:
    assert of(Own(), {"accept": "*/*", "user-agent": "x", "sec-fetch-mode": "cors"}) is NOTHING_CARRIED


def test_declared_values_are_taken_from_the_call_and_missing_ones_are_not_sent() -> None:
    own = Own(headers=(ACCOUNT, VERSION), query=(KEY,), known_headers=KNOWN, known_query=frozenset({"account"}))
    found = of(own, {"x-account": "sub"}, {"account": "7"})
    assert found.headers == (("X-Account", "sub"), ("Accept", "application/vnd.api+json"))
    assert (found.query, found.undeclared) == ((("account", "7"),), ())
    assert of(own, {}).headers == (("Accept", "application/vnd.api+json"),)


def test_a_place_is_a_digest_of_what_says_where_and_of_nothing_else() -> None:
    own = Own(headers=(ACCOUNT, VERSION), known_headers=KNOWN)
    one, other = of(own, {"x-account": "sub"}), of(own, {"x-account": "main"})
    assert one.place != other.place
    assert one.place == of(own, {"x-account": "sub", "user-agent": "y"}).place
    assert "sub" not in one.place
    assert of(own, {}).place == ""


def test_what_nobody_declared_is_carried_along_and_named() -> None:
    found = of(Own(), {"x-region": "eu", "x-account": "sub"}, {"zone": "1"})
    assert found.headers == (("x-account", "sub"), ("x-region", "eu"))
    assert (found.query, found.undeclared) == ((("zone", "1"),), ("x-account", "x-region", "?zone"))


@pytest.mark.parametrize(("value", "text"), [("a b", "a b"), (7, "7"), (True, "true"), (False, "false"), ("", ""), ("caf\xe9", "caf\xe9")])
def test_texts_numbers_and_booleans_can_be_sent(value: object, text: str) -> None:
    assert carried.fields(carried.HEADER, {"X-A": expression.compile("v", roots=frozenset({"v"}))}, {"v": value}) == (("X-A", text),)


@pytest.mark.parametrize("value", [["a"], {}, 1.5, "a\r\nX-B: c", "a\0", "\u20ac", "x" * 4_097, "\x7f", "a\tb"])
def test_what_a_header_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(MalformedRequest, match="X-A"):
        carried.fields(carried.HEADER, {"X-A": expression.compile("v", roots=frozenset({"v"}))}, {"v": value})


def test_no_header_stands_twice_whatever_its_case() -> None:
    found = carried.merged((("Accept", "a"), ("X-A", "1")), (("accept", "b"),), (("x-a", "2"), ("X-B", "3")))
    assert found == (("accept", "b"), ("x-a", "2"), ("X-B", "3"))


@pytest.mark.parametrize(
    ("path", "pairs", "found"),
    [
        ("/a", (), "/a"),
        ("/a", (("k", "v w"),), "/a?k=v%20w"),
        ("/a?k=1", (("b", "&="),), "/a?k=1&b=%26%3D"),
        ("/a?k=1", (("k", "2"),), "/a?k=1"),
        ("/a?a%20b=1", (("a b", "2"), ("c", "3")), "/a?a%20b=1&c=3"),
    ],
)
def test_no_key_stands_twice_in_a_query(path: str, pairs: tuple[tuple[str, str], ...], found: str) -> None:
    assert carried.with_query(path, *pairs) == found


@pytest.mark.parametrize("value", ["de", "en-US,en;q=0.9", "*;q=0.1, de", "fr-CA"])
def test_a_language_goes_along_and_stands_in_no_one_s_way(value: str) -> None:
    found = of(Own(), {"accept-language": value, "accept": "*/*"})
    assert found == Carried(headers=(("accept-language", value),))


@pytest.mark.parametrize("value", ["*", "", " * ", "*;q=0.5"])
def test_any_language_is_none(value: str) -> None:
    assert of(Own(), {"accept-language": value}) is NOTHING_CARRIED


def test_a_declared_language_is_not_taken_from_the_call_besides() -> None:
    own = Own(headers=(Field("Accept-Language", expression.compile("'en'")),), known_headers=KNOWN | {"accept-language"})
    assert of(own, {"accept-language": "de"}).headers == (("Accept-Language", "en"),)


@pytest.mark.parametrize(
    "value",
    [
        "*/*",
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/json, text/plain, */*",
        "application/hal+json",
        "application/problem+json, application/json",
        "application/json, text/event-stream",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "application/*;q=0.5",
    ],
)
def test_an_accept_that_takes_plain_json_selects_nothing(value: str) -> None:
    assert of(Own(), {"accept": value}) is NOTHING_CARRIED


@pytest.mark.parametrize(
    "value",
    [
        "application/vnd.example.v2+json",
        "application/vnd.api+json, application/json;q=0.5",
        "application/json;version=2",
        'application/json; profile="https://example.org/a,b", */*',
        "text/json; v=1",
        "text/calendar",
        "application/xml;q=0.9, text/xml",
        "application/vnd.example",
    ],
)
def test_an_accept_for_another_form_is_named_and_does_not_choose_what_own_reads_see(value: str) -> None:
    assert of(Own(), {"accept": value}) == Carried(undeclared=("accept",))
    assert of(Own(any_form=True), {"accept": value}) is NOTHING_CARRIED


@pytest.mark.parametrize(
    "value", ["return=minimal", "respond-async, wait=10", 'Return="representation"; foo=1', "handling=lenient,safe", ","]
)
def test_how_a_tool_is_to_answer_selects_nothing(value: str) -> None:
    assert of(Own(), {"prefer": value}) is NOTHING_CARRIED


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("respond-async, tx=rollback", "tx=rollback"),
        ('IdType="ImmutableId"', 'IdType="ImmutableId"'),
        ('outlook.timezone="a, b", return=minimal', 'outlook.timezone="a, b"'),
    ],
)
def test_a_preference_of_the_tool_s_own_may_select(value: str, left: str) -> None:
    assert of(Own(), {"prefer": value}) == Carried(headers=(("prefer", left),), undeclared=("prefer",))


def test_what_a_read_must_not_say_is_named_alone() -> None:
    found = of(Own(), {"content-language": "de", "accept-datetime": "Thu, 31 May 2007 20:35:00 GMT", "x-a": "1"})
    assert found == Carried(headers=(("x-a", "1"),), undeclared=("accept-datetime", "content-language", "x-a"))


@pytest.mark.parametrize("name", ["range", "if-range", "accept-charset", "accept-encoding"])
def test_parts_and_codings_of_one_object_select_nothing(name: str) -> None:
    assert of(Own(), {name: "bytes=0-1"}) is NOTHING_CARRIED


def test_a_header_that_own_requests_carry_must_not_stand_twice() -> None:
    own = Own(headers=(ACCOUNT,), sources=frozenset({"x-account"}))
    carried.refuse_repeated(own, ((b"X-Account", b"main"), (b"X-Other", b"1"), (b"X-Other", b"2")))
    with pytest.raises(MalformedRequest, match="occurs twice: x-account"):
        carried.refuse_repeated(own, ((b"X-Account", b"main"), (b"x-account", b"sub")))


def test_a_call_that_names_another_place_than_its_own_requests_is_known_for_it() -> None:
    """A fixed value, or one that is taken from another header, is not where the call went."""
    fixed = Field("X-Account", expression.compile("'main'"))
    wrong = Field("X-Account", expression.compile('request.headers."x-acount"'), places=True)
    for field, sent in ((fixed, ("X-Account", "main")), (wrong, None)):
        found = of(Own(headers=(field,), known_headers=KNOWN), {"x-account": "sub"})
        assert (found.headers, found.undeclared) == ((sent,) if sent else (), ("x-account",))
    assert of(Own(headers=(fixed,), known_headers=KNOWN), {"x-account": "main"}).undeclared == ()
    assert of(Own(headers=(Field("X-Account", None),), known_headers=KNOWN), {"x-account": "sub"}).undeclared == ()
    key = Field("account", expression.compile("'main'"))
    assert of(Own(query=(key,), known_query=frozenset({"account"})), {}, {"account": "sub"}).undeclared == ("?account",)
    media = Field("Accept", expression.compile("'application/vnd.api+json'"))
    assert of(Own(headers=(media,)), {"accept": "*/*"}).undeclared == ()


def test_a_query_key_holds_any_text_and_a_header_latin_1_alone() -> None:
    declared = {"city": expression.compile("v", roots=frozenset({"v"}))}
    assert carried.fields(carried.QUERY_KEY, declared, {"v": "\u65e5\u672c"}) == (("city", "\u65e5\u672c"),)
    with pytest.raises(MalformedRequest) as refused:
        carried.fields(carried.HEADER, declared, {"v": "\u65e5\u672c"})
    assert refused.value.detail == (
        "The header city that the adapter declares has a value that cannot be sent: it must be a text, a whole number or a boolean, of at "
        "most 4096 characters and without control characters (a header: Latin-1 only)."
    )


@pytest.mark.parametrize("value", [["a"], {}, 1.5, "a\r\nb", "a\0", "x" * 4_097])
def test_what_a_query_key_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(MalformedRequest, match=r"The query key city that the adapter declares .* without control characters[.]"):
        carried.fields(carried.QUERY_KEY, {"city": expression.compile("v", roots=frozenset({"v"}))}, {"v": value})
