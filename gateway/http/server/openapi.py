"""The API described to machines: OpenAPI 3.1, out of the table of routes."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import gateway
from gateway.http.server import problem
from gateway.http.server.routing import JSON, Route

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
DESCRIPTION: web.AppKey[Json] = web.AppKey("description", dict)

_PART = re.compile(r"\{(\w+)\}")


@cache
def document(routes: tuple[Route, ...]) -> Json:
    """The whole description of these routes."""
    bodies = dict.fromkeys(route.body for route in routes if route.body is not None)
    _, schemas = models_json_schema([(model, "validation") for model in bodies], ref_template=_REF)
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Killcord control API",
            "version": gateway.__version__,
            "description": "Lists are {items, next}; pass `next` as `after` until it is null. A page may hold fewer items than asked for.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Json:
    described: Json = {
        "operationId": route.handler.__name__,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": " ".join((route.handler.__doc__ or "").split()),
        "parameters": _parts(route.path) + ([] if route.query is None else _parameters(route.query)),
        "responses": {str(status): _answer(route, status, text) for status, text in route.answers.items()} | {"default": _refused()},
        "security": [] if route.permission is None else [{"operator": []}],
    }
    if route.permission is not None:
        described["description"] = f"Needs a role that may {route.permission.value}."
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        needed = any(field.is_required() for field in route.body.model_fields.values())
        described["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    return described


def _parts(path: str) -> list[Json]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _PART.findall(path)]


def _parameters(query: type[BaseModel]) -> list[Json]:
    schema = query.model_json_schema()
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(one, definitions)}
        for name, one in schema.get("properties", {}).items()
    ]


def _inlined(schema: Any, definitions: Json) -> Any:
    """A schema without references: a parameter's has no components to point into."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(one, definitions) for name, one in schema.items()}


def _answer(route: Route, status: int, text: str) -> Json:
    if status >= HTTPStatus.BAD_REQUEST and route.path != "/readyz":
        return _refused() | {"description": text}
    content: Json = {route.media: {"schema": {"type": "object"} if route.media == JSON else {"type": "string"}}}
    if route.also is not None:
        content[route.also] = {"schema": {"type": "string"}}
    return {"description": text, "content": content}


def _refused() -> Json:
    reference = {"$ref": _REF.format(model="Problem")}
    return {"description": "a problem document (RFC 9457)", "content": {problem.MEDIA_TYPE: {"schema": reference}}}


_PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "retryable", "hint"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:killcord:problem:not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
        "hint": {"type": "string"},
    },
}
