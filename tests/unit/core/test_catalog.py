"""Which action a call is, and what it means: tenant, target, cost, class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.adapter import catalog, expression, matching, probing, resolve, template
from gateway.core.adapter.catalog import ActionType, Tool
from gateway.core.adapter.matching import Matched, Unmatched
from gateway.core.request import exact_json
from gateway.model.call import Effect, Remedy, Reversibility, Target
from tests.support import samples

VARIABLES = {"collection": "invoices"}


def path(text: str) -> template.Template:
    return template.parse(text, VARIABLES)


def read(name: str, at: str, **more: Any) -> ActionType:
    return ActionType(name=name, method="GET", template=path(at), effect=Effect.READ, **more)


def write(name: str, method: str, at: str, **more: Any) -> ActionType:
    given = {"match_query": frozenset(), "undo": catalog.Undo(remedy=Remedy.MANUAL_REVIEW), **more}
    return ActionType(name=name, method=method, template=path(at), effect=Effect.WRITE, **given)


def tool(*actions: ActionType, tenant: str = "request.path.tenant", **more: Any) -> Tool:
    kind = catalog.ObjectType(
        name="invoice",
        template=path("/{tenant}/{vars.collection}/{id}"),
        version=expression.compile("reply.headers.etag"),
        state=expression.compile("reply.body"),
    )
    line = catalog.ObjectType(name="line", template=path("/{tenant}/{vars.collection}/{id}/lines/{line}"))
    return catalog.Tool(
        name="erp",
        system="erp",
        tenant=expression.compile(tenant),
        objects={kind.name: kind, line.name: line, **more.pop("objects", {})},
        actions={action.name: action for action in actions},
        variables=VARIABLES,
        **more,
    )


READ = read("invoice.read", "/{tenant}/invoices/{id}", object="invoice")
LIST = read("invoice.list", "/{tenant}/invoices", object="invoice")
UPDATE = write("invoice.update", "PATCH", "/{tenant}/invoices/{id}", object="invoice")
CREATE = write(
    "invoice.create",
    "POST",
    "/{tenant}/invoices",
    match_query=frozenset({"dry_run"}),
    creates=catalog.Creates("invoice", expression.compile("reply.body.id")),
)
LINE = write("line.update", "PUT", "/{tenant}/invoices/{id}/lines/{line}", object="line")
ERP = tool(READ, LIST, UPDATE, CREATE, LINE)


def resolved(erp: Tool, method: str, at: str, body: object = None) -> tuple[Matched, dict[str, object]]:
    asked = samples.call(method, at, body)
    found = samples.matched(erp, asked)
    return found, matching.document(erp, asked, found.captures)


@pytest.mark.parametrize(
    ("method", "at", "name"),
    [
        ("GET", "/acme/invoices/1", "invoice.read"),
        ("HEAD", "/acme/invoices/1", "invoice.read"),
        ("GET", "/acme/invoices?limit=5&sort=-id", "invoice.list"),
        ("PATCH", "/acme/invoices/1", "invoice.update"),
        ("PATCH", "/acme/invoi%63es/1", "invoice.update"),
        ("POST", "/acme/invoices?dry_run=1", "invoice.create"),
    ],
)
def test_a_call_is_the_action_whose_method_and_path_it_has(method: str, at: str, name: str) -> None:
    assert samples.matched(ERP, samples.call(method, at)).action.name == name


@pytest.mark.parametrize(
    ("method", "at", "name", "reason"),
    [
        ("GET", "/acme/INVOICES/1", "unlisted.read", "erp declares no action for GET on this path"),
        ("GET", "/acme/invoices/1/", "unlisted.read", "erp declares no action for GET on this path"),
        ("GET", "/", "unlisted.read", "erp declares no action for GET on this path"),
        ("OPTIONS", "/acme/invoices/1", "unlisted.read", "erp declares no action for OPTIONS on this path"),
        ("DELETE", "/acme/invoices/1", "unlisted.write", "erp declares no action for DELETE on this path"),
        ("PATCH", "/acme/invoices/1?force=1", "unlisted.write", "invoice.update does not accept the query key 'force'"),
        ("POST", "/acme/invoices?dry_run=1&admin=1", "unlisted.write", "invoice.create does not accept the query key 'admin'"),
    ],
)
def test_any_other_call_is_unlisted_and_says_why(method: str, at: str, name: str, reason: str) -> None:
    found = matching.match(ERP, samples.call(method, at))
    assert isinstance(found, Unmatched)
    assert (found.name, found.reason, found.allowed) == (name, reason, False)


def test_the_root_of_a_tool_can_be_an_action() -> None:
    root = tool(read("about", "/"), tenant="run.tenant")
    assert samples.matched(root, samples.call("GET", "/")).action.name == "about"


def test_an_adapter_can_let_unlisted_calls_on() -> None:
    open_ = tool(READ, unlisted_read=True)
    assert matching.match(open_, samples.call("GET", "/x")) == Unmatched(
        "unlisted.read", Effect.READ, True, "erp declares no action for GET on this path"
    )
    refused = matching.match(open_, samples.call("POST", "/x"))
    assert isinstance(refused, Unmatched)
    assert not refused.allowed


@pytest.mark.parametrize(
    ("method", "at"), [("HEAD", "/a/invoices/1/cancel"), ("OPTIONS", "/a/invoices/1/cancel"), ("GET", "/a/invoices/1/cancel?x=1")]
)
def test_a_get_that_is_a_write_is_no_read_by_another_query_or_method(method: str, at: str) -> None:
    erp = tool(write("cancel", "GET", "/{tenant}/invoices/{id}/cancel"), unlisted_read=True)
    found = matching.match(erp, samples.call(method, at))
    assert isinstance(found, Unmatched)
    assert (found.name, found.effect, found.allowed) == ("unlisted.write", Effect.WRITE, False)


def test_file_order_decides_between_two_that_fit() -> None:
    paying = write("pay", "POST", "/{tenant}/actions", match_body=expression.compile("request.body.kind == 'pay'"))
    anything = write("act", "POST", "/{tenant}/actions")
    erp = tool(paying, anything)
    assert samples.matched(erp, samples.call("POST", "/a/actions", {"kind": "pay"})).action is paying
    assert samples.matched(erp, samples.call("POST", "/a/actions", {"kind": "other"})).action is anything


@pytest.mark.parametrize("body", [{"flag": 1}, {"flag": "true"}, {}, None])
def test_a_match_on_the_body_must_be_exactly_true(body: object) -> None:
    erp = tool(write("flagged", "POST", "/{tenant}/actions", match_body=expression.compile("request.body.flag")))
    found = matching.match(erp, samples.call("POST", "/a/actions", body))
    assert isinstance(found, Unmatched)
    assert "the headers or body of this call do not match" in found.reason
    assert samples.matched(erp, samples.call("POST", "/a/actions", {"flag": True}))


def test_expressions_see_headers_in_lower_case_and_no_credentials() -> None:
    headers = {"X-Kind": "a", "Authorization": "Bearer secret", "Killcord-Lease": "secret", "Cookie": "secret", "x-kind": "b"}
    seen = matching.request_document(samples.call("GET", "/a", headers=headers), {})
    assert seen["headers"] == {"x-kind": "a, b"}


def test_a_target_is_the_object_without_its_tenant() -> None:
    found, document = resolved(ERP, "PATCH", "/acme/invoices/inv%201", {})
    assert resolve.target_of(ERP, found, document) == Target("erp", "invoice", "inv 1", "acme", "erp")
    found, document = resolved(ERP, "PUT", "/acme/invoices/7/lines/2", {})
    assert resolve.target_of(ERP, found, document) == Target("erp", "line", "7/2", "acme", "erp")


@pytest.mark.parametrize(("method", "at"), [("GET", "/acme/invoices"), ("POST", "/acme/invoices")])
def test_lists_and_creates_have_a_type_and_no_id(method: str, at: str) -> None:
    found, document = resolved(ERP, method, at)
    assert resolve.target_of(ERP, found, document) == Target("erp", "invoice", "", "acme", "erp")


def test_a_create_names_its_object_by_the_reply() -> None:
    found, document = resolved(ERP, "POST", "/acme/invoices", {})
    assert resolve.created_id(ERP, found.action, found.captures, document | {"reply": {"body": {"id": 17}}}) == "17"
    nameless: tuple[object, ...] = (None, "", True, {})
    for no_id in nameless:
        assert resolve.created_id(ERP, found.action, found.captures, document | {"reply": {"body": {"id": no_id}}}) is None
    assert resolve.object_path(ERP, found.action, found.captures, "17") == "/acme/invoices/17"


def test_a_hostile_id_in_a_reply_makes_no_path() -> None:
    found, _ = resolved(ERP, "POST", "/acme/invoices", {})
    with pytest.raises(ValueError):
        resolve.object_path(ERP, found.action, found.captures, "../../other")
    with pytest.raises(ValueError):
        resolve.undo_path(ERP, found.action, "invoice.update", found.captures, "%2e%2e")


@pytest.mark.parametrize("tenant", [None, "", True, 1.5, [], {}])
def test_what_is_no_name_is_no_tenant(tenant: object) -> None:
    erp = tool(write("act", "POST", "/actions"), tenant="request.body.tenant")
    _, document = resolved(erp, "POST", "/actions", {"tenant": tenant})
    assert resolve.tenant_of(erp, document) is None


@pytest.mark.parametrize(
    ("value", "millionths"),
    [
        (1000, 1_000_000_000),
        (0, 0),
        (10.1, 10_100_000),
        ("10.10", 10_100_000),
        ("1e2", 100_000_000),
        (0.1 + 0.2, 300_001),
        ("0.0000001", 1),
        (5e-324, None),
        ("1e-30", 1),
    ],
)
def test_amounts_are_exact_millionths_and_rounded_up(value: object, millionths: int | None) -> None:
    assert cost({"amount": value}).get("refund") == millionths


@pytest.mark.parametrize("value", [None, -1, "-1", True, float("nan"), float("inf"), "NaN", "1_000", " 1", "١", "", 1e300, 10**11, [], {}])
def test_what_cannot_be_counted_is_unpriced(value: object) -> None:
    priced = resolve.cost_of(PRICED, {"request": {"body": {"amount": value, "count": 1}}})
    assert priced.unpriced == ("amount:refund",)
    assert dict(priced.amounts) == {}


@pytest.mark.parametrize(("count", "records"), [(3, 3), ("3", 3), (0, 0), (2.0, 2)])
def test_records_are_whole(count: object, records: int) -> None:
    assert resolve.cost_of(PRICED, {"request": {"body": {"amount": 1, "count": count}}}).records == records


@pytest.mark.parametrize("count", [2.5, -1, None, True, "many", 2**53])
def test_records_that_are_not_whole_are_unpriced(count: object) -> None:
    assert resolve.cost_of(PRICED, {"request": {"body": {"amount": 1, "count": count}}}).unpriced == ("records",)


def test_a_write_costs_one_record_unless_it_says_otherwise_and_a_read_none() -> None:
    assert resolve.cost_of(UPDATE, {}).records == 1
    assert resolve.cost_of(READ, {}).records == 0


PRICED = write(
    "refund",
    "POST",
    "/{tenant}/refunds",
    cost=catalog.Pricing(expression.compile("request.body.count"), {"refund": expression.compile("request.body.amount")}),
)


def cost(body: Mapping[str, object]) -> Mapping[str, int]:
    return resolve.cost_of(PRICED, {"request": {"body": {"count": 1, **body}}}).amounts


@pytest.mark.parametrize(
    ("body", "decided"),
    [
        ({"amount": 5}, Reversibility.REVERSIBLE),
        ({"amount": 50}, Reversibility.COMPENSATABLE),
        ({"amount": 500}, Reversibility.IRREVERSIBLE),
        ({}, Reversibility.IRREVERSIBLE),
        ({"amount": "5"}, Reversibility.IRREVERSIBLE),
    ],
)
def test_a_class_is_the_first_rule_that_is_true_and_irreversible_in_doubt(body: object, decided: Reversibility) -> None:
    rules = (
        catalog.Rule(expression.compile("request.body.amount > `100`"), Reversibility.IRREVERSIBLE),
        catalog.Rule(expression.compile("request.body.amount > `10`"), Reversibility.COMPENSATABLE),
        catalog.Rule(None, Reversibility.REVERSIBLE),
    )
    assert resolve.class_of(write("act", "POST", "/x", classes=rules), {"request": {"body": body}}) is decided


def test_without_a_rule_that_applies_a_write_is_irreversible() -> None:
    rules = (catalog.Rule(expression.compile("request.body.ok == `true`"), Reversibility.REVERSIBLE),)
    assert resolve.class_of(write("act", "POST", "/x", classes=rules), {"request": {"body": {}}}) is Reversibility.IRREVERSIBLE


def test_versions_are_kept_verbatim() -> None:
    invoice = ERP.objects["invoice"]
    assert resolve.version_of(invoice, {"reply": {"headers": {"etag": '"v12"'}}}) == '"v12"'
    assert resolve.version_of(invoice, {"reply": {"headers": {}}}) is None
    timed = replace(invoice, version=expression.compile("reply.body.updated"))
    for text in ("1767225600.123456", "1767225600.12345678901234567890", "12345678901234567890123"):
        assert resolve.version_of(timed, {"reply": {"body": exact_json.loads(f'{{"updated": {text}}}'.encode())}}) == text
    assert resolve.version_of(ERP.objects["line"], {"reply": {"headers": {"etag": '"v12"'}}}) is None
    assert resolve.state_of(invoice, {"reply": {"body": {"a": 1}}}) == {"a": 1}


def named(text: str, *, reply: object) -> bool:
    kind = catalog.ObjectType(name="invoice", template=path("/{tenant}/invoices/{id}"), identity=expression.compile(text))
    return resolve.same_object(kind, {"reply": {"body": reply}}, "42")


@pytest.mark.parametrize("reply", [{"id": "42"}, {"id": 42}, {"id": ["42"]}, {"id": [42]}])
def test_a_reply_that_names_what_was_asked_for_is_the_same_object(reply: object) -> None:
    assert named("reply.body.id", reply=reply)


@pytest.mark.parametrize(
    "reply",
    [{"id": "43"}, {"id": "042"}, {"id": " 42"}, {"id": 42.0}, {"id": True}, {"id": None}, {}, None, {"id": []}, {"id": ["42", "42"]}],
)
def test_a_reply_that_names_another_several_or_none_is_not(reply: object) -> None:
    assert not named("reply.body.id", reply=reply)


def test_a_list_is_the_object_where_it_holds_just_that_one() -> None:
    assert named("reply.body.items[].id", reply={"items": [{"id": "42"}]})
    assert not named("reply.body.items[].id", reply={"items": [{"id": "42"}, {"id": "43"}]})


def test_without_a_declared_id_any_reply_is_taken_for_the_object() -> None:
    assert resolve.same_object(ERP.objects["invoice"], {"reply": {"body": {"id": "43"}}}, "42")


def test_a_fallback_s_path_is_filled_from_the_read_and_stays_one_segment_each() -> None:
    erp = tool(read("invoice.read", "/{tenant}/invoices/{id}", fallback="invoice.copy"), read("invoice.copy", "/{tenant}/copies/{id}"))
    action = erp.actions["invoice.read"]
    assert resolve.fallback_path(erp, action, {"tenant": "acme", "id": "a b&c"}) == "/acme/copies/a%20b&c"
    with pytest.raises(ValueError, match="segment"):
        resolve.fallback_path(erp, action, {"tenant": "acme", "id": ".."})
    with pytest.raises(KeyError):
        resolve.fallback_path(erp, erp.actions["invoice.copy"], {"tenant": "acme", "id": "1"})


LISTING = probing.Listing(
    template=path("/{tenant}/refunds"),
    query={"reference": expression.compile("request.body.reference")},
    items=expression.compile("reply.body.items"),
    id=expression.compile("object.body.id"),
)
PROBE = probing.Probe(expression.compile("object.body.reference == request.body.reference"), 30.0, LISTING)


def test_a_listing_is_asked_with_encoded_values() -> None:
    document = {"request": {"body": {"reference": "a&b= c"}}}
    assert probing.listing_target(LISTING, {"tenant": "acme"}, document) == "/acme/refunds?reference=a%26b%3D%20c"


def test_a_create_is_found_in_a_listing_by_what_it_asked_for() -> None:
    items = [{"id": "1", "reference": "x"}, {"id": "2", "reference": "y"}, {"id": "3", "reference": "x"}]
    document = {"request": {"body": {"reference": "x"}}, "reply": {"body": {"items": items}}}
    assert listed(document) == ("1", "3")
    assert listed(document | {"reply": {"body": {"items": []}}}) == ()


def listed(document: dict[str, object], probe: probing.Probe = PROBE) -> tuple[str, ...] | None:
    items = probing.page_of(probe, document, "kc-1").items
    return None if items is None else tuple([one.id for one in items])


def test_a_listing_is_whole_only_where_the_adapter_says_how_that_looks() -> None:
    document: dict[str, object] = {"request": {"body": {"reference": "x"}}, "reply": {"body": {"items": [], "next": None}}}
    whole = replace(
        PROBE, find=replace(LISTING, whole=expression.compile("contains(keys(reply.body), 'next') && reply.body.next == `null`"))
    )
    assert not probing.page_of(PROBE, document, "kc-1").whole
    assert probing.page_of(whole, document, "kc-1").whole
    bodies: list[object] = [{"items": []}, {"items": [], "next": True}, {"items": [], "next": "/page/2"}, None]
    for body in bodies:
        assert not probing.page_of(whole, document | {"reply": {"body": body}}, "kc-1").whole


@pytest.mark.parametrize(
    ("kept", "ours"),
    [
        ("kc-1", True),
        ("sent as kc-1", True),
        (["kc-0", "kc-1"], True),
        ("kc-2", False),
        (["kc-0"], False),
        (True, False),
        (None, False),
        (1, False),
    ],
)
def test_a_mark_is_the_key_that_was_sent(kept: object, ours: bool) -> None:
    probe = replace(PROBE, mark=expression.compile("object.body.key"))
    assert probing.marked(probe, {"object": {"version": None, "body": {"key": kept}}}, "kc-1") is ours


def test_a_mark_is_a_reference_of_the_call_where_it_is_exactly_true() -> None:
    probe = replace(PROBE, mark=expression.compile("object.body.note == request.body.note"))
    document = {"object": {"version": None, "body": {"note": "n-1"}}, "request": {"body": {"note": "n-1"}}}
    assert probing.marked(probe, document, "kc-1")
    assert not probing.marked(probe, document | {"request": {"body": {"note": "n-2"}}}, "kc-1")
    assert not probing.marked(PROBE, document, "kc-1")


def test_what_holds_the_mark_is_the_creates_whatever_it_says_by_now() -> None:
    probe = replace(PROBE, mark=expression.compile("object.body.key"))
    items = [{"id": "1", "reference": "x"}, {"id": "2", "reference": "changed", "key": "kc-1"}]
    page = probing.page_of(probe, {"request": {"body": {"reference": "x"}}, "reply": {"body": {"items": items}}}, "kc-1")
    assert page.items is not None
    assert [(one.id, one.marked) for one in page.items] == [("1", False), ("2", True)]


@pytest.mark.parametrize("body", [None, {"items": None}, {"items": [{"reference": "x"}]}, {"items": [{"id": {}, "reference": "x"}]}])
def test_a_listing_that_cannot_be_read_decides_nothing(body: object) -> None:
    assert listed({"request": {"body": {"reference": "x"}}, "reply": {"body": body}}) is None


@pytest.mark.parametrize(
    ("at", "own", "joined", "undo"),
    [
        ("/acme/projects/web/issues", "1", "web/1", "/acme/projects/web/issues/1"),
        ("/acme/projects/web/issues", "web", "web/web", "/acme/projects/web/issues/web"),
        ("/acme/projects/1/issues", "1", "1/1", "/acme/projects/1/issues/1"),
        ("/acme/projects/web%201/issues", "x y", "web 1/x y", "/acme/projects/web%201/issues/x%20y"),
    ],
)
def test_what_is_made_beneath_a_parent_is_named_by_all_its_captures(at: str, own: str, joined: str, undo: str) -> None:
    create = write(
        "issue.create", "POST", "/{tenant}/projects/{project}/issues", creates=catalog.Creates("issue", expression.compile("reply"))
    )
    delete = write("issue.delete", "DELETE", "/{tenant}/projects/{project}/issues/{id}", object="issue")
    issue = catalog.ObjectType(name="issue", template=template.parse("/{tenant}/projects/{project}/issues/{id}", {}))
    erp = tool(create, delete, objects={"issue": issue})
    found = samples.matched(erp, samples.call("POST", at, {}))
    assert resolve.created_id(erp, create, found.captures, {"reply": own}) == joined
    assert resolve.object_path(erp, create, found.captures, joined) == undo
    assert resolve.undo_path(erp, create, "issue.delete", found.captures, joined) == undo
    later = samples.matched(erp, samples.call("DELETE", undo))
    assert resolve.target_of(erp, later, {"request": {"path": later.captures}}).id == joined
    assert resolve.undo_path(erp, create, "issue.delete", found.captures, own) == undo, "as journals of earlier versions have it"
