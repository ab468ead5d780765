"""References of a tool's reply headers, as agents can follow them through the gateway."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import links
from gateway.core.links import LinkBase

AT = LinkBase(tool="erp", authority="tool.example:8080", base="/v1", path="/orders/7")
PLAIN = LinkBase(tool="erp", authority="tool.example", base="", path="/orders")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://tool.example:8080/v1/orders/9", "/erp/orders/9"),
        ("HTTP://Tool.Example:8080/v1/orders/9?x=1#part", "/erp/orders/9?x=1#part"),
        ("//tool.example:8080/v1/orders/9", "/erp/orders/9"),
        ("/v1/orders/9", "/erp/orders/9"),
        ("/v1", "/erp/"),
        ("/v1/", "/erp/"),
        ("?page=2", "/erp/orders/7?page=2"),
        ("#part", "/erp/orders/7#part"),
        ("", "/erp/orders/7"),
        ("9", "/erp/orders/9"),
        ("./9", "/erp/orders/9"),
        (".", "/erp/orders/"),
        ("..", "/erp/"),
        ("../x", "/erp/x"),
        ("/v1/a/../b", "/erp/b"),
        ("/v1/a%20b", "/erp/a%20b"),
        ("9?", "/erp/orders/9?"),
        ("https://elsewhere.example/v1/orders/9", None),
        ("http://tool.example/v1/orders/9", None),
        ("http://tool.example:8081/v1/orders/9", None),
        ("http://user@tool.example:8080/v1/x", None),
        ("http://tool.example:8080@elsewhere.example/v1/x", None),
        ("http://tool.example:8080.elsewhere.example/v1/x", None),
        ("//elsewhere.example/v1/x", None),
        ("/v2/orders/9", None),
        ("/v10/orders", None),
        ("/orders/9", None),
        ("../../x", None),
        ("../../../../x", None),
        ("/v1/../admin", None),
        ("http://tool.example:8080/v1/../admin", None),
        ("/v1/%2e%2e/admin", None),
        ("/v1/.%2E/admin", None),
        ("/v1/\\..\\admin", None),
        ("/v1/a\tb", None),
        ("javascript:alert(1)", None),
        ("mailto:ann@example.com", None),
        ("urn:isbn:1", None),
        ("http://[bad", None),
        ("9:7", "/erp/orders/9:7"),
    ],
)
def test_a_reference_leads_to_the_data_api_or_nowhere(text: str, expected: str | None) -> None:
    assert links.reference(AT, text) == expected


@pytest.mark.parametrize(
    "text",
    ["http://tool.example/a", "https://tool.example/a", "http://tool.example:80/a", "https://tool.example:443/a", "//tool.example:443/a"],
)
def test_the_port_of_a_scheme_is_no_other_than_none(text: str) -> None:
    assert links.reference(PLAIN, text) == "/erp/a"


def test_one_port_stands_for_one_scheme() -> None:
    assert links.reference(PLAIN, "http://tool.example:443/a") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('<http://tool.example:8080/v1/orders?page=2>; rel="next"', '</erp/orders?page=2>; rel="next"'),
        ('<?page=2>; rel="next", <?page=1>; rel=prev', '</erp/orders/7?page=2>; rel="next", </erp/orders/7?page=1>; rel=prev'),
        (
            '<?page=2>; rel=next; title="a, <b>; \\" c",<x>;rel=last',
            '</erp/orders/7?page=2>; rel=next; title="a, <b>; \\" c", </erp/orders/x>;rel=last',
        ),
        ('<https://elsewhere.example/a>; rel="help", <9>; rel="next"', '</erp/orders/9>; rel="next"'),
        ('<https://elsewhere.example/a>; rel="help"', None),
        ('<9>; rel="item"; anchor="http://tool.example:8080/v1/orders"', '</erp/orders/9>; rel="item"; anchor="/erp/orders"'),
        ('<9>; rel="item"; anchor="http://elsewhere.example/"', None),
        ('<9>; rel="https://rels.example/next"', '</erp/orders/9>; rel="https://rels.example/next"'),
        ("<a,b>; rel=x", "</erp/orders/a,b>; rel=x"),
        ("9; rel=next", None),
        ('<9>; rel="next', None),
        ("<9>; rel=next, ", "</erp/orders/9>; rel=next"),
        ("", None),
    ],
)
def test_each_link_of_a_line_is_judged(line: str, expected: str | None) -> None:
    assert links.links(AT, line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("5", "5"),
        ("0; url=http://tool.example:8080/v1/jobs/1", "0; url=/erp/jobs/1"),
        ("5;URL='../jobs/1'", "5; url=/erp/jobs/1"),
        ("5, ../jobs/1", "5; url=/erp/jobs/1"),
        ("0; url=https://elsewhere.example/", None),
        ("soon", None),
    ],
)
def test_a_refresh_is_followed_on_the_data_api(line: str, expected: str | None) -> None:
    assert links.refresh(AT, line) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://erp.example/api/orders/9?x=1", "/erp/orders/9?x=1"),
        ("http://tool.example:8080/v1/orders/9", "/erp/orders/9"),
        ("//erp.example/api", "/erp/"),
        ("https://erp.example/admin", None),
        ("https://erp.example/api/../admin", None),
        ("https://erp.example.evil/api/orders/9", None),
        ("/api/orders/9", None),
    ],
)
def test_a_tool_may_call_itself_otherwise_than_the_gateway_does(text: str, expected: str | None) -> None:
    at = LinkBase(tool="erp", authority="tool.example:8080", base="/v1", path="/orders/7", public=("erp.example", "/api"))
    assert links.reference(at, text) == expected


PARTS = st.lists(st.sampled_from(["a", "..", ".", "b c", "%2e", "", "1:2", "x"]), max_size=5).map("/".join)


@given(st.sampled_from(["", "/", "//tool.example:8080/", "http://tool.example:8080/", "/v1/", "http://e.example/"]), PARTS)
def test_what_is_followed_is_what_the_tool_means(start: str, rest: str) -> None:
    text = (start + rest).replace(" ", "%20")
    found = links.reference(AT, text)
    if found is None or "//" in rest:  # urljoin takes empty segments away
        return
    assert found.startswith("/erp/")
    assert ".." not in found.split("/")
    meant = urljoin("http://tool.example:8080/v1/orders/7", text)
    assert meant.removeprefix("http://tool.example:8080/v1").lstrip("/") == found.removeprefix("/erp").lstrip("/")
