"""Tools that keep one object for each language, or one form for each version of their API, under one path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.model.effect import State
from tests.integration.pipeline.test_own_requests import adapter
from tests.support import shop
from tests.support.rig import code, header

GERMAN = "de-DE,de;q=0.9"


def by_language() -> shop.Shop:
    tool = shop.Shop(by="Accept-Language")
    tool.put("1", b'{"status":"default"}')
    tool.put("1", b'{"status":"alt"}', account=GERMAN)
    tool.put("1", b'{"status":"vieux"}', account="fr")
    return tool


async def test_what_was_changed_in_one_language_is_brought_back_in_that_language(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(), by_language()) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 200
        assert tool.get("1", GERMAN).body == b'{"status":"neu"}'
        assert await shop.roll_back(rig, run.run.run_id) == ("clean", [("order.update", "done")], [])
        assert tool.get("1", GERMAN).body == b'{"status":"alt"}'
        assert (tool.get("1").version, tool.get("1", "fr").version) == (1, 1)
        assert {language for _, _, language in tool.log} == {GERMAN}


async def test_a_lost_write_is_looked_for_in_its_language(tmp_path: Path) -> None:
    async with shop.before(tmp_path, adapter(), by_language()) as (rig, tool):
        run, tool.loses = await rig.open(), 1
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 502
        await asyncio.sleep(0.1)
        assert code(await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)) == "reply-not-kept"
        assert {language for _, _, language in tool.log} == {GERMAN}


@pytest.mark.parametrize("value", ["*", "*;q=0.5"])
async def test_a_client_that_takes_any_language_is_undone_as_ever(tmp_path: Path, value: str) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, Accept_Language=value)).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert [one.headers.get("accept-language") for one in tool.seen if one.method == "GET"] == [None] * 5


async def test_effects_in_two_languages_are_not_brought_back_as_one(tmp_path: Path) -> None:
    """The versions follow each other, as if both had changed one object."""
    async with shop.before(tmp_path, adapter(), by_language()) as (rig, tool):
        tool.get("1", "fr").version = 2
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 200
        tool.get("1", GERMAN).version = 2
        await rig.call(run.lease, "GET", "/orders/1", Accept_Language="fr")
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "nouveau"}, Accept_Language="fr")).status == 200
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert any("different Accept-Language" in one for one in why), why
        assert [one.method for one in tool.seen].count("PUT") == 2


async def test_a_write_in_another_language_does_not_prove_that_a_lost_one_failed(tmp_path: Path) -> None:
    """Both were bound to "v1": each to that of its own object."""
    text = adapter().replace("settle: 50ms", "settle: 60s")
    async with shop.before(tmp_path, text, by_language()) as (rig, tool):
        one, other = await rig.open(), await rig.open(workflow_id="another")
        tool.loses = 1
        assert (await rig.call(one.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 502
        assert (await rig.call(other.lease, "PUT", "/orders/1", {"status": "nouveau"}, Accept_Language="fr")).status == 200
        tool.put("1", b'{"status":"anders"}', account=GERMAN)
        tool.get("1", GERMAN).version = 3
        again = await rig.call(one.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)
        assert code(again) == "outcome-unknown"
        (write,) = await rig.writes(one.run.run_id)
        assert write.state is State.UNKNOWN
        assert [method for method, _, language in tool.log if language == GERMAN].count("PUT") == 1


async def test_a_write_in_the_same_language_still_proves_it(tmp_path: Path) -> None:
    text = adapter().replace("settle: 50ms", "settle: 60s")
    async with shop.before(tmp_path, text, by_language()) as (rig, tool):
        one, other = await rig.open(), await rig.open(workflow_id="another")
        tool.loses = 1
        assert (await rig.call(one.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 502
        tool.put("1", b'{"status":"alt"}', account=GERMAN)  # as if it had never arrived
        assert (await rig.call(other.lease, "PUT", "/orders/1", {"status": "neuer"}, Accept_Language=GERMAN)).status == 200
        assert (await rig.call(one.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 200
        first, again = await rig.writes(one.run.run_id)
        assert (first.state, again.state, again.attempt) == (State.FAILED, State.STANDING, 2)


async def test_a_declared_language_is_part_of_an_object_s_name(tmp_path: Path) -> None:
    declared = 'headers: {Accept-Language: request.headers."accept-language"}'
    async with shop.before(tmp_path, adapter(declared), by_language()) as (rig, tool):
        run = await rig.open()
        for language in (GERMAN, "fr"):
            assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "OK"}, Accept_Language=language)).status == 200
        assert (tool.get("1", GERMAN).version, tool.get("1", "fr").version) == (2, 2)
        assert (await shop.roll_back(rig, run.run.run_id))[:2] == ("clean", [("order.update", "done")] * 2)
        assert (tool.get("1", GERMAN).body, tool.get("1", "fr").body) == (b'{"status":"alt"}', b'{"status":"vieux"}')


async def test_a_tool_that_is_told_the_language_of_a_body_gets_it_back_in_that_language(tmp_path: Path) -> None:
    declared = 'headers: {Accept-Language: request.headers."content-language" || request.headers."accept-language"}'
    text = adapter(declared).replace("state: reply.body", "state: reply.body, keep: [content-language]")
    tool = by_language()
    tool.written_by = "Content-Language"
    for language in (GERMAN, "fr"):
        tool.get("1", language).meta = {"content-language": language}
    async with shop.before(tmp_path, text, tool) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "GET", "/orders/1", Accept_Language=GERMAN)).status == 200
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Content_Language=GERMAN)).status == 200
        assert (tool.get("1", GERMAN).body, tool.get("1", "fr").version) == (b'{"status":"neu"}', 1)
        assert await shop.roll_back(rig, run.run.run_id) == ("clean", [("order.update", "done")], [])
        assert (tool.get("1", GERMAN).body, tool.get("1", "fr").version, tool.get("1").version) == (b'{"status":"alt"}', 1, 1)


async def test_what_an_earlier_adapter_read_without_its_language_is_left_to_a_person(tmp_path: Path) -> None:
    tool = by_language()
    tool.put("1", b'{"status":"neu"}')  # so that verification, which looks here, passes
    async with shop.before(tmp_path, adapter("headers: {Accept-Language: null}"), tool) as (rig, tool):
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "neu"}, Accept_Language=GERMAN)).status == 200
    async with shop.before(tmp_path, adapter(), tool) as (rig, tool):
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert any("without its Accept-Language" in one for one in why), why
        assert [one.method for one in tool.seen].count("PUT") == 1


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Content_Language": "de"}, "content-language"),
        ({"Accept": "application/vnd.shop.v2+json"}, "accept"),
        ({"Accept": "application/json; version=2"}, "accept"),
        ({"Prefer": 'return=minimal, IdType="ImmutableId"'}, "prefer"),
        ({"Accept_Datetime": "Thu, 31 May 2007 20:35:00 GMT"}, "accept-datetime"),
    ],
)
async def test_what_may_select_another_form_is_undone_by_a_person(tmp_path: Path, headers: dict[str, Any], named: str) -> None:
    async with shop.before(tmp_path, adapter()) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, **headers)).status == 200
        (write,) = await rig.writes(run.run.run_id)
        assert (write.undeclared, write.verification) == ((named,), "passed")
        assert {one.headers["accept"] for one in tool.seen if one.method == "GET"} == {"application/json, */*;q=0.1"}
        state, nodes, why = await shop.roll_back(rig, run.run.run_id)
        assert (state, nodes) == ("residue", [("order.update", "task")])
        assert all(f"header {named}" in one for one in why)


async def test_a_form_that_an_adapter_declares_is_undone(tmp_path: Path) -> None:
    text = adapter("headers: {Accept: request.headers.accept, Content-Language: null, Prefer: null}")
    async with shop.before(tmp_path, text) as (rig, tool):
        tool.put("1", b'{"status":"old"}')
        run = await rig.open()
        sent: dict[str, Any] = {"Accept": "application/vnd.shop.v2+json", "Content_Language": "de", "Prefer": "a=b"}
        assert (await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"}, **sent)).status == 200
        assert (await shop.roll_back(rig, run.run.run_id))[0] == "clean"
        assert {one.headers["accept"] for one in tool.seen} == {"application/vnd.shop.v2+json"}
        assert not [one for one in tool.seen[3:] if "prefer" in one.headers or "content-language" in one.headers]


async def test_a_look_at_the_past_does_not_show_that_an_object_is_unchanged(tmp_path: Path) -> None:
    tool = shop.Shop(by="Accept-Datetime")
    tool.put("1", b'{"status":"then"}', account="yesterday")
    tool.put("1", b'{"status":"now"}')
    tool.get("1").version = 5
    async with shop.before(tmp_path, adapter(), tool) as (rig, tool):
        run = await rig.open()
        assert header(await rig.call(run.lease, "GET", "/orders/1", Accept_Datetime="yesterday"), "etag") == '"v1"'
        assert code(await rig.call(run.lease, "PUT", "/orders/1", {"status": "new"})) == "precondition-changed"
        assert tool.get("1").body == b'{"status":"now"}'
