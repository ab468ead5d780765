"""What the gateway itself asks a tool for a call goes where the call went: by header, by query key, and in the form that the tool wants."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.request import canonical
from gateway.errors import Misconfigured
from gateway.model.call import Head
from gateway.model.effect import State
from tests.support import shop
from tests.support.rig import code

ADAPTER = """
system: shop
tenant: run.tenant
{top}
objects:
  order: {{path: "/orders/{{id}}", version: reply.headers.etag, state: reply.body}}
actions:
  - {{name: order.read, match: {{method: GET, path: "/orders/{{id}}"}}, object: order, effect: read}}
  - name: order.create
    match: {{method: POST, path: /orders{query}}}
    creates: {{object: order, id: {id}}}
    effect: write
    class: reversible
    verify: {{expect: object.body.status == request.body.status, within: 100ms}}
    compensation: {{type: delete_created, by: order.delete, auto: true}}
  - name: order.update
    match: {{method: PUT, path: "/orders/{{id}}"{query}}}
    object: order
    effect: write
    class: reversible
    guard: if_match
    verify: {{expect: object.body.status == request.body.status, within: 100ms}}
    probe: {{applied: object.body.status == request.body.status, settle: 50ms}}
    compensation: {{type: restore_previous_version, by: order.update, delete_created: order.delete, auto: true{undo}}}
  - name: order.delete
    match: {{method: DELETE, path: "/orders/{{id}}"{query}}}
    object: order
    effect: write
    class: irreversible
    compensation: {{type: manual_review}}
"""

DECLARED = 'headers: {X-Account: request.headers."x-account"}'
BY_QUERY = "query: {account: request.query.account}"


def adapter(top: str = "", *, id: str = "reply.body.id", query: str = "", undo: str = "") -> str:
    return ADAPTER.format(top=top, id=id, query=f", query: [{query}]" if query else "", undo=f", {undo}" if undo else "")


async def test_a_rollback_undoes_what_a_run_made_in_another_account(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(DECLARED)) as (rig, tool):
        tool.put("7", b'{"status":"mine"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, X_Account="sub")).status == 201
        assert await shop.roll_back(rig, run.run.run_id) == ("clean", [("order.create", "done")], [])
        assert list(tool.things) == [("main", "7")]
        assert {account for _, _, account in tool.log} == {"sub"}


async def test_an_account_in_the_query_goes_with_every_own_request(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(BY_QUERY, query="account")) as (rig, tool):
        tool.put("7", b'{"status":"mine"}')
        tool.put("1", b'{"status":"a"}', account="s u&b")
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders?account=s%20u%26b", {"status": "new"})).status == 201
        assert (await rig.call(run.lease, "PUT", "/orders/1?account=s%20u%26b", {"status": "b"})).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert list(tool.things) == [("main", "7"), ("s u&b", "1")]
        assert orjson.loads(tool.get("1", "s u&b").body) == {"status": "a"}
        assert all("?account=s%20u%26b" in path for _, path, _ in tool.log)


@pytest.mark.parametrize(
    ("top", "path", "headers", "named"),
    [
        ("", "/orders", {"X_Account": "sub"}, "header x-account"),
        ('headers: {X-Region: request.headers."x-region"}', "/orders", {"X_Account": "sub", "X_Region": "eu"}, "header x-account"),
        ("", "/orders?account=sub", {}, "query key account"),
    ],
)
async def test_what_no_adapter_declares_may_have_said_where_a_call_went(
    tmp_path: Path, top: str, path: str, headers: dict[str, Any], named: str
) -> None:
    async with shop.before(tmp_path, adapter(top, query="account")) as (rig, tool):
        tool.put("7", b'{"status":"mine"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", path, {"status": "new"}, **headers)).status == 201
        (write,) = await rig.writes(run.run.run_id)
        assert write.verification == "passed"
        assert [name.strip("?") for name in write.undeclared] == [named.split()[-1]]
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.create", "task")])
        assert all(named in one for one in why)
        assert set(tool.things) == {("main", "7"), ("sub", "7")}
        assert not [one for one in tool.log if one[0] == "DELETE"]


async def test_headers_that_select_nothing_do_not_stand_in_the_way(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        run = await rig.open()
        sent: dict[str, Any] = {
            "User_Agent": "x/1",
            "Accept": "*/*",
            "X_Request_ID": "r1",
            "X_Stainless_Lang": "python",
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
            "X_Datadog_Trace_Id": "1",
            "Sentry_Trace": "t",
            "Prefer": "return=minimal",
            "Sec_Fetch_Mode": "cors",
            "Idempotency_Key": "k1",
        }
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, **sent)).status == 201
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert not tool.things


async def test_a_header_that_says_nothing_of_where_can_be_declared_so(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter("headers: {X-Reason: null}")) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, X_Reason="test")).status == 201
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert not tool.things
        assert [one.headers.get("x-reason") for one in tool.seen] == ["test"] + [None] * (len(tool.seen) - 1)


async def test_one_id_in_two_accounts_is_two_objects(tmp_path: Path) -> None:
    """A version seen in one does not speak of the other, nor does a key, and each is rolled back for itself."""
    async with shop.before(tmp_path, adapter(DECLARED)) as (rig, tool):
        for account, version in (("a", 1), ("b", 5)):
            tool.put("1", b'{"status":"old"}', account=account)
            tool.get("1", account).version = version
        run = await rig.open()
        assert (await rig.call(run.lease, "GET", "/orders/1", X_Account="a")).status == 200
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="b")).status == 200
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="a")).status == 200
        assert tool.get("1", "a").version == 2
        assert tool.get("1", "b").version == 6
        state, nodes, _ = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("clean", [("order.update", "done")] * 2)
        assert {orjson.loads(one.body)["status"] for one in tool.things.values()} == {"old"}


async def test_a_tenant_in_a_header_is_read_and_undone_as_that_tenant(tmp_path: Path) -> None:
    text = adapter('headers: {X-Account: request.headers."x-account"}').replace("run.tenant", 'request.headers."x-account"')
    async with shop.before(tmp_path, text) as (rig, tool):
        tool.put("1", b'{"status":"mine"}')
        tool.put("1", b'{"status":"old"}', account="acme")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="acme")).status == 200
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="globex")).status == 403
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})).status == 403
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert tool.get("1", "acme").body == b'{"status":"old"}'
        assert tool.get("1").body == b'{"status":"mine"}'


async def test_a_tenant_in_a_body_needs_a_header_that_reads_can_send(tmp_path: Path) -> None:
    text = adapter("headers: {X-Account: request.body.tenant}").replace("tenant: run.tenant", "tenant: request.body.tenant")
    async with shop.before(tmp_path, text) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new", "tenant": "acme"}, X_Account="acme")).status == 201
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert not tool.things
        assert {account for _, _, account in tool.log} == {"acme"}


async def test_fixed_headers_and_query_go_with_every_request(tmp_path: Path) -> None:
    extra = "headers: {X-Account: fixed}\n    query: {api-version: '2024-01'}"
    async with shop.before(tmp_path, adapter(), tool_extra=extra) as (rig, tool):
        tool.put("1", b'{"status":"old"}', account="fixed")
        run = await rig.open()
        assert (await rig.call(run.lease, "GET", "/orders/1?api-version=2024-01", X_Account="sub")).status == 200
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="sub", x_account2="")).status == 200
        refused = await rig.call(run.lease, "PUT", "/orders/1?api-version=1999-01", {"status": "newer"})
        assert code(refused) == "action-unknown"
        assert b"api-version" in refused.body
        assert code(await rig.call(run.lease, "GET", "/orders/1?Api-Version=1999-01")) == "action-unknown"
        assert {(path.partition("?")[2], account) for _, path, account in tool.log} == {("api-version=2024-01", "fixed")}


@pytest.mark.parametrize("undo", ["", "content_type: application/vnd.api+json", "content_type: \"'application/vnd.api+json'\""])
async def test_the_media_type_that_a_tool_wants_is_asked_for_and_sent(tmp_path: Path, undo: str) -> None:
    top = "headers: {Accept: \"'application/vnd.api+json'\"}"
    tool = shop.Shop(accepts="application/vnd.api+json", takes="application/vnd.api+json")
    async with shop.before(tmp_path, adapter(top, undo=undo), tool) as (rig, tool):
        tool.put("1", b'{"status":"old"}', "application/vnd.api+json")
        run = await rig.open()
        kinds: dict[str, Any] = {"Content_Type": "application/vnd.api+json", "Accept": "application/vnd.api+json"}
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, **kinds)).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert orjson.loads(tool.get("1").body) == {"status": "old"}


async def test_a_compensation_sends_headers_and_query_of_its_own(tmp_path: Path) -> None:
    undo = "headers: {X-Reason: \"join(' ', ['undo', request.body.status])\"}, query: {reason: \"'undo'\"}"
    async with shop.before(tmp_path, adapter("headers: {X-Reason: null}\nquery: {reason: null}", query="reason", undo=undo)) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        (undone,) = [one for one in tool.seen if one.method == "PUT"][1:]
        assert undone.path == "/orders/1?reason=undo"
        assert undone.headers["x-reason"] == "undo new"


@pytest.mark.parametrize("location", ["/orders/{id}", "http://shop.internal:8080/orders/{id}?v=1#x", "/orders/{id}/"])
async def test_a_create_that_answers_by_its_location_alone_is_undone(tmp_path: Path, location: str) -> None:
    text = adapter(id='"segment(reply.headers.location, `-1`)"')
    async with shop.before(tmp_path, text, shop.Shop(bare=location)) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"})).status == 201
        (write,) = await rig.writes(run.run.run_id)
        assert (write.state, write.verification, write.target.id) == (State.STANDING, "passed", "7")
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert not tool.things


async def test_a_create_whose_reply_has_no_version_is_read_for_it(tmp_path: Path) -> None:
    text = adapter(id='"segment(reply.headers.location, `-1`)"')
    text = text.replace("    verify: {expect: object.body.status == request.body.status, within: 100ms}\n", "", 1)
    async with shop.before(tmp_path, text, shop.Shop(bare="/orders/{id}", untagged=True)) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"})).status == 201
        (write,) = await rig.writes(run.run.run_id)
        assert (write.after_version, write.verification, write.target.id) == ('"v1"', "none", "7")
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "theirs"})).status == 201
        tool.get("8").version = 2  # somebody's edit
        state, nodes, left = await shop.roll_back(rig, run.run.run_id)
        assert (state, sorted(one[1] for one in nodes), [name for _, name in tool.things]) == ("residue", ["done", "task"], ["8"])
        assert any('the object is at "v2", and our last effect left it at "v1"' in one for one in left)


async def test_a_value_that_no_header_can_hold_stops_the_call(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter("headers: {X-Account: request.body.account}")) as (rig, tool):
        run = await rig.open()
        values: tuple[object, ...] = ("a\r\nX-Evil: 1", ["a"], "\u20ac", "x" * 5000, {})
        for value in values:
            assert code(await rig.call(run.lease, "POST", "/orders", {"status": "new", "account": value})) == "malformed-request"
        assert not tool.seen


@pytest.mark.parametrize("state", ["reply.bytes", "reply", "{data: reply.bytes}"])
async def test_a_state_that_cannot_be_stored_does_not_load(tmp_path: Path, state: str) -> None:
    text = adapter().replace("state: reply.body", f'state: "{state}"')
    with pytest.raises(Misconfigured, match=r"objects\.order\.state: takes reply\.bytes, .* write state: reply\.body"):
        async with shop.before(tmp_path, text):
            pass


async def test_an_adapter_that_own_requests_cannot_follow_does_not_load(tmp_path: Path) -> None:
    text = adapter().replace("run.tenant", 'request.headers."x-tenant"')
    with pytest.raises(Misconfigured, match=r'adapter\.yaml:3: tenant: .*headers: \{X-Tenant: request\.headers\."x-tenant"\}'):
        async with shop.before(tmp_path, text):
            pass


async def test_equal_calls_to_two_accounts_are_two_calls(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(DECLARED)) as (rig, tool):
        run = await rig.open()
        for account in ("a", "b", "a"):
            assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, X_Account=account)).status == 201
        assert sorted(tool.things) == [("a", "7"), ("b", "7")]
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "x"}, X_Account="a", Idempotency_Key="k")).status == 201
        assert code(await rig.call(run.lease, "POST", "/orders", {"status": "x"}, X_Account="b", Idempotency_Key="k")) == "key-reused"


async def test_a_write_of_unknown_outcome_is_looked_for_in_its_own_account(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(DECLARED)) as (rig, tool):
        tool.put("1", b'{"status":"new"}')
        tool.put("1", b'{"status":"old"}', account="sub")
        run, tool.loses = await rig.open(), 1
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="sub")).status == 502
        await asyncio.sleep(0.1)
        assert code(await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, X_Account="sub")) == "reply-not-kept"
        (write,) = await rig.writes(run.run.run_id)
        assert write.state is State.STANDING
        assert {account for _, _, account in tool.log} == {"sub"}
        assert [one[0] for one in tool.log].count("PUT") == 1


async def test_what_is_declared_is_kept_over_a_restart(tmp_path: Path) -> None:
    kept = shop.Shop()
    async with shop.before(tmp_path, adapter(DECLARED), kept) as (rig, tool):
        tool.put("7", b'{"status":"mine"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, X_Account="sub")).status == 201
    async with shop.before(tmp_path, adapter(DECLARED), kept) as (rig, tool):
        assert await shop.roll_back(rig, run.run.run_id) == ("clean", [("order.create", "done")], [])
        assert list(tool.things) == [("main", "7")]


async def test_a_cookie_that_passes_may_have_said_where_a_call_went(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(), tool_extra="cookies: pass") as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, Cookie="account=sub")).status == 201
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.create", "task")])
        assert all("cookie" in one for one in why)
        assert ("main", "7") in tool.things


FORM = "content_type: application/x-www-form-urlencoded, body: "


async def test_a_compensation_can_send_a_text_of_another_type(tmp_path: Path) -> None:
    undo = FORM + "\"join('=', ['status', snapshot.status])\""
    async with shop.before(tmp_path, adapter(undo=undo), shop.Shop(takes="application/")) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})).status == 200
        await shop.roll_back(rig, run.run.run_id)
        undone = [one for one in tool.seen if one.method == "PUT"][-1]
        assert (undone.body, undone.headers["content-type"]) == (b"status=old", "application/x-www-form-urlencoded")


async def test_a_value_that_is_no_text_is_not_sent_as_another_type(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(undo=FORM + '"{status: snapshot.status}"')) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})).status == 200
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert any("cannot be written as application/x-www-form-urlencoded" in one for one in why)
        assert [one.method for one in tool.seen].count("PUT") == 1


async def test_a_compensation_leaves_out_what_only_reads_need(tmp_path: Path) -> None:
    top = "headers: {X-View: \"'full'\"}\nquery: {view: \"'full'\"}"
    undo = "headers: {x-view: null}, query: {view: null}"
    text = adapter(top, query="view", undo=undo)
    async with shop.before(tmp_path, text) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert {(one.path, one.headers.get("x-view")) for one in tool.seen if one.method == "GET"} == {("/orders/1?view=full", "full")}
        assert {(one.path, one.headers.get("x-view")) for one in tool.seen if one.method == "PUT"} == {("/orders/1", None)}


async def test_an_account_that_stands_twice_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(DECLARED)) as (rig, tool):
        run = await rig.open()
        body = b'{"status":"new"}'
        lines = [(b"Authorization", f"Bearer {run.lease}".encode()), (b"Content-Type", b"application/json")]
        head = Head(
            method="POST", target="/ledger/orders", headers=(*lines, (b"X-Account", b"sub"), (b"x-account", b"main")), length=len(body)
        )
        refused = await rig.gateway.calls.endpoint.handle(canonical.call(head, body), lambda: None)
        assert (refused.status, code(refused)) == (400, "malformed-request")
        assert tool.log == []


@pytest.mark.parametrize("value", ["\"'main'\"", 'request.headers."x-acount"'])
async def test_what_went_elsewhere_than_the_adapter_declares_is_not_undone_there(tmp_path: Path, value: str) -> None:
    async with shop.before(tmp_path, adapter(f"headers: {{X-Account: {value}}}")) as (rig, tool):
        tool.put("7", b'{"status":"new"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"}, X_Account="sub")).status == 201
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.create", "task")])
        assert all("header x-account" in one for one in why)
        assert set(tool.things) == {("main", "7"), ("sub", "7")}
