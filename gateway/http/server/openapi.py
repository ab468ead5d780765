"""The API described to machines: OpenAPI 3.1, out of the table of routes."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

import gateway
from gateway.http.server import problem
from gateway.http.server.routing import JSON, Answer, Route

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
SERVED: web.AppKey[tuple[Route, ...]] = web.AppKey("served", tuple)
"""The operations of an application."""

_PART = re.compile(r"\{(\w+)\}")


@cache
def document(routes: tuple[Route, ...]) -> Json:
    """The whole description of these routes."""
    models: list[Any] = [route.body for route in routes if route.body is not None]
    models += [answer for route in routes for answer in route.answers.values() if not isinstance(answer, str)]
    described = dict.fromkeys([*models, problem.ProblemDocument])
    _, schemas = TypeAdapter.json_schemas([(one, "validation", TypeAdapter(one)) for one in described], ref_template=_REF)
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
            "schemas": schemas["$defs"],
            "securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Json:
    described: Json = {
        "operationId": route.handler.__name__,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": " ".join((route.handler.__doc__ or "").split()),
        "parameters": _parts(route.path) + ([] if route.query is None else _parameters(route.query)),
        "responses": {str(status): _answer(route, answer) for status, answer in route.answers.items()} | {"default": _DEFAULT},
        "security": [] if route.permission is None else [{"operator": []}],
    }
    if route.permission is not None:
        described["description"] = f"Needs a role that may {route.permission.value}."
    if route.body is not None:
        schema = _reference(route.body)
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


def _answer(route: Route, answer: Answer) -> Json:
    if not isinstance(answer, str):
        content: Json = {JSON: {"schema": _reference(answer)}}
        if route.also is not None:
            content[route.also] = {"schema": {"type": "string"}}
        return {"description": inspect.cleandoc(answer.__doc__ or ""), "content": content}
    if route.media == JSON:
        return {"description": answer, "content": {problem.MEDIA_TYPE: {"schema": _reference(problem.ProblemDocument)}}}
    return {"description": answer, "content": {route.media: {"schema": {"type": "string"}}}}


def _reference(model: type[Any]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


_DEFAULT: Json = {
    "description": "a problem document (RFC 9457)",
    "content": {problem.MEDIA_TYPE: {"schema": _reference(problem.ProblemDocument)}},
}
