"""What the gateway reads of a call is what its tool reads, or the call does not pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.adapter import ambiguity, matching, members
from gateway.core.adapter.catalog import Tool
from gateway.core.request import canonical
from gateway.errors import MalformedRequest
from gateway.model.call import Head
from gateway.settings import compilation

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["amount"],
    "properties": {
        "amount": {"type": "integer", "minimum": 1, "maximum": 500},
        "account": {"type": "integer", "format": "int64"},
        "serial": {"$ref": "#/$defs/serial"},
        "ratio": {"type": "number", "format": "decimal"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"note": {"type": "string"}}}},
    },
    "$defs": {"serial": {"type": "integer", "minimum": 0, "maximum": 10**30}},
}
ADAPTER = """
system: shop
tenant: run.tenant
unlisted: {read: allow, write: allow}
actions:
  - {name: list, match: {method: GET, path: /orders}, effect: read}
  - {name: search, match: {method: GET, path: /search, query: [q, "filter[status]", _method]}, effect: read}
  - {name: query, match: {method: POST, path: /query, body: "request.body.op == 'list'"}, effect: read}
  - name: pay
    match: {method: POST, path: /pay, query: [mode]}
    effect: write
    class: {when: [{if: "request.body.data.refund_amount > `100` || request.query.mode == 'x'", then: irreversible}, {then: compensatable}]}
    idempotency: {gateway: true, identity: ["request.body.lines[?kind == 'fee'].total", "map(&sku, request.body.items)"]}
    cost: {amount: {eur: request.body.amount}}
    dry_run: request.body.validate_only
    failed: reply.body.refused == request.body.on_refusal
    compensation: {type: manual_review}
  - &hand {name: other, match: {method: POST, path: /other}, effect: write, class: irreversible, compensation: {type: manual_review}}
  - {name: strict, match: {method: POST, path: /strict}, <<: *hand, request_schema: strict.json}
  - {name: json, match: {method: POST, path: /json}, <<: *hand, body: json}
  - {name: form, match: {method: POST, path: /form}, <<: *hand, body: form}
  - {name: upload, match: {method: POST, path: /upload}, <<: *hand, body: opaque}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "adapter.yaml").write_text(ADAPTER)
    (folder / "strict.json").write_text(json.dumps(SCHEMA))
    tool, problems = compilation.load(folder, "shop", {})
    assert tool is not None, problems
    return tool


def judge(tool: Tool, target: str, body: bytes = b"", kind: str = JSON, method: str = "POST") -> None:
    headers = ((b"Content-Type", kind.encode()),) if kind else ()
    call = canonical.call(Head(method=method, target=f"/shop{target}", headers=headers), body)
    matched = matching.match(tool, call)
    ambiguity.refuse_ambiguous(tool, matched.action if isinstance(matched, matching.Matched) else None, call)


UNREADABLE = [
    (b'{"amount":99999}', "application/octet-stream"),
    (b'{"amount":99999}', "application/x-json"),
    (b'{"amount":99999}', "application/csp-report"),
    (b'{"amount":99999}\n{}', "application/x-ndjson"),
    (b'--x\r\nContent-Disposition: form-data; name="amount"\r\n\r\n9\r\n--x--', "multipart/form-data; boundary=x"),
    (b"amount=9", "text/plain"),
    (b"amount=9", ""),
    (b"\x00\x01", "image/png"),
]


@pytest.mark.parametrize(("body", "kind"), UNREADABLE)
@pytest.mark.parametrize("target", ["/pay", "/strict", "/json", "/form", "/unlisted"])
def test_a_body_that_cannot_be_read_is_refused_with_415(shop: Tool, target: str, body: bytes, kind: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        judge(shop, target, body, kind)
    assert (refused.value.status, refused.value.code) == (415, "malformed-request")
    assert "body: opaque" in refused.value.advice
    with pytest.raises(MalformedRequest):
        judge(shop, "/orders", body, kind, "GET")


@pytest.mark.parametrize(("body", "kind"), [*UNREADABLE, (b'{"amount": 1}', JSON), (b"a=1", FORM)])
def test_an_opaque_action_takes_any_body(shop: Tool, body: bytes, kind: str) -> None:
    judge(shop, "/upload", body, kind)


def test_an_action_can_demand_one_kind_of_body(shop: Tool) -> None:
    judge(shop, "/json", b"{}")
    judge(shop, "/json", b"", "")
    judge(shop, "/form", b"a=1", FORM)
    for target, body, kind in (("/json", b"a=1", FORM), ("/form", b"{}", JSON)):
        with pytest.raises(MalformedRequest) as refused:
            judge(shop, target, body, kind)
        assert refused.value.status == 415


@pytest.mark.parametrize(
    "body",
    [
        {"Amount": 1},
        {"AMOUNT": 1},
        {"amount\u200b": 1},
        {"\uff41mount": 1},
        {" amount": 1},
        {"amount[]": 1},
        {"data": {"refundAmount": 1}},
        {"data": {"refund-amount": 1}},
        {"data": {"Refund_Amount": 1}},
        {"DATA": {"refund_amount": 1}},
        {"lines": [{"kind": "fee", "Total": 1}]},
        {"lines": [{"Kind": "fee", "total": 1}]},
        {"items": [{"sku": 1}, {"SKU": 2}]},
        {"validate_only": True, "validateOnly": False},
        {"onRefusal": 1},
        {"Op": "list"},
    ],
)
def test_a_key_that_a_tool_could_take_for_one_that_is_read_is_refused(shop: Tool, body: dict[str, Any]) -> None:
    target = "/query" if "Op" in body else "/pay"
    with pytest.raises(MalformedRequest, match="take both for the same key"):
        judge(shop, target, json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 1, "data": {"refund_amount": 2, "Amount": 3}},
        {"note": {"Amount": 1}, "meta": [{"REFUND_AMOUNT": 1}]},
        {"_amount": 1},
        {"lines": [{"kind": "fee", "total": 1, "Note": "x"}], "items": [{"sku": 1}]},
        1,
    ],
)
def test_the_same_key_elsewhere_is_the_tools_business(shop: Tool, body: object) -> None:
    judge(shop, "/pay", json.dumps(body).encode())


@pytest.mark.parametrize("body", [b"Amount=1", b"amount[]=1", b"amount%5B0%5D=1", b"amount[x][y]=1", b"+amount=1"])
def test_a_form_and_a_query_have_no_such_keys_either(shop: Tool, body: bytes) -> None:
    with pytest.raises(MalformedRequest, match="take both for the same key"):
        judge(shop, "/pay", body, FORM)
    judge(shop, "/pay", b"meta[Amount]=1&tags[]=1", FORM)


def test_a_schema_names_members_too(shop: Tool) -> None:
    for body in ({"amount": 1, "Account": 2}, {"amount": 1, "lines": [{"Note": "x"}]}):
        with pytest.raises(MalformedRequest, match="take both for the same key"):
            judge(shop, "/strict", json.dumps(body).encode())


LOOKALIKES = [
    ("body", "/pay", b'{"data": {"refundAmount": 1}}', JSON, "refundAmount", "refund_amount", "request_schema"),
    ("body", "/pay", b"amount[]=1", FORM, "amount[]", "amount", "request_schema"),
    ("query", "/pay?Mode=x", b"", JSON, "Mode", "mode", "the action's query"),
]


@pytest.mark.parametrize(("place", "target", "body", "kind", "key", "name", "remedy"), LOOKALIKES)
def test_the_refusal_of_such_a_key_names_the_one_that_is_read(
    shop: Tool, place: str, target: str, body: bytes, kind: str, key: str, name: str, remedy: str
) -> None:
    with pytest.raises(MalformedRequest) as refused:
        judge(shop, target, body, kind)
    assert str(refused.value) == f"The {place} has the key {key!r}. The gateway reads {name!r}, and some tools take both for the same key."
    assert refused.value.advice.startswith(f"Send {name!r}. If the tool has a separate key {key!r}, ")
    assert remedy in refused.value.advice


def test_an_adapter_can_declare_both_keys(tmp_path: Path) -> None:
    (tmp_path / "adapter.yaml").write_text(
        "system: shop\ntenant: run.tenant\nactions:\n"
        "  - {name: get, match: {method: GET, path: /pay}, effect: read}\n"
        "  - name: pay\n    match: {method: POST, path: /pay, query: [pay_mode, payMode]}\n"
        "    query: {pay_mode: request.query.pay_mode, payMode: request.query.payMode}\n    request_schema: both.json\n    effect: write\n"
        "    class: irreversible\n    cost: {amount: {eur: request.body.pay_amount}}\n    compensation: {type: manual_review}\n"
    )
    (tmp_path / "both.json").write_text(json.dumps({"type": "object", "properties": {"payAmount": {"type": "integer"}}}))
    tool, problems = compilation.load(tmp_path, "shop", {})
    assert tool is not None, problems
    judge(tool, "/pay?pay_mode=a&payMode=b", b'{"pay_amount": 1, "payAmount": 2}')
    with pytest.raises(MalformedRequest, match="take both"):
        judge(tool, "/pay", b'{"pay_amount": 1, "pay-amount": 2}')


@pytest.mark.parametrize("key", ["_method", "_METHOD", "_method[]", "X-HTTP-Method-Override", "x_http_method_override", "$httpMethod"])
def test_a_member_that_names_another_method_is_refused(shop: Tool, key: str) -> None:
    for target, body, kind in (("/pay", f"{key}=DELETE".encode(), FORM), ("/pay", json.dumps({key: "DELETE"}).encode(), JSON)):
        with pytest.raises(MalformedRequest, match="another method"):
            judge(shop, target, body, kind)
    for target in ("/orders", "/unlisted"):
        with pytest.raises(MalformedRequest, match="another method"):
            judge(shop, f"{target}?{key}=DELETE", b"", "", "GET")


def _form_of_parts(head: str, content: str = "DELETE", end: str = "\r\n") -> bytes:
    return f"--x{end}Content-Disposition: form-data; {head}{end}{end}{content}{end}--x--{end}".encode()


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize(
    "head", ['name="_method"', "name=_method", "NAME = '_METHOD'", "name*=UTF-8''_m%65thod", 'filename="a"; name="_method[]"']
)
def test_a_part_that_names_another_method_is_refused_in_a_body_that_is_not_read(shop: Tool, head: str, end: str) -> None:
    with pytest.raises(MalformedRequest, match="another method"):
        judge(shop, "/upload", _form_of_parts(head, end=end), "multipart/form-data; boundary=x")


def test_what_a_file_says_of_methods_is_not_looked_at(shop: Tool) -> None:
    page = '<input type="hidden" name="_method" value="delete">'
    judge(shop, "/upload", _form_of_parts('name="page"; filename="name.html"', page), "multipart/form-data; boundary=x")
    judge(shop, "/upload", page.encode(), "text/html")


def test_brackets_in_the_query_of_a_read_have_to_be_declared(shop: Tool) -> None:
    for query in ("tenant[]=globex", "tenant%5B%5D=globex", "a[b]=1"):
        with pytest.raises(MalformedRequest, match="brackets"):
            judge(shop, f"/orders?{query}", b"", "", "GET")
    judge(shop, "/search?q=1&filter[status]=open&_method=x", b"", "", "GET")
    judge(shop, "/orders?tenant=globex&page=2", b"", "", "GET")


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1e400", "0.1234567890123456789", "9007199254740993.0"])
def test_a_number_that_readers_differ_over_is_refused(shop: Tool, number: str) -> None:
    for target in ("/pay", "/unlisted", "/strict"):
        with pytest.raises(MalformedRequest, match="beyond 2\\^53-1"):
            judge(shop, target, f'{{"amount": 1, "x": [{{"y": {number}}}]}}'.encode())
    judge(shop, "/pay", b'{"amount": 9007199254740991, "x": "9007199254740993"}')


def test_a_schema_admits_large_numbers_where_it_says_so(shop: Tool) -> None:
    for member in ('"account": 9223372036854775807', '"serial": 123456789012345678901234567890', '"ratio": 0.1234567890123456789'):
        judge(shop, "/strict", f'{{"amount": 1, {member}}}'.encode())
    for member in ('"account": 9223372036854775808', f'"serial": {10**31}', '"ratio": 9007199254740993', '"account": 9007199254740993.5'):
        with pytest.raises(MalformedRequest):
            judge(shop, "/strict", f'{{"amount": 1, {member}}}'.encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"amount": 777}', "args.amount breaks the rule maximum 500"),
        (b'{"amount": true}', "args.amount breaks the rule type"),
        (b'{"amount": "777"}', "args.amount breaks the rule type"),
        (b"{}", "args breaks the rule required amount"),
        (b"[]", "args breaks the rule type"),
        (b'{"amount": 1, "extra": 777}', "args: extra is not declared"),
        (b'{"amount": 1, "lines": [{"note": 777}]}', "args.lines[0].note breaks the rule type"),
        (b"", "args breaks the rule type"),
    ],
)
def test_arguments_have_to_be_as_the_schema_says(shop: Tool, body: bytes, said: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        judge(shop, "/strict", body)
    assert said in refused.value.detail
    assert "777" not in refused.value.detail
    assert refused.value.status == 400


def test_what_an_expression_reads_is_known(shop: Tool) -> None:
    read = shop.members["pay"]
    assert read.body.members.keys() == {"amount", "data", "lines", "items", "validate_only", "on_refusal"}
    assert read.body.members["lines"].members.keys() == {"kind", "total"}
    assert read.query.members.keys() == {"mode"}
    assert members.normalized("_id") != members.normalized("id")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("{body: opaque, request_schema: strict.json}", "cannot judge a body that is not read"),
        ("{body: opaque, cost: {records: request.body.n}}", "opaque bodies are not read"),
        ("{body: opaque, class: {when: [{if: request.body.x, then: irreversible}, {then: compensatable}]}}", "opaque bodies are not read"),
        ("{body: xml}", "not one of json, form or opaque"),
        ("{request_schema: missing.json}", "cannot be read"),
        ("{request_schema: remote.json}", "is not fetched"),
        ("{request_schema: list.json}", "not a usable JSON Schema"),
    ],
)
def test_a_body_that_is_declared_wrongly_does_not_load(tmp_path: Path, action: str, said: str) -> None:
    (tmp_path / "strict.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "remote.json").write_text('{"$ref": "https://example.com/x.json"}')
    (tmp_path / "list.json").write_text("[]")
    rest = "match: {method: POST, path: /x}, effect: write, compensation: {type: manual_review}"
    kept = "" if "class:" in action else ", class: irreversible"
    (tmp_path / "adapter.yaml").write_text(f"system: s\ntenant: run.tenant\nactions:\n  - {{name: x, {rest}{kept}, {action[1:]}\n")
    tool, problems = compilation.load(tmp_path, "s", {})
    assert tool is None
    assert said in problems[0]
    assert "adapter.yaml:4:" in problems[0]
