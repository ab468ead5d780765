"""What stays between the gateway and a tool: sessions, challenges, secrets; and where the tool's links lead an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from gateway.app import replay
from gateway.model.call import Reply
from tests.integration.pipeline.test_names import ADAPTER, opened
from tests.integration.pipeline.test_policy_beside import bundle
from tests.support import rig
from tests.support.rig import SECRET, Rig, header
from tests.support.shelf import Shelf, standing

PAGE_9 = """package killcord.authz

import rego.v1

denials contains {"code": "page", "message": "No."} if input.http.query.page == "9"
"""
SESSION = [("Set-Cookie", "sid=SESSION-A; Path=/"), ("Set-Cookie", "other=SESSION-B"), ("Set-Cookie2", "old=SESSION-C")]


@asynccontextmanager
async def desk(folder: Path, **more: object) -> AsyncIterator[tuple[Rig, Shelf]]:
    shelf = Shelf()
    async with standing(shelf), rig.assembled(folder, port=shelf.port, adapter=ADAPTER, **more) as at:  # type: ignore[arg-type]
        yield at, shelf


def names(reply: Reply) -> set[str]:
    return {name.decode().lower() for name, _ in reply.headers}


def journal_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "var").glob("journal.sqlite*"))


async def test_a_session_of_the_tool_stays_between_it_and_the_gateway(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf):
        shelf.put("/orders/1", status="open")
        shelf.headers = SESSION
        run = await opened(at)
        for _ in range(2):  # the second one is a replay
            reply = await at.call(run.lease, "PATCH", "/orders/1", {"status": "paid"}, Cookie="sid=OTHER", Cookie2="a=b")
            assert reply.status == 200
            assert not names(reply) & {"set-cookie", "set-cookie2"}
        assert header(reply, "Idempotent-Replayed") == "true"
        assert not names(await at.call(run.lease, "GET", "/orders/1", Cookie="sid=OTHER")) & {"set-cookie", "set-cookie2"}
        assert all("cookie" not in one.headers and "cookie2" not in one.headers for one in shelf.seen)
        (write,) = await at.writes(run.run.run_id)
        kept = await at.gateway.resources.vault.open(write.reply_ref)
        assert kept is not None
        assert b"SESSION" not in kept


async def test_cookies_pass_where_the_tools_entry_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path, tool_extra="cookies: pass") as (at, shelf):
        shelf.put("/orders/1", status="open")
        shelf.headers = SESSION
        run = await opened(at)
        reply = await at.call(run.lease, "GET", "/orders/1", Cookie="sid=OWN")
        assert [value for name, value in reply.headers if name.lower() == b"set-cookie"] == [value.encode() for _, value in SESSION[:2]]
        assert shelf.seen[-1].headers["cookie"] == "sid=OWN"


async def test_a_challenge_about_the_gateways_credential_and_its_echo_do_not_reach_the_agent(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, shelf):

        async def refuses(request: web.Request, body: bytes) -> web.Response:
            asked = request.headers["Authorization"]
            echoed = {
                "WWW-Authenticate": 'Basic realm="x"',
                "X-Echo": f"got {asked}",
                "X-Token": asked.removeprefix("Basic "),
                "X-Kept": "1",
            }
            return web.json_response({"error": "who?"}, status=401, headers={**echoed, "Clear-Site-Data": "*", "Alt-Svc": 'h3=":443"'})

        shelf.answer = refuses
        run = await opened(at)
        for method, body in (("GET", None), ("PUT", {"status": "x"})):
            if method == "PUT":
                shelf.answer = lambda request, sent: refuses(request, sent) if request.method == "PUT" else nothing()
            reply = await at.call(run.lease, method, "/orders/1", body)
            assert reply.status == 401
            assert orjson.loads(reply.body) == {"error": "who?"}
            assert not names(reply) & {"www-authenticate", "x-echo", "x-token", "clear-site-data", "alt-svc"}
            assert header(reply, "X-Kept") == "1"
            assert SECRET.encode() not in b"".join(value for _, value in reply.headers)


async def nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"Location": "http://{host}/orders/7?x=1"}, {"location": "/ledger/orders/7?x=1"}),
        ({"Location": "o2"}, {"location": "/ledger/orders/o2"}),
        ({"Location": "/orders/7"}, {"location": "/ledger/orders/7"}),
        ({"Location": "https://elsewhere.example/orders/7"}, {}),
        ({"Content-Location": "//{host}/orders/7"}, {"content-location": "/ledger/orders/7"}),
        (
            {"Link": '<http://{host}/orders?page=2>; rel="next", <https://e.example/>; rel=help'},
            {"link": '</ledger/orders?page=2>; rel="next"'},
        ),
        ({"Refresh": "1; url=../orders/8"}, {"refresh": "1; url=/ledger/orders/8"}),
        ({"Operation-Location": "http://{host}/jobs/1"}, {"operation-location": "/ledger/jobs/1"}),
    ],
)
async def test_links_of_the_tool_lead_to_the_data_api_or_nowhere(tmp_path: Path, told: dict[str, str], expected: dict[str, str]) -> None:
    async with desk(tmp_path) as (at, shelf):

        async def linking(request: web.Request, body: bytes) -> web.Response:
            return web.json_response({"id": "1"}, headers={name: value.format(host=request.host) for name, value in told.items()})

        shelf.answer = linking
        run = await opened(at)
        reply = await at.call(run.lease, "GET", "/orders/1")
        shown = {name.decode().lower(): value.decode() for name, value in reply.headers if not name.lower().startswith(b"killcord")}
        assert {name: shown.get(name) for name in map(str.lower, told)} == {name: expected.get(name) for name in map(str.lower, told)}


async def test_links_to_a_tools_public_url_are_its_own(tmp_path: Path) -> None:
    async with desk(tmp_path, tool_extra="public_url: https://erp.example/api") as (at, shelf):

        async def linking(request: web.Request, body: bytes) -> web.Response:
            return web.json_response({"id": "1"}, headers={"Link": '<https://erp.example/api/orders?page=2>; rel="next"'})

        shelf.answer = linking
        run = await opened(at)
        assert header(await at.call(run.lease, "GET", "/orders/1"), "Link") == '</ledger/orders?page=2>; rel="next"'


async def test_an_agent_follows_pages_through_the_gateway(tmp_path: Path) -> None:
    paged = ADAPTER.replace(
        "actions:\n", 'actions:\n  - {name: order.list, match: {method: GET, path: "/orders"}, object: order, effect: read}\n'
    )
    shelf = Shelf()
    async with standing(shelf), rig.assembled(tmp_path, port=shelf.port, adapter=paged) as at:

        async def pages(request: web.Request, body: bytes) -> web.Response:
            page = int(request.query.get("page", "1"))
            more = {"Link": f'<http://{request.host}/orders?page={page + 1}>; rel="next"'} if page < 3 else {}
            return web.json_response([page], headers=more)

        shelf.answer = pages
        run = await opened(at)
        at_path, found = "/orders", []
        while at_path:
            reply = await at.call(run.lease, "GET", at_path)
            found += orjson.loads(reply.body)
            link = header(reply, "Link")
            at_path = "" if link is None else link[1:].partition(">")[0].removeprefix("/ledger")
        assert found == [1, 2, 3]


@pytest.mark.parametrize("policy_denies", [False, True])
async def test_values_of_a_query_are_sealed_and_go_with_their_tenant(tmp_path: Path, policy_denies: bool) -> None:
    secret, asked = "CANARY-1", "/orders/1?email=CANARY-1%40x.example&api_key=CANARY-1&flag"
    adapter = ADAPTER.replace(
        'name: order.update\n    match: {method: PATCH, path: "/orders/{id}"}',
        ('name: order.update\n    match: {method: PATCH, path: "/orders/{id}", query: [email, api_key, flag]}'),
    )
    shelf = Shelf()
    async with standing(shelf), rig.assembled(tmp_path, port=shelf.port, adapter=adapter) as at:
        shelf.put("/orders/1", status="open")
        run = await at.open(scopes=("ledger:none",) if policy_denies else ("*",))
        for method, body in (("GET", None), ("PATCH", {"status": "paid"}), ("PATCH", {"status": "paid"})):
            assert (await at.call(run.lease, method, asked, body)).status == (403 if policy_denies else 200)
        await at.call(run.lease, "DELETE", asked)  # listed nowhere
        lines = await at.journal(run.run.run_id)
        paths = [one["requested"]["path"] for one in lines if "requested" in one] + [one["sent"]["path"] for one in lines if "sent" in one]
        assert len(paths) >= 4
        assert set(paths) == {"/orders/1?email&api_key&flag"}
        assert secret.encode() not in journal_bytes(tmp_path)
        assert secret not in str(at.logged)
        vault = at.gateway.resources.vault
        refs = [one["requested"]["args_ref"] for one in lines if one.get("requested", {}).get("args_ref")]
        assert len(refs) == 2
        for ref in refs:
            kept = orjson.loads(await vault.open(ref) or b"")["request"]
            assert kept["query"] == {"email": "CANARY-1@x.example", "api_key": secret, "flag": ""}
        await vault.forget("acme")
        with pytest.raises(KeyError):
            await vault.open(refs[0])


async def test_a_decision_on_a_query_can_be_made_again(tmp_path: Path) -> None:
    stricter = tmp_path / "stricter"
    async with desk(tmp_path) as (at, shelf):
        shelf.put("/orders/1", status="open")
        run = await opened(at)
        for page in ("1", "9"):
            assert (await at.call(run.lease, "GET", f"/orders/1?page={page}")).status == 200
        await at.journal()
        found = await replay.run(at.gateway.config.data_dir, bundle(stricter, PAGE_9), progress=lambda *_: None)
        assert not found.lost
        assert [(one.was, one.now) for one in found.different] == [("ALLOW", "DENY")]
