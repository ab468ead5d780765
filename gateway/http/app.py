"""The control API's application, and the server that runs it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.http.api import admission, approvals, checkpoints, effects, incidents, journal, orders, process, rollbacks, runs, status, tasks
from gateway.http.server import guard, openapi, problem
from gateway.http.server.request import Services

BODY_CAP = 1 << 20
"""Bytes of a request body."""

_RESOURCES = (runs, effects, admission, orders, journal, incidents, rollbacks, checkpoints, tasks, approvals, status, process)
ROUTES = tuple(route for resource in _RESOURCES for route in resource.ROUTES)
"""Every operation: what is registered, guarded and described."""


def build(services: Services) -> web.Application:
    """The application of a process's role. A mutation runs to its end even if its client goes away (``handler_cancellation`` stays off)."""
    edge = problem.middleware(services.clock, services.log)
    app = web.Application(middlewares=[edge, guard.hosts(services.allowed_hosts)], client_max_size=BODY_CAP)
    app[journal.CLOSING] = asyncio.Event()
    app.on_response_prepare.append(guard.before_sending)
    app.on_shutdown.append(_end_streams)
    served = tuple(route for route in ROUTES if services.role != "sidecar" or route.on_sidecar)
    for route in served:
        app.router.add_route(route.method, route.path, route.bound(services))
    app[openapi.SERVED] = served
    return app


async def _end_streams(app: web.Application) -> None:
    app[journal.CLOSING].set()


class _Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Nothing that came is repeated, in the answer or in a log: a broken request may still hold a token."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer has already begun")
        answer = problem.answer(problem.MalformedRequest() if status < 500 else problem.Internal())
        answer.headers.update(guard.HEADERS)
        answer.force_close()
        return answer


class _Server(web.Server):
    """Makes a connection of ours for each client."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Serves an application, and answers what is not HTTP with a problem document instead of aiohttp's own text."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = _Server
        return made
