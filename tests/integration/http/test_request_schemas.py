"""/openapi.json judges a body as the server does: each is held against its schema and sent."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from tests.support import described
from tests.support.control_api import Api

Json = dict[str, Any]

RUN = {"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"]}
ORDER = {"mode": "paused", "reason": "look"}
ROLLBACK = {"scope": {"run": "r1"}}
ADMISSION = {"tenant": "acme", "task_class": "default"}


def run(**more: object) -> tuple[str, Json]:
    return "/v1/runs", {**RUN, **more}


def order(scope: Json, **more: object) -> tuple[str, Json]:
    return "/v1/orders", {**ORDER, "scope": scope, **more}


TAKEN = [
    *(run(ttl=ttl) for ttl in ("1ms", "999999999ms", "0.5s", "799999999s", "1.000001h", "9999.999999d", 0.001, 864_000_000)),
    *(run(limits={"rate": rate}) for rate in ("1/s", "999999999/h")),
    *(run(limits={"amount": {"refund": amount}}) for amount in (0, 12.5, 0.000001, 1000)),
    *(run(limits={"steps": count}) for count in (0, 500, 3.0)),
    order({"run": "r1"}),
    order({"run": "r1", "subtree": True, "tenant": "acme"}),
    order({"all": True}),
    order({"all": True, "run": None, "subtree": False}),
    order({"tenant": "acme"}, ttl="5m", mode="read_only"),
    order({"tenant": "acme"}, ttl=None, mode="quarantined"),
    order({"agent": "a"}, mode="revoked"),
    order({"tool": "erp"}, mode="no_fanout", wait=0),
    order({"tool": "erp"}, mode="active", no_fanout=True, wait="2s"),
    ("/v1/rollbacks", {**ROLLBACK, "dry_run": True}),
    ("/v1/rollbacks", {**ROLLBACK, "reason": "wrong prices"}),
    ("/v1/tasks/t1/resolve", {"resolution": "done", "note": "looked"}),
    ("/v1/tasks/t1/resolve", {"resolution": "done", "reason": "looked"}),
    ("/v1/runs/r1/checkpoints", {"state_ref": "ä" * 1024, "generation": 1}),
    ("/v1/admission", ADMISSION),
]

REFUSED = [
    *(run(ttl=ttl) for ttl in ("0s", "0.0h", "1000000000ms", "800000000s", "100000h", "10000d", "1h30m", "", "5", 0, -1, 864_000_001)),
    *(run(limits={"rate": rate}) for rate in ("0/s", "01/s", "1/d", "1000000000/s", "5", 5, "1.5/s")),
    *(run(limits={"amount": {"refund": amount}}) for amount in (-1, 0.0000001, 9_007_199_255, "5", True)),
    *(run(limits={"steps": count}) for count in (-1, 0.5, 2**53, "5", True)),
    run(limits={"amount": {"": 1}}),
    order({}),
    order({"run": None}),
    order({"all": False}),
    order({"subtree": True, "tenant": "acme"}),
    order({"all": True, "run": "r1"}),
    order({"all": True, "subtree": True}),
    order({"tenant": "acme"}, ttl="5m", mode="quarantined"),
    order({"run": "r1"}, ttl="5m", mode="revoked"),
    order({"tenant": "acme"}, mode="revoked"),
    order({"tenant": "acme"}, mode="active"),
    order({"tenant": "acme"}, mode="active", no_fanout=False),
    order({"tenant": "acme"}, reason=" \t\n"),
    order({"tenant": "acme"}, reason=""),
    order({"tenant": "acme"}, wait="0s"),
    ("/v1/orders", {"scope": {"run": "r1"}, "mode": "paused"}),
    ("/v1/orders", {"scope": {"run": "r1"}, "reason": "no mode"}),
    ("/v1/rollbacks", ROLLBACK),
    ("/v1/rollbacks", {**ROLLBACK, "reason": None}),
    ("/v1/rollbacks", {**ROLLBACK, "dry_run": False}),
    ("/v1/tasks/t1/resolve", {"resolution": "done", "note": None}),
    ("/v1/tasks/t1/resolve", {"resolution": "maybe", "note": "x"}),
    ("/v1/runs/r1/checkpoints", {"state_ref": "ä" * 1025}),
    ("/v1/runs/r1/checkpoints", {"state_ref": "x", "generation": 2**53}),
    ("/v1/admission", {**ADMISSION, "run_id": "/"}),
]


@pytest.mark.parametrize(("path", "body"), TAKEN)
async def test_what_a_schema_permits_is_not_a_bad_request(at: Api, path: str, body: Json) -> None:
    await at.open_run("r1")
    assert permitted(path, body)
    status, answer = await at.ask("POST", path, body)
    assert status != 400, answer


@pytest.mark.parametrize(("path", "body"), REFUSED)
async def test_what_a_schema_forbids_is_a_bad_request(at: Api, path: str, body: Json) -> None:
    await at.open_run("r1")
    assert not permitted(path, body)
    status, answer = await at.ask("POST", path, body)
    # What does not exist is reported before what is missing for it.
    assert (status, answer["code"]) == (400, "bad-request") or (path.startswith("/v1/tasks") and status == 404)


@pytest.mark.parametrize("query", ["after=x", "after=st/1x", "after=/1", "limit=0", "limit=1001", "kind=nope", "run=/"])
async def test_a_query_that_the_description_forbids_is_a_bad_request(at: Api, query: str) -> None:
    name, _, value = query.partition("=")
    parameters = described.description()["paths"]["/v1/journal"]["get"]["parameters"]
    (schema,) = [one["schema"] for one in parameters if one["name"] == name]
    whole = {**schema, "components": described.description()["components"]}
    assert not jsonschema_rs.validator_for(whole).is_valid(int(value) if name == "limit" else value)
    status, answer = await at.ask("GET", f"/v1/journal?{query}")
    assert (status, answer["code"]) == (400, "bad-request")


def permitted(path: str, body: Json) -> bool:
    found = described.description()
    declared = described.declared(path)
    assert declared is not None
    schema = found["paths"][declared]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return bool(jsonschema_rs.validator_for({**schema, "components": found["components"]}).is_valid(body))
