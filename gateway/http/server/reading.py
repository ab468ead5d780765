"""Reads bodies (strict JSON) and queries into their models; a problem names everything that is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.core.request import body as request_body
from gateway.errors import MalformedRequest
from gateway.http.server import problem

Model = TypeVar("Model", bound=BaseModel)

PATIENCE = 10.0
"""Seconds for a body to arrive."""

_LISTED = 20
"""Problems named in one answer."""

# The others are what curl -d, urllib and the like say without being asked; a body is read as strict JSON under any of them.
_TAKEN = frozenset({"application/json", "application/x-www-form-urlencoded", "application/octet-stream", "text/plain"})

_KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
}


async def body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body as its model; a missing body counts as ``{}``.

    Raises:
        BadRequest, UnsupportedMediaType, BodyTooLarge, BodyTimeout: it is not what the call takes.
    """
    if (encoding := request.headers.get(hdrs.CONTENT_ENCODING)) is not None:
        raise problem.UnsupportedMediaType(f"The body is encoded as {encoding}; send it without a Content-Encoding.")
    # What says that it is too long is not waited for.
    if request.content_length is not None and request.content_length > request.client_max_size:
        raise problem.BodyTooLarge
    try:
        async with asyncio.timeout(PATIENCE):
            raw = await request.read()
    except TimeoutError as late:
        raise problem.BodyTimeout from late
    if raw and request.content_type not in _TAKEN:
        raise problem.UnsupportedMediaType(f"The Content-Type of the body is {request.content_type}.")
    return _validated(_json(raw) if raw else {}, model, "body")


def query(request: web.Request, model: type[Model]) -> Model:
    """The query as its model.

    Raises:
        BadRequest: it is not what the call takes, or a key is repeated.
    """
    values = dict(request.query)
    if len(values) != len(request.query):
        raise problem.BadRequest("query: a key is repeated; keep one")
    return _validated(values, model, "query")


def _json(raw: bytes) -> object:
    try:
        request_body.loads(raw)
    except MalformedRequest as wrong:
        raise problem.BadRequest(wrong.detail) from wrong
    # Read again, for amounts exactly as they were written.
    value: object = json.loads(raw, parse_float=Decimal)
    return value


def _validated(value: object, model: type[Model], what: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        raise problem.BadRequest(*(_line(found, model, what) for found in wrong.errors()[:_LISTED])) from wrong


def _line(found: ErrorDetails, model: type[BaseModel], what: str) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found["loc"]).removeprefix(".") or what
    return f"{place}: {_message(found, model)}"


def _message(found: ErrorDetails, model: type[BaseModel]) -> str:
    context: Mapping[str, object] = found.get("ctx", {})
    match found["type"]:
        case "extra_forbidden":
            known = ", ".join(model.model_fields) or "nothing"
            return "is not known here" + (f"; known: {known}" if len(found["loc"]) == 1 else "")
        case "missing":
            return "is missing"
        case "literal_error" | "enum":
            return f"must be one of {str(context['expected']).replace(chr(39), '')}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return "is not a valid name; use letters, digits and . _ : @ ~ -"
        case kind if kind in _KINDS:
            return f"must be {_KINDS[kind]}"
        case _:
            return found["msg"][:1].lower() + found["msg"][1:]
