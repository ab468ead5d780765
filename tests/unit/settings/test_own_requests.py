"""What the gateway's own requests carry: an adapter that cannot say where they go does not load, and is told what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.adapter import dependencies, expression
from gateway.core.adapter.catalog import Tool
from gateway.settings import compilation
from gateway.settings.adapter import Fixed

ADAPTER = """\
system: erp
tenant: run.tenant
objects:
  invoice: {path: "/invoices/{id}", version: reply.headers.etag, state: reply.body}
actions:
  - name: invoice.read
    match: {method: GET, path: "/invoices/{id}"}
    object: invoice
    effect: read
  - name: invoice.update
    match: {method: PATCH, path: "/invoices/{id}"}
    object: invoice
    effect: write
    class: reversible
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true}
  - name: invoice.replace
    match: {method: PUT, path: "/invoices/{id}"}
    object: invoice
    effect: write
    class: reversible
    compensation: {type: restore_previous_version, by: invoice.replace}
  - name: mail.send
    match: {method: POST, path: /mails}
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""
WRITE = "    match: {method: PATCH,"


def load(folder: Path, text: str, fixed: Fixed | None = None) -> tuple[Tool | None, list[str]]:
    (folder / "adapter.yaml").write_text(text)
    return compilation.load(folder, "erp", {}, shown="adapter.yaml", fixed=fixed or Fixed())


def with_tenant(tenant: str, *more: str) -> str:
    return ADAPTER.replace("tenant: run.tenant\n", "".join(f"{line}\n" for line in (f"tenant: {tenant}", *more)))


@pytest.mark.parametrize(
    ("tenant", "said"),
    [
        ('request.headers."x-tenant"', 'is the header x-tenant, *headers: {X-Tenant: request.headers."x-tenant"}'),
        ("request.query.tenant", "is the query key tenant, *query: {tenant: request.query.tenant}"),
        ('request.query."tenant-id"', 'query: {tenant-id: request.query."tenant-id"}'),
        ("request.body.tenant", "is request.body.tenant, *such as headers: {X-Tenant: request.body.tenant}"),
        ("request.body.data[0].tenant", "is request.body.data.tenant"),
        ("join('-', [request.query.org, request.headers.\"x-unit\"])", "the header x-unit"),
        ('request.headers."x-tenant" || run.tenant', "the header x-tenant"),
        ("values(request.headers)[0]", "takes the tenant from all headers or query keys; name the one"),
        ('request.headers | "x-tenant"', "the header x-tenant"),
        ("request.headers.host", "the header host"),
    ],
)
def test_a_tenant_that_own_requests_do_not_carry_is_a_problem_at_its_line(tmp_path: Path, tenant: str, said: str) -> None:
    tool, problems = load(tmp_path, with_tenant(tenant))
    assert tool is None
    assert len(problems) == len(set(problems))
    assert any(all(part in line for part in ("adapter.yaml:2: tenant: ", *said.split(" *"))) for line in problems), problems


@pytest.mark.parametrize(
    "text",
    [
        with_tenant('request.headers."x-tenant"', 'headers: {X-Tenant: request.headers."x-tenant"}'),
        with_tenant("request.query.tenant", "query: {tenant: request.query.tenant}").replace(
            '/invoices/{id}"}', '/invoices/{id}", query: [tenant]}'
        ),
        with_tenant("request.body.tenant", "headers: {X-Tenant: request.body.tenant}"),
        with_tenant("request.headers.\"x-tenant\" || 'acme'", 'headers: {x-tenant: "request.headers.\\"x-tenant\\" || \'acme\'"}'),
        ADAPTER.replace("    effect: write\n", '    effect: write\n    headers: {X-Account: request.headers."x-account"}\n'),
    ],
)
def test_a_tenant_that_own_requests_carry_loads(tmp_path: Path, text: str) -> None:
    tool, problems = load(tmp_path, text)
    assert problems == []
    assert tool is not None


def test_what_every_request_carries_may_be_the_tenant(tmp_path: Path) -> None:
    assert load(tmp_path, with_tenant('request.headers."x-tenant"'), Fixed(headers=frozenset({"x-tenant"})))[1] == []


@pytest.mark.parametrize(
    "carried",
    [
        "headers: {X-Tenant: null}",
        "headers: {X-Tenant: run.tenant}",
        'headers: {X-Other: request.headers."x-tenant"}',
        "query: {x-tenant: run.tenant}",
    ],
)
def test_another_value_than_the_call_s_own_is_not_its_tenant(tmp_path: Path, carried: str) -> None:
    _, problems = load(tmp_path, with_tenant('request.headers."x-tenant"', carried))
    assert any("the header x-tenant" in line for line in problems), problems


@pytest.mark.parametrize(
    ("put", "place", "known"),
    [
        ('match: {headers: "request.headers.\\"x-kind\\" == \'a\'", method: PATCH,', "match.headers", "headers: {X-Kind: null}"),
        ("match: {body: \"request.query.mode == 'a'\", query: [mode], method: PATCH,", "match.body", "query: {mode: null}"),
        (
            'idempotency: {gateway: true, identity: [request.headers."x-account"]}\n' + WRITE,
            "idempotency.identity",
            "headers: {X-Account: null}",
        ),
    ],
)
def test_what_tells_a_write_apart_is_carried_or_said_to_select_nothing(tmp_path: Path, put: str, place: str, known: str) -> None:
    text = ADAPTER.replace(WRITE, f"    {put.lstrip()}")
    _, problems = load(tmp_path, text)
    assert any(f"actions[1].{place}" in line and known in line for line in problems), problems
    assert load(tmp_path, text.replace("objects:", f"{known}\nobjects:"))[1] == []


@pytest.mark.parametrize("name", ["content-type", "accept", "prefer", "x-request-id", "x-datadog-tags", "sec-fetch-site"])
def test_a_header_that_selects_nothing_may_tell_a_write_apart(tmp_path: Path, name: str) -> None:
    text = ADAPTER.replace(WRITE, f'    match: {{headers: "request.headers.\\"{name}\\" == \'a\'", method: PATCH,')
    assert load(tmp_path, text)[1] == []


def test_a_class_or_a_cost_does_not_say_where_a_call_goes(tmp_path: Path) -> None:
    text = ADAPTER.replace(
        "class: reversible\n",
        "class: {when: [{if: request.headers.\"x-a\" == 'b', then: reversible}]}\n    cost: {records: request.query.n}\n",
    )
    assert load(tmp_path, text)[1] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Authorization", "is set by the gateway itself"),
        ("cookie", "is set by the gateway itself"),
        ("Host", "is set by the gateway itself"),
        ("Content-Length", "is set by the gateway itself"),
        ("Transfer-Encoding", "is set by the gateway itself"),
        ("If-Match", "is set by the gateway itself"),
        ("Accept-Encoding", "is set by the gateway itself"),
        ("Killcord-Step", "is set by the gateway itself"),
        ("Content-Type", "the content type of a compensation is its key content_type"),
        ("X_Account", "is not the name of a header"),
        ('"X-A: b"', "is not the name of a header"),
        ("X-Key", "carries the tool's secret"),
    ],
)
def test_a_header_that_is_the_gateway_s_own_cannot_be_declared(tmp_path: Path, name: str, said: str) -> None:
    _, problems = load(tmp_path, with_tenant("run.tenant", f"headers: {{{name}: run.tenant}}"), Fixed(credential="x-key"))
    assert any("adapter.yaml:3: headers." in line and said in line for line in problems), problems


def test_an_expression_of_a_header_is_checked_where_it_stands(tmp_path: Path) -> None:
    _, problems = load(tmp_path, with_tenant("run.tenant", "headers: {X-A: reply.body.a}"))
    assert [line for line in problems if "adapter.yaml:3: headers.X-A: reply is unknown here" in line] == problems


def test_the_call_that_undoes_must_accept_the_query_that_it_carries(tmp_path: Path) -> None:
    _, problems = load(tmp_path, with_tenant("run.tenant", "query: {account: request.query.account}"))
    assert any("compensation.by: invoice.replace does not accept the query key account" in line for line in problems), problems
    own = ADAPTER.replace("by: invoice.replace, auto", "by: invoice.replace, query: {reason: \"'undo'\"}, auto")
    assert any("the query key reason" in line for line in load(tmp_path, own)[1])


@pytest.mark.parametrize(
    ("text", "headers", "query", "body", "unnamed"),
    [
        ('request.headers."x-a"', {"x-a"}, set(), set(), False),
        ('request.headers."X-A"', {"x-a"}, set(), set(), False),
        ("request.[headers.a, query.b]", {"a"}, {"b"}, set(), False),
        ("request.{a: headers.x}", {"x"}, set(), set(), False),
        ("[request.headers.a] | [0]", {"a"}, set(), set(), False),
        ("request.body.items[?a==`1`].b | [0]", set(), set(), {("items",)}, False),
        ("request.body", set(), set(), {()}, False),
        ("sort_by(request.body.i, &x)[0].t", set(), set(), {("i",)}, False),
        ("request.headers.*", set(), set(), set(), True),
        ("(request.headers || request.query).foo", set(), set(), set(), True),
        ("values(request)[0]", set(), set(), set(), True),
        ("request.path.tenant", set(), set(), set(), False),
        ("run.tenant", set(), set(), set(), False),
    ],
)
def test_what_an_expression_takes_of_the_request(
    text: str, headers: set[str], query: set[str], body: set[tuple[str, ...]], unnamed: bool
) -> None:
    found = dependencies.of(expression.compile(text))
    assert (set(found.headers), set(found.query), set(found.body), found.unnamed) == (headers, query, body, unnamed)


def test_a_path_with_a_query_is_referred_to_query(tmp_path: Path) -> None:
    _, problems = load(tmp_path, ADAPTER.replace('path: "/invoices/{id}", version', 'path: "/invoices/{id}?api-version=1", version'))
    assert any("has a query" in line and "query: {KEY: EXPRESSION}" in line for line in problems), problems


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("[etag]", "is not part of an object"),
        ("[Content-Type]", "is not part of an object"),
        ("[Set-Cookie]", "is not part of an object"),
        ("[Killcord-Run]", "is not part of an object"),
        ('["*"]', "is not the name of a header"),
        ('["x-*-y"]', "is not the name of a header"),
        ('["a b"]', "is not the name of a header"),
    ],
)
def test_what_is_no_part_of_an_object_cannot_be_kept(tmp_path: Path, keep: str, said: str) -> None:
    _, problems = load(tmp_path, ADAPTER.replace("state: reply.body}", f"state: reply.body, keep: {keep}}}"))
    assert any("adapter.yaml:4: objects.invoice.keep[0]" in line and said in line for line in problems), problems


def test_what_is_kept_belongs_to_a_state(tmp_path: Path) -> None:
    _, problems = load(tmp_path, ADAPTER.replace("state: reply.body}", "keep: [cache-control]}"))
    assert any("objects.invoice.keep: belongs to a state" in line for line in problems), problems
    tool, problems = load(
        tmp_path, ADAPTER.replace("state: reply.body}", 'state: reply.body, keep: [Cache-Control, "X-Meta-*", content-encoding]}')
    )
    assert problems == []
    assert tool is not None
    assert tool.objects["invoice"].keep == ("cache-control", "x-meta-*", "content-encoding")
    undo = tool.actions["invoice.update"].undo
    assert undo is not None
    assert undo.compared == ("state", "content-type", "cache-control", "x-meta-*", "content-encoding")


@pytest.mark.parametrize("value", ["null", "\"'main'\"", 'request.headers."x-other"'])
def test_a_compensation_cannot_go_elsewhere_than_its_effect(tmp_path: Path, value: str) -> None:
    text = with_tenant("run.tenant", 'headers: {X-Account: request.headers."x-account"}')
    text = text.replace("by: invoice.replace, auto", f"by: invoice.replace, headers: {{x-account: {value}}}, auto")
    _, problems = load(tmp_path, text)
    assert any("compensation.headers.x-account" in line and "says where a call goes" in line for line in problems), problems


def test_what_says_nothing_of_where_can_be_left_out_of_a_compensation(tmp_path: Path) -> None:
    text = with_tenant("run.tenant", "query: {view: \"'full'\"}")
    assert any("does not accept the query key view" in line for line in load(tmp_path, text)[1])
    text = text.replace("by: invoice.replace", "by: invoice.replace, query: {view: null}")
    assert load(tmp_path, text)[1] == []


CREATES = """\
  - name: invoice.create
    match: {method: POST, path: /invoices}
    creates: {object: invoice, id: reply.body.id}
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""


@pytest.mark.parametrize(
    "action",
    [
        CREATES,
        CREATES + "    pending: {done: reply.body.done}\n",
        CREATES.replace("    creates: {object: invoice, id: reply.body.id}\n", "    pending: {done: reply.body.done}\n"),
        CREATES.replace("POST, path: /invoices", 'POST, path: "/invoices/{id}/close"').replace(
            "    creates: {object: invoice, id: reply.body.id}\n", "    object: invoice\n    snapshot: false\n"
        ),
    ],
)
@pytest.mark.parametrize("digest", [False, True])
def test_reads_that_follow_a_write_go_to_its_tenant_too(tmp_path: Path, action: str, digest: bool) -> None:
    version = "version: {digest_of: state}" if digest else "version: reply.headers.etag"
    text = ADAPTER[: ADAPTER.index("  - name: invoice.update")].replace("version: reply.headers.etag", version) + action
    tenant = 'request.headers."x-tenant"'
    tool, problems = load(tmp_path, text.replace("run.tenant", tenant))
    assert tool is None
    assert any("the header x-tenant" in line for line in problems), problems
    assert load(tmp_path, text.replace("run.tenant", f"{tenant}\nheaders: {{X-Tenant: '{tenant}'}}"))[1] == []


def test_a_write_after_which_nothing_is_read_needs_no_tenant_of_its_own_requests(tmp_path: Path) -> None:
    text = ADAPTER[: ADAPTER.index("  - name: invoice.update")] + ADAPTER[ADAPTER.index("  - name: mail.send") :]
    assert load(tmp_path, text.replace("run.tenant", 'request.headers."x-tenant"'))[1] == []
