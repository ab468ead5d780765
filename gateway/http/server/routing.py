"""Operations of the control API. A handler is declared with method, path, permission and answers; its signature says the rest.

A handler takes the request, each named part of its path, and where it has them ``query`` and ``body``, whose annotations are the models
that they are read into. What it returns is sent as JSON with the first status of ``answers``, or as it is if it is a response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_type_hints

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler as AiohttpHandler

from gateway.http.server import guard, problem, reading
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
                arguments["query"] = reading.query(raw, self.query)
            if self.body is not None:
                arguments["body"] = await reading.body(raw, self.body)
            try:
                answer = await self.handler(Request(services, operator, raw), **arguments)
            except tuple(self.refusals) as refused:
                raise next(make(refused) for kind, make in self.refusals.items() if isinstance(refused, kind)) from refused
            return answer if isinstance(answer, web.StreamResponse) else json(answer, success)

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


def json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type=JSON)
