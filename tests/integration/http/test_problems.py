from __future__ import annotations

import asyncio
import gzip
import io
from typing import Any

import pytest

from gateway import errors
from gateway.http.app import BODY_CAP
from gateway.http.server import problem as problems
from tests.support.control_api import Api, Opened

MEMBERS = {"type", "title", "status", "detail", "code", "retryable", "hint"}


async def problem(at: Api, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    async with at.raw(method, path, **more) as response:
        assert response.content_type == "application/problem+json"
        document = await response.json(content_type=None)
        assert set(document) >= MEMBERS
        assert document["type"] == f"urn:killcord:problem:{document['code']}"
        assert document["status"] == response.status
        assert document["detail"]
        return response.status, document


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not-found"),
        ("GET", "/v1/rollbacks/x", 404, "not-found"),
        ("POST", "/v1/runs/r/elsewhere", 404, "not-found"),
        ("PUT", "/v1/runs", 405, "method-not-allowed"),
        ("GET", "/v1/runs/r404", 404, "not-found"),
        ("POST", "/v1/runs", 400, "bad-request"),
        ("POST", "/v1/runs/r404/lease", 404, "not-found"),
    ],
)
async def test_every_failure_is_a_problem_document(at: Api, method: str, path: str, status: int, code: str) -> None:
    answered, document = await problem(at, method, path)
    assert (answered, document["code"]) == (status, code)


async def test_a_refusal_of_the_services_keeps_its_code(at: Api) -> None:
    await at.open_run("r1")
    await at.ask("POST", "/v1/orders", {"scope": {"run": "r1"}, "mode": "quarantined", "reason": "x"})
    status, document = await problem(at, "POST", "/v1/runs/r1/lease")
    assert (status, document["code"]) == (403, "run-quarantined")


async def test_what_breaks_inside_tells_an_id_and_nothing_else(opened: Opened) -> None:
    def identify(_: str) -> None:
        raise RuntimeError("secret path /var/lib/killcord")

    at = await opened(identify=identify)
    status, document = await problem(at, "GET", "/v1/runs")
    assert (status, document["code"]) == (500, "internal")
    assert "secret" not in str(document)
    ((event, logged),) = at.parts.logged
    assert event == "request-failed"
    assert logged["error_id"] == document["error_id"]
    assert "secret path" in str(logged["error"])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"tenant": "a", "tenant": "b"}', "duplicate key"),
        (b'{"tenant": "a", "Tenant": "b"}', "differ only in case"),
        (b'{"ttl": NaN}', "NaN is not JSON"),
        (b"[" * 100 + b"]" * 100, "nested deeper"),
    ],
)
async def test_a_body_that_is_not_plain_json_is_refused(at: Api, raw: bytes, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    status, document = await problem(at, "POST", "/v1/runs", data=raw, headers=headers)
    assert (status, document["code"]) == (400, "bad-request")
    assert said in document["detail"]


async def test_a_form_or_a_file_is_no_body(at: Api) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, document = await problem(at, "POST", "/v1/runs", data=b"{}", headers=headers)
    assert (status, document["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("data", [gzip.compress(b"{}"), b"no gzip at all"], ids=["gzip", "none"])
async def test_a_compressed_body_is_none(at: Api, data: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, document = await problem(at, "POST", "/v1/runs", data=data, headers=headers)
    assert (status, document["code"]) == (415, "unsupported-media-type")
    assert "gzip" in document["detail"]
    assert at.parts.logged == []


async def test_what_curl_sends_without_being_told_is_read_as_json(at: Api) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with at.raw("POST", "/v1/runs", data=b'{"tenant":"acme","agent_id":"a","scopes":["erp:*"]}', headers=headers) as response:
        assert response.status == 201


async def test_a_body_over_the_cap_is_refused(at: Api) -> None:
    headers = {"Content-Type": "application/json"}
    status, document = await problem(at, "POST", "/v1/runs", data=io.BytesIO(b" " * (BODY_CAP + 1)), headers=headers)
    assert (status, document["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost, evil.example"},
        {"Host": "user@localhost"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost@evil.example"},
    ],
)
async def test_a_page_of_another_host_gets_nothing(at: Api, headers: dict[str, str]) -> None:
    for path in ("/v1/runs", "/metrics", "/openapi.json", "/"):
        status, document = await problem(at, "GET", path, headers=headers)
        assert (status, document["code"]) == (403, "foreign-host")


@pytest.mark.parametrize(
    "headers", [{"Host": "localhost"}, {"Host": "LOCALHOST:8091"}, {"Host": "[::1]:8091"}, {"Origin": "http://localhost:3000"}]
)
async def test_our_own_names_pass_with_any_port(at: Api, headers: dict[str, str]) -> None:
    assert (await at.ask("GET", "/v1/runs", headers=headers))[0] == 200


async def test_probes_may_come_under_any_address(at: Api) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await at.ask("GET", path, headers={"Host": "10.1.2.3:8091"}, as_=None))[0] == 200


async def test_every_answer_carries_the_security_headers(at: Api) -> None:
    for path in ("/", "/v1/runs", "/nope", "/metrics", "/v1/journal/follow"):
        async with at.raw("GET", path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert response.headers["Server"] == "killcord"


async def test_a_mutation_ends_though_its_client_went_away(at: Api) -> None:
    held, gone = asyncio.Event(), asyncio.Event()
    runs = at.parts.services.runs
    journal = runs.journal

    class Slow:
        stream = journal.stream

        async def append(self, fields: Any, blobs: Any = ()) -> Any:
            held.set()
            await gone.wait()
            return await journal.append(fields, blobs)

    at.parts.services.containment.journal = Slow()  # type: ignore[assignment]
    body = {"scope": {"tenant": "acme"}, "mode": "paused", "reason": "x"}
    asking = asyncio.ensure_future(at.ask("POST", "/v1/orders", body))
    await asyncio.wait_for(held.wait(), 20)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    gone.set()
    async with asyncio.timeout(20):
        while not (await at.ask("GET", "/v1/journal?kind=order"))[1]["items"]:
            await asyncio.sleep(0.01)


def test_only_a_problem_with_the_operators_token_asks_for_another_token() -> None:
    assert problems.answer(problems.Unauthenticated()).headers["WWW-Authenticate"].startswith("Bearer")
    assert "WWW-Authenticate" not in problems.answer(errors.LeaseExpired("The lease of parent r1 has ended.")).headers
