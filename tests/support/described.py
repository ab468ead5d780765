"""Answers of a gateway held against /openapi.json: what is not declared there is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema_rs

from gateway.http import app
from gateway.http.server import openapi

Json = dict[str, Any]
Success = tuple[str, str, int]
"""Method, path as it is declared, status."""


@cache
def description() -> Json:
    return openapi.document(app.ROUTES)


@cache
def successes() -> frozenset[Success]:
    """Every status that is declared with a JSON model of its own."""
    return frozenset(
        (method.upper(), path, int(status))
        for path, item in description()["paths"].items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        if "application/json" in answer["content"]
    )


def check(method: str, path: str, status: int, media: str, body: object) -> Success | None:
    """Hold an answer against its schema, where no member may be that is not named. Gives what was declared, if it is a success."""
    known = declared(path.partition("?")[0])
    operation = {} if known is None else description()["paths"][known].get(method.lower(), {})
    if not operation:
        assert media == "application/problem+json", (method, path, status, media)
        _validator("#/components/schemas/ProblemDocument").validate(body)
        return None
    responses = operation["responses"]
    answer = responses.get(str(status), responses["default"])
    assert media in answer["content"], (method, path, status, media)
    schema = answer["content"][media]["schema"]
    if "$ref" not in schema:
        return None
    try:
        _validator(schema["$ref"]).validate(body)
    except jsonschema_rs.ValidationError as wrong:
        raise AssertionError(f"{method} {path} {status} is not as declared: {wrong}") from wrong
    return (method, known, status) if known is not None and media == "application/json" else None


@cache
def _validator(reference: str) -> Any:
    schemas = {name: _closed(schema) for name, schema in description()["components"]["schemas"].items()}
    return jsonschema_rs.validator_for({"$ref": reference, "components": {"schemas": schemas}}, validate_formats=True)


def _closed(schema: Json) -> Json:
    """The schema, for exactly the members that it names; those that are open by their own word stay so."""
    return {"additionalProperties": False, **schema} if schema.get("type") == "object" else schema


def declared(path: str) -> str | None:
    """The declared path that a path is one of; one without variable parts comes first."""
    found: Iterable[str] = (one for one in description()["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path))
    return min(found, key=lambda one: one.count("{"), default=None)
