"""Both clients on a real gateway in front of a tool of the SDK's: each test is a script that the blocking and the asynchronous one play."""

from __future__ import annotations

import asyncio
import http.client
import inspect
import itertools
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.sdk import Lost, Problem, Superseded, aio, operations, refusal, sync, testing
from gateway.sdk.messages import Request
from gateway.sdk.testing import Gateway, Hours, Tool

CHECKOUT = Path(__file__).resolve().parents[3]
ORDERS = "/tenants/acme/orders"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    with testing.tooling() as tool:
        yield tool


@pytest.fixture(scope="module")
def gateway(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "policy": {"engine": "embedded", "path": str(CHECKOUT / "policies" / "killcord")},
        "adapters": [str(CHECKOUT / "adapters")],
        "tools": {"rest": {"adapter": "rest", "base_url": tool.url, "credential": {"header": "Authorization", "value": "Bearer secret"}}},
        "task_classes": {"default": {"tenants": ["*"], "scopes": ["*"], "ttl": "1h"}},
    }
    with testing.serving(tmp_path_factory.mktemp("gateway"), settings) as gateway:
        yield gateway


class Played:
    """A client whose calls are waited for, whichever it is."""

    def __init__(self, one: Any, wait: Callable[[Any], Any]) -> None:
        self._one = one
        self._wait = wait

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._one, name)
        return (lambda *args, **kwargs: self._waited(found(*args, **kwargs))) if inspect.ismethod(found) else found

    def _waited(self, given: Any) -> Any:
        if inspect.isasyncgen(given):
            return self._items(given)
        given = self._wait(given) if inspect.isawaitable(given) else given
        if isinstance(given, tuple):
            return tuple(self._wrapped(one) for one in given)
        return self._wrapped(given)

    def _items(self, given: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._wait(anext(given))
        except StopAsyncIteration:
            return
        finally:
            self._wait(given.aclose())

    def _wrapped(self, given: Any) -> Any:
        return Played(given, self._wait) if isinstance(given, sync.Run | aio.Run) else given


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture(params=["blocking", "asynchronous"])
def killcord(request: pytest.FixtureRequest, gateway: Gateway, clock: Hours) -> Iterator[Any]:
    if request.param == "blocking":
        yield Played(sync.Killcord(gateway.control, gateway.token, clock=clock), lambda given: given)
        return
    with asyncio.Runner() as runner:
        one = aio.Killcord(gateway.control, gateway.token, clock=clock)
        runner.run(one.__aenter__())
        yield Played(one, lambda given: runner.run(_of(given)))
        runner.run(one.__aexit__())


async def _of(given: Any) -> Any:
    return await given


@pytest.fixture
def asked() -> dict[str, Any]:
    return {"run_id": f"run-{next(_numbers)}", "tenant": "acme", "agent_id": "orders", "scopes": ["rest:order.*"]}


def call(gateway: Gateway, headers: dict[str, str], method: str, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(urlsplit(gateway.data).netloc, timeout=30)) as connection:
        connection.request(method, "/rest" + path, json.dumps(body), headers | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def create(gateway: Gateway, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    return call(gateway, headers, "POST", ORDERS, {"total": 5, "status": "open", "reference": "r"})


def contain(gateway: Gateway, run_id: str, mode: str = "quarantined") -> str:
    with closing(http.client.HTTPConnection(urlsplit(gateway.control).netloc, timeout=30)) as connection:
        body = json.dumps({"scope": {"run": run_id}, "mode": mode, "reason": "a test says so"})
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/orders", body, headers)
        return str(json.loads(connection.getresponse().read())["order_id"])


def test_a_step_that_is_sent_twice_reaches_the_tool_once(killcord: Any, gateway: Gateway, tool: Tool, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked)
    before = len(tool.documents)
    first = create(gateway, run.step("create", "plan", confidence=0.9))
    again = create(gateway, killcord.open(**asked).step("create"))
    assert (first[0], again[0], again[2]) == (201, 201, first[2])
    assert (again[1]["Idempotent-Replayed"], len(tool.documents)) == ("true", before + 1)


def test_a_lease_is_renewed_when_two_thirds_of_it_are_over(killcord: Any, clock: Hours, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked, ttl="60s")
    first = run.lease()
    clock.pass_by(30)
    assert run.lease() == first
    clock.pass_by(15)
    second = run.lease()
    assert second != first
    clock.pass_by(30)
    assert run.lease() == second, "it is as long as the first was"


def test_a_lease_that_cannot_be_renewed_is_used_for_as_long_as_it_lives(
    killcord: Any, gateway: Gateway, clock: Hours, asked: dict[str, Any]
) -> None:
    run = killcord.open(**asked, ttl="60s")
    first = run.lease()
    contain(gateway, run.run_id, "paused")
    clock.pass_by(45)
    assert run.lease() == first
    status, headers, raw = create(gateway, run.step("create"))
    told = refusal(status, headers, raw)
    assert told is not None
    assert (told.code, told.held, told.retryable) == ("run-paused", True, True)
    clock.pass_by(30)
    with pytest.raises(Problem) as problem:
        run.lease()
    assert problem.value.held


def test_a_process_that_slept_through_a_resume_does_not_continue(
    killcord: Any, gateway: Gateway, clock: Hours, asked: dict[str, Any]
) -> None:
    run = killcord.open(**asked)
    assert create(gateway, run.step("create"))[0] == 201
    kept = run.checkpoint("state-1", "created")
    assert (kept.state_ref, kept.label, run.resumption()) == ("state-1", "created", None)
    contain(gateway, run.run_id)
    resumed, resumption = killcord.resume(run.run_id, reason="mended", scopes=["rest:order.status.*"])
    assert (resumed.generation, resumption.generation, resumption.state_ref, resumption.warnings) == (2, 2, "state-1", ())
    with pytest.raises(Problem, match="conflict"):
        run.checkpoint("state-2")
    clock.pass_by(3000)
    with pytest.raises(Superseded):
        run.step("next")
    found = killcord.open(**asked)
    assert (found.generation, found.resumption()) == (2, resumption)
    assert killcord.run(run.run_id).generation == 2
    refused = refusal(*call(gateway, found.step("more"), "POST", ORDERS, {"total": 6, "status": "open"}))
    assert refused is not None
    assert refused.code == "policy-denied", "tighter rights stay, whatever it was opened with"


def test_a_used_up_limit_is_a_warning_of_the_resume_until_an_admin_raises_it(
    killcord: Any, gateway: Gateway, asked: dict[str, Any]
) -> None:
    run = killcord.open(**{**asked, "limits": {"writes": 1}})
    assert create(gateway, run.step("create"))[0] == 201
    contain(gateway, run.run_id)
    _, resumption = killcord.resume(run.run_id, reason="mended", checkpoint="start")
    assert len(resumption.warnings) == 1
    assert "writes" in resumption.warnings[0]
    contain(gateway, run.run_id)
    raised, resumption = killcord.resume(run.run_id, reason="it may go on", checkpoint="start", raise_limits={"writes": 5})
    assert resumption.warnings == ()
    assert create(gateway, raised.step("again"))[0] == 201


def test_a_run_of_another_content_is_not_found_by_its_id(killcord: Any, gateway: Gateway, asked: dict[str, Any]) -> None:
    killcord.open(**asked)
    with pytest.raises(Problem, match="conflict"):
        killcord.open(**asked | {"scopes": ["rest:*"]})
    contain(gateway, asked["run_id"])
    killcord.resume(asked["run_id"], reason="mended", mode="read_only")
    with pytest.raises(Problem, match="conflict"):
        killcord.open(**asked | {"tenant": "globex"})


def test_admission_and_findings_say_what_the_gateway_says(killcord: Any, gateway: Gateway, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked)
    assert killcord.admission("acme", run_id=run.run_id).admit
    found = killcord.finding(run.run_id, kind="ledger.imbalance", severity="critical", evidence={"off_by": 3})
    assert found.incident_id is not None
    admission = killcord.admission("acme", run_id=run.run_id)
    assert (admission.admit, admission.mode, admission.retry_after) == (False, "quarantined", None)


def test_a_refusal_says_what_to_do_next(killcord: Any) -> None:
    with pytest.raises(Problem) as problem:
        killcord.run("nobody")
    refused = problem.value
    assert (refused.status, refused.code, refused.retryable, refused.held) == (404, "not-found", False, False)
    assert refused.hint
    assert pickle.loads(pickle.dumps(refused)).document == refused.document, "durable workflow engines keep what a step raised"


def test_a_closed_run_gets_no_lease(killcord: Any, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked)
    run.close("done")
    with pytest.raises(Problem, match="lease-revoked"):
        killcord.open(**asked)


def test_a_reply_that_is_lost_leaves_the_effect_to_the_tool(killcord: Any, gateway: Gateway, tool: Tool, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked)
    before = len(tool.documents)
    tool.lose_replies()
    lost = refusal(*create(gateway, run.step("create")))
    assert lost is not None
    assert (lost.code, len(tool.documents)) == ("tool-unreachable", before + 1)
    create(gateway, run.step("create"))
    assert len(tool.documents) == before + 1, "nothing is sent again before it is known what became of it"


def test_a_gateway_that_says_nothing_is_lost() -> None:
    with pytest.raises(Lost):
        sync.Killcord("http://127.0.0.1:1", "token").admission("acme")

    async def ask() -> None:
        async with aio.Killcord("http://127.0.0.1:1", "token") as killcord:
            await killcord.admission("acme")

    with pytest.raises(Lost):
        asyncio.run(ask())


def test_any_other_request_is_answered_or_refused_like_the_rest(killcord: Any, asked: dict[str, Any]) -> None:
    run = killcord.open(**asked)
    order = killcord.ask("POST", "/v1/orders", {"scope": {"run": run.run_id}, "mode": "read_only", "reason": "look"})
    assert order["mode"] == "read_only"
    assert killcord.ask("GET", f"/v1/runs/{run.run_id}")["mode"] == "read_only"
    with pytest.raises(Problem, match="not-found"):
        killcord.ask("GET", "/v1/runs/no-such-run")


def test_lists_and_streams_are_read(killcord: Any, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PAGE", 2)
    run_id = killcord.open(**asked).run_id
    for number in range(3):
        killcord.run(run_id).checkpoint(f"state-{number}")
    lines = killcord.fetch(Request("GET", "/v1/journal", query={"run": run_id, "kind": None, "limit": 3}, accept="application/x-ndjson"))
    entries = list(killcord.items("/v1/journal", run=run_id))
    assert [json.loads(line) for line in lines.raw.splitlines()] == entries[:3]
    assert len(entries) > 3
    after = f"{entries[0]['stream']}/{entries[0]['seq']}"
    with closing(killcord.follow("/v1/journal/follow", run=run_id, after=after)) as stream:
        assert [json.loads(next(stream)) for _ in entries[1:]] == entries[1:]
    with pytest.raises(Problem, match="not-found"):
        next(killcord.follow("/v1/runs/none"))


def test_an_answer_of_another_server_is_a_problem_without_a_code(tool: Tool) -> None:
    with pytest.raises(Problem) as refused:
        list(sync.Killcord(tool.url, "token").items("/v1/runs"))
    assert (refused.value.status, "code" in refused.value.document) == (404, False)


def test_a_token_that_cannot_be_sent_is_not_repeated_in_the_error() -> None:
    with pytest.raises(Lost, match="check the address and the characters of the token") as lost:
        sync.Killcord("http://127.0.0.1:1", "secret\nline").admission("acme")
    assert "secret" not in str(lost.value)


def test_both_clients_have_one_surface() -> None:
    for blocking, asynchronous in ((sync.Killcord, aio.Killcord), (sync.Run, aio.Run)):
        public = [name for name in vars(blocking) if not name.startswith("_") and callable(getattr(blocking, name))]
        assert public
        for name in public:
            one, other = inspect.signature(getattr(blocking, name)), inspect.signature(getattr(asynchronous, name))
            assert one.parameters == other.parameters, name
