from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest

from gateway.http.app import ROUTES
from tests.support.control_api import Api, Opened


async def description(at: Api) -> dict[str, Any]:
    status, found = await at.ask("GET", "/openapi.json", as_=None)
    assert status == 200
    return found


async def test_every_call_is_described_and_nothing_else(at: Api) -> None:
    paths = (await description(at))["paths"]
    described = {(method.upper(), path) for path, item in paths.items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}
    registered = {(route.method, route.resource.canonical) for route in at.client.app.router.routes()}
    assert registered == described


async def test_the_description_is_openapi_3_1(at: Api) -> None:
    found = await description(at)
    assert found["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(found["info"])
    names: set[str] = set()
    for path, item in found["paths"].items():
        assert path.startswith("/")
        for operation in item.values():
            assert operation["operationId"] not in names
            names.add(operation["operationId"])
            assert operation["summary"]
            assert operation["responses"]
            assert all(re.fullmatch(r"[1-5]\d\d|default", status) for status in operation["responses"])
            assert all(answer["description"] for answer in operation["responses"].values())
            in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            assert all(one["required"] for one in operation["parameters"] if one["in"] == "path")


async def test_every_reference_of_the_description_leads_somewhere(at: Api) -> None:
    found = await description(at)
    references = set(re.findall(r"'\$ref': '([^']+)'", str(found)))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in found["components"]["schemas"]


async def test_the_schemas_judge_bodies_as_the_api_does(at: Api) -> None:
    found = await description(at)
    body = {"scope": {"run": "r1"}, "mode": "paused", "reason": "x", "ttl": "5m"}
    schema = {"$ref": "#/components/schemas/Contain", "components": found["components"]}
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid(body)
    assert not validator.is_valid({**body, "mode": "stopped"})
    assert not validator.is_valid({**body, "nope": 1})
    assert not validator.is_valid({"scope": {}, "mode": "paused"})


def test_whatever_changes_something_takes_a_reason() -> None:
    for route in ROUTES:
        if route.method != "GET" and route.path not in ("/v1/journal/heads", "/v1/journal/inspection"):
            assert route.body is not None
            assert "reason" in route.body.model_fields, route.path


async def test_a_sidecar_serves_health_metrics_and_keys_only(opened: Opened) -> None:
    at = await opened(role="sidecar")
    for path, status in (
        ("/healthz", 200),
        ("/readyz", 200),
        ("/.well-known/jwks.json", 200),
        ("/v1/runs", 404),
        ("/openapi.json", 404),
        ("/", 404),
    ):
        async with at.raw("GET", path) as response:
            assert response.status == status, path
    async with at.raw("GET", "/metrics", as_=None) as response:
        assert response.status == 200


@pytest.mark.parametrize(("can_pass", "status"), [(True, 200), (False, 503)])
async def test_readiness_names_each_part(opened: Opened, can_pass: bool, status: int) -> None:
    parts = {"journal": {"ok": can_pass}, "policy": {"ok": True}, "containment": {"ok": True}}
    at = await opened(ready=lambda: (can_pass, parts))
    answered, answer = await at.ask("GET", "/readyz", as_=None)
    assert answered == status
    assert answer == {"status": "ready" if can_pass else "not ready", **parts}


async def test_keys_metrics_and_the_front_are_open_to_all(at: Api) -> None:
    _, keys = await at.ask("GET", "/.well-known/jwks.json", as_=None)
    assert all("d" not in key for key in keys["keys"])
    for path, said in (("/", "/openapi.json"), ("/metrics", "")):
        async with at.raw("GET", path, as_=None) as response:
            assert response.content_type == "text/plain"
            assert said in await response.text()
