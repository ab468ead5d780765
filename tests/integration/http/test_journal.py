from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.core.journal import chain
from tests.support.control_api import Api

PATIENCE = 20.0
"""Seconds in which what must come has come, on the slowest machine."""


async def test_entries_are_passed_on_as_they_are_stored(at: Api) -> None:
    await at.open_run("r1", agent_id="billing", reason="Zoë said so")
    async with at.raw("GET", "/v1/journal", headers={"Accept": "application/x-ndjson"}) as response:
        assert response.content_type == "application/x-ndjson"
        lines = (await response.read()).splitlines()
    assert chain.verify(lines).finding is None
    async with at.raw("GET", "/v1/journal") as response:
        raw = await response.read()
    assert raw == b'{"items":[' + b",".join(lines) + b'],"next":null}'
    entry = orjson.loads(lines[0])
    async with at.raw("GET", f"/v1/journal/{entry['stream']}/1") as response:
        assert await response.read() == lines[0]


async def test_entries_come_in_pages_and_by_filter(at: Api) -> None:
    for name in ("r1", "r2"):
        await at.open_run(name)
        await at.ask("POST", f"/v1/runs/{name}/close")
    await at.ask("POST", "/v1/orders", {"scope": {"tenant": "acme"}, "mode": "read_only", "reason": "x"})
    for query, expected in (("run=r1", 2), ("kind=order", 1), ("tenant=acme", 5), ("tenant=acme&kind=run", 4), ("tenant=globex", 0)):
        assert len((await at.ask("GET", f"/v1/journal?{query}"))[1]["items"]) == expected, query
    _, page = await at.ask("GET", "/v1/journal?limit=2")
    assert page["next"] == f"{at.parts.store.journal.stream}/2"
    _, rest = await at.ask("GET", f"/v1/journal?limit=1000&after={page['next']}")
    assert [entry["seq"] for entry in page["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "kind=nope", "after=elsewhere/1", "after=x", "nope=1", "run=a&run=b"]
)
async def test_a_query_that_makes_no_sense_is_refused(at: Api, query: str) -> None:
    status, answer = await at.ask("GET", f"/v1/journal?{query}")
    assert (status, answer["code"]) == (400, "bad-request")


async def test_a_cursor_beyond_all_numbers_is_refused(at: Api) -> None:
    status, answer = await at.ask("GET", f"/v1/journal?after={at.parts.store.journal.stream}/{10**30}")
    assert (status, answer["code"]) == (400, "bad-request")


@pytest.mark.parametrize("where", ["{stream}/2", "{stream}/0", "{stream}/x", "elsewhere/1", "{stream}/99999999999999999999"])
async def test_an_entry_that_is_not_there_is_not_found(at: Api, where: str) -> None:
    await at.open_run("r1")
    status, answer = await at.ask("GET", f"/v1/journal/{where.format(stream=at.parts.store.journal.stream)}")
    assert (status, answer["code"]) == (404, "not-found")


async def test_a_head_can_be_signed_now(at: Api) -> None:
    await at.open_run("r1")
    assert (await at.ask("GET", "/v1/journal/heads"))[1]["items"] == []
    status, signed = await at.ask("POST", "/v1/journal/heads", as_="verifier-token")
    assert status == 200
    (head,) = signed["items"]
    assert head["seq"] == signed["tail"]["seq"] == 1
    assert head["checkpoint"] == at.parts.anchored[0].note
    page = (await at.ask("GET", "/v1/journal"))[1]
    lines = [chain.canonical(entry) for entry in page["items"]] + [chain.head_line(at.parts.anchored[0])]
    verified = chain.verify(lines, keys=[signed["verifier_key"]])
    assert (verified.finding, verified.heads) == (None, 1)


async def test_requests_at_once_sign_one_head_and_a_repeated_one_signs_nothing(at: Api) -> None:
    await at.open_run("r1")
    answers = await asyncio.gather(*(at.ask("POST", "/v1/journal/heads", as_="operator-token") for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    assert (await at.ask("POST", "/v1/journal/heads"))[0] == 200
    assert len(at.parts.anchored) == 1


@pytest.mark.parametrize("role", ["viewer", "approver", "orchestrator"])
async def test_a_role_that_only_reads_the_journal_may_not_sign_it(at: Api, role: str) -> None:
    await at.open_run("r1")
    status, answer = await at.ask("POST", "/v1/journal/heads", as_=f"{role}-token")
    assert (status, answer["code"]) == (403, "forbidden")
    assert at.parts.anchored == []


class Follower:
    """A client of the stream, one event at a time."""

    def __init__(self, response: Any) -> None:
        self._response = response

    async def entry(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await self._response.content.readline()).rstrip(b"\n")
                assert not self._response.content.at_eof(), "the stream ended"
                if line.startswith(b"data: "):
                    return orjson.loads(line[6:])  # type: ignore[no-any-return]

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._response.read()


async def test_a_follower_sees_what_comes(at: Api) -> None:
    await at.open_run("r1")
    async with at.raw("GET", "/v1/journal/follow") as response:
        assert response.content_type == "text/event-stream"
        follower = Follower(response)
        await at.open_run("r2")
        assert (await follower.entry())["run_id"] == "r2"


async def test_a_follower_begins_where_it_left_off(at: Api) -> None:
    await at.open_run("r1")
    await at.open_run("r2")
    first = f"{at.parts.store.journal.stream}/1"
    async with at.raw("GET", f"/v1/journal/follow?after={first}") as response:
        assert (await Follower(response).entry())["run_id"] == "r2"
    async with at.raw("GET", "/v1/journal/follow", headers={"Last-Event-ID": first}) as response:
        assert (await Follower(response).entry())["run_id"] == "r2"


async def test_a_follower_sees_only_what_it_may(at: Api) -> None:
    async with at.raw("GET", "/v1/journal/follow?kind=run", as_="acme-viewer") as response:
        await at.open_run("other", tenant="globex")
        await at.open_run("own")
        assert (await Follower(response).entry())["run_id"] == "own"


async def test_a_stream_ends_when_the_server_stops(at: Api) -> None:
    async with at.raw("GET", "/v1/journal/follow") as response:
        closing = asyncio.ensure_future(at.client.server.close())
        await Follower(response).end()
        await asyncio.wait_for(closing, PATIENCE)


async def test_a_wrong_cursor_is_a_problem_before_the_stream_begins(at: Api) -> None:
    status, answer = await at.ask("GET", "/v1/journal/follow?after=elsewhere/1")
    assert (status, answer["code"]) == (400, "bad-request")
