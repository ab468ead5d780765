"""The API described to machines: OpenAPI 3.1, out of the table of routes."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

import gateway
from gateway.http.server import problem
from gateway.http.server.routing import JSON, Answer, Route

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
SERVED: web.AppKey[tuple[Route, ...]] = web.AppKey("served", tuple)
"""The operations of an application."""

_ID: Json = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}$"}
_SEQ: Json = {"type": "string", "pattern": "^[0-9]{1,16}$"}
"""Variable parts of paths. The answer to anything else is 404."""
_PART = re.compile(r"\{(\w+)\}")


@cache
def document(routes: tuple[Route, ...]) -> Json:
    """The whole description of these routes."""
    queries = [route.query for route in routes if route.query is not None]
    models: list[Any] = [problem.ProblemDocument, *queries, *(route.body for route in routes if route.body is not None)]
    models += [answer for route in routes for answer in route.answers.values() if not isinstance(answer, str)]
    # Pydantic looks up the names of a model's annotations among the local names here first: none may be one that a model uses.
    described = [(declared, "validation", TypeAdapter(declared)) for declared in dict.fromkeys(models)]
    schemas = TypeAdapter.json_schemas(described, ref_template=_REF)[1]["$defs"]  # type: ignore[arg-type]
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for query in dict.fromkeys(queries):
        del schemas[query.__name__]  # it stands in the parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Killcord control API",
            "version": gateway.__version__,
            "description": "Lists are {items, next}; pass `next` as `after` until it is null. A page may have fewer items than requested.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route, schemas: Json) -> Json:
    described: Json = {
        "operationId": route.handler.__name__,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": " ".join((route.handler.__doc__ or "").split()),
        "parameters": _parts(route.path) + ([] if route.query is None else _parameters(schemas[route.query.__name__])),
        "responses": {str(status): _answer(route, answer) for status, answer in route.answers.items()} | {"default": _DEFAULT},
        "security": [] if route.permission is None else [{"operator": []}],
    }
    if route.permission is not None:
        described["description"] = f"Needs a role that may {route.permission.value}."
    if route.body is not None:
        needed = any(field.is_required() for field in route.body.model_fields.values())
        described["requestBody"] = {"required": needed, "content": {JSON: {"schema": _reference(route.body)}}}
    return described


def _parts(path: str) -> list[Json]:
    return [{"name": name, "in": "path", "required": True, "schema": _SEQ if name == "seq" else _ID} for name in _PART.findall(path)]


def _parameters(schema: Json) -> list[Json]:
    """The parameters of a query, whose schema this is."""
    required = schema.get("required", [])
    return [{"name": name, "in": "query", "required": name in required, "schema": one} for name, one in schema["properties"].items()]


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
