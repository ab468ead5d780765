"""The control API's application, and the server that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web

from gateway.core.connection_table import ConnectionTable
from gateway.http.api import admission, approvals, checkpoints, effects, incidents, journal, orders, process, rollbacks, runs, status, tasks
from gateway.http.server import guard, openapi, problem
from gateway.http.server.connection import Bounds, Connection, Server
from gateway.http.server.operators import Operator
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


class Runner(web.AppRunner):
    """Serves an application on bounded connections, and answers what is not HTTP with a problem document instead of aiohttp's own text."""

    def __init__(self, app: web.Application, *, identify: Callable[[str], Operator | None], bounds: Bounds | None = None) -> None:
        # A compressed body is refused, and never unpacked for that.
        self._bounds, self._identify = bounds or Bounds(), identify
        self.connections: ConnectionTable[Connection] = ConnectionTable(self._bounds.connections, self._bounds.connections)
        super().__init__(app, access_log=None, handle_signals=False, auto_decompress=False, keepalive_timeout=self._bounds.idle_timeout)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = Server
        cast(Server, made).configure(self._bounds, self.connections, self._identify)
        return made
