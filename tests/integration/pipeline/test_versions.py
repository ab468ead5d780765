"""An agent and the gateway speak of the same version of an object, whatever kind of tag the tool gives it; or the true reason is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.support.rig import code, header
from tests.support.tagged import Asked, Tagged, adapter, shop, strong, suffixed, weak, weak_if_coded

CODED = pytest.mark.parametrize("tag", [weak_if_coded, suffixed("-"), suffixed("--"), suffixed(";"), suffixed("+"), strong])


def priced(*, tag: Callable[[str, str], str] = strong, **more: object) -> Tagged:
    tool = Tagged(tag=tag, **more)  # type: ignore[arg-type]
    tool.put("a", price=1)
    return tool


@CODED
@pytest.mark.parametrize("always", ["", "gzip"])
async def test_a_run_that_accepts_compression_writes_twice_and_is_rolled_back(
    tmp_path: Path, tag: Callable[[str, str], str], always: str
) -> None:
    tool = priced(tag=tag, always=always, compares="strongly" if not always else "not")
    async with shop(tmp_path, tool) as at:
        assert (await at.call("GET", "a")).status == 200
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        status, tasks = await at.rolled_back()
    if always and tag is weak_if_coded:  # whatever is asked for, it shows weak tags alone
        assert (status, len(tasks)) == ("residue", 1)
    else:
        assert (status, tasks, tool.data("a")) == ("clean", [], {"price": 1})
    if not always:
        assert [one.headers["if-match"] for one in tool.writes] == ['"v1"', '"v2"', '"v3"']
        assert {one.headers["accept-encoding"] for one in tool.asked} == {"identity"}


@CODED
async def test_another_writer_in_between_is_seen_and_not_overwritten(tmp_path: Path, tag: Callable[[str, str], str]) -> None:
    tool = priced(tag=tag)
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        tool.put("a", price=60)
        status, tasks = await at.rolled_back()
    assert (status, len(tasks), tool.data("a")) == ("residue", 1, {"price": 60})
    assert 'the object is at "v4", and our last effect left it at "v3"' in tasks[0].lower()


async def test_a_weak_tag_is_compared_here_and_never_sent(tmp_path: Path) -> None:
    tool = priced(tag=weak)
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        tool.put("a", price=9)
        drifted = await at.call("PATCH", "a", {"price": 4})
        assert code(drifted) == "precondition-changed"
        assert orjson.loads(drifted.body)["detail"] == "The run acted on shop:item:a:W/v3; the object is now shop:item:a:W/v4."
    assert [one.headers.get("if-match") for one in tool.writes] == [None, None]


async def test_nothing_is_put_back_under_a_weak_tag_unless_looking_is_declared_to_be_enough(tmp_path: Path) -> None:
    tool = priced(tag=weak)
    async with shop(tmp_path, tool) as at:
        await at.call("PATCH", "a", {"price": 2})
        status, tasks = await at.rolled_back()
    assert (status, tool.data("a")) == ("residue", {"price": 2})
    assert 'its tag W/"v2" is weak' in tasks[0]
    assert "on item.replace, declare guard: if_match_verbatim" in tasks[0]


async def test_with_guard_compare_a_restore_looks_and_then_writes(tmp_path: Path) -> None:
    tool = priced(tag=weak)
    async with shop(tmp_path, tool, adapter(guard="compare")) as at:
        await at.call("PATCH", "a", {"price": 2})
        made = orjson.loads((await at.call("POST", body={"price": 5})).body)["id"]
        assert await at.rolled_back() == ("clean", [])
    assert (tool.data("a"), made in tool.objects) == ({"price": 1}, False)
    assert not any("if-match" in one.headers for one in tool.writes)


async def test_with_guard_compare_somebody_elses_write_stays(tmp_path: Path) -> None:
    tool = priced(tag=weak)
    async with shop(tmp_path, tool, adapter(guard="compare")) as at:
        await at.call("PATCH", "a", {"price": 2})
        tool.put("a", price=70)
        status, tasks = await at.rolled_back()
    assert (status, len(tasks), tool.data("a")) == ("residue", 1, {"price": 70})


async def test_a_tool_that_compares_weak_tags_gets_them_where_its_adapter_says_so(tmp_path: Path) -> None:
    tool = priced(tag=weak, compares="verbatim")
    async with shop(tmp_path, tool, adapter(guard="if_match_verbatim")) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        assert await at.rolled_back() == ("clean", [])
    assert [one.headers["if-match"] for one in tool.writes] == ['W/"v1"', 'W/"v2"']


async def test_a_412_of_a_tool_that_accepts_no_tag_is_not_told_as_a_write_by_somebody(tmp_path: Path) -> None:
    tool = priced(compares="never")
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        refused = orjson.loads((await at.call("PATCH", "a", {"price": 2})).body)
        assert refused["code"] == "precondition-changed"
        assert "the object is still shop:item:a:v1" in refused["detail"]
        assert "declare guard: compare" in refused["hint"]


async def test_a_restore_that_the_tool_refuses_at_the_version_that_it_shows_says_so(tmp_path: Path) -> None:
    tool = priced()
    async with shop(tmp_path, tool) as at:
        await at.call("PATCH", "a", {"price": 2})
        tool.compares = "never"
        status, tasks = await at.rolled_back()
    assert status == "residue"
    assert 'although the object is still at "v2"' in tasks[0]
    assert "later write" not in tasks[0]


async def test_a_version_of_the_body_never_stands_in_if_match(tmp_path: Path) -> None:
    tool = priced(tagless=True, compares="never")
    tool.shows = lambda name, version, data: {"id": name, "updated": f"2026-11-30 10:00:0{version}.000Z", **data}
    state = "\"without(reply.body, ['id', 'updated'])\""
    async with shop(tmp_path, tool, adapter(version="reply.body.updated", state=state)) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        tool.put("a", price=9)
        assert code(await at.call("PATCH", "a", {"price": 3})) == "precondition-changed"
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        made = orjson.loads((await at.call("POST", body={"price": 5})).body)["id"]
        status, tasks = await at.rolled_back()
    assert (status, len(tasks), made in tool.objects) == ("residue", 1, False)
    assert tool.data("a") == {"price": 9}, "the state before the run's newest write is put back; the one before is behind a person's"


@pytest.mark.parametrize(
    "condition",
    [
        {"If_None_Match": '"zzz"'},
        {"If_None_Match": '"v1"'},
        {"If_Unmodified_Since": "Mon, 30 Nov 2026 10:00:00 GMT"},
        {"If_Modified_Since": "Mon, 30 Nov 2026 10:00:00 GMT"},
        {"If_Range": '"v1"'},
    ],
)
async def test_no_other_condition_of_an_agent_switches_the_check_off(tmp_path: Path, condition: dict[str, str]) -> None:
    tool = priced()
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2}, **condition)) == "precondition-changed"
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2}, **condition)).status == 200
    assert [one.headers["if-match"] for one in tool.writes] == ['"v2"']


async def test_an_agent_can_still_create_only_what_is_absent(tmp_path: Path) -> None:
    tool = priced()
    async with shop(tmp_path, tool) as at:
        refused = await at.call("PUT", "a", {"price": 2}, If_None_Match="*")
        assert (refused.status, orjson.loads(refused.body)) == (412, {"error": "version"}), "the tool's own answer"
        assert (await at.call("PUT", "b", {"price": 2}, If_None_Match='"zzz"')).status == 200
    assert (tool.data("a"), tool.data("b")) == ({"price": 1}, {"price": 2})
    assert tool.writes[-1].headers["if-none-match"] == "*", "bound to its absence, whatever the agent asked"


async def test_an_agents_own_if_match_passes_verbatim(tmp_path: Path) -> None:
    tool = priced(tag=weak_if_coded)
    async with shop(tmp_path, tool) as at:
        refused = await at.call("PATCH", "a", {"price": 2}, If_Match='W/"v1"')
        assert (refused.status, orjson.loads(refused.body)) == (412, {"error": "version"})
        tagged = await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2}, If_Match=header(tagged, "etag") or "")).status == 200
    assert [one.headers["if-match"] for one in tool.writes] == ['W/"v1"', '"v1"']


@pytest.mark.parametrize(
    ("method", "condition"),
    [
        ("HEAD", {}),
        ("GET", {"Range": "bytes=0-0"}),
        ("GET", {"If_None_Match": '"v2"', "If_Modified_Since": "Mon, 30 Nov 2026 10:00:00 GMT"}),
    ],
    ids=["head", "part", "the-agent-has-it"],
)
async def test_only_what_shows_the_content_counts_as_having_seen_it(tmp_path: Path, method: str, condition: dict[str, str]) -> None:
    tool = priced()
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        shown = await at.call(method, "a", **condition)
        wrote = await at.call("PATCH", "a", {"price": 2})
    if shown.status == 304:
        assert wrote.status == 200, "a 304 says that the agent has this very version"
    else:
        assert (code(wrote), tool.data("a")) == ("precondition-changed", {"price": 50})


async def test_a_304_by_date_does_not_say_which_version_the_agent_has(tmp_path: Path) -> None:
    tool = priced()

    def by_date(asked: Asked, name: str) -> web.Response:
        if "if-modified-since" in asked.headers:
            return web.Response(status=304, headers={"ETag": '"v2"'})
        return tool._read(asked, name)

    tool.read = by_date
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert (await at.call("GET", "a", If_Modified_Since="Mon, 30 Nov 2026 10:00:00 GMT")).status == 304
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"


VERSIONLESS = adapter(version="{digest_of: state}", guard="compare")


async def test_a_digest_of_the_state_stands_in_for_a_version_that_the_tool_does_not_give(tmp_path: Path) -> None:
    tool = priced(tagless=True, compares="never")
    async with shop(tmp_path, tool, VERSIONLESS) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        made = orjson.loads((await at.call("POST", body={"price": 5})).body)["id"]
        outcomes = await at.rig.journal(at.run.run.run_id, "outcome")
        assert all(one["after_version"].startswith("sha256:") for one in outcomes)
        assert await at.rolled_back() == ("clean", [])
    assert (tool.data("a"), made in tool.objects) == ({"price": 50}, False)
    assert not any("if-match" in one.headers for one in tool.writes)


async def test_under_a_digest_somebody_elses_write_stays(tmp_path: Path) -> None:
    tool = priced(tagless=True)
    async with shop(tmp_path, tool, VERSIONLESS) as at:
        await at.call("PATCH", "a", {"price": 2})
        made = orjson.loads((await at.call("POST", body={"price": 5})).body)["id"]
        tool.put("a", price=70)
        tool.put(made, price=71)
        status, tasks = await at.rolled_back()
    assert (status, len(tasks)) == ("residue", 2)
    assert (tool.data("a"), tool.data(made)) == ({"price": 70}, {"price": 71})


async def test_a_digest_tells_numbers_apart_that_a_double_does_not(tmp_path: Path) -> None:
    tool = priced(tagless=True)
    tool.shows = lambda name, version, data: orjson.Fragment(b'{"account": 1234567890123456789012345678%02d}' % data["price"])
    described = adapter(version="{digest_of: reply.body}", guard="compare", state="reply.body")
    async with shop(tmp_path, tool, described) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"


async def test_a_digest_of_the_bytes_needs_no_json(tmp_path: Path) -> None:
    tool = priced(tagless=True)
    tool.shows = lambda name, version, data: orjson.Fragment(b"price: %d" % data["price"])
    described = adapter(version="{digest_of: reply.bytes}", guard="compare")
    async with shop(tmp_path, tool, described) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"


async def test_a_read_of_a_part_does_not_pass_for_another_version_by_digest(tmp_path: Path) -> None:
    tool = priced(tagless=True)
    async with shop(tmp_path, tool, VERSIONLESS) as at:
        assert (await at.call("GET", "a?fields=id")).status == 200
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200


async def test_a_version_that_stays_although_the_state_changed_guards_no_restore(tmp_path: Path) -> None:
    tool = priced(numbers=lambda version: "2026-11-30T10:00:00Z")
    async with shop(tmp_path, tool) as at:
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        (outcome,) = await at.rig.journal(at.run.run.run_id, "outcome")
        assert "after_version" not in outcome
        status, tasks = await at.rolled_back()
    assert (status, tool.data("a")) == ("residue", {"price": 2})
    assert "the version it left is unknown" in tasks[0].lower()


async def test_a_write_that_changed_nothing_may_leave_the_version_as_it_was(tmp_path: Path) -> None:
    tool = priced(numbers=lambda version: "of this content")
    async with shop(tmp_path, tool) as at:
        assert (await at.call("PATCH", "a", {"price": 1})).status == 200
        assert await at.rolled_back() == ("clean", [])


async def test_a_compensation_can_send_the_next_version_of_the_object_as_it_is(tmp_path: Path) -> None:
    """The tool wants the next version in the body, as optimistic locking without headers has it."""
    tool = priced(tagless=True, compares="not")
    tool.shows = lambda name, version, data: {"id": name, "version": version, **data}

    def judge(asked: Asked, version: int) -> web.Response | None:
        wrong = orjson.loads(asked.body).pop("version", None) != version + 1
        return web.json_response({"error": "version"}, status=409) if wrong else None

    tool.judge = judge
    body = '"merge(snapshot, {version: sum([to_number(object.version), `1`])})"'
    described = adapter(version="reply.body.version", guard="compare", state="\"without(reply.body, ['id', 'version'])\"", body=body)
    async with shop(tmp_path, tool, described) as at:
        assert (await at.call("PATCH", "a", {"price": 2, "version": 2})).status == 200
        assert (await at.call("PATCH", "a", {"price": 3, "version": 3})).status == 200
        assert await at.rolled_back() == ("clean", [])
    assert orjson.loads(tool.writes[-1].body) == {"price": 1, "version": 4}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_reply_that_is_compressed_although_none_was_asked_for_is_read(tmp_path: Path, coding: str) -> None:
    tool = priced(always=coding)
    async with shop(tmp_path, tool) as at:
        created = await at.call("POST", body={"price": 5})
        assert (created.status, header(created, "content-encoding")) == (201, coding)
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        assert await at.rolled_back() == ("clean", [])
    assert tool.objects.keys() == {"a"}


async def test_a_create_whose_reply_cannot_be_read_is_a_task_and_no_failed_verification(tmp_path: Path) -> None:
    tool = priced(always="compress")
    described = adapter().replace(
        "    compensation: {type: delete_created, by: item.delete, auto: true}\n",
        '    verify: {expect: "object.body.price == request.body.price", within: 50ms}\n'
        "    reply_schema: made.json\n    compensation: {type: delete_created, by: item.delete, auto: true}\n",
    )
    (tmp_path / "adapters" / "ledger").mkdir(parents=True)
    (tmp_path / "adapters" / "ledger" / "made.json").write_text('{"type": "object"}')
    async with shop(tmp_path, tool, described) as at:
        created = await at.call("POST", body={"price": 5})
        assert (created.status, header(created, "killcord-verification"), header(created, "killcord-mode")) == (201, "none", "active")
        unread = orjson.loads((await at.call("PATCH", "a", {"price": 2})).body)
        assert (unread["code"], unread["retryable"]) == ("tool-unreachable", False)
        assert "in the content coding compress" in unread["detail"]
        status, tasks = await at.rolled_back()
    assert (status, len(tasks), tool.data("made-1")) == ("residue", 1, {"price": 5})


@pytest.mark.parametrize("coding", ["br", "zstd", "compress"])
async def test_a_read_in_any_coding_is_no_schema_drift(tmp_path: Path, coding: str) -> None:
    tool = priced(always=coding)
    described = adapter().replace("object: item, effect: read}", "object: item, effect: read, reply_schema: item.json}")
    (tmp_path / "adapters" / "ledger").mkdir(parents=True)
    (tmp_path / "adapters" / "ledger" / "item.json").write_text('{"type": "object", "required": ["price"]}')
    async with shop(tmp_path, tool, described) as at:
        assert header(await at.call("GET", "a"), "killcord-mode") == "active"
        assert header(await at.call("HEAD", "a"), "killcord-mode") == "active"
        assert await at.rig.journal(at.run.run.run_id, "trigger") == []


async def test_a_repeat_gets_the_kept_reply_without_the_coding_of_the_first(tmp_path: Path) -> None:
    tool = priced(always="gzip")
    async with shop(tmp_path, tool) as at:
        first = await at.call("POST", body={"price": 5}, Idempotency_Key="k")
        again = await at.call("POST", body={"price": 5}, Idempotency_Key="k", Accept_Encoding="identity")
    assert header(first, "content-encoding") == "gzip"
    assert (header(again, "idempotent-replayed"), header(again, "content-encoding")) == ("true", None)
    assert orjson.loads(again.body) == {"id": "made-1", "price": 5}


def by_language(tool: Tagged) -> None:
    """The tag depends on the language that was asked for, as where content is negotiated."""
    answer = tool._read

    def read(asked: Asked, name: str) -> web.Response:
        reply = answer(asked, name)
        if "etag" in reply.headers and "accept-language" in asked.headers:
            reply.headers["ETag"] = reply.headers["ETag"].replace('"', f'"{asked.headers["accept-language"]}-', 1)
        return reply

    tool.read = read


async def test_a_form_that_an_agent_asks_for_may_have_a_tag_of_its_own(tmp_path: Path) -> None:
    tool = priced()
    by_language(tool)
    async with shop(tmp_path, tool) as at:
        assert header(await at.call("GET", "a", Accept_Language="de"), "etag") == '"de-v1"'
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        await at.call("GET", "a", Accept_Language="de", If_None_Match='"de-v2"')
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        await at.call("GET", "a", Accept_Language="de")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 4})) == "precondition-changed"
        assert tool.data("a") == {"price": 50}
        await at.call("GET", "a", Accept_Language="de")
        del tool.objects["a"]
        assert code(await at.call("PATCH", "a", {"price": 4})) == "precondition-changed"
    assert [one.headers["if-match"] for one in tool.writes] == ['"v1"', '"v2"']


async def test_a_read_with_a_query_does_not_prove_that_the_rest_is_unchanged(tmp_path: Path) -> None:
    tool = priced()
    by_language(tool)
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a?fields=id", Accept_Language="de")
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"


async def test_versions_noted_in_another_coding_go_on_to_count(tmp_path: Path) -> None:
    """As after an update of the gateway, or of a proxy that no longer compresses."""
    tool = priced(tag=suffixed("-"), always="gzip", compares="not")
    async with shop(tmp_path, tool) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        tool.always, tool.compares = "", "strongly"
        assert (await at.call("PATCH", "a", {"price": 3})).status == 200
        assert await at.rolled_back() == ("clean", [])
    assert [one.headers["if-match"] for one in tool.writes] == ['"v1-gzip"', '"v2"', '"v3"']


async def test_a_listing_keeps_the_coding_that_the_agent_asks_for(tmp_path: Path) -> None:
    tool = priced()
    listed = "  - {name: item.list, match: {method: GET, path: /items}, object: item, effect: read}\n  - name: item.create\n"
    async with shop(tmp_path, tool, adapter().replace("  - name: item.create\n", listed)) as at:
        await at.call("GET")
        await at.call("GET", "a")
    assert [one.headers["accept-encoding"] for one in tool.asked] == ["gzip, deflate", "identity"]


async def test_a_digest_of_a_state_that_is_no_json_is_one_of_its_bytes(tmp_path: Path) -> None:
    tool = priced(tagless=True)
    tool.shows = lambda name, version, data: orjson.Fragment(b"price: %d" % data["price"])
    described = adapter(version="{digest_of: state}", guard="compare", state="reply.body")
    async with shop(tmp_path, tool, described) as at:
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2})).status == 200
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2})) == "precondition-changed"


@pytest.mark.parametrize("ends", [True, False])
async def test_a_reply_that_breaks_off_does_not_show_the_object(tmp_path: Path, ends: bool) -> None:
    tool = priced()
    tool.put("a", price=1, text="x" * 300_000)
    async with shop(tmp_path, tool) as at:
        shown = await at.call("GET", "a")
        assert shown.rest is not None
        await anext(shown.rest)
        if ends:
            assert b"".join([chunk async for chunk in shown.rest]).endswith(b"}")
        await shown.rest.aclose()  # type: ignore[attr-defined]
        wrote = await at.call("PATCH", "a", {"price": 2})
        if not ends:
            assert code(wrote) == "precondition-changed"
            assert "broke off" in orjson.loads(wrote.body)["detail"]
            again = await at.call("GET", "a")
            assert again.rest is not None
            assert [chunk async for chunk in again.rest]
            wrote = await at.call("PATCH", "a", {"price": 2})
        assert wrote.status == 200


@pytest.mark.parametrize("condition", ['"v1"', 'W/"v1"', '"v0", "v1"', '"other"'])
@pytest.mark.parametrize("reads", [True, False])
async def test_an_own_if_match_that_the_tool_does_not_compare_is_compared_here(tmp_path: Path, condition: str, reads: bool) -> None:
    tool = priced(compares="not")
    async with shop(tmp_path, tool, adapter(guard="compare")) as at:
        if reads:
            await at.call("GET", "a")
        tool.put("a", price=50)
        refused = await at.call("PATCH", "a", {"price": 2}, If_Match=condition)
        assert (code(refused), tool.data("a")) == ("precondition-changed", {"price": 50})
        assert not tool.writes


@pytest.mark.parametrize("condition", ['"v2"', 'W/"v2"', '"v1", "v2"', "*"])
async def test_an_own_if_match_for_the_version_that_is_there_passes(tmp_path: Path, condition: str) -> None:
    tool = priced(compares="not")
    async with shop(tmp_path, tool, adapter(guard="compare")) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert (await at.call("PATCH", "a", {"price": 2}, If_Match=condition)).status == 200
    assert [one.headers["if-match"] for one in tool.writes] == [condition]


@pytest.mark.parametrize("guard", ["if_match", "compare"])
@pytest.mark.parametrize("condition", ["", ",", " , "])
async def test_an_if_match_without_a_tag_does_not_switch_the_comparison_off(tmp_path: Path, guard: str, condition: str) -> None:
    tool = priced(compares="not")
    async with shop(tmp_path, tool, adapter(guard=guard)) as at:
        await at.call("GET", "a")
        tool.put("a", price=50)
        assert code(await at.call("PATCH", "a", {"price": 2}, If_Match=condition)) == "precondition-changed"
        await at.call("GET", "a")
        assert (await at.call("PATCH", "a", {"price": 2}, If_Match=condition)).status == 200
    assert [one.headers.get("if-match") for one in tool.writes] == ['"v2"' if guard == "if_match" else None]
