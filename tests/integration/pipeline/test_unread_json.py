"""Tools that write JSON which is none: what can be read is read, and nothing is said of the rest."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.core.request import body
from gateway.core.rollback import effects
from gateway.model.entry import Verification
from tests.support import shop
from tests.support.rig import code

ADAPTER = """
system: shop
tenant: run.tenant
objects:
  order: {{path: "/orders/{{id}}", version: {version}, state: {state}{more}}}
actions:
  - {{name: order.read, match: {{method: GET, path: "/orders/{{id}}"}}, object: order, effect: read}}
  - name: order.create
    match: {{method: POST, path: /orders}}
    creates: {{object: order, id: reply.body.id}}
    effect: write
    class: reversible
    verify: {{expect: object.body.status == request.body.status, within: 50ms}}
    compensation: {{type: delete_created, by: order.delete, auto: true}}
  - name: order.update
    match: {{method: PUT, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: reversible
    guard: {guard}
    body: opaque
    {verify}
    compensation: {{type: restore_previous_version, by: order.update, auto: true}}
  - name: order.delete
    match: {{method: DELETE, path: "/orders/{{id}}"}}
    object: order
    effect: write
    class: irreversible
    compensation: {{type: manual_review}}
"""
VERIFY = "verify: {expect: \"contains(['new', 'old'], object.body.status)\", within: 50ms}"
MARK = b"\xef\xbb\xbf"
NOT_A_NUMBER = b'{"status":"old","share":NaN}'


def adapter(*, version: str = "reply.headers.etag", state: str = "reply.body", guard: str = "if_match", more: str = "") -> str:
    return ADAPTER.format(version=version, state=state, guard=guard, more=more, verify=VERIFY)


async def test_json_behind_a_byte_order_mark_is_read_and_comes_back_with_it(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", MARK + b'{"status":"old"}')
        run = await rig.open()
        assert (
            await rig.call(run.lease, "PUT", "/orders/1", MARK + b'{"status":"new"}', Content_Type="application/octet-stream")
        ).status == 200
        (write,) = await rig.writes(run.run.run_id)
        assert write.verification is Verification.PASSED
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert tool.get("1").body == MARK + b'{"status":"old"}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (NOT_A_NUMBER, "NaN is not JSON"),
        (b'{"status":"old","rev":-Infinity}', "-Infinity is not JSON"),
        (b'{"status":"old"', "delimiter"),
        (b'{"status":"old"} trailing', "Extra data"),
        (b'{"status":"\xff"}', "not UTF-8"),
        (b")]}',\n{}", "Expecting value"),
    ],
)
@pytest.mark.parametrize("needs", [{"more": ", id: reply.body.id"}, {"version": "reply.body.rev", "guard": "compare"}])
async def test_an_object_whose_values_are_needed_and_cannot_be_read_is_not_written(
    tmp_path: Path, needs: dict[str, str], text: bytes, why: str
) -> None:
    async with shop.before(tmp_path, adapter(**needs)) as (rig, tool):
        tool.put("1", text)
        run = await rig.open()
        refused = await rig.call(run.lease, "PUT", "/orders/1", b'{"status":"new"}')
        said = orjson.loads(refused.body)
        assert (code(refused), said["retryable"]) == ("tool-unreachable", False)
        assert "answered a read of order with JSON that cannot be read" in said["detail"]
        assert why in said["detail"]
        assert "old" not in said["detail"]
        assert [one.method for one in tool.seen] == ["GET"]


async def test_an_object_that_is_kept_byte_for_byte_is_written_and_brought_back_unread(tmp_path: Path) -> None:
    """A postcondition on its values says nothing: neither that the write took effect, nor that it did not."""
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", NOT_A_NUMBER)
        tool.garbles = NOT_A_NUMBER.replace(b"old", b"new")
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", b'{"status":"new"}')).status == 200
        (write,) = await rig.writes(run.run.run_id)
        assert write.verification is Verification.NONE
        assert (await rig.call(run.lease, "GET", "/orders/1")).body == tool.garbles
        tool.garbles = b""
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert tool.get("1").body == NOT_A_NUMBER


async def test_a_state_of_members_that_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(state="reply.body.status")) as (rig, tool):
        tool.put("1", NOT_A_NUMBER)
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", b'{"status":"new"}')).status == 200
        (write,) = await rig.writes(run.run.run_id)
        undo = rig.gateway.calls.tools["ledger"].catalog.actions["order.update"].undo
        assert effects.why_not_alone(write, undo, 0.0) == "the state before it was not stored"


async def test_a_create_whose_reply_cannot_be_read_is_not_said_to_have_failed(tmp_path: Path) -> None:
    tool = shop.Shop(made=b'{"id": 7, "score": NaN}')
    async with shop.before(tmp_path, adapter(), tool) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "POST", "/orders", {"status": "new"})).status == 201
        (write,) = await rig.writes(run.run.run_id)
        assert (write.verification, write.target.id) == (Verification.NONE, "")
        state, nodes, _ = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.create", "task")])
        assert list(tool.things) == [("main", "7")]


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        (MARK + b"[1]", [1]),
        (MARK, None),
        (MARK + MARK + b"[1]", [1]),
        (b"null", None),
        (b"", None),
        (b"[NaN]", None),
        (b"[Infinity]", None),
        (b"[-Infinity]", None),
        (b"\xff\xfe[\x001\x00]\x00", None),
    ],
)
def test_what_is_read_of_a_reply(plain: bytes, value: object) -> None:
    assert body.json_value(plain) == value


@pytest.mark.parametrize("plain", [b"null", MARK + b"{}", b"1", b'"NaN"'])
def test_nothing_keeps_json_from_being_read(plain: bytes) -> None:
    assert body.why_not_json(plain) is None


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        (b"[NaN]", "NaN is not JSON"),
        (b"[1e999999]", "a number is too large or too small"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'["\\ud800"]', "it has a lone surrogate"),
        (b"\xff", "it is not UTF-8 (byte 0)"),
        (b"{]", "Expecting property name enclosed in double quotes at character 1"),
        (MARK, "Expecting value at character 0"),
    ],
)
def test_what_keeps_a_text_from_being_read_is_said(plain: bytes, why: str) -> None:
    said = body.why_not_json(plain)
    assert said is not None
    assert said.startswith(why)
