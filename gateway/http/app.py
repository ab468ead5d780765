"""The operators' door put together."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.http.api import follow
from gateway.http.routes import ROUTES
from gateway.http.server import guard, openapi, problem
from gateway.http.server.services import Services

BODY_CAP = 1 << 20
"""Bytes of a request body."""


def build(services: Services) -> web.Application:
    """The application of a process's role. A mutation runs to its end even if its client goes away (``handler_cancellation`` stays off)."""
    edge = problem.edge(services.clock, services.log)
    app = web.Application(middlewares=[edge, guard.hosts(services.allowed_hosts)], client_max_size=BODY_CAP)
    app[follow.CLOSING] = asyncio.Event()
    app.on_response_prepare.append(guard.harden)
    app.on_shutdown.append(_end_streams)
    served = [route for route in ROUTES if services.role != "sidecar" or route.on_sidecar]
    for route in served:
        app.router.add_route(route.method, route.path, route.entered(services))
    app[openapi.DESCRIPTION] = openapi.document(served)
    return app


async def _end_streams(app: web.Application) -> None:
    app[follow.CLOSING].set()
