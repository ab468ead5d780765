"""One row of the operators' door: what a call is, who may make it, what it takes, and what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from gateway.http.server import guard, reading
from gateway.http.server.fields import Body, Nothing
from gateway.http.server.operators import NOBODY, Operator, Permission
from gateway.http.server.services import Services

Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q, B]):
    """A request that passed the guard: its role may do this, and query and body are what the call takes."""

    services: Services
    operator: Operator
    query: Q
    body: B
    request: web.Request

    def part(self, name: str) -> str:
        """A named part of the path."""
        return self.request.match_info[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q, B]):
    """``permission`` ``None`` is open to all; ``answers`` maps a status to what it brings; ``on_sidecar`` rows are served there too."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    permission: Permission | None
    answers: Mapping[int, str]
    handler: Callable[[Asked[Q, B]], Awaitable[web.StreamResponse]]
    query: type[Q] = field(default=Nothing)  # type: ignore[assignment]
    body: type[B] = field(default=Nothing)  # type: ignore[assignment]
    media: str = "application/json"
    on_sidecar: bool = False

    def entered(self, services: Services) -> Handler:
        """The handler with the guard in front."""

        async def handle(request: web.Request) -> web.StreamResponse:
            permission = self.permission
            operator = NOBODY if permission is None else guard.operator(request, services.identify, permission)
            query = reading.query(request, self.query)
            body = await reading.body(request, self.body)
            return await self.handler(Asked(services, operator, query, body, request))

        return handle
