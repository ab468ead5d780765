"""Operations of the control API. A handler is declared with method, path, permission and answers; its signature says the rest.

A handler takes the request, each named part of its path, and ``query`` and ``body`` if it declares them: their annotations are the models
that they are read into. What it returns is sent as JSON with the first status of ``answers``, or as it is if it is a response.

A body is strict JSON. Where a body or a query does not fit its model, the problem names everything that is wrong.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partialmethod
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_type_hints

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler as AiohttpHandler
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.core.request import body as request_body
from gateway.core.request import exact_json
from gateway.errors import MalformedRequest
from gateway.http.server import guard, problem
from gateway.http.server.fields import Body, Query
from gateway.http.server.operators import NOBODY, Permission
from gateway.http.server.request import Request, Services

JSON = "application/json"

Json = dict[str, object]
Answer = str | type[Any]
"""What a status brings: a model, whose docstring describes it; else, in words, a problem document or (of a success) a text."""
Handler = Callable[..., Awaitable[Mapping[str, object] | web.StreamResponse]]
Refusals = Mapping[type[Exception], Callable[[Any], problem.Problem]]
Declared = TypeVar("Declared", bound=Handler)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """``permission`` ``None`` is open to all; ``answers`` maps a status to what it brings; ``on_sidecar`` operations are served there too.

    ``refusals`` makes problems of what the services behind the handler raise; the first kind that fits counts. ``media`` is the media
    type of a success, ``also`` another one that ``Accept`` can ask for.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    permission: Permission | None
    answers: Mapping[int, Answer]
    refusals: Refusals
    handler: Handler
    query: type[Query] | None
    body: type[Body] | None
    media: str
    also: str | None
    on_sidecar: bool

    def bound(self, services: Services) -> AiohttpHandler:
        """The handler with the guard in front, for aiohttp's router."""
        success = next(iter(self.answers))

        async def handle(raw: web.Request) -> web.StreamResponse:
            operator = NOBODY if self.permission is None else guard.operator(raw, services.identify, self.permission)
            arguments: dict[str, Any] = dict(raw.match_info)
            if self.query is not None:
                arguments["query"] = read_query(raw, self.query)
            if self.body is not None:
                arguments["body"] = await read_body(raw, self.body)
            try:
                answer = await self.handler(Request(services, operator, raw), **arguments)
            except tuple(self.refusals) as refused:
                raise next(make(refused) for kind, make in self.refusals.items() if isinstance(refused, kind)) from refused
            return answer if isinstance(answer, web.StreamResponse) else json_response(answer, success)

        return handle


class Routes(list[Route]):
    """The operations of one resource, in the order in which they are declared."""

    def add(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        permission: Permission | None,
        answers: Mapping[int, Answer],
        refusals: Refusals = MappingProxyType({}),
        *,
        media: str = JSON,
        also: str | None = None,
        on_sidecar: bool = False,
    ) -> Callable[[Declared], Declared]:
        """Declare the decorated handler as an operation."""

        def declare(handler: Declared) -> Declared:
            models = get_type_hints(handler)
            query, body = models.get("query"), models.get("body")
            self.append(Route(method, path, permission, answers, refusals, handler, query, body, media, also, on_sidecar))
            return handler

        return declare

    get = partialmethod(add, "GET")
    post = partialmethod(add, "POST")
    delete = partialmethod(add, "DELETE")


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=exact_json.dumps(value), content_type=JSON)


# --- bodies and queries ----------------------------------------------------------------------------------------------

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


async def read_body(request: web.Request, model: type[Model]) -> Model:
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
    return _validated(_parsed(raw) if raw else {}, model, "body")


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The query as its model.

    Raises:
        BadRequest: it is not what the call takes, or a key is repeated.
    """
    values = dict(request.query)
    if len(values) != len(request.query):
        raise problem.BadRequest("query: a key is repeated; keep one")
    return _validated(values, model, "query")


def _parsed(raw: bytes) -> object:
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
