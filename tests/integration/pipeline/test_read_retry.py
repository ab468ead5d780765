"""A read that its tool cannot answer now: again, then elsewhere, and what the agent hears where neither helps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import orjson
import pytest

from gateway.model.run import Mode
from tests.support.rig import Rig, code, header
from tests.support.triggering import ARCHIVE, INVOICE, Agent, agent, moody, tool


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with moody(tmp_path, timeout="300ms") as made:
        yield made


async def told(one: Agent) -> list[tuple[str, int]]:
    """Of each response what was done about which attempt."""
    return [(entry["action"], entry["trigger"]["facts"]["attempt"]) for entry in await one.responses()]


async def assert_no_incident(one: Agent) -> None:
    assert (one.mode(), await one.incidents(), await one.triggers()) == (Mode.ACTIVE, [], [])
    assert {header(reply, "Killcord-Mode") for reply in one.replies} == {"active"}


@pytest.mark.parametrize("status", [503, 429])
async def test_a_busy_tool_is_asked_again(gateway: Rig, status: int) -> None:
    tool(gateway).busy, tool(gateway).status = 1, status
    asking = await agent(gateway)
    reply = await asking.read()
    assert (reply.status, orjson.loads(reply.body)["data"]["status"]) == (200, "open")
    assert tool(gateway).reads == [INVOICE, INVOICE]
    assert await told(asking) == [("retry", 1)]
    (read,) = await gateway.journal(asking.run_id, "read")
    assert (read["status"], read["action"], "fallback_of" in read) == (200, "invoice.read", False)
    await assert_no_incident(asking)


async def test_a_tool_that_stays_busy_is_asked_elsewhere_under_that_actions_own_name(gateway: Rig) -> None:
    tool(gateway).busy = 9
    asking = await agent(gateway)
    reply = await asking.read()
    assert (reply.status, orjson.loads(reply.body)["data"]["archived"]) == (200, True)
    assert tool(gateway).reads == [INVOICE, INVOICE, ARCHIVE]
    assert await told(asking) == [("retry", 1), ("fallback", 2)]
    (read,) = await gateway.journal(asking.run_id, "read")
    assert (read["action"], read["fallback_of"], read["status"]) == ("archive.read", "invoice.read", 200)
    assert read["decision"]["allow"] is True
    assert "version" not in read
    await assert_no_incident(asking)


async def test_what_the_lease_does_not_reach_is_not_asked(gateway: Rig) -> None:
    tool(gateway).busy = 9
    asking = await agent(gateway, scopes=("ledger:invoice.*",))
    reply = await asking.read()
    assert reply.status == 503
    assert tool(gateway).reads == [INVOICE, INVOICE]
    await assert_no_incident(asking)


async def test_a_read_without_a_fallback_brings_the_tools_own_answer(gateway: Rig) -> None:
    tool(gateway).busy = 9
    asking = await agent(gateway)
    reply = await asking.read("/v1/tenants/acme/invoices")
    assert (reply.status, orjson.loads(reply.body)) == (503, {"error": "busy"})
    assert len(tool(gateway).reads) == 2
    assert await told(asking) == [("retry", 1), ("none", 2)]
    await assert_no_incident(asking)


async def test_a_read_that_brings_no_answer_in_time_is_asked_again_and_then_elsewhere(gateway: Rig) -> None:
    tool(gateway).never = 1
    once = await agent(gateway)
    assert orjson.loads((await once.read()).body)["data"]["status"] == "open"
    (response,) = await once.responses()
    assert (response["trigger"]["facts"]["timeout"], response["action"], bool(response["why"])) == (True, "retry", True)
    await assert_no_incident(once)
    tool(gateway).never = 9
    twice = await agent(gateway)
    assert orjson.loads((await twice.read()).body)["data"]["archived"] is True
    await assert_no_incident(twice)


async def test_a_tool_that_is_unavailable_altogether_is_said_to_be(gateway: Rig) -> None:
    tool(gateway).never = 9
    asking = await agent(gateway, scopes=("ledger:invoice.*",))
    reply = await asking.read()
    assert (reply.status, code(reply)) == (504, "tool-timeout")
    await assert_no_incident(asking)


@pytest.mark.parametrize(
    ("after", "asked"), [("1", 2), ("0", 2), ("2.5", 2), ("3", 1), ("60", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 2), ("soon", 2)]
)
async def test_a_tools_own_time_is_kept_up_to_two_seconds(gateway: Rig, after: str, asked: int) -> None:
    """What is no whole number of seconds and no date is waited for as if it were not there; a date that is over, not at all."""
    tool(gateway).busy, tool(gateway).retry_after = 1, after
    asking = await agent(gateway, scopes=("ledger:invoice.*",))
    began = time.monotonic()
    reply = await asking.read()
    assert (reply.status, len(tool(gateway).reads)) == ((200, 2) if asked == 2 else (503, 1))
    assert time.monotonic() - began >= (1.0 if after == "1" else 0.0)
    assert (header(reply, "Retry-After") == after) is (asked == 1)


async def test_a_tools_own_time_as_a_date_is_kept_like_seconds(gateway: Rig) -> None:
    tool(gateway).busy, tool(gateway).retry_after = 1, formatdate(time.time() + 3600, usegmt=True)
    asking = await agent(gateway, scopes=("ledger:invoice.*",))
    reply = await asking.read()
    assert (reply.status, len(tool(gateway).reads)) == (503, 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_write_is_never_repeated_by_the_gateway(gateway: Rig, status: int) -> None:
    tool(gateway).writes_as = status
    asking = await agent(gateway)
    assert (await asking.refund(1)).status == status
    assert len(gateway.ledger.writes) == 1
    assert await asking.responses() == []
    await assert_no_incident(asking)


async def test_an_order_that_comes_while_a_read_waits_stops_it(gateway: Rig) -> None:
    tool(gateway).busy, tool(gateway).retry_after = 1, "1"
    asking = await agent(gateway)
    call = asyncio.ensure_future(asking.read())
    async with asyncio.timeout(10):
        while not tool(gateway).reads:
            await asyncio.sleep(0.005)
    await gateway.contain(asking.run_id, Mode.PAUSED)
    assert code(await call) == "run-paused"
    assert len(tool(gateway).reads) == 1


async def test_what_is_seen_elsewhere_is_no_version_of_the_object(gateway: Rig) -> None:
    """A write after a read of the archive is bound to what the ledger has now, not to what the archive had."""
    tool(gateway).busy = 2
    asking = await agent(gateway)
    await asking.read()
    gateway.ledger.put("acme", "invoices", "inv_1", id="inv_1", status="held")
    assert (await asking.update("paid")).status == 200
    assert gateway.ledger.writes[-1].headers["if-match"] == '"v2"'


# --- identity and form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": "inv_2", "status": "open"}},
        {"data": {"status": "open"}},
        {"data": {"id": ["inv_1", "inv_2"], "status": "open"}},
        {"data": [{"id": "inv_1", "status": "open"}, {"id": "inv_2", "status": "open"}]},
        {"data": {"id": "INV_1", "status": "open"}},
        {"data": {"id": True, "status": "open"}},
    ],
)
async def test_nothing_is_written_to_what_is_not_the_one_object_named(gateway: Rig, body: object) -> None:
    tool(gateway).answers = body
    aiming = await agent(gateway)
    reply = await aiming.update("paid")
    assert (reply.status, code(reply), header(reply, "Killcord-Mode")) == (412, "precondition-changed", "quarantined")
    assert gateway.ledger.writes == []
    assert [one.cause for one in await aiming.incidents()] == ["uncertain.identity"]


@pytest.mark.parametrize("body", [{"data": {"id": "inv_1"}}, {"data": []}, [], "x"])
async def test_a_read_of_another_form_is_passed_on_and_takes_writing_away(gateway: Rig, body: object) -> None:
    tool(gateway).answers = body
    reading = await agent(gateway)
    reply = await reading.read()
    assert (reply.status, orjson.loads(reply.body), header(reply, "Killcord-Mode")) == (200, body, "read_only")
    (read,) = await gateway.journal(reading.run_id, "read")
    assert read["conforms"] is False


async def test_a_write_whose_reply_is_of_another_form_is_done_and_the_last(gateway: Rig) -> None:
    gateway.ledger.put("acme", "invoices", "inv_3", id="inv_3")
    writing = await agent(gateway)
    reply = await writing.call("PATCH", "/v1/tenants/acme/invoices/inv_3", {"note": "no status"})
    assert (reply.status, header(reply, "Killcord-Mode")) == (200, "read_only")
    outcome = (await gateway.journal(writing.run_id, "outcome"))[-1]
    assert (outcome["result"], outcome["conforms"]) == ("success", False)
    assert "uncertain.schema-drift" in [one.cause for one in await writing.incidents()]
