"""A rollback brings an object back as it was: byte for byte, with its content type and the headers that its adapter keeps."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.rollback import effects
from gateway.model.entry import Verification
from gateway.pipeline.answers import BOUND
from tests.support import shop
from tests.support.rig import Rig, code

ADAPTER = """
system: shop
tenant: run.tenant
objects:
  order: {{path: "/orders/{{id}}", version: reply.headers.etag, state: {state}{more}}}
actions:
  - name: order.create
    match: {{method: POST, path: /orders}}
    creates: {{object: order, id: reply.body.id}}
    effect: write
    class: reversible
    {verify}
    compensation: {{type: delete_created, by: order.delete, auto: true}}
  - name: order.update
    match: {{method: PUT, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: reversible
    body: opaque
    guard: if_match
    compensation: {{type: restore_previous_version, by: order.update, delete_created: order.delete, auto: true{undo}}}
  - name: order.delete
    match: {{method: DELETE, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: reversible
    guard: if_match
    compensation: {{type: restore_previous_version, by: order.update, auto: true}}
"""
KEEP = ', keep: [cache-control, "x-meta-*"]'


def adapter(state: str = "reply.body", more: str = "", undo: str = "", verify: str = "") -> str:
    return ADAPTER.format(state=state, more=more, undo=f", {undo}" if undo else "", verify=verify)


async def changed_and_rolled_back(rig: Rig, body: bytes = b'{"status":"new"}', **headers: Any) -> tuple[str, list[str]]:
    """An agent's PUT of order 1, and the rollback of its run: its state, and what is left."""
    run = await rig.open()
    reply = await rig.call(run.lease, "PUT", "/orders/1", body, **headers)
    assert reply.status == 200, reply.body
    (write,) = await rig.writes(run.run.run_id)
    undo = rig.gateway.calls.tools["ledger"].catalog.actions["order.update"].undo
    assert effects.why_not_alone(write, undo, 0.0) is None
    state, _, why = await shop.roll_back(rig, run.run.run_id)
    return state, why


BODIES = [
    (b'{"account":123456789012345678901234567890,"rate":0.1234567890123456789012}', "application/json"),
    (b'{ "a": 9007199254740993,\n "b": 10.10, "c": [1e400, -0.0, {"d": 1E5}], "e": "\\u0041" }', "application/json; charset=utf-8"),
    (b'{"price": 1}', "application/vnd.acme+json"),
    (b"null", "application/json"),
    (b"plain text \xc3\xa9\r\n", "text/plain; charset=utf-8"),
    (b"<!doctype html><p>hello", "text/html"),
    (b"<order id='1'/>", "application/xml"),
    (b"a,b\r\n1,2\r\n", "text/csv"),
    (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar"),
    (bytes(range(256)), "application/octet-stream"),
    (b"\xff\xfe\x00", "image/png"),
    (b"{not json", "text/plain"),
    (b"", "text/plain"),
    (b'{"a":1,"a":2,"A":3}', "application/json"),
    (b'{"n":' + b"9" * 5000 + b"}", "application/json"),
]


@pytest.mark.parametrize(("body", "kind"), BODIES, ids=[kind for _, kind in BODIES])
async def test_an_object_comes_back_as_it_was(tmp_path: Path, body: bytes, kind: str) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", body, kind)
        assert await changed_and_rolled_back(rig) == ("clean", [])
        thing = tool.get("1")
        assert (thing.body, thing.kind) == (body, kind)


@pytest.mark.parametrize(
    "text",
    [
        b'{"data":{"n":123456789012345678901234567890}}',
        b'{"data":{"n":0.1234567890123456789012,"m":[9007199254740993,10.5]}}',
        b'{"data":[{"x":1e400},{"y":-0.0}],"seen":true}',
    ],
)
async def test_a_part_of_an_object_comes_back_with_every_digit(tmp_path: Path, text: bytes) -> None:
    async with shop.before(tmp_path, adapter("reply.body.data", undo='body: "{data: snapshot}"')) as (rig, tool):
        tool.put("1", text)
        assert (await changed_and_rolled_back(rig, b'{"data":{}}'))[0] == "clean"
        restored, digits = tool.get("1").body, text[text.index(b'"data"') + 7 :].split(b',"seen"')[0].rstrip(b"}")
        assert digits.replace(b"1e400", b"1E+400") in restored


async def test_kept_headers_come_back(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(more=KEEP)) as (rig, tool):
        tool.put("1", b"x", "text/plain", owner="ann", colour="red")
        assert await changed_and_rolled_back(rig, X_Meta_Owner="eve", Content_Type="application/json") == ("clean", [])
        assert tool.get("1").meta == {"x-meta-owner": "ann", "x-meta-colour": "red"}


@pytest.mark.parametrize("drops", ["x-meta-owner", "x-meta-colour"])
async def test_a_kept_header_that_does_not_come_back_is_residue(tmp_path: Path, drops: str) -> None:
    async with shop.before(tmp_path, adapter(more=KEEP), shop.Shop(drops=drops)) as (rig, tool):
        tool.put("1", b'{"a":1}', owner="ann", colour="red")
        state, why = await changed_and_rolled_back(rig)
        assert state == "residue"
        assert any(f"its header {drops}" in one for one in why)
        assert not any("ann" in one for one in why)


async def test_another_content_type_is_residue(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(undo="content_type: application/json")) as (rig, tool):
        tool.put("1", b'{"a":1}', "application/vnd.acme+json")
        state, why = await changed_and_rolled_back(rig)
        assert state == "residue"
        assert any("its content type" in one for one in why)


@pytest.mark.parametrize("text", [b"plain", b'{"status":"old"}', b""])
async def test_an_object_without_a_content_type_comes_back_though_its_tool_gives_it_one(tmp_path: Path, text: bytes) -> None:
    async with shop.before(tmp_path, adapter(), shop.Shop(default="application/octet-stream")) as (rig, tool):
        tool.put("1", text, "")
        assert await changed_and_rolled_back(rig) == ("clean", [])
        assert (tool.get("1").body, tool.get("1").kind) == (text, "application/octet-stream")
        assert "content-type" not in [one for one in tool.seen if one.method == "PUT"][-1].headers


async def test_a_plan_says_what_is_compared(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(more=KEEP)) as (rig, tool):
        tool.put("1", b"{}")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).status == 200
        assert (await rig.call(run.lease, "POST", "/orders", {"a": 1})).status == 201
        await rig.contain(run.run.run_id)
        plan = await rig.gateway.recovery.rollbacks.dry_run(run.run.run_id, subtree=False, to="start")
        assert {node.action: node.compared for node in plan.nodes} == {
            "order.update": ("state", "content-type", "cache-control", "x-meta-*"),
            "order.create": ("absence",),
        }


async def test_what_was_not_kept_is_not_promised(tmp_path: Path) -> None:
    """Of a text nothing is kept by an expression that looks into JSON: the effect cannot be undone, and says so before."""
    async with shop.before(tmp_path, adapter("reply.body.data")) as (rig, tool):
        tool.put("1", b"text", "text/plain")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).status == 200
        (write,) = await rig.writes(run.run.run_id)
        undo = rig.gateway.calls.tools["ledger"].catalog.actions["order.update"].undo
        assert effects.why_not_alone(write, undo, 0.0) == "the state before it was not stored"
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "residue"


@pytest.mark.reliability(
    fault="An object is larger than the gateway reads", case="a write is refused once, and the refusal names what to declare"
)
async def test_a_write_on_an_object_that_cannot_be_read_whole_is_refused_for_good(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"x" * (BOUND + 40), "text/plain")
        run = await rig.open()
        refused = await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})
        said = orjson.loads(refused.body)
        assert (code(refused), said["retryable"]) == ("tool-unreachable", False)
        assert str(BOUND) in said["detail"]
        assert "snapshot: false" in said["hint"]
        assert {one.method for one in tool.seen} == {"GET"}


@pytest.mark.parametrize("verify", ["", "verify: {expect: object.body.a == request.body.a, within: 50ms}"])
async def test_a_created_object_that_cannot_be_read_whole_is_removed_by_its_version(tmp_path: Path, verify: str) -> None:
    async with shop.before(tmp_path, adapter(verify=verify)) as (rig, tool):
        run = await rig.open()
        body = orjson.dumps({"a": "x" * BOUND})
        assert (await rig.call(run.lease, "POST", "/orders", body)).status == 201
        (write,) = await rig.writes(run.run.run_id)
        assert write.verification is Verification.NONE
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert not tool.things


async def test_an_object_that_became_too_large_is_restored_by_its_version(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"small", "text/plain")
        assert (await changed_and_rolled_back(rig, b'{"a":"' + b"x" * (BOUND - 8) + b'"}'))[0] == "clean"
        assert tool.get("1").body == b"small"


async def test_a_version_in_a_body_that_cannot_be_read_ends_as_a_task(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter().replace("reply.headers.etag", "reply.body.version")) as (rig, tool):
        tool.put("1", b'{"version":1}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"version": 2})).status == 200
        tool.get("1").body = b'{"version":2,"x":"' + b"x" * BOUND + b'"}'
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert any("more than the" in one for one in why)


@pytest.mark.parametrize("status", [401, 403, 406, 301])
async def test_a_read_that_fails_for_good_is_not_to_be_tried_again(tmp_path: Path, status: int) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"{}")
        tool.refuse_reads = status
        run = await rig.open()
        said = orjson.loads((await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).body)
        assert (said["code"], said["retryable"]) == ("tool-unreachable", False)
        assert str(status) in said["detail"]


@pytest.mark.parametrize("status", [429, 503, 408])
async def test_a_read_that_may_pass_later_may_be_tried_again(tmp_path: Path, status: int) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"{}")
        tool.refuse_reads = status
        run = await rig.open()
        said = orjson.loads((await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).body)
        assert (said["code"], said["retryable"]) == ("tool-unreachable", True)


async def test_an_object_that_can_never_be_compared_is_not_called_clean(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"{}")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).status == 200
        tool.refuse_reads = 403
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert any("403" in one for one in why)


@pytest.mark.parametrize(("body", "kind"), [(b"new text", "text/plain"), (b"\x00\x01", "application/octet-stream")])
async def test_a_text_that_an_agent_replaced_or_deleted_comes_back(tmp_path: Path, body: bytes, kind: str) -> None:
    async with shop.before(tmp_path, adapter(more=KEEP)) as (rig, tool):
        tool.put("1", b"old text", "text/plain; charset=utf-8", owner="ann")
        tool.put("2", b"BEGIN:VCALENDAR", "text/calendar", owner="bob")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", body, Content_Type=kind)).status == 200
        assert (await rig.call(run.lease, "DELETE", "/orders/2")).status == 204
        assert (await rig.call(run.lease, "PUT", "/orders/3", body, Content_Type=kind)).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert {id: (thing.body, thing.kind, thing.meta) for (_, id), thing in tool.things.items()} == {
            "1": (b"old text", "text/plain; charset=utf-8", {"x-meta-owner": "ann"}),
            "2": (b"BEGIN:VCALENDAR", "text/calendar", {"x-meta-owner": "bob"}),
        }


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_coded_object_comes_back_in_its_coding_only_if_that_is_kept(tmp_path: Path, keeps: bool) -> None:
    packed = gzip.compress(b'{"a":1}')
    async with shop.before(tmp_path, adapter(more=", keep: [content-encoding]" if keeps else "")) as (rig, tool):
        tool.put("1", packed)
        tool.get("1").coding = "gzip"
        assert (await changed_and_rolled_back(rig))[0] == "clean"
        thing = tool.get("1")
        assert (thing.body, thing.coding) == ((packed, "gzip") if keeps else (b'{"a":1}', ""))


async def test_an_object_in_an_unknown_coding_is_not_written(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b"???")
        tool.get("1").coding = "x-unknown"
        run = await rig.open()
        said = orjson.loads((await rig.call(run.lease, "PUT", "/orders/1", {"a": 1})).body)
        assert (said["code"], said["retryable"]) == ("tool-unreachable", False)
        assert {one.method for one in tool.seen} == {"GET"}
