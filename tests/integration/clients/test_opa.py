"""The engine that is a real OPA: what it asks, what it takes for an answer, what it says of itself."""

from __future__ import annotations

import re
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.opa.channel import Channel
from gateway.clients.opa.engine import OpaEngine
from gateway.clients.rego import entry_points
from gateway.core.policy import rules
from gateway.model.decision import Allow
from tests.support import opa, tool
from tests.support.crooked import framed
from tests.support.decisions import DECISIONS
from tests.support.opa import Opa
from tests.support.policies import ALLOWED, POLICIES, Reports, call, outcome, ruled, written
from tests.support.tool import Tool, Visit

PATIENT = 60.0


@asynccontextmanager
async def engine(url: str, *, timeout: float = PATIENT, reports: Reports | None = None) -> AsyncIterator[OpaEngine]:
    """An engine that has looked once at the OPA of a URL."""
    socket = url.removeprefix("unix://") if url.startswith("unix") else ""
    channel = Channel("http://localhost" if socket else url, socket)
    made = OpaEngine(channel, timeout=timeout, shown=url, mint=lambda prefix: f"{prefix}_1", report=reports or Reports())
    try:
        await made.refresh()
        yield made
    finally:
        await made.close()


@pytest.fixture(scope="module")
def starter() -> Iterator[Opa]:
    with opa.serving() as made:
        yield made


@pytest.fixture
async def active(starter: Opa) -> AsyncIterator[OpaEngine]:
    async with engine(starter.url) as made:
        yield made


# --- a real one ------------------------------------------------------------------------------------------------------


async def test_the_starter_bundle_decides_as_on_the_embedded_engine(active: OpaEngine) -> None:
    # Where no scope is a list of texts both engines deny; only for one of them is that an error.
    rows = [row for row in DECISIONS if row[0] not in ("scopes that are text", "scopes that are null")]
    assert [(name, outcome(await active.decide(document))) for name, document, _ in rows] == [(name, want) for name, _, want in rows]


async def test_a_rule_that_fails_on_a_call_denies_it_with_its_place_and_without_quoting_it(active: OpaEngine) -> None:
    decision = await active.decide(call(lease__scopes=[4711]))
    assert outcome(decision) == {"policy-error"}
    assert re.search(r"policies/killcord/lib/wildcard\.rego:\d+ ", decision.reasons[0].message)
    assert "4711" not in decision.reasons[0].message


async def test_rules_that_contradict_each_other_on_a_call_deny_it(tmp_path: Path) -> None:
    folder = ruled(tmp_path, 'decision := {"allow": true} if input.tool\ndecision := {"allow": false} if input.tool == "crm"')
    with opa.serving((str(folder),)) as server:
        async with engine(server.url) as made:
            assert outcome(await made.decide(call())) == "allow"
            assert outcome(await made.decide(call(tool="crm"))) == {"policy-error"}


async def test_a_builtin_that_fails_is_an_error_and_not_undefined(tmp_path: Path) -> None:
    folder = ruled(tmp_path, 'decision := {"allow": true} if not small\nsmall if to_number(input.args.amount) < 10')
    with opa.serving((str(folder),)) as server:
        async with engine(server.url) as made:
            assert outcome(await made.decide(call(args={"amount": "many"}))) == {"policy-error"}


@pytest.mark.parametrize(
    "value",
    [2**64, {1: "x"}, object(), "\ud800", {"\udfff": 1}, b"x", {1, 2}],
    ids=["too big", "a number for a key", "an object", "half a character", "half a character as a key", "bytes", "a set"],
)
async def test_what_is_no_json_is_denied(active: OpaEngine, value: object) -> None:
    assert outcome(await active.decide(call() | {"args": value})) == {"policy-input"}
    assert outcome(await active.decide(call())) == "allow"


async def test_integers_are_decided_on_exactly(tmp_path: Path) -> None:
    rule = 'default decision := {"allow": false}\ndecision := {"allow": true} if input.args.n == 9007199254740993'
    with opa.serving((str(ruled(tmp_path, rule)),)) as server:
        async with engine(server.url) as made:
            assert outcome(await made.decide(call(args={"n": 9007199254740993}))) == "allow"
            assert outcome(await made.decide(call(args={"n": 9007199254740992}))) != "allow"


async def test_a_unix_socket_does_as_well(tmp_path: Path) -> None:
    with opa.serving(socket=tmp_path / "opa.sock") as server:
        async with engine(server.url) as made:
            assert made.health() == (True, f"OPA at {server.url}, revision {made.revision} active")
            assert outcome(await made.decide(call())) == "allow"


# --- which revision --------------------------------------------------------------------------------------------------


def packed(folder: Path, file: Path, revision: str, root: str) -> str:
    """A bundle as OPA takes it: ``file`` with a manifest over the modules of a folder."""
    (folder / ".manifest").write_bytes(orjson.dumps({"revision": revision, "roots": [root]}))
    with tarfile.open(file, "w:gz") as archive:
        archive.add(folder, arcname="/")
    return str(file)


async def test_a_bundle_names_the_revision(tmp_path: Path) -> None:
    file = packed(ruled(tmp_path / "authz", ALLOWED), tmp_path / "authz.tar.gz", "v7", "killcord")
    with opa.serving(("--bundle", file)) as server:
        async with engine(server.url) as made:
            assert made.revision == "v7"
            assert await made.decide(call()) == Allow(decision_id="dec_1", revision="v7")


async def test_several_bundles_name_it_together(tmp_path: Path) -> None:
    authz = packed(ruled(tmp_path / "authz", ALLOWED), tmp_path / "authz.tar.gz", "v7", "killcord/authz")
    (tmp_path / "lists").mkdir()
    lists = packed(tmp_path / "lists", tmp_path / "lists.tar.gz", "v2", "killcord/lists")
    with opa.serving(("--bundle", authz, "--bundle", lists)) as server:
        async with engine(server.url) as made:
            assert made.revision == f"{authz}=v7,{lists}=v2"


async def test_without_a_bundle_the_modules_make_the_revision_and_their_tests_do_not() -> None:
    with opa.serving(("--log-format=text",)) as server:
        async with engine(server.url) as made:
            seen = {made.revision}
            for name, rego in (
                ("a.rego", f"package killcord.authz\n\n{ALLOWED}"),
                ("a_test.rego", "package killcord.authz_test\n\ntest_a if true"),
                ("b.rego", "package killcord.authz\n\nmore if true"),
            ):
                assert server.ask("PUT", f"/v1/policies/{name}", rego.encode())[0] == 200
                await made.refresh()
                assert made.health()[0]
                seen.add(made.revision)
            assert len(seen) == 3
            assert seen >= {"none"}
            assert len(made.revision) == len(policy_bundle.read(POLICIES).revision)


# --- what it takes for an answer -------------------------------------------------------------------------------------

GOOD = {"result": {"allow": True}, "provenance": {"version": "1.22.2", "bundles": {"authz": {"revision": "v7"}}}}


class Acted:
    """A script that answers as an OPA in good order, with ``decision`` for what is asked on a call."""

    def __init__(self) -> None:
        self.decision: dict[str, object] = GOOD
        self.dropping = False

    async def __call__(self, visit: Visit) -> None:
        while (request := await visit.request()) is not None:
            if self.dropping:
                return
            visit.send(framed(orjson.dumps({} if request.startswith(b"GET /health") else self.decision)))


@pytest.fixture
async def acted() -> AsyncIterator[tuple[Acted, Tool, OpaEngine]]:
    script = Acted()
    async with Tool(script) as server, engine(f"http://127.0.0.1:{server.port}") as made:
        server.requests.clear()
        yield script, server, made


async def test_a_question_is_one_post_that_asks_for_strictness_and_provenance(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    _, server, made = acted
    await made.decide(call())
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert first == b"POST /v1/data/killcord/authz/decision?strict-builtin-errors=true&provenance=true HTTP/1.1"
    assert orjson.loads(body) == {"input": call()}
    assert {field.partition(b":")[0].lower() for field in fields} == {
        b"host",
        b"accept",
        b"accept-encoding",
        b"content-type",
        b"content-length",
    }


async def test_a_dropped_question_is_not_asked_again(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, server, made = acted
    script.dropping = True
    with pytest.raises(errors.PolicyUnavailable):
        await made.decide(call())
    assert len(server.requests) == 1


@pytest.mark.parametrize(("told", "kept"), [("a-1", "a-1"), ("", "dec_1"), (7, "dec_1"), ("x" * 101, "dec_1"), (None, "dec_1")], ids=str)
async def test_the_decision_has_opas_id_where_that_is_one(acted: tuple[Acted, Tool, OpaEngine], told: object, kept: str) -> None:
    script, _, made = acted
    script.decision = GOOD | {"decision_id": told}
    assert (await made.decide(call())).decision_id == kept


async def test_a_decision_carries_the_revision_that_made_it(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, _, made = acted
    script.decision = {"result": {"allow": True}, "provenance": {"bundles": {"authz": {"revision": "v8"}}}}
    assert (await made.decide(call())).revision == "v8"
    assert made.revision == "v7"


@pytest.mark.parametrize(
    "bundles", [{}, {"other": {"revision": "v7"}}, {"authz": {"revision": "v7"}, "more": {"revision": "v1"}}], ids=["none", "other", "more"]
)
async def test_bundles_other_than_those_seen_active_together_decide_nothing(
    acted: tuple[Acted, Tool, OpaEngine], bundles: dict[str, object]
) -> None:
    script, _, made = acted
    script.decision = {"result": {"allow": True}, "provenance": {"bundles": bundles}}
    with pytest.raises(errors.PolicyUnavailable):
        await made.decide(call())
    await made.refresh()
    assert outcome(await made.decide(call())) == "allow"


def eval_error(code: str) -> dict[str, object]:
    return {"code": code, "location": {"file": "x.rego", "row": 3}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"code": "internal_error", "errors": [eval_error("eval_cancel_error")]}),
        (500, {"code": "internal_error", "errors": [eval_error("eval_type_error"), eval_error("eval_cancel_error")]}),
        (500, {"code": "internal_error", "errors": []}),
        (500, {"code": "internal_error", "errors": "eval_type_error"}),
        (503, {"code": "internal_error", "errors": [eval_error("eval_type_error")]}),
        (401, {"code": "unauthorized", "message": "request rejected by administrative policy"}),
        (404, {"code": "resource_not_found"}),
    ],
    ids=lambda value: orjson.dumps(value).decode()[:60],
)
async def test_an_error_that_is_no_rules_is_no_denial(status: int, body: dict[str, object]) -> None:
    asked = 0

    async def script(visit: Visit) -> None:
        nonlocal asked
        while await visit.request() is not None:
            asked += 1
            visit.send(framed(orjson.dumps(GOOD)) if asked <= 2 else framed(orjson.dumps(body), status=status))

    async with Tool(script) as server, engine(f"http://127.0.0.1:{server.port}") as made:
        with pytest.raises(errors.PolicyUnavailable) as refused:
            await made.decide(call())
        assert refused.value.retry_after == 1.0


async def test_what_one_answer_sets_does_not_colour_the_next_question() -> None:
    answer = framed(orjson.dumps(GOOD), more="Set-Cookie: a=1; Path=/\r\n")
    async with Tool(tool.answers(answer)) as server, engine(f"http://127.0.0.1:{server.port}") as made:
        await made.decide(call())
        assert b"cookie" not in server.raw.lower()


# --- other questions --------------------------------------------------------------------------------------------------


async def test_a_rule_is_asked_for_by_its_name(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, server, made = acted
    script.decision = GOOD | {"result": ["x"]}
    assert await made.ask(rules.INVARIANTS, {"objects": []}) == ["x"]
    (request,) = server.requests
    assert request.startswith(b"POST /v1/data/killcord/invariants/violations?strict-builtin-errors=true&provenance=true HTTP/1.1")
    assert orjson.loads(request.partition(b"\r\n\r\n")[2]) == {"input": {"objects": []}}


async def test_what_is_undefined_is_none(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, _, made = acted
    script.decision = {"provenance": GOOD["provenance"]}
    assert await made.ask(rules.RESPONSE, {}) is None


async def test_an_answer_of_other_bundles_is_none_that_counts(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, _, made = acted
    script.decision = {"result": {}}
    with pytest.raises(errors.PolicyUnavailable):
        await made.ask(rules.RESPONSE, {})


@pytest.mark.parametrize("document", [{"trigger": "\ud800"}, {"trigger": float("nan"), "run": {1}}, {"trigger": {1: 2}}])
async def test_what_is_no_json_cannot_be_asked(active: OpaEngine, document: dict[str, object]) -> None:
    with pytest.raises(errors.PolicyUnavailable):
        await active.ask(rules.RESPONSE, document)


async def test_a_rule_that_fails_is_no_answer(tmp_path: Path) -> None:
    folder = ruled(tmp_path, ALLOWED)
    written(folder, {"killcord/response/r.rego": FAILING})
    async with serving(folder) as made:
        with pytest.raises(errors.PolicyUnavailable, match=r"r\.rego:3 cannot be applied"):
            await made.ask(rules.RESPONSE, {"trigger": {"facts": {"name": 1}}})


async def test_what_a_new_revision_does_not_answer_is_reported_once(tmp_path: Path) -> None:
    reports = Reports()
    async with serving(ruled(tmp_path, ALLOWED), reports) as made:
        await made.refresh()
    assert [message.partition(": ")[2] for message in reports.of("warning")] == list(entry_points.LACKING.values())


async def test_the_starter_bundle_lacks_nothing(starter: Opa) -> None:
    reports = Reports()
    async with engine(starter.url, reports=reports):
        assert reports.of("warning") == []


FAILING = """package killcord.response

response := {"action": "none"} if lower(input.trigger.facts.name) == "x"
"""


@asynccontextmanager
async def serving(folder: Path, reports: Reports | None = None) -> AsyncIterator[OpaEngine]:
    with opa.serving((str(folder),)) as served:
        async with engine(served.url, reports=reports) as made:
            yield made


# --- what it says of itself ------------------------------------------------------------------------------------------


async def test_an_engine_that_has_not_looked_refuses() -> None:
    made = OpaEngine(Channel("http://127.0.0.1:1"), timeout=1.0, shown="x", mint=str, report=Reports())
    assert made.health() == (False, "OPA at x cannot decide: it was not asked yet")
    with pytest.raises(errors.PolicyUnavailable):
        await made.decide(call())
    await made.close()


async def test_trouble_is_reported_once_and_so_is_its_end(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, server, _ = acted
    reports = Reports()
    async with engine(f"http://127.0.0.1:{server.port}", reports=reports) as made:
        script.decision = {"provenance": GOOD["provenance"]}
        for _ in range(3):
            await made.refresh()
        script.decision = GOOD
        for _ in range(3):
            await made.refresh()
    assert [level for level, _ in reports.lines if level != "warning"] == ["info", "error", "info"]
    assert reports.of("info") == ["policy revision v7 is active"] * 2
    assert "gives no usable decision" in reports.of("error")[0]


@pytest.mark.parametrize(("status", "trouble"), [(500, "its bundles are not all active yet"), (401, "its /health answers with status 401")])
async def test_health_that_is_not_good_is_reported(status: int, trouble: str) -> None:
    async with Tool(tool.answers(framed(b"{}", status=status))) as server, engine(f"http://127.0.0.1:{server.port}") as made:
        assert made.health() == (False, f"OPA at http://127.0.0.1:{server.port} cannot decide: {trouble}")


async def test_a_sample_that_is_refused_by_a_rule_shows_a_working_opa(acted: tuple[Acted, Tool, OpaEngine]) -> None:
    script, _, made = acted
    script.decision = GOOD | {"result": {"allow": False, "reasons": [{"code": "closed", "message": "Closed."}]}}
    await made.refresh()
    assert made.health()[0]
    assert outcome(await made.decide(call())) == {"closed"}
